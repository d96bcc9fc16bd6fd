// `Socket`: what all sockets can: addresses, readiness, options, closing. The base of those that
// users make; not for use by itself.
//
// A socket may be used on any thread and move between tasks; see executor/async_fd.hpp for what
// happens to a wait then. Closing one with calls waiting in other tasks ends them with `closed`.
// But a call that another thread begins while close() runs is not protected: see there.
#pragma once

#include <blitzio/base/duration.hpp>
#include <blitzio/executor/async_fd.hpp>
#include <blitzio/net/address.hpp>

#include <cstddef>
#include <optional>
#include <utility>

namespace blitzio::net {

/// What every socket can. Not for use by itself.
class Socket {
 public:
  Socket(Socket&&) noexcept = default;
  Socket& operator=(Socket&&) noexcept = default;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  /// The descriptor; -1 once closed or moved from.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  /// Not once closed or moved from.
  [[nodiscard]] bool is_open() const noexcept { return fd() >= 0; }
  /// Closes it now; what waits on it ends with `closed`, whichever threads' tasks these are.
  /// Thread   the caller sees to it that no other thread begins a call meanwhile: the first poll of
  ///          a future, a try_x, an option. Such a call may find the number closed (EBADF), or
  ///          belonging to another file by then. A future that has waited is safe.
  void close() noexcept { fd_.close(); }
  /// Gives the descriptor, in non-blocking mode, to the caller; where other threads still use its
  /// number, as a duplicate.
  [[nodiscard]] OwnedFd into_fd() && noexcept { return fd_.release(); }

  /// Errors   os errors of a socket that is closed; invalid_argument for an unknown family.
  [[nodiscard]] Result<Address> local_address() const noexcept;
  /// Errors   as local_address(); ENOTCONN.
  [[nodiscard]] Result<Address> peer_address() const noexcept;

  /// For authors of futures: what IoWait takes.
  [[nodiscard]] const AsyncFd& async_fd() const noexcept { return fd_; }

  /// Waits until a read, or accept, would not block.   Cancel   loses nothing.
  [[nodiscard]] AsyncFd::Ready readable() const noexcept { return fd_.readable(); }
  /// Waits until a write would not block.   Cancel   loses nothing.
  [[nodiscard]] AsyncFd::Ready writable() const noexcept { return fd_.writable(); }

  /// Takes the error that the socket keeps from what happened between calls, if there is one.
  [[nodiscard]] Result<std::optional<Error>> take_error() const noexcept;

  /// Bytes that the kernel keeps for sending and receiving. It may give more than is asked for.
  Result<void> set_send_buffer_bytes(std::size_t bytes) const noexcept;
  [[nodiscard]] Result<std::size_t> send_buffer_bytes() const noexcept;
  Result<void> set_recv_buffer_bytes(std::size_t bytes) const noexcept;
  [[nodiscard]] Result<std::size_t> recv_buffer_bytes() const noexcept;

  /// setsockopt(2) and getsockopt(2) of an int.
  Result<void> set_option(int level, int name, int value) const noexcept;
  [[nodiscard]] Result<int> option(int level, int name) const noexcept;

 protected:
  explicit Socket(AsyncFd fd) noexcept : fd_(std::move(fd)) {}
  ~Socket() = default;

  AsyncFd fd_;
};

namespace detail {

/// A non-blocking, close-on-exec socket.
[[nodiscard]] Result<OwnedFd> open_socket(int family, int type) noexcept;
[[nodiscard]] Result<void> bind_to(int fd, const Address& address) noexcept;

}  // namespace detail

}  // namespace blitzio::net
