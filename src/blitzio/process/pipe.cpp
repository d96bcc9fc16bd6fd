#include <blitzio/process/pipe.hpp>

#include <blitzio/base/syscalls.hpp>

#include <cerrno>

namespace blitzio::process {

namespace {

// One read(2) or writev(2) that is not interrupted: a count or -errno.
IoAttempt read_once(int fd, std::span<std::byte> buffer) noexcept {
  for (;;) {
    const ssize_t count = sys::read(fd, buffer.data(), buffer.size());
    if (count >= 0) return {count};
    const int code = errno;
    if (code != EINTR) return {-code};
  }
}
IoAttempt write_once(int fd, std::span<const std::byte> data) noexcept {
  const iovec vector{const_cast<std::byte*>(data.data()), data.size()};
  for (;;) {
    const ssize_t count = sys::writev(fd, &vector, 1);
    if (count >= 0) return {count};
    const int code = errno;
    if (code != EINTR) return {-code};
  }
}

Result<std::optional<std::size_t>> unless_blocked(IoAttempt attempt) noexcept {
  if (attempt.result == -EAGAIN) return std::nullopt;
  if (attempt.result < 0) return fail(Error::os(static_cast<int>(-attempt.result)));
  return static_cast<std::size_t>(attempt.result);
}

Result<AsyncFd> adopt_any(OwnedFd&& fd) noexcept {
  if (!fd) return fail(Error::os(EBADF));
  return AsyncFd::adopt(std::move(fd));
}

}  // namespace

Result<PipeReader> PipeReader::adopt(OwnedFd&& fd) noexcept {
  auto adopted = adopt_any(std::move(fd));
  if (!adopted) return fail(adopted.error());
  return PipeReader(std::move(*adopted));
}

Poll<Result<std::size_t>> PipeReader::Read::poll(Context& context) noexcept {
  return wait_.poll(context, [this](int fd) noexcept { return read_once(fd, buffer_); });
}

Result<std::optional<std::size_t>> PipeReader::try_read(std::span<std::byte> buffer) noexcept {
  return unless_blocked(read_once(fd(), buffer));
}

Result<PipeWriter> PipeWriter::adopt(OwnedFd&& fd) noexcept {
  auto adopted = adopt_any(std::move(fd));
  if (!adopted) return fail(adopted.error());
  return PipeWriter(std::move(*adopted));
}

Poll<Result<std::size_t>> PipeWriter::Write::poll(Context& context) noexcept {
  return wait_.poll(context, [this](int fd) noexcept { return write_once(fd, data_); });
}

Result<std::optional<std::size_t>> PipeWriter::try_write(std::span<const std::byte> data) noexcept {
  return unless_blocked(write_once(fd(), data));
}

}  // namespace blitzio::process
