// `receiver_room()`: what a sender waits for whose receiver has no room, between Unix datagram
// sockets.
//
// There sending does not fill a buffer of the sender's but the receiver's queue, and poll(2) of a
// sender looks at that queue only if it is connected to it: of another it says "writable" at once,
// so that who waits for it spins. A second socket, which is connected, is writable when the
// receiver has room, whoever filled its queue. It sends nothing itself, so the receiver never
// learns of it.
//
// Threads: any.
#pragma once

#include <blitzio/base/owned_fd.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/executor/async_fd.hpp>
#include <blitzio/net/address.hpp>
#include <blitzio/task/future.hpp>

#include <sys/socket.h>

#include <utility>

namespace blitzio::net {

/// After a datagram from `fd` to `to` was refused with EAGAIN.
/// Returns  a descriptor to wait for, until it is writable; none if waiting for `fd` itself will
///          do: its own buffer is full, or another try will tell what is wrong.
/// Errors   EMFILE, ENFILE, ENOBUFS, ENOMEM: no descriptor can be had, and without one there is
///          nothing to wait for.
/// Cost     for Unix sockets two looks at the buffer, a socket(2) and a connect(2).
[[nodiscard]] Result<OwnedFd> receiver_room(int fd, const sockaddr* to, socklen_t length) noexcept;

namespace detail {

/// That, as a future's part: one wait. It cannot move.
class ReceiverRoom {
 public:
  /// Adopts what receiver_room() gave.
  explicit ReceiverRoom(AsyncFd fd) noexcept : fd_(std::move(fd)), wait_(fd_.writable()) {}
  /// Ready when there is room, as far as one can tell: then send. If it is gone already ask for
  /// another, for the address may be another receiver's by then.
  /// Errors   what waiting gives (ENOMEM).
  Poll<Result<void>> poll(Context& context) noexcept { return wait_.poll(context); }

 private:
  AsyncFd fd_;
  AsyncFd::Ready wait_;
};

}  // namespace detail

}  // namespace blitzio::net
