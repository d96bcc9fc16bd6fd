// `Operation`: one request to a driver. An intrusive object that its owner (a future's frame, a
// transport) keeps alive; submitting it allocates nothing.
//
//          submit                       last completion
//   idle ──────────▶ in_flight ─────────────────────────▶ idle
//                        │  ▲ │ completion with `more`      ▲
//                 cancel │  └─┘ (multishot only)            │
//                        ▼           last completion        │
//                    cancelling ────────────────────────────┘
//
// in_flight   the kernel may own the buffers and the node; neither moves nor dies.
// cancelling  as in_flight; the outcome may still be success, and its bytes are delivered.
// submit, cancel: owner thread of the driver, never while another thread waits on it.
// completion: the driver only, from dispatch() (or shutdown()); exactly one last completion per
// submit. Never from inside submit() or cancel(), so neither can surprise its caller.
//
// Descriptors may be in blocking or in non-blocking mode: no operation waits in submit() for a
// peer. Close one (or hand it to a close operation) only when nothing is in flight on it, or
// nothing but cancelled operations that Driver::hand_over() gave to the kernel. If it is closed all
// the same, what is in flight may wait for ever or go on on the file that was open; cancel() still
// ends it, and the number may be used anew at once.
//
// A completion function may do anything: submit the same operation again, submit, cancel or destroy
// others (if idle), destroy its own operation after a last completion.
#pragma once

#include <blitzio/base/check.hpp>
#include <blitzio/base/instant.hpp>
#include <blitzio/base/intrusive_list.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

struct statx;

namespace blitzio::driver {

/// What an operation asks for. The comment gives the result of a completion; every kind may also
/// give a negative errno, and -ECANCELED after cancel().
enum class OpKind : std::uint8_t {
  nop,               ///< 0
  read,              ///< bytes read, 0 at end of file
  write,             ///< bytes written, may be short
  readv,             ///< as read
  read_multishot,    ///< one completion per read, else as recv_multishot
  writev,            ///< as write
  open,              ///< the new fd
  close,             ///< 0
  fsync,             ///< 0
  stat,              ///< 0; the buffer is filled in
  mkdir,             ///< 0
  rename,            ///< 0
  unlink,            ///< 0
  accept,            ///< the new fd, non-blocking and close-on-exec
  accept_multishot,  ///< one completion per connection; the new fd
  connect,           ///< 0
  recv,              ///< bytes received, 0 at end of stream
  recv_multishot,    ///< one completion per arrival, bytes in `data`; last: 0 (end) or -errno
  send,              ///< bytes sent, may be short
  sendmsg,           ///< as send
  recvmsg,           ///< bytes received; msghdr's name, control and flags are filled in
  poll,              ///< the ready poll(2) mask; of a regular file at once what was asked for
  poll_multishot,    ///< at least one completion per edge; the ready mask. Drain until EAGAIN each
                     ///< time.
  timeout,           ///< 0 when the deadline passed
};

inline constexpr std::size_t kOpKinds = static_cast<std::size_t>(OpKind::timeout) + 1;

/// What a driver reports.
struct Completion {
  /// Count, fd or mask as OpKind says, or a negative errno.
  std::int32_t result;
  /// Another completion of this (multishot) operation will follow.
  bool more;
  /// In the driver's memory, valid during the call only. recv_multishot, read_multishot: the bytes.
  /// accept_multishot: the peer's socket address, from backends that learn it with the connection.
  std::span<const std::byte> data;

  [[nodiscard]] bool is_error() const noexcept { return result < 0; }
  [[nodiscard]] int error_code() const noexcept { return result < 0 ? -result : 0; }
};

struct InFlightTag;  ///< the driver's list of what is in flight
struct QueueTag;     ///< a backend's own queue: waiting for readiness, or completed

class Operation : public ListNode<InFlightTag>, public ListNode<QueueTag> {
 public:
  using Complete = void (*)(Operation& operation, const Completion& completion) noexcept;
  enum class State : std::uint8_t { idle, in_flight, cancelling };

  /// `on_completion` gets every completion, on the driver's thread.
  explicit Operation(Complete on_completion) noexcept : complete_(on_completion) {}
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  ~Operation() { BLITZIO_CHECK(state_ == State::idle, state_, kind_); }

