// `perform`: does an operation's system call right now, or says that it would block.
//
// One exhaustive switch over OpKind serves every readiness backend: they try first and register
// interest only when the answer is kWouldBlock. No call here blocks on a socket, pipe or terminal,
// whatever mode its descriptor is in:
//
//   sockets       MSG_DONTWAIT per call; connect() and accept4() look at the descriptor's mode.
//   pipes, ttys   in blocking mode: poll(2) without waiting, then RWF_NOWAIT where the kernel has
//                 it, else a transfer that poll(2)'s answer covers (PIPE_BUF bytes). Without
//                 RWF_NOWAIT another process that shares the descriptor may take what poll(2) saw.
//   files, paths  done in line, so they wait for the disk: whoever minds asks on a pool's thread.
//
// EINTR is retried here and nowhere else. Thread: any, no state.
#pragma once

#include <blitzio/base/address_buffer.hpp>
#include <blitzio/driver/operation.hpp>

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

namespace blitzio::driver::readiness {

/// The operation cannot proceed before its descriptor becomes ready. Not -EAGAIN: that can be a
/// real result (connect() to a Unix socket whose backlog is full, which no poll announces).
inline constexpr std::int32_t kWouldBlock = std::numeric_limits<std::int32_t>::min();

/// Which readiness an operation waits for after kWouldBlock.
enum class Direction : std::uint8_t { none, read, write, poll };

[[nodiscard]] constexpr Direction direction_of(OpKind kind) noexcept {
  switch (kind) {
    case OpKind::nop:
    case OpKind::open:
    case OpKind::close:
    case OpKind::fsync:
    case OpKind::stat:
    case OpKind::mkdir:
    case OpKind::rename:
    case OpKind::unlink:
    case OpKind::timeout:
      return Direction::none;
    case OpKind::read:
    case OpKind::readv:
    case OpKind::read_multishot:
    case OpKind::accept:
    case OpKind::accept_multishot:
    case OpKind::recv:
    case OpKind::recv_multishot:
    case OpKind::recvmsg:
      return Direction::read;
    case OpKind::write:
    case OpKind::writev:
    case OpKind::connect:
    case OpKind::send:
    case OpKind::sendmsg:
      return Direction::write;
    case OpKind::poll:
    case OpKind::poll_multishot:
      return Direction::poll;
  }
  return Direction::none;
}

/// The MSG_ flags of a receiving operation, else 0.
[[nodiscard]] inline int receive_flags(const Operation& operation) noexcept {
  if (operation.kind() == OpKind::recv) return operation.args().socket_buffer.flags;
  if (operation.kind() == OpKind::recvmsg) return operation.args().message.flags;
  return 0;
}

/// Reads urgent data or the error queue: it waits for something else than other readers do.
[[nodiscard]] inline bool is_special(const Operation& operation) noexcept {
  return (receive_flags(operation) & (MSG_OOB | MSG_ERRQUEUE)) != 0;
}

/// The poll(2) bits that `operation` waits for; POLLERR and POLLHUP come without asking.
[[nodiscard]] std::uint32_t events_of(const Operation& operation) noexcept;

/// Tries `operation` once. Of accept_multishot it does one accept; poll kinds report what is ready
/// now. Not for recv_multishot, read_multishot (see receive()) and timeout, which need the driver.
/// Returns  the result as OpKind documents it, a negative errno, or kWouldBlock.
[[nodiscard]] std::int32_t perform(Operation& operation) noexcept;

/// As perform(), of accept_multishot; `peer`: who connected.
[[nodiscard]] std::int32_t accept(Operation& operation, AddressBuffer& peer) noexcept;

/// One arrival for `operation`, which brings_data(): recv(2) or read(2) without blocking.
[[nodiscard]] std::int32_t receive(const Operation& operation,
                                   std::span<std::byte> buffer) noexcept;
/// recv(2) without blocking; `lost_control` tells whether there was ancillary data, such as
/// descriptors, for which there was no room.
[[nodiscard]] std::int32_t receive(int fd, std::span<std::byte> buffer,
                                   bool& lost_control) noexcept;

/// The ready part of `events` (and POLLERR, POLLHUP), kWouldBlock if nothing is, or -errno.
[[nodiscard]] std::int32_t ready_now(int fd, std::uint32_t events) noexcept;

}  // namespace blitzio::driver::readiness
