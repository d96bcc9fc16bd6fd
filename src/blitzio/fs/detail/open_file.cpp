#include <blitzio/fs/detail/open_file.hpp>

#include <blitzio/fs/detail/inline_policy.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <limits>
#include <utility>

namespace blitzio::fs::detail {

namespace {

// Whether a stream has room, or bytes or its end, now.
bool is_ready(int fd, short events) noexcept {
  pollfd look{fd, events, 0};
  return ::poll(&look, 1, 0) > 0;
}

// A descriptor in non-blocking mode says by itself that it would have to wait.
Now<std::size_t> now_unless_again(Result<std::size_t> count) noexcept {
  if (!count && count.error().is_os(EAGAIN)) return std::nullopt;
  return count;
}

// What is no offset stays none: preadv2(2) would take -1 for the descriptor's own position.
off_t to_native(std::uint64_t offset) noexcept {
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  return offset <= kMax ? static_cast<off_t>(offset) : std::numeric_limits<off_t>::min();
}

}  // namespace

OpenFile::OpenFile(OwnedFd fd, const struct stat& status, int flags, bool is_local) noexcept
    : fd_(std::move(fd)),
      is_stream_(!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode) &&
                 ::lseek(fd_.get(), 0, SEEK_CUR) < 0),
      appends_((flags & O_APPEND) != 0),
      is_read_only_((flags & O_ACCMODE) == O_RDONLY),
      is_local_(is_local && S_ISREG(status.st_mode)) {}

Now<std::size_t> OpenFile::try_read(std::span<std::byte> buffer, std::uint64_t offset) noexcept {
  if (buffer.size() > kInlineReadBytesMax) return std::nullopt;
  // Relaxed, both: see the declaration.
  if (can_ask_.load(std::memory_order_relaxed)) {
    const iovec vector{buffer.data(), buffer.size()};
    const auto count = retry_count([&] {
      return ::preadv2(fd(), &vector, 1, is_stream_ ? -1 : to_native(offset), RWF_NOWAIT);
    });
    if (count) return *count;
    if (count.error().is_os(EAGAIN)) return std::nullopt;
    if (!count.error().is_os(EOPNOTSUPP)) return fail(count.error());
    // Relaxed: as above.
    can_ask_.store(false, std::memory_order_relaxed);
  }
  if (is_stream_) {
    if (!is_ready(fd(), POLLIN)) return std::nullopt;
    return now_unless_again(blocking_read(buffer, offset));
  }
  if (!is_local_ || !may_risk()) return std::nullopt;
  const Risk risk;
  return blocking_read(buffer, offset);
}

Now<std::size_t> OpenFile::try_write(std::span<const std::byte> data,
                                     std::uint64_t offset) noexcept {
  if (is_stream_) {
    // What is ready has room for this much at least (pipe(7)), whatever its mode.
    if (!is_ready(fd(), POLLOUT)) return std::nullopt;
    const std::size_t count = std::min<std::size_t>(data.size(), PIPE_BUF);
    return now_unless_again(blocking_write(data.first(count), offset));
  }
  if (!is_local_ || data.size() > kInlineWriteBytesMax || !may_risk()) return std::nullopt;
  const Risk risk;
  return blocking_write(data, offset);
}

Result<std::size_t> OpenFile::blocking_read(std::span<std::byte> buffer,
                                            std::uint64_t offset) noexcept {
  return retry_count([&] {
    return is_stream_ ? ::read(fd(), buffer.data(), buffer.size())
                      : ::pread(fd(), buffer.data(), buffer.size(), to_native(offset));
  });
}

Result<std::size_t> OpenFile::blocking_write(std::span<const std::byte> data,
                                             std::uint64_t offset) noexcept {
  return retry_count([&] {
    return is_stream_ || appends_ ? ::write(fd(), data.data(), data.size())
                                  : ::pwrite(fd(), data.data(), data.size(), to_native(offset));
  });
}

void OpenFile::prepare_read(driver::Operation& operation, std::span<std::byte> buffer,
                            std::uint64_t offset) const noexcept {
  operation.read(fd(), buffer, to_native(offset));
}

void OpenFile::prepare_write(driver::Operation& operation, std::span<const std::byte> data,
                             std::uint64_t offset) const noexcept {
  // An appending write moves the descriptor, whose place then says where it was.
  operation.write(fd(), data, appends_ ? -1 : to_native(offset));
}

std::uint64_t OpenFile::end_of_write(std::uint64_t offset, std::size_t count) const noexcept {
  if (!appends_) return offset + count;
  // An appending write leaves the descriptor behind what it wrote, wherever the end was.
  const off_t end = ::lseek(fd(), 0, SEEK_CUR);
  return end < 0 ? 0 : static_cast<std::uint64_t>(end);
}

Result<void> OpenFile::close() noexcept {
  // Linux closes the descriptor even when it says EINTR.
  if (::close(fd_.release()) != 0 && errno != EINTR) return fail(Error::os(errno));
  return {};
}

}  // namespace blitzio::fs::detail
