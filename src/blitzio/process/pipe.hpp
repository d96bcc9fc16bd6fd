// `PipeReader`, `PipeWriter`: the parent's ends of a child's standard streams, as streams.
//
//     auto child = Command("sort").standard_input(Stdio::piped()).spawn().value();
//     auto input = child.take_stdin().value();
//     co_await input.write(bytes);
//     input.close();  // the child reads to here
//
// Calls are tried at once and wait only if they would block; see executor/async_fd.hpp. For any
// pipe, FIFO or terminal in non-blocking mode.
//
// Threads: any; one read and one write at a time.
#pragma once

#include <blitzio/executor/async_fd.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <utility>

namespace blitzio::process {

/// What both ends can. Not for use by itself.
class Pipe {
 public:
  Pipe(Pipe&&) noexcept = default;
  Pipe& operator=(Pipe&&) noexcept = default;
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  /// The descriptor; -1 once closed or moved from.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  /// Not once closed or moved from.
  [[nodiscard]] bool is_open() const noexcept { return fd() >= 0; }
  /// Closes it now; what waits on it ends with `closed`.
  void close() noexcept { fd_.close(); }
  /// Gives the descriptor, in non-blocking mode, to the caller.
  [[nodiscard]] OwnedFd into_fd() && noexcept { return fd_.release(); }
  /// For authors of futures: what IoWait takes.
  [[nodiscard]] const AsyncFd& async_fd() const noexcept { return fd_; }

 protected:
  explicit Pipe(AsyncFd fd) noexcept : fd_(std::move(fd)) {}
  ~Pipe() = default;

  AsyncFd fd_;
};

/// A ReadStream.
class PipeReader : public Pipe {
 public:
  /// Takes over `fd`, which is in non-blocking mode; Child::take_stdout() does so.
  /// Errors   ENOMEM; EBADF for none.
  [[nodiscard]] static Result<PipeReader> adopt(OwnedFd&& fd) noexcept;

  class [[nodiscard]] Read {
   public:
    using Output = Result<std::size_t>;
    Poll<Output> poll(Context& context) noexcept;

   private:
    friend class PipeReader;
    Read(const AsyncFd& fd, std::span<std::byte> buffer) noexcept
        : wait_(fd, IoDirection::read), buffer_(buffer) {}
    IoWait wait_;
    std::span<std::byte> buffer_;
  };
  /// Reads what is there, at most `buffer.size()` bytes, or waits for the first.
  /// Returns  future of the count; 0 when all writers are gone.
  /// Errors   os; closed after close().
  /// Cancel   safe: no byte is taken by a future that is dropped.
  Read read(std::span<std::byte> buffer) noexcept { return {fd_, buffer}; }
  /// As read(), now.   Returns  none if nothing is there.
  [[nodiscard]] Result<std::optional<std::size_t>> try_read(std::span<std::byte> buffer) noexcept;

  /// Waits until a read would not block.   Cancel   loses nothing.
  [[nodiscard]] AsyncFd::Ready readable() const noexcept { return fd_.readable(); }

 private:
  using Pipe::Pipe;
};

/// A WriteStream. Writing to a pipe that nobody reads is EPIPE, and the signal SIGPIPE unless the
/// program ignores it.
class PipeWriter : public Pipe {
 public:
  /// As PipeReader::adopt().
  [[nodiscard]] static Result<PipeWriter> adopt(OwnedFd&& fd) noexcept;

  class [[nodiscard]] Write {
   public:
    using Output = Result<std::size_t>;
    Poll<Output> poll(Context& context) noexcept;

   private:
    friend class PipeWriter;
    Write(const AsyncFd& fd, std::span<const std::byte> data) noexcept
        : wait_(fd, IoDirection::write), data_(data) {}
    IoWait wait_;
    std::span<const std::byte> data_;
  };
  /// Writes as much of `data` as there is room for, or waits for some.
  /// Returns  future of the count.
  /// Errors   os (EPIPE if nobody reads); closed after close().
  /// Cancel   safe: a future that is dropped has written nothing.
  Write write(std::span<const std::byte> data) noexcept { return {fd_, data}; }
  /// As write(), now.   Returns  none if there is no room.
  [[nodiscard]] Result<std::optional<std::size_t>> try_write(
      std::span<const std::byte> data) noexcept;

  class [[nodiscard]] Finish {
   public:
    using Output = Result<void>;
    Poll<Output> poll(Context& /*context*/) noexcept {
      pipe_->close();
      return Output();
    }

   private:
    friend class PipeWriter;
    explicit Finish(PipeWriter& pipe) noexcept : pipe_(&pipe) {}
    PipeWriter* pipe_;
  };
  /// close() as a future that is ready at once, as streams have it.
  Finish finish() noexcept { return Finish(*this); }

  /// Waits until a write would not block.   Cancel   loses nothing.
  [[nodiscard]] AsyncFd::Ready writable() const noexcept { return fd_.writable(); }

 private:
  using Pipe::Pipe;
};

}  // namespace blitzio::process
