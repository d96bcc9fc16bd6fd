// `BufferedReader`: a stream with bytes read ahead, so that small reads, lines and looking ahead
// cost no call of the stream. `Reader` is the one that is compiled once for all streams, with the
// caller's buffer.
//
//     buffer_   ░░░░ consumed ░░░░│█████ buffered() █████│      room      │
//               0               begin_                 end_            size
//
// Only the refill of an empty (or, for lines, full) buffer reaches the stream.
//
// Cancel: a dropped future has moved no byte out of the reader; what came meanwhile is buffered.
// Exceptions are those that say so.
#pragma once

#include <blitzio/stream/any_stream.hpp>
#include <blitzio/stream/transfer.hpp>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace blitzio::stream {

/// Bytes that are all of what a reader will give.
struct AllThere {
  std::span<const std::byte> bytes;
};

/// `S` may be a reference; then the stream outlives the reader. One future at a time.
template <class S>
  requires ReadStream<std::remove_reference_t<S>>
class BufferedReader {
  using Stream = std::remove_reference_t<S>;
  using ReadFuture = decltype(std::declval<Stream&>().read({}));

 public:
  static constexpr std::size_t kDefaultBytes = 8 * 1024;

  /// With a buffer of its own.
  explicit BufferedReader(S stream, std::size_t buffer_bytes = kDefaultBytes)
      : stream_(std::forward<S>(stream)),
        owned_(new std::byte[std::max<std::size_t>(buffer_bytes, 1)]),
        buffer_(owned_.get(), std::max<std::size_t>(buffer_bytes, 1)) {}
  /// With the caller's, of at least one byte, which outlives it.
  BufferedReader(S stream, std::span<std::byte> buffer)
      : stream_(std::forward<S>(stream)), buffer_(buffer) {
    BLITZIO_CHECK(!buffer.empty());
  }
  /// Of bytes that outlive it and are their own buffer, which is never written to; `stream` is at
  /// its end.
  BufferedReader(S stream, AllThere all)
      : stream_(std::forward<S>(stream)),
        buffer_(const_cast<std::byte*>(all.bytes.data()), all.bytes.size()),
        end_(all.bytes.size()),
        is_all_there_(true) {}
  BufferedReader(BufferedReader&&) noexcept = default;
  BufferedReader(const BufferedReader&) = delete;
  BufferedReader& operator=(const BufferedReader&) = delete;
  BufferedReader& operator=(BufferedReader&&) = delete;
  ~BufferedReader() = default;