  // What to do next; the operation must be idle. Buffers, paths, addresses and msghdr are borrowed
  // until the last completion.
  void nop() noexcept { prepare(OpKind::nop, -1); }
  /// `offset` -1: at the file's position. For files that are no regular files it is ignored.
  void read(int fd, std::span<std::byte> buffer, std::int64_t offset = -1) noexcept {
    prepare(OpKind::read, fd);
    args_.buffer = {buffer.data(), buffer.size(), offset};
  }
  void write(int fd, std::span<const std::byte> buffer, std::int64_t offset = -1) noexcept {
    prepare(OpKind::write, fd);
    args_.buffer = {const_cast<std::byte*>(buffer.data()), buffer.size(), offset};
  }
  /// At most IOV_MAX elements.
  void readv(int fd, std::span<const iovec> vectors, std::int64_t offset = -1) noexcept {
    prepare(OpKind::readv, fd);
    args_.vectors = {vectors.data(), static_cast<std::uint32_t>(vectors.size()), offset};
  }
  /// Of a pipe, a terminal, a socket; not of a regular file. Each read has room for
  /// Config::buffer_bytes or more.
  void read_multishot(int fd) noexcept { prepare(OpKind::read_multishot, fd); }
  void writev(int fd, std::span<const iovec> vectors, std::int64_t offset = -1) noexcept {
    prepare(OpKind::writev, fd);
    args_.vectors = {vectors.data(), static_cast<std::uint32_t>(vectors.size()), offset};
  }
  /// openat(2); `directory` may be AT_FDCWD. O_CLOEXEC is always added.
  void open(int directory, const char* path, int flags, mode_t mode = 0) noexcept {
    prepare(OpKind::open, directory);
    args_.open = {path, flags | O_CLOEXEC, mode};
  }
  /// Detach the fd first if it was attached.
  void close(int fd) noexcept { prepare(OpKind::close, fd); }
  void fsync(int fd, bool data_only = false) noexcept {
    prepare(OpKind::fsync, fd);
    args_.fsync = {data_only};
  }
  /// statx(2) with `flags` and `mask`; a `directory` that is AT_FDCWD, or, with AT_EMPTY_PATH and a
  /// path of "", the file itself.
  void stat(int directory, const char* path, int flags, unsigned mask,
            struct statx* status) noexcept {
    prepare(OpKind::stat, directory);
    args_.stat = {path, status, flags, mask};
  }
  /// mkdirat(2), unlinkat(2) (`flags`: AT_REMOVEDIR for a directory) and renameat(2); each
  /// directory may be AT_FDCWD.
  void mkdir(int directory, const char* path, mode_t mode) noexcept {
    prepare(OpKind::mkdir, directory);
    args_.mkdir = {path, mode};
  }
  void unlink(int directory, const char* path, int flags = 0) noexcept {
    prepare(OpKind::unlink, directory);
    args_.unlink = {path, flags};
  }
  void rename(int from_directory, const char* from, int to_directory, const char* to) noexcept {
    prepare(OpKind::rename, from_directory);
    args_.rename = {from, to, to_directory};
  }
  void accept(int fd) noexcept {
    prepare(OpKind::accept, fd);
    args_.accept = {AcceptMode::unknown};
  }
  void accept_multishot(int fd) noexcept {
    prepare(OpKind::accept_multishot, fd);
    args_.accept = {AcceptMode::unknown};
  }
  void connect(int fd, const sockaddr* address, socklen_t length) noexcept {
    prepare(OpKind::connect, fd);
    args_.connect = {address, length, false};
  }
  void recv(int fd, std::span<std::byte> buffer, int flags = 0) noexcept {
    prepare(OpKind::recv, fd);
    args_.socket_buffer = {buffer.data(), buffer.size(), flags};
  }
  void recv_multishot(int fd) noexcept { prepare(OpKind::recv_multishot, fd); }
  /// MSG_NOSIGNAL is always added.
  void send(int fd, std::span<const std::byte> buffer, int flags = 0) noexcept {
    prepare(OpKind::send, fd);
    args_.socket_buffer = {const_cast<std::byte*>(buffer.data()), buffer.size(),
                           flags | MSG_NOSIGNAL};
  }
  void sendmsg(int fd, const msghdr* message, int flags = 0) noexcept {
    prepare(OpKind::sendmsg, fd);
    args_.message = {const_cast<msghdr*>(message), flags | MSG_NOSIGNAL};
  }
  void recvmsg(int fd, msghdr* message, int flags = 0) noexcept {
    prepare(OpKind::recvmsg, fd);
    args_.message = {message, flags};
  }
  /// `events`: POLLIN, POLLOUT, POLLPRI, POLLRDHUP; POLLERR and POLLHUP are always reported.
  void poll(int fd, std::uint32_t events) noexcept {
    prepare(OpKind::poll, fd);
    args_.poll = {.events = events, .is_standing = false};
  }
  /// poll() by who polled this very file last, and will again after each completion: the kernel may
  /// go on watching in between. Where the file was closed meanwhile, it waits until cancelled, even
  /// if another one has the number by now.
  void poll_again(int fd, std::uint32_t events) noexcept {
    prepare(OpKind::poll, fd);
    args_.poll = {.events = events, .is_standing = true};
  }
  void poll_multishot(int fd, std::uint32_t events) noexcept {
    prepare(OpKind::poll_multishot, fd);
    args_.poll = {.events = events, .is_standing = false};
  }
  void timeout(Instant deadline) noexcept {
    prepare(OpKind::timeout, -1);
    args_.timeout = {deadline};
  }

