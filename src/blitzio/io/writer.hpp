// `io::Writer`: writes to any stream through the caller's buffer; `io::AllocatingWriter`: to memory
// that grows.
//
//     buffer   ████ written, not handed on ████│      room      │
//              0                             end()            size
//
// Writer is stream::Writer (stream/buffered_writer.hpp) with its buffer in the open: a table of two
// functions stands for the stream, and is called only when the buffer is full, for what is larger
// than the buffer, and by flush().
//
// Nothing is handed on by destruction: call flush() or finish().
#pragma once

#include <blitzio/base/check.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/stream/any_stream.hpp>
#include <blitzio/stream/buffered_writer.hpp>
#include <blitzio/stream/memory.hpp>
#include <blitzio/task/async.hpp>

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace blitzio::io {

/// One future at a time.
class Writer : public stream::Writer {
 public:
  /// Both outlive it; the buffer has at least one byte.
  template <stream::WriteStream S>
  Writer(S& stream, std::span<std::byte> buffer)
      : stream::Writer(stream::AnyWriteStream(stream), buffer) {}

  /// How many bytes of the buffer are taken by what waits to be handed on.
  [[nodiscard]] std::size_t end() const noexcept {
    return static_cast<std::size_t>(buffered().data() - buffer().data()) + buffered().size();
  }

  /// As for bytes.   Cancel   not safe, see stream::write_all().
  stream::WriteAll<stream::Writer> write_all(std::string_view text) noexcept {
    return stream::Writer::write_all(std::as_bytes(std::span(text)));
  }
  using stream::Writer::write_all;
  /// Writes `pattern`, which outlives the future, so many times: padding, separators, zeros.
  /// Cancel   not safe: some of it may be written.
  Async<Result<void>> write_splat(std::span<const std::byte> pattern, std::size_t times) {
    for (; times > 0; --times) {
      auto done = co_await write_all(pattern);
      if (!done) co_return done;
    }
    co_return Result<void>();
  }
};

namespace detail {

// Before the Writer that refers to it.
struct AllocatingStorage {
  stream::MemoryWriter memory;
  std::array<std::byte, 512> buffer;
};

}  // namespace detail

/// A Writer whose bytes stay in memory.
class AllocatingWriter : private detail::AllocatingStorage, public Writer {
 public:
  AllocatingWriter() : Writer(memory, AllocatingStorage::buffer) {}
  AllocatingWriter(AllocatingWriter&&) = delete;
  AllocatingWriter& operator=(AllocatingWriter&&) = delete;
  ~AllocatingWriter() = default;

  /// What was written, flushed or not; valid until the next call.
  [[nodiscard]] std::span<const std::byte> written() {
    settle();
    return memory.written();
  }
  [[nodiscard]] std::string_view text() {
    settle();
    return memory.text();
  }
  /// The same, and forgets it.
  [[nodiscard]] std::vector<std::byte> take() {
    settle();
    return memory.take();
  }

 private:
  // Memory never waits.
  void settle() {
    const Waker nobody;
    Context context(nobody);
    auto flushed = flush().poll(context);
    BLITZIO_CHECK(flushed.is_ready());
  }
};

}  // namespace blitzio::io
