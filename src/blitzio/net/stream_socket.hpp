// `StreamSocket`: reading and writing of a connected stream; the base of TcpStream and UnixStream,
// and `ReadHalf` and `WriteHalf`, into which one can be split for two tasks.
//
// Each call is tried at once and waits only if it would block, so what is there costs one system
// call, and buffers are the caller's until the future is dropped.
#pragma once

#include <blitzio/net/socket.hpp>
#include <blitzio/stream/transfer.hpp>
#include <blitzio/task/futures.hpp>

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

namespace blitzio::net {

enum class Shutdown : std::uint8_t { read, write, both };

/// Future of a read. See StreamSocket::read().
class [[nodiscard]] SocketRead {
 public:
  using Output = Result<std::size_t>;
  SocketRead(const AsyncFd& fd, std::span<std::byte> buffer, int flags, bool is_tcp) noexcept
      : wait_(fd, IoDirection::read), buffer_(buffer), flags_(flags), is_tcp_(is_tcp) {}
  Poll<Output> poll(Context& context) noexcept;

 private:
  IoWait wait_;
  std::span<std::byte> buffer_;
  int flags_;
  bool is_tcp_;
};

/// Future of a write. See StreamSocket::write().
class [[nodiscard]] SocketWrite {
 public:
  using Output = Result<std::size_t>;
  SocketWrite(const AsyncFd& fd, std::span<const std::byte> data) noexcept
      : wait_(fd, IoDirection::write), data_(data) {}
  Poll<Output> poll(Context& context) noexcept;

 private:
  IoWait wait_;
  std::span<const std::byte> data_;
};

/// Future of a read into, or write from, several buffers.
template <IoDirection kDirection>
class [[nodiscard]] SocketVectored {
 public:
  using Output = Result<std::size_t>;
  SocketVectored(const AsyncFd& fd, std::span<const iovec> vectors) noexcept
      : wait_(fd, kDirection), vectors_(vectors) {}
  Poll<Output> poll(Context& context) noexcept;

 private:
  IoWait wait_;
  std::span<const iovec> vectors_;
};

namespace detail {

Result<void> shut_down(int fd, Shutdown how) noexcept;
/// One recv(2) or send(2); none if it would block.
Result<std::optional<std::size_t>> receive_now(int fd, std::span<std::byte> buffer,
                                               int flags) noexcept;
Result<std::optional<std::size_t>> send_now(int fd, std::span<const std::byte> data) noexcept;

/// finish() of a socket: ready at once.
class [[nodiscard]] Finish {
 public:
  using Output = Result<void>;
  explicit Finish(const AsyncFd& fd) noexcept : fd_(fd.clone()) {}
  // The number now: of a socket that was closed meanwhile it may be a stranger's.
  Poll<Output> poll(Context& /*context*/) noexcept { return shut_down(fd_.get(), Shutdown::write); }

 private:
  AsyncFd fd_;  // a handle of its own, as the stream may move before this is awaited
};

}  // namespace detail

/// The reading end of a split stream; a ReadStream.
class ReadHalf {
 public:
  /// Each as that of StreamSocket.
  SocketRead read(std::span<std::byte> buffer) noexcept { return {fd_, buffer, 0, is_tcp_}; }
  stream::ReadExact<ReadHalf> read_exact(std::span<std::byte> buffer) noexcept {
    return {*this, buffer};
  }
  SocketVectored<IoDirection::read> read_vectored(std::span<const iovec> vectors) noexcept {
    return {fd_, vectors};
  }
  SocketRead peek(std::span<std::byte> buffer) noexcept { return {fd_, buffer, MSG_PEEK, is_tcp_}; }
  [[nodiscard]] Result<std::optional<std::size_t>> try_read(std::span<std::byte> buffer) noexcept {
    return detail::receive_now(fd_.get(), buffer, 0);
  }
  [[nodiscard]] Result<std::optional<std::size_t>> try_peek(std::span<std::byte> buffer) noexcept {
    return detail::receive_now(fd_.get(), buffer, MSG_PEEK);
  }

 private:
  friend class StreamSocket;
  ReadHalf(AsyncFd fd, bool is_tcp) noexcept : fd_(std::move(fd)), is_tcp_(is_tcp) {}
  AsyncFd fd_;
  bool is_tcp_;
};

/// The writing end of a split stream; a WriteStream. Dropping it tells the peer that no more will
/// come, as finish() does.
class WriteHalf {
 public:
  WriteHalf(WriteHalf&&) noexcept = default;
  WriteHalf& operator=(WriteHalf&& other) noexcept {
    if (this != &other) {
      leave();
      fd_ = std::move(other.fd_);
    }
    return *this;
  }
  WriteHalf(const WriteHalf&) = delete;
  WriteHalf& operator=(const WriteHalf&) = delete;
  ~WriteHalf() { leave(); }

