#include <blitzio/net/stream_socket.hpp>

#include <blitzio/base/syscalls.hpp>
#include <blitzio/net/detail/uninterrupted.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace blitzio::net {

using detail::uninterrupted;

namespace {

bool has_room(std::span<const iovec> vectors) noexcept {
  return std::ranges::any_of(vectors, [](const iovec& one) { return one.iov_len > 0; });
}

}  // namespace

Poll<Result<std::size_t>> SocketRead::poll(Context& context) noexcept {
  return wait_.poll(context, [this](int fd) noexcept -> IoAttempt {
    // recv(2) of no bytes would wait for some.
    if (BLITZIO_UNLIKELY(buffer_.empty())) return {0};
    const std::int64_t result = uninterrupted([&] {
      return sys::recv(fd, buffer_.data(), buffer_.size(), flags_ | MSG_DONTWAIT, sys::Wait::edge);
    });
    const bool is_short = result > 0 && static_cast<std::size_t>(result) < buffer_.size();
    return {result, is_tcp_ && is_short && flags_ == 0};
  });
}

Poll<Result<std::size_t>> SocketWrite::poll(Context& context) noexcept {
  return wait_.poll(context, [this](int fd) noexcept -> IoAttempt {
    return {uninterrupted(
        [&] { return sys::send(fd, data_.data(), data_.size(), MSG_DONTWAIT | MSG_NOSIGNAL); })};
  });
}

template <IoDirection kDirection>
Poll<Result<std::size_t>> SocketVectored<kDirection>::poll(Context& context) noexcept {
  return wait_.poll(context, [this](int fd) noexcept -> IoAttempt {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(vectors_.data());
    message.msg_iovlen = vectors_.size();
    if (kDirection == IoDirection::read && !has_room(vectors_)) return {0};
    return {uninterrupted([&] {
      if constexpr (kDirection == IoDirection::read) {
        return sys::recvmsg(fd, &message, MSG_DONTWAIT, sys::Wait::edge);
      } else {
        return sys::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
      }
    })};
  });
}
template class SocketVectored<IoDirection::read>;
template class SocketVectored<IoDirection::write>;

Result<void> detail::shut_down(int fd, Shutdown how) noexcept {
  const int native = how == Shutdown::read ? SHUT_RD : how == Shutdown::write ? SHUT_WR : SHUT_RDWR;
  if (::shutdown(fd, native) != 0) return fail(Error::os(errno));
  return {};
}

Result<std::optional<std::size_t>> detail::receive_now(int fd, std::span<std::byte> buffer,
                                                       int flags) noexcept {
  if (buffer.empty()) return 0;
  // By edge: the caller takes "nothing" for the state of the connection, and need not wait for
  // more.
  return unless_blocked(uninterrupted([&] {
    return sys::recv(fd, buffer.data(), buffer.size(), flags | MSG_DONTWAIT, sys::Wait::edge);
  }));
}

Result<std::optional<std::size_t>> detail::send_now(int fd,
                                                    std::span<const std::byte> data) noexcept {
  return unless_blocked(uninterrupted(
      [&] { return sys::send(fd, data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL); }));
}

}  // namespace blitzio::net
