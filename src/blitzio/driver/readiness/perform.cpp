#include <blitzio/base/accept_errors.hpp>
#include <blitzio/base/faults.hpp>
#include <blitzio/driver/readiness/perform.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace blitzio::driver::readiness {

namespace {

/// Calls until the answer is not EINTR. Returns a count or -errno.
template <class Call>
std::int32_t uninterrupted(Call call) noexcept {
  for (;;) {
    if (faults::hit(faults::Fault::interrupted)) continue;  // As if the call had said EINTR.
    const auto outcome = call();
    if (outcome >= 0) return static_cast<std::int32_t>(outcome);
    const int code = errno;
    if (code != EINTR) return -code;
  }
}

std::int32_t or_would_block(std::int32_t result) noexcept {
  return result == -EAGAIN || result == -EWOULDBLOCK ? kWouldBlock : result;
}

/// Whether calls on `fd` return EAGAIN by themselves. A bad fd says yes: the call itself then
/// reports it.
bool is_non_blocking(int fd) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags < 0 || (flags & O_NONBLOCK) != 0;
}

/// Whether readiness has no meaning for `fd`: it is always ready and transfers complete in line.
bool is_disk_file(int fd) noexcept {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return true;
  return S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode);
}

enum class Way : std::uint8_t { in, out };

struct Transfer {
  Way way;
  int fd;
  const iovec* vectors;
  int count;
  std::int64_t offset;

  /// Offset -1 stands for the file's position in preadv2 and pwritev2, too.
  [[nodiscard]] std::int32_t run(int flags) const noexcept {
    const std::int32_t result = run_at(offset, flags);
    return result == -ESPIPE && offset >= 0 ? run_at(-1, flags) : result;
  }

 private:
  [[nodiscard]] std::int32_t run_at(std::int64_t at, int flags) const noexcept {
    return uninterrupted([&] {
      return way == Way::in ? ::preadv2(fd, vectors, count, at, flags)
                            : ::pwritev2(fd, vectors, count, at, flags);
    });
  }
};

/// poll(2) promised PIPE_BUF bytes of room, so this much cannot block.
std::int32_t write_capped(const Transfer& transfer) noexcept {
  for (int i = 0; i < transfer.count; ++i) {
    if (transfer.vectors[i].iov_len == 0) continue;
    const iovec part{transfer.vectors[i].iov_base,
                     std::min<std::size_t>(transfer.vectors[i].iov_len, PIPE_BUF)};
    return Transfer{Way::out, transfer.fd, &part, 1, transfer.offset}.run(0);
  }
  return 0;
}

std::int32_t transfer_on_blocking_fd(const Transfer& transfer) noexcept {
  if (is_disk_file(transfer.fd)) return transfer.run(0);
  const std::int32_t ready =
      ready_now(transfer.fd, transfer.way == Way::in ? std::uint32_t{POLLIN} : POLLOUT);
  if (ready < 0) return ready;
  const std::int32_t result = transfer.run(RWF_NOWAIT);
  if (result == -EOPNOTSUPP || result == -EINVAL) {
    return transfer.way == Way::in ? transfer.run(0) : write_capped(transfer);
  }
  return or_would_block(result);
}

std::int32_t run_transfer(const Transfer& transfer) noexcept {
  if (is_non_blocking(transfer.fd)) return or_would_block(transfer.run(0));
  return transfer_on_blocking_fd(transfer);
}

/// accept(2); `peer` null: nobody asks.
std::int32_t accept_connection(int fd, Operation::AcceptArgs& args, AddressBuffer* peer) noexcept {
  using Mode = Operation::AcceptMode;
  if (args.mode == Mode::unknown) {
    args.mode = is_non_blocking(fd) ? Mode::non_blocking : Mode::blocking;
  }
  // Each retry takes a dead connection off the backlog; the bound is for a system that keeps
  // failing without taking any.
  constexpr int kRetries = 64;
  const bool must_ask = args.mode == Mode::blocking;
  std::int32_t result = 0;
  for (int attempt = 0; attempt < kRetries; ++attempt) {
    if (must_ask) {
      const std::int32_t ready = ready_now(fd, POLLIN);
      if (ready < 0) return ready;
    }
    result = uninterrupted([&] {
      if (peer == nullptr) return ::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      peer->length = sizeof peer->storage;
      return ::accept4(fd, peer->generic(), &peer->length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    });
    if (!concerns_one_connection(-result)) return or_would_block(result);
  }
  return result;
}

/// connect(2), not waiting even in blocking mode: the mode is changed for the call alone.
std::int32_t connect_without_waiting(int fd, const Operation::ConnectArgs& args) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return -errno;
  const bool is_blocking = (flags & O_NONBLOCK) == 0;
  if (is_blocking && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return -errno;
  const int outcome = ::connect(fd, args.address, args.length);
  const std::int32_t result = outcome == 0 ? 0 : -errno;
  if (is_blocking && ::fcntl(fd, F_SETFL, flags) != 0) return -errno;
  return result;
}

std::int32_t start_connect(int fd, Operation::ConnectArgs& args) noexcept {
  const std::int32_t result = connect_without_waiting(fd, args);
  // An interrupted connect goes on in the kernel, as one that says EINPROGRESS does; EALREADY is
  // one that somebody started before us.
  if (result != -EINPROGRESS && result != -EINTR && result != -EALREADY) return result;
  args.started = true;
  return kWouldBlock;
}

std::int32_t finish_connect(int fd) noexcept {
  int code = 0;
  socklen_t length = sizeof code;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length) != 0) return -errno;
  if (code != 0) return -code;
  // No error may also mean no outcome yet: a socket that was just attached reports POLLOUT|POLLHUP
  // before it connects. Only a connected one has a peer.
  sockaddr_storage peer{};
  socklen_t peer_length = sizeof peer;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_length) == 0) return 0;
  if (errno != ENOTCONN) return -errno;
  // A closed socket is no longer on its way (somebody else took the error): waiting would not end.
  const std::int32_t ready = ready_now(fd, 0);
  if (ready > 0 && (ready & (POLLHUP | POLLERR)) != 0) return -ENOTCONN;
  return kWouldBlock;
}

