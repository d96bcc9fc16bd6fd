// `duplex`: two connected streams in memory, for tests and for parts of a program that talk like
// peers. What is written to one end is read from the other.
//
//     end a ── write ──▶ [ pipe: ring of so many bytes ] ── read ──▶ end b
//           ◀── read ──  [ pipe                        ] ◀── write ──
//
// A pipe is full, empty or between; `ended` when its writing end was finished or dropped, `broken`
// when its reading end was dropped.
//
// Threads: each end its owner's; the two may be on different threads.
#pragma once

#include <blitzio/stream/stream.hpp>

#include <memory>
#include <utility>

namespace blitzio::stream {

namespace detail {
class DuplexPipe;
}

/// Move-only; dropping it ends the other's reads and breaks its writes (EPIPE).
class DuplexStream {
 public:
  DuplexStream(DuplexStream&&) noexcept;
  DuplexStream& operator=(DuplexStream&&) noexcept;
  DuplexStream(const DuplexStream&) = delete;
  DuplexStream& operator=(const DuplexStream&) = delete;
  ~DuplexStream();

  class [[nodiscard]] Read {
   public:
    using Output = Result<std::size_t>;
    Poll<Output> poll(Context& context);

   private:
    friend class DuplexStream;
    Read(detail::DuplexPipe& pipe, std::span<std::byte> buffer) noexcept
        : pipe_(&pipe), buffer_(buffer) {}
    detail::DuplexPipe* pipe_;
    std::span<std::byte> buffer_;
  };
  /// As ReadStream says. One read at a time.
  /// Cancel   safe.
  Read read(std::span<std::byte> buffer) noexcept { return {*in_, buffer}; }

  class [[nodiscard]] Write {
   public:
    using Output = Result<std::size_t>;
    Poll<Output> poll(Context& context);

   private:
    friend class DuplexStream;
    Write(detail::DuplexPipe& pipe, std::span<const std::byte> data) noexcept
        : pipe_(&pipe), data_(data) {}
    detail::DuplexPipe* pipe_;
    std::span<const std::byte> data_;
  };
  /// As WriteStream says. One write at a time.
  /// Errors   EPIPE if the other end is gone; closed after finish().
  /// Cancel   safe.
  Write write(std::span<const std::byte> data) noexcept { return {*out_, data}; }

  class [[nodiscard]] Finish {
   public:
    using Output = Result<void>;
    Poll<Output> poll(Context& context);

   private:
    friend class DuplexStream;
    explicit Finish(detail::DuplexPipe& pipe) noexcept : pipe_(&pipe) {}
    detail::DuplexPipe* pipe_;
  };
  /// The other end reads what is left and then the end. Ready at once.
  Finish finish() noexcept { return Finish(*out_); }

 private:
  friend std::pair<DuplexStream, DuplexStream> duplex(std::size_t pipe_bytes);
  DuplexStream(std::shared_ptr<detail::DuplexPipe> in,
               std::shared_ptr<detail::DuplexPipe> out) noexcept;
  void leave() noexcept;

  std::shared_ptr<detail::DuplexPipe> in_;
  std::shared_ptr<detail::DuplexPipe> out_;
};

/// The two ends; `pipe_bytes`, at least 1, is what each direction holds.
[[nodiscard]] std::pair<DuplexStream, DuplexStream> duplex(std::size_t pipe_bytes = 64 * 1024);

}  // namespace blitzio::stream