  /// Each as that of StreamSocket.
  SocketWrite write(std::span<const std::byte> data) noexcept { return {fd_, data}; }
  stream::WriteAll<WriteHalf> write_all(std::span<const std::byte> data) noexcept {
    return {*this, data};
  }
  SocketVectored<IoDirection::write> write_vectored(std::span<const iovec> vectors) noexcept {
    return {fd_, vectors};
  }
  [[nodiscard]] Result<std::optional<std::size_t>> try_write(
      std::span<const std::byte> data) noexcept {
    return detail::send_now(fd_.get(), data);
  }
  detail::Finish finish() noexcept { return detail::Finish(fd_); }

 private:
  friend class StreamSocket;
  explicit WriteHalf(AsyncFd fd) noexcept : fd_(std::move(fd)) {}
  void leave() noexcept {
    if (fd_.get() >= 0) static_cast<void>(detail::shut_down(fd_.get(), Shutdown::write));
  }
  AsyncFd fd_;
};

/// A ReadStream and a WriteStream. Dropping it closes the connection.
class StreamSocket : public Socket {
 public:
  /// Reads what is there, at most `buffer.size()` bytes, or waits for the first.
  /// Returns  future of the count; 0 at the end of the stream.
  /// Errors   os (ECONNRESET, …); closed after close().
  /// Cancel   safe: no byte is taken by a future that is dropped.
  /// Cost     one system call if something is there; never allocates but for the first wait.
  SocketRead read(std::span<std::byte> buffer) noexcept { return {fd_, buffer, 0, is_tcp_}; }
  /// Fills `buffer`.
  /// Errors   as read(); unexpected_end.
  /// Cancel   not safe: bytes that came are in the buffer.
  stream::ReadExact<StreamSocket> read_exact(std::span<std::byte> buffer) noexcept {
    return {*this, buffer};
  }
  /// read() into several buffers, at most IOV_MAX.   Cancel   safe.
  SocketVectored<IoDirection::read> read_vectored(std::span<const iovec> vectors) noexcept {
    return {fd_, vectors};
  }
  /// As read(), but the bytes stay in the stream.   Cancel   safe.
  SocketRead peek(std::span<std::byte> buffer) noexcept { return {fd_, buffer, MSG_PEEK, is_tcp_}; }
  /// As read(), now.
  /// Returns  none if nothing is there.
  [[nodiscard]] Result<std::optional<std::size_t>> try_read(std::span<std::byte> buffer) noexcept {
    return detail::receive_now(fd(), buffer, 0);
  }
  /// As peek(), now.
  [[nodiscard]] Result<std::optional<std::size_t>> try_peek(std::span<std::byte> buffer) noexcept {
    return detail::receive_now(fd(), buffer, MSG_PEEK);
  }

  /// Writes as much of `data` as there is room for, or waits for some.
  /// Returns  future of the count.
  /// Errors   os (EPIPE, ECONNRESET, …; never a signal); closed after close().
  /// Cancel   safe: a future that is dropped has written nothing.
  SocketWrite write(std::span<const std::byte> data) noexcept { return {fd_, data}; }
  /// Writes all of `data`.
  /// Cancel   not safe: part of it may be written.
  stream::WriteAll<StreamSocket> write_all(std::span<const std::byte> data) noexcept {
    return {*this, data};
  }
  /// write() of several buffers, at most IOV_MAX.   Cancel   safe.
  SocketVectored<IoDirection::write> write_vectored(std::span<const iovec> vectors) noexcept {
    return {fd_, vectors};
  }
  /// As write(), now.
  /// Returns  none if there is no room.
  [[nodiscard]] Result<std::optional<std::size_t>> try_write(
      std::span<const std::byte> data) noexcept {
    return detail::send_now(fd(), data);
  }

  /// Ends one way, or both, while the socket stays open.
  /// Errors   os (ENOTCONN if the peer has reset the connection).
  Result<void> shutdown(Shutdown how) noexcept { return detail::shut_down(fd(), how); }
  /// shutdown(write) as a future that is ready at once, as streams have it.
  detail::Finish finish() noexcept { return detail::Finish(fd_); }

  /// Two ends for two tasks. The connection is closed when both are gone.
  [[nodiscard]] std::pair<ReadHalf, WriteHalf> split() && noexcept {
    AsyncFd other = fd_.clone();
    return {ReadHalf(std::move(fd_), is_tcp_), WriteHalf(std::move(other))};
  }

 protected:
  StreamSocket(AsyncFd fd, bool is_tcp) noexcept : Socket(std::move(fd)), is_tcp_(is_tcp) {}
  StreamSocket(StreamSocket&&) noexcept = default;
  StreamSocket& operator=(StreamSocket&&) noexcept = default;
  ~StreamSocket() = default;

 private:
  // A read of less than was asked for has emptied a TCP socket; a Unix one it need not have.
  bool is_tcp_;
};

}  // namespace blitzio::net
