#include <blitzio/driver/io_uring/prepare.hpp>

#include <poll.h>

#include <algorithm>

namespace blitzio::driver::io_uring {

namespace {

// The kernel's own limit for one read or write (MAX_RW_COUNT); longer spans are served in part.
constexpr std::size_t kTransferMax = 0x7fff'f000;

unsigned transfer_bytes(std::size_t bytes) noexcept {
  return static_cast<unsigned>(std::min(bytes, kTransferMax));
}

// -1 is the kernel's "at the file's position", too.
std::uint64_t kernel_offset(std::int64_t offset) noexcept {
  return static_cast<std::uint64_t>(offset);
}

// The kernel keeps POLLPRI for itself when it compares a wake-up with what a request asks for, so a
// request for POLLPRI alone sleeps through urgent data. The same wake-ups carry POLLRDBAND.
unsigned kernel_events(std::uint32_t events) noexcept {
  return (events & POLLPRI) != 0 ? events | POLLRDBAND : events;
}

void fill(io_uring_sqe& sqe, const Operation& operation, Multishot multishot,
          __kernel_timespec& deadline) noexcept {
  const int fd = operation.fd();
  const Operation::Args& args = operation.args();
  switch (operation.kind()) {
    case OpKind::nop:
      io_uring_prep_nop(&sqe);
      return;
    case OpKind::read:
      io_uring_prep_read(&sqe, fd, args.buffer.data, transfer_bytes(args.buffer.bytes),
                         kernel_offset(args.buffer.offset));
      return;
    case OpKind::write:
      io_uring_prep_write(&sqe, fd, args.buffer.data, transfer_bytes(args.buffer.bytes),
                          kernel_offset(args.buffer.offset));
      return;
    case OpKind::readv:
      io_uring_prep_readv(&sqe, fd, args.vectors.vectors, args.vectors.count,
                          kernel_offset(args.vectors.offset));
      return;
    case OpKind::writev:
      io_uring_prep_writev(&sqe, fd, args.vectors.vectors, args.vectors.count,
                           kernel_offset(args.vectors.offset));
      return;
    case OpKind::open:
      io_uring_prep_openat(&sqe, fd, args.open.path, args.open.flags, args.open.mode);
      // Else it is tried with O_NONBLOCK first, and a FIFO does not wait for its other end.
      sqe.flags |= IOSQE_ASYNC;
      return;
    case OpKind::close:
      io_uring_prep_close(&sqe, fd);
      return;
    case OpKind::fsync:
      io_uring_prep_fsync(&sqe, fd, args.fsync.data_only ? IORING_FSYNC_DATASYNC : 0);
      return;
    case OpKind::stat:
      io_uring_prep_statx(&sqe, fd, args.stat.path, args.stat.flags, args.stat.mask,
                          args.stat.status);
      return;
    case OpKind::mkdir:
      io_uring_prep_mkdirat(&sqe, fd, args.mkdir.path, args.mkdir.mode);
      return;
    case OpKind::rename:
      io_uring_prep_renameat(&sqe, fd, args.rename.from, args.rename.to_directory, args.rename.to,
                             0);
      return;
    case OpKind::unlink:
      io_uring_prep_unlinkat(&sqe, fd, args.unlink.path, args.unlink.flags);
      return;
    case OpKind::accept_multishot:
      if (multishot.accept) {
        io_uring_prep_multishot_accept(&sqe, fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        return;
      }
      [[fallthrough]];
    case OpKind::accept:
      io_uring_prep_accept(&sqe, fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      return;
    case OpKind::connect:
      io_uring_prep_connect(&sqe, fd, args.connect.address, args.connect.length);
      return;
    case OpKind::recv:
      io_uring_prep_recv(&sqe, fd, args.socket_buffer.data,
                         transfer_bytes(args.socket_buffer.bytes), args.socket_buffer.flags);
      return;
    case OpKind::recv_multishot:
      io_uring_prep_recv(&sqe, fd, nullptr, 0, 0);
      if (multishot.recv) sqe.ioprio |= IORING_RECV_MULTISHOT;
      sqe.flags |= IOSQE_BUFFER_SELECT;
      sqe.buf_group = kBufferGroup;
      return;
    case OpKind::read_multishot:
      io_uring_prep_rw(multishot.read ? kOpReadMultishot : IORING_OP_READ, &sqe, fd, nullptr, 0,
                       kernel_offset(-1));
      sqe.flags |= IOSQE_BUFFER_SELECT;
      sqe.buf_group = kBufferGroup;
      return;
    case OpKind::send:
      io_uring_prep_send(&sqe, fd, args.socket_buffer.data,
                         transfer_bytes(args.socket_buffer.bytes), args.socket_buffer.flags);
      return;
    case OpKind::sendmsg:
      io_uring_prep_sendmsg(&sqe, fd, args.message.message,
                            static_cast<unsigned>(args.message.flags));
      return;
    case OpKind::recvmsg:
      io_uring_prep_recvmsg(&sqe, fd, args.message.message,
                            static_cast<unsigned>(args.message.flags));
      return;
    case OpKind::poll:
      io_uring_prep_poll_add(&sqe, fd, kernel_events(args.poll.events));
      return;
    case OpKind::poll_multishot:
      io_uring_prep_poll_multishot(&sqe, fd, kernel_events(args.poll.events));
      return;
    case OpKind::timeout: {
      // A deadline before the clock's zero has passed as well as zero itself.
      const std::int64_t nanos = std::max<std::int64_t>(args.timeout.deadline.as_nanos(), 0);
      deadline.tv_sec = nanos / 1'000'000'000;
      deadline.tv_nsec = nanos % 1'000'000'000;
      io_uring_prep_timeout(&sqe, &deadline, 0, IORING_TIMEOUT_ABS);
      return;
    }
  }
  BLITZIO_CHECK(false, operation.kind());
}

}  // namespace

unsigned readiness_events(OpKind kind) noexcept {
  switch (kind) {
    case OpKind::read:
    case OpKind::readv:
    case OpKind::read_multishot:
    case OpKind::recv:
    case OpKind::recv_multishot:
    case OpKind::recvmsg:
    case OpKind::accept:
    case OpKind::accept_multishot:
      return POLLIN;
    case OpKind::write:
    case OpKind::writev:
    case OpKind::send:
    case OpKind::sendmsg:
    case OpKind::connect:
      return POLLOUT;
    case OpKind::nop:
    case OpKind::open:
    case OpKind::close:
    case OpKind::fsync:
    case OpKind::stat:
    case OpKind::mkdir:
    case OpKind::rename:
    case OpKind::unlink:
    case OpKind::poll:
    case OpKind::poll_multishot:
    case OpKind::timeout:
      break;
  }
  BLITZIO_CHECK(false, kind);
  return 0;
}

void prepare(io_uring_sqe& sqe, const Operation& operation, Multishot multishot,
             __kernel_timespec& deadline) noexcept {
  sqe = {};
  fill(sqe, operation, multishot, deadline);
  sqe.user_data = user_data_of(operation, Tag::operation);
}

void prepare_readiness(io_uring_sqe& sqe, const Operation& operation) noexcept {
  sqe = {};
  io_uring_prep_poll_add(&sqe, operation.fd(), readiness_events(operation.kind()));
  sqe.user_data = user_data_of(operation, Tag::readiness);
}

void prepare_cancel(io_uring_sqe& sqe, std::uint64_t user_data) noexcept {
  sqe = {};
  io_uring_prep_cancel64(&sqe, user_data, 0);
  sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
  sqe.user_data = user_data_of(Tag::ignored);
}

void prepare_cancel_all(io_uring_sqe& sqe) noexcept {
  sqe = {};
  io_uring_prep_cancel64(&sqe, 0, IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY);
  sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
  sqe.user_data = user_data_of(Tag::ignored);
}

void prepare_wake(io_uring_sqe& sqe, int fd) noexcept {
  sqe = {};
  io_uring_prep_poll_multishot(&sqe, fd, POLLIN);
  sqe.user_data = user_data_of(Tag::wake);
}

}  // namespace blitzio::driver::io_uring