std::int32_t close_once(int fd) noexcept {
  if (::close(fd) == 0) return 0;
  // Linux closes the fd even when close() reports EINTR.
  return errno == EINTR ? 0 : -errno;
}

}  // namespace

std::uint32_t events_of(const Operation& operation) noexcept {
  switch (direction_of(operation.kind())) {
    case Direction::none:
      return 0;
    case Direction::read:
      // Not POLLIN for the special ones: ordinary data would wake them for nothing, for ever.
      if (is_special(operation)) {
        return (receive_flags(operation) & MSG_OOB) != 0 ? std::uint32_t{POLLPRI} : 0;
      }
      return POLLIN | POLLRDHUP;
    case Direction::write:
      return POLLOUT;
    case Direction::poll:
      return operation.args().poll.events;
  }
  return 0;
}

std::int32_t accept(Operation& operation, AddressBuffer& peer) noexcept {
  return accept_connection(operation.fd(), operation.args().accept, &peer);
}

std::int32_t receive(const Operation& operation, std::span<std::byte> buffer) noexcept {
  const int fd = operation.fd();
  if (operation.kind() == OpKind::read_multishot) {
    const iovec vector{buffer.data(), buffer.size()};
    return run_transfer({Way::in, fd, &vector, 1, -1});
  }
  return or_would_block(
      uninterrupted([&] { return ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT); }));
}

std::int32_t receive(int fd, std::span<std::byte> buffer, bool& lost_control) noexcept {
  iovec vector{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  const std::int32_t result =
      or_would_block(uninterrupted([&] { return ::recvmsg(fd, &message, MSG_DONTWAIT); }));
  lost_control = result >= 0 && (message.msg_flags & MSG_CTRUNC) != 0;
  return result;
}

std::int32_t ready_now(int fd, std::uint32_t events) noexcept {
  pollfd item{fd, static_cast<short>(events), 0};
  const std::int32_t result = uninterrupted([&] { return ::poll(&item, 1, 0); });
  if (result < 0) return result;
  if ((item.revents & POLLNVAL) != 0) return -EBADF;
  return result == 0 ? kWouldBlock : static_cast<std::uint16_t>(item.revents);
}

std::int32_t perform(Operation& operation) noexcept {
  const int fd = operation.fd();
  auto& args = operation.args();
  switch (operation.kind()) {
    case OpKind::nop:
      return 0;
    case OpKind::read:
    case OpKind::write: {
      const iovec vector{args.buffer.data, args.buffer.bytes};
      const Way way = operation.kind() == OpKind::read ? Way::in : Way::out;
      return run_transfer({way, fd, &vector, 1, args.buffer.offset});
    }
    case OpKind::readv:
    case OpKind::writev: {
      const Way way = operation.kind() == OpKind::readv ? Way::in : Way::out;
      return run_transfer({way, fd, args.vectors.vectors, static_cast<int>(args.vectors.count),
                           args.vectors.offset});
    }
    case OpKind::open:
      return uninterrupted(
          [&] { return ::openat(fd, args.open.path, args.open.flags, args.open.mode); });
    case OpKind::close:
      return close_once(fd);
    case OpKind::fsync:
      return uninterrupted([&] { return args.fsync.data_only ? ::fdatasync(fd) : ::fsync(fd); });
    case OpKind::stat:
      return uninterrupted([&] {
        return ::statx(fd, args.stat.path, args.stat.flags, args.stat.mask, args.stat.status);
      });
    case OpKind::mkdir:
      return uninterrupted([&] { return ::mkdirat(fd, args.mkdir.path, args.mkdir.mode); });
    case OpKind::rename:
      return uninterrupted([&] {
        return ::renameat(fd, args.rename.from, args.rename.to_directory, args.rename.to);
      });
    case OpKind::unlink:
      return uninterrupted([&] { return ::unlinkat(fd, args.unlink.path, args.unlink.flags); });
    case OpKind::accept:
    case OpKind::accept_multishot:
      return accept_connection(operation.fd(), operation.args().accept, nullptr);
    case OpKind::connect:
      return args.connect.started ? finish_connect(fd) : start_connect(fd, args.connect);
    case OpKind::recv:
      return or_would_block(uninterrupted([&] {
        return ::recv(fd, args.socket_buffer.data, args.socket_buffer.bytes,
                      args.socket_buffer.flags | MSG_DONTWAIT);
      }));
    case OpKind::send:
      return or_would_block(uninterrupted([&] {
        return ::send(fd, args.socket_buffer.data, args.socket_buffer.bytes,
                      args.socket_buffer.flags | MSG_DONTWAIT);
      }));
    case OpKind::sendmsg:
      return or_would_block(uninterrupted(
          [&] { return ::sendmsg(fd, args.message.message, args.message.flags | MSG_DONTWAIT); }));
    case OpKind::recvmsg:
      return or_would_block(uninterrupted(
          [&] { return ::recvmsg(fd, args.message.message, args.message.flags | MSG_DONTWAIT); }));
    case OpKind::poll:
    case OpKind::poll_multishot:
      return ready_now(fd, args.poll.events);
    case OpKind::read_multishot:
    case OpKind::recv_multishot:
    case OpKind::timeout:
      break;
  }
  BLITZIO_CHECK(false && "the driver's own operation", operation.kind());
  return -EINVAL;
}

}  // namespace blitzio::driver::readiness
