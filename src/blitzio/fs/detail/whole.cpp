#include <blitzio/fs/detail/whole.hpp>

#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace blitzio::fs::detail {

namespace {

// Opening on the spot needs O_NONBLOCK, which means nothing to what is a regular file by now: that
// nobody else sees the descriptor saves taking it off again.
constexpr int kPrivate = O_NONBLOCK;

}  // namespace

Now<SmallFile> try_open_small(const std::string& path) noexcept {
  auto opened = try_open(path, O_RDONLY | kPrivate, 0);
  if (!opened) return std::nullopt;
  if (!*opened) return fail(opened->error());
  const struct stat& status = (*opened)->status;
  if (S_ISDIR(status.st_mode)) return fail(Error::os(EISDIR));
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size > kInlineReadBytesMax) return std::nullopt;
  return SmallFile{std::move((*opened)->fd), size, locality_of(path) != Locality::memory};
}

Now<std::size_t> try_read_small(const SmallFile& file, std::byte* to) noexcept {
  // A byte more than there should be: the answer shows that this was the end.
  std::byte more{};
  const std::array<iovec, 2> vectors{iovec{to, file.size}, iovec{&more, 1}};
  Result<std::size_t> count = fail(Error::os(EOPNOTSUPP));
  if (file.can_ask) {
    count = retry_count([&] { return ::preadv2(file.fd.get(), vectors.data(), 2, 0, RWF_NOWAIT); });
  }
  if (!count && count.error().is_os(EOPNOTSUPP) && may_risk()) {
    const Risk risk;
    count = retry_count([&] { return ::preadv(file.fd.get(), vectors.data(), 2, 0); });
  }
  if (count) {
    if (*count != file.size) return std::nullopt;
    return file.size;
  }
  if (count.error().is_os(EAGAIN) || count.error().is_os(EOPNOTSUPP)) return std::nullopt;
  return fail(count.error());
}

Now<void> try_write_whole(const std::string& path, int flags, mode_t mode,
                          std::span<const std::byte> data) noexcept {
  if (data.size() > kInlineWriteBytesMax) return std::nullopt;
  auto opened = try_open(path, flags | kPrivate, mode);
  if (!opened) return std::nullopt;
  if (!*opened) return fail(opened->error());
  Risk risk;
  risk.was_in_vain();  // opening has been paid for
  return write_and_close(std::move((*opened)->fd), data);
}

Result<void> write_and_close(OwnedFd fd, std::span<const std::byte> data) noexcept {
  if (auto written = blocking_write_full(fd.get(), data, -1); !written) return written;
  // Network file systems tell here that the disk is full. EINTR: closed all the same.
  if (::close(fd.release()) != 0 && errno != EINTR) return fail(Error::os(errno));
  return {};
}

}  // namespace blitzio::fs::detail