  /// What is there without reading.
  [[nodiscard]] std::span<const std::byte> buffered() const noexcept {
    return buffer_.subspan(begin_, end_ - begin_);
  }
  /// Takes the first `count` buffered bytes.
  void consume(std::size_t count) noexcept {
    BLITZIO_CHECK(count <= end_ - begin_, count, end_ - begin_);
    begin_ += count;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  [[nodiscard]] Stream& stream() noexcept { return stream_; }
  /// The whole buffer; what is buffered() lies in it.
  [[nodiscard]] std::span<const std::byte> buffer() const noexcept { return buffer_; }
  [[nodiscard]] bool is_all_there() const noexcept { return is_all_there_; }

  class [[nodiscard]] Fill {
   public:
    using Output = Result<std::size_t>;
    explicit Fill(BufferedReader& reader) noexcept : reader_(&reader) {}
    Poll<Output> poll(Context& context) {
      if (!step_) step_.emplace(reader_->stream_.read(reader_->make_room()));
      auto answer = step_->poll(context);
      if (answer.is_pending()) return pending;
      Output count = std::move(answer).take();
      step_.reset();
      if (count) reader_->end_ += *count;
      return count;
    }

   private:
    BufferedReader* reader_;
    std::optional<ReadFuture> step_;
  };
  /// Reads once from the stream, behind what is buffered already.
  /// Returns  how many bytes came; 0 at the end, or if the buffer is full.
  Fill fill() noexcept { return Fill(*this); }

  class [[nodiscard]] Read {
   public:
    using Output = Result<std::size_t>;
    Read(BufferedReader& reader, std::span<std::byte> out) noexcept
        : reader_(&reader), out_(out), fill_(reader) {}
    Poll<Output> poll(Context& context) {
      if (reader_->begin_ == reader_->end_ && !out_.empty()) {
        if (out_.size() >= reader_->buffer_.size()) {
          if (!direct_) direct_.emplace(reader_->stream_.read(out_));
          return direct_->poll(context);
        }
        auto filled = fill_.poll(context);
        if (filled.is_pending()) return pending;
        if (!filled.value()) return Output(fail(filled.value().error()));
      }
      return Output(reader_->take(out_));
    }

   private:
    BufferedReader* reader_;
    std::span<std::byte> out_;
    Fill fill_;
    std::optional<ReadFuture> direct_;
  };
  /// As ReadStream says: what is buffered, else from the stream; large reads past the buffer.
  Read read(std::span<std::byte> out) noexcept { return {*this, out}; }

  /// Cancel   not safe, see stream::read_exact().
  ReadExact<BufferedReader> read_exact(std::span<std::byte> out) noexcept { return {*this, out}; }
  /// Cancel   what came is in `out`.
  ReadToEnd<BufferedReader> read_to_end(std::vector<std::byte>& out,
                                        std::size_t limit = SIZE_MAX) noexcept {
    return {*this, out, limit};
  }

  class [[nodiscard]] ReadUntil {
   public:
    using Output = Result<std::size_t>;
    ReadUntil(BufferedReader& reader, std::byte delimiter, std::string& out,
              std::size_t limit) noexcept
        : reader_(&reader), out_(&out), limit_(limit), fill_(reader), delimiter_(delimiter) {}
    Poll<Output> poll(Context& context) {
      for (;;) {
        const std::span<const std::byte> have = reader_->buffered();
        const auto* found = have.empty()
                                ? nullptr
                                : static_cast<const std::byte*>(std::memchr(
                                      have.data(), static_cast<int>(delimiter_), have.size()));
        const std::size_t count =
            found == nullptr ? have.size() : static_cast<std::size_t>(found - have.data()) + 1;
        if (out_->size() + count > limit_) {
          return Output(fail(Error::runtime(RuntimeErrc::limit_exceeded)));
        }
        out_->append(reinterpret_cast<const char*>(have.data()), count);
        total_ += count;
        reader_->consume(count);
        if (found != nullptr) return Output(total_);
        auto filled = fill_.poll(context);
        if (filled.is_pending()) return pending;
        if (!filled.value()) return Output(fail(filled.value().error()));
        if (*filled.value() == 0) return Output(total_);
      }
    }

   private:
    BufferedReader* reader_;
    std::string* out_;
    std::size_t limit_;
    std::size_t total_ = 0;
    Fill fill_;
    std::byte delimiter_;
  };
  /// Appends to `out` up to and with the next `delimiter`, or up to the end.
  /// Returns  how many bytes that were; 0 at the end.
  /// Errors   what reading gives; limit_exceeded, with what would not fit still buffered, if `out`
  ///          would become longer than `limit`.
  /// Cancel   what came is in `out`; call it again with the same `out` to go on.
  ReadUntil read_until(std::byte delimiter, std::string& out,
                       std::size_t limit = SIZE_MAX) noexcept {
    return {*this, delimiter, out, limit};
  }
  /// read_until() a line feed, which is appended too.
  ReadUntil read_line(std::string& out, std::size_t limit = SIZE_MAX) noexcept {
    return {*this, std::byte{'\n'}, out, limit};
  }

  /// The lines of a stream, one after the other.
  class Lines {
   public:
    Lines(BufferedReader& reader, std::size_t limit) noexcept : reader_(&reader), limit_(limit) {}

    class [[nodiscard]] Next {
     public:
      using Output = Result<std::optional<std::string>>;
      explicit Next(Lines& lines) noexcept
          : lines_(&lines), until_(lines.reader_->read_line(lines.partial_, lines.limit_)) {}
      Poll<Output> poll(Context& context) {
        auto answer = until_.poll(context);
        if (answer.is_pending()) return pending;
        if (!answer.value()) return Output(fail(answer.value().error()));
        std::string& line = lines_->partial_;
        if (line.empty()) return Output(std::optional<std::string>());
        if (line.ends_with('\n')) {
          line.pop_back();
          if (line.ends_with('\r')) line.pop_back();
        }
        return Output(std::exchange(line, {}));
      }

     private:
      Lines* lines_;
      ReadUntil until_;
    };
    /// Returns  the next line without its end (LF or CR LF); none at the end of the stream.
    /// Cancel   safe: the beginning of a line is kept for the next call.
    Next next() noexcept { return Next(*this); }

   private:
    BufferedReader* reader_;
    std::size_t limit_;
    std::string partial_;
  };
  /// Errors   of next(): what reading gives; limit_exceeded for a line of more than
  /// `line_bytes_max`
  ///          bytes.
  Lines lines(std::size_t line_bytes_max = SIZE_MAX) noexcept { return {*this, line_bytes_max}; }

 private:
  // Moves what is buffered to the front if it stands in the way. Returns the room behind it.
  std::span<std::byte> make_room() noexcept {
    if (is_all_there_) return {};
    if (begin_ == end_) {
      begin_ = end_ = 0;
    } else if (end_ == buffer_.size() && begin_ > 0) {
      std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    return buffer_.subspan(end_);
  }
  std::size_t take(std::span<std::byte> out) noexcept {
    const std::size_t count = std::min(out.size(), end_ - begin_);
    if (count > 0) std::memcpy(out.data(), buffer_.data() + begin_, count);
    consume(count);
    return count;
  }

  S stream_;
  std::unique_ptr<std::byte[]> owned_;
  std::span<std::byte> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool is_all_there_ = false;
};

template <class S>
BufferedReader(S&, std::span<std::byte>) -> BufferedReader<S&>;
template <class S>
BufferedReader(S&, std::size_t) -> BufferedReader<S&>;
template <class S>
BufferedReader(S&) -> BufferedReader<S&>;
template <class S>
BufferedReader(S&&) -> BufferedReader<S>;

/// Reads from any stream through the caller's buffer: `Reader reader(AnyReadStream(socket),
/// buffer)`.
using Reader = BufferedReader<AnyReadStream>;

}  // namespace blitzio::stream