  /// Marks an idle operation, for all its submits, as one whose completion may be noticed late
  /// while its owner is busy: a driver that needs a syscall to look need not make it in each
  /// collect() for this one's sake. wait() notices it at once.
  void set_background() noexcept {
    BLITZIO_CHECK(state_ == State::idle, state_, kind_);
    background_ = true;
  }
  [[nodiscard]] bool is_background() const noexcept { return background_; }

  [[nodiscard]] OpKind kind() const noexcept { return kind_; }
  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] bool is_idle() const noexcept { return state_ == State::idle; }
  [[nodiscard]] bool is_multishot() const noexcept {
    return kind_ == OpKind::accept_multishot || kind_ == OpKind::poll_multishot || brings_data();
  }
  /// Whether its completions carry bytes in `data`.
  [[nodiscard]] bool brings_data() const noexcept {
    return kind_ == OpKind::recv_multishot || kind_ == OpKind::read_multishot;
  }

  // ---- for backends only -------------------------------------------------------------------

  struct BufferArgs {
    std::byte* data;
    std::size_t bytes;
    std::int64_t offset;
  };
  struct SocketBufferArgs {  // Begins as BufferArgs do: who asks for `bytes` need not know which.
    std::byte* data;
    std::size_t bytes;
    int flags;
  };
  struct VectorArgs {
    const iovec* vectors;
    std::uint32_t count;
    std::int64_t offset;
  };
  struct OpenArgs {
    const char* path;
    int flags;
    mode_t mode;
  };
  struct FsyncArgs {
    bool data_only;
  };
  struct StatArgs {
    const char* path;
    struct statx* status;
    int flags;
    unsigned mask;
  };
  struct MkdirArgs {
    const char* path;
    mode_t mode;
  };
  struct UnlinkArgs {
    const char* path;
    int flags;
  };
  struct RenameArgs {
    const char* from;
    const char* to;
    int to_directory;
  };
  /// Readiness backends: the mode of the listening descriptor, asked for once per submit.
  enum class AcceptMode : std::uint8_t { unknown, non_blocking, blocking };
  struct AcceptArgs {
    AcceptMode mode;
  };
  struct ConnectArgs {
    const sockaddr* address;
    socklen_t length;
    bool started;  ///< readiness backends: connect() said EINPROGRESS
  };
  struct MessageArgs {
    msghdr* message;
    int flags;
  };
  struct PollArgs {
    std::uint32_t events;
    bool is_standing;  ///< by poll_again()
  };
  struct TimeoutArgs {
    Instant deadline;
  };
  union Args {
    Args() noexcept : buffer{} {}
    BufferArgs buffer;
    SocketBufferArgs socket_buffer;
    VectorArgs vectors;
    OpenArgs open;
    FsyncArgs fsync;
    StatArgs stat;
    MkdirArgs mkdir;
    UnlinkArgs unlink;
    RenameArgs rename;
    AcceptArgs accept;
    ConnectArgs connect;
    MessageArgs message;
    PollArgs poll;
    TimeoutArgs timeout;
  };

  [[nodiscard]] Args& args() noexcept { return args_; }
  [[nodiscard]] const Args& args() const noexcept { return args_; }

  /// idle → in_flight. By Driver::submit().
  void mark_submitted() noexcept {
    BLITZIO_CHECK(state_ == State::idle, state_, kind_);
    state_ = State::in_flight;
  }
  /// in_flight → cancelling. By Driver::cancel(). Returns false if it was idle or cancelling.
  [[nodiscard]] bool mark_cancelling() noexcept {
    if (state_ != State::in_flight) return false;
    state_ = State::cancelling;
    return true;
  }
  /// in_flight/cancelling → idle (unless `more`), then runs the completion function. The operation
  /// may be gone when this returns.
  void finish(const Completion& completion) noexcept {
    BLITZIO_CHECK(state_ != State::idle, kind_, completion.result);
    if (!completion.more) state_ = State::idle;
    complete_(*this, completion);
  }

  // Scratch of the backend that has it in flight: a result waiting for dispatch, a heap index…
  std::int32_t backend_result = 0;
  std::uint32_t backend_word = 0;

 private:
  void prepare(OpKind kind, int fd) noexcept {
    BLITZIO_CHECK(state_ == State::idle, state_, kind_);
    kind_ = kind;
    fd_ = fd;
  }

  Complete complete_;
  int fd_ = -1;
  OpKind kind_ = OpKind::nop;
  State state_ = State::idle;
  bool background_ = false;
  Args args_;
};

}  // namespace blitzio::driver
