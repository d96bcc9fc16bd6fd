// `io::Reader`: reads any stream through the caller's buffer, and shows the bytes in it.
//
//     std::array<std::byte, 4096> buffer;
//     io::Reader reader(connection, buffer);
//     const auto line = co_await reader.take_until(std::byte{'\n'});     // not copied
//
//     buffer   ░░░░ consumed ░░░░│████ buffered() ████│      room      │
//              0               seek()               end()            size
//
// It is stream::Reader (stream/buffered_reader.hpp) with its buffer in the open: a table of one
// function stands for the stream, and is called only when the buffer has not what is asked for.
//
// What peek() and take() give lies in the buffer, until the next call of anything that reads.
//
// Cancel: a dropped future has consumed nothing; what came meanwhile is buffered.
#pragma once

#include <blitzio/base/result.hpp>
#include <blitzio/stream/any_stream.hpp>
#include <blitzio/stream/buffered_reader.hpp>
#include <blitzio/task/future.hpp>

#include <cstddef>
#include <optional>
#include <span>

namespace blitzio::io {

/// One future at a time.
class Reader : public stream::Reader {
 public:
  /// Both outlive it; the buffer has at least one byte.
  template <stream::ReadStream S>
  Reader(S& stream, std::span<std::byte> buffer)
      : stream::Reader(stream::AnyReadStream(stream), buffer) {}
  /// Of bytes that are all there, which outlive it and are their own buffer.
  [[nodiscard]] static Reader fixed(std::span<const std::byte> bytes) { return Reader(bytes); }

  /// Where the bytes that are not consumed begin in the buffer, and where they end.
  [[nodiscard]] std::size_t seek() const noexcept {
    return static_cast<std::size_t>(buffered().data() - buffer().data());
  }
  [[nodiscard]] std::size_t end() const noexcept { return seek() + buffered().size(); }

  class Look;
  /// The next `count` bytes, which stay.
  /// Returns  future of Result<std::span<const std::byte>>.
  /// Errors   what reading gives; limit_exceeded for more than the buffer holds; unexpected_end if
  ///          the stream has fewer: they stay.
  Look peek(std::size_t count) noexcept;
  /// The same, and consumes them.
  Look take(std::size_t count) noexcept;
  /// The bytes up to and with the next `delimiter`, or up to the end: none at the end.
  /// Errors   what reading gives; limit_exceeded if the buffer is full without one.
  Look peek_until(std::byte delimiter) noexcept;
  Look take_until(std::byte delimiter) noexcept;

  class Discard;
  /// Skips `count` bytes, or all to the end.
  /// Returns  future of Result<std::size_t>: how many.
  /// Cancel   some may have been skipped.
  Discard discard(std::size_t count) noexcept;

 private:
  explicit Reader(std::span<const std::byte> bytes)
      : stream::Reader(stream::AnyReadStream(nothing_), stream::AllThere{bytes}) {}

  // A stream at its end.
  struct Nothing {
    static Ready<Result<std::size_t>> read(std::span<std::byte> /*buffer*/) noexcept {
      return ready(Result<std::size_t>(0));
    }
  };
  static inline Nothing nothing_;
};

/// Future of peek(), take() and their likes.
class [[nodiscard]] Reader::Look {
 public:
  using Output = Result<std::span<const std::byte>>;

  Poll<Output> poll(Context& context);

 private:
  friend class Reader;
  Look(Reader& reader, std::size_t count, std::optional<std::byte> delimiter,
       bool consumes) noexcept
      : reader_(reader), count_(count), fill_(reader), delimiter_(delimiter), consumes_(consumes) {}
  // How many of `have` are what was asked for; none if more must come.
  [[nodiscard]] std::optional<std::size_t> find(std::span<const std::byte> have) noexcept;

  Reader& reader_;
  std::size_t count_;         // of bytes, unless there is a delimiter
  std::size_t searched_ = 0;  // bytes that have none
  Fill fill_;
  std::optional<std::byte> delimiter_;
  bool consumes_;
};

class [[nodiscard]] Reader::Discard {
 public:
  using Output = Result<std::size_t>;

  Poll<Output> poll(Context& context);

 private:
  friend class Reader;
  Discard(Reader& reader, std::size_t count) noexcept
      : reader_(reader), left_(count), fill_(reader) {}
  Reader& reader_;
  std::size_t left_;
  std::size_t done_ = 0;
  Fill fill_;
};

inline Reader::Look Reader::peek(std::size_t count) noexcept {
  return {*this, count, std::nullopt, false};
}
inline Reader::Look Reader::take(std::size_t count) noexcept {
  return {*this, count, std::nullopt, true};
}
inline Reader::Look Reader::peek_until(std::byte delimiter) noexcept {
  return {*this, 0, delimiter, false};
}
inline Reader::Look Reader::take_until(std::byte delimiter) noexcept {
  return {*this, 0, delimiter, true};
}
inline Reader::Discard Reader::discard(std::size_t count) noexcept {
  return {*this, count};
}

}  // namespace blitzio::io
