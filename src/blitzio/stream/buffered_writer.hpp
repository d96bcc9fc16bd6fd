// `BufferedWriter`: gathers small writes and hands them on together. `Writer` is the one that is
// compiled once for all streams, with the caller's buffer.
//
// Nothing is handed on by destruction: call flush() or finish().
#pragma once

#include <blitzio/stream/any_stream.hpp>
#include <blitzio/stream/transfer.hpp>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>

namespace blitzio::stream {

/// `S` may be a reference; then the stream outlives the writer. One future at a time.
template <class S>
  requires WriteStream<std::remove_reference_t<S>>
class BufferedWriter {
  using Stream = std::remove_reference_t<S>;
  using WriteFuture = decltype(std::declval<Stream&>().write({}));
  using FinishFuture = decltype(std::declval<Stream&>().finish());

 public:
  static constexpr std::size_t kDefaultBytes = 8 * 1024;

  explicit BufferedWriter(S stream, std::size_t buffer_bytes = kDefaultBytes)
      : stream_(std::forward<S>(stream)),
        owned_(new std::byte[std::max<std::size_t>(buffer_bytes, 1)]),
        buffer_(owned_.get(), std::max<std::size_t>(buffer_bytes, 1)) {}
  /// With the caller's buffer, of at least one byte, which outlives it.
  BufferedWriter(S stream, std::span<std::byte> buffer)
      : stream_(std::forward<S>(stream)), buffer_(buffer) {
    BLITZIO_CHECK(!buffer.empty());
  }
  BufferedWriter(BufferedWriter&&) noexcept = default;
  BufferedWriter(const BufferedWriter&) = delete;
  BufferedWriter& operator=(const BufferedWriter&) = delete;
  BufferedWriter& operator=(BufferedWriter&&) = delete;
  ~BufferedWriter() = default;

  /// What waits to be handed on.
  [[nodiscard]] std::span<const std::byte> buffered() const noexcept {
    return buffer_.subspan(begin_, end_ - begin_);
  }
  [[nodiscard]] Stream& stream() noexcept { return stream_; }
  /// The whole buffer; what is buffered() lies in it.
  [[nodiscard]] std::span<const std::byte> buffer() const noexcept { return buffer_; }

  class [[nodiscard]] Flush {
   public:
    using Output = Result<void>;
    explicit Flush(BufferedWriter& writer) noexcept : writer_(&writer) {}
    Poll<Output> poll(Context& context) {
      while (!writer_->buffered().empty()) {
        if (!step_) step_.emplace(writer_->stream_.write(writer_->buffered()));
        auto answer = step_->poll(context);
        if (answer.is_pending()) return pending;
        const Result<std::size_t> count = std::move(answer).take();
        step_.reset();
        if (!count) return Output(fail(count.error()));
        writer_->begin_ += *count;
      }
      writer_->begin_ = writer_->end_ = 0;
      return Output();
    }

   private:
    BufferedWriter* writer_;
    std::optional<WriteFuture> step_;
  };
  /// Hands on all that is buffered.
  /// Cancel   safe: what was not taken stays buffered.
  Flush flush() noexcept { return Flush(*this); }

  class [[nodiscard]] Write {
   public:
    using Output = Result<std::size_t>;
    Write(BufferedWriter& writer, std::span<const std::byte> data) noexcept
        : writer_(&writer), data_(data), flush_(writer) {}
    Poll<Output> poll(Context& context) {
      if (data_.size() > writer_->buffer_.size() - writer_->end_) {
        auto flushed = flush_.poll(context);
        if (flushed.is_pending()) return pending;
        if (!flushed.value()) return Output(fail(flushed.value().error()));
        if (data_.size() >= writer_->buffer_.size()) {
          if (!direct_) direct_.emplace(writer_->stream_.write(data_));
          return direct_->poll(context);
        }
      }
      if (!data_.empty()) {
        std::memcpy(writer_->buffer_.data() + writer_->end_, data_.data(), data_.size());
      }
      writer_->end_ += data_.size();
      return Output(data_.size());
    }

   private:
    BufferedWriter* writer_;
    std::span<const std::byte> data_;
    Flush flush_;
    std::optional<WriteFuture> direct_;
  };
  /// As WriteStream says: into the buffer, which is flushed first if there is no room; large ones
  /// past it.
  /// Cancel   safe: nothing of `data` was taken.
  Write write(std::span<const std::byte> data) noexcept { return {*this, data}; }

  /// Cancel   not safe, see stream::write_all().
  WriteAll<BufferedWriter> write_all(std::span<const std::byte> data) noexcept {
    return {*this, data};
  }

  class [[nodiscard]] Finish {
   public:
    using Output = Result<void>;
    explicit Finish(BufferedWriter& writer) noexcept : writer_(&writer), flush_(writer) {}
    Poll<Output> poll(Context& context) {
      if (!finish_) {
        auto flushed = flush_.poll(context);
        if (flushed.is_pending() || !flushed.value()) return flushed;
        finish_.emplace(writer_->stream_.finish());
      }
      return finish_->poll(context);
    }

   private:
    BufferedWriter* writer_;
    Flush flush_;
    std::optional<FinishFuture> finish_;
  };
  /// flush(), then tells the other side that no more will come.
  Finish finish() noexcept { return Finish(*this); }

 private:
  S stream_;
  std::unique_ptr<std::byte[]> owned_;
  std::span<std::byte> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

template <class S>
BufferedWriter(S&, std::span<std::byte>) -> BufferedWriter<S&>;
template <class S>
BufferedWriter(S&, std::size_t) -> BufferedWriter<S&>;
template <class S>
BufferedWriter(S&) -> BufferedWriter<S&>;
template <class S>
BufferedWriter(S&&) -> BufferedWriter<S>;

/// Writes to any stream through the caller's buffer: `Writer writer(AnyWriteStream(socket),
/// buffer)`.
using Writer = BufferedWriter<AnyWriteStream>;

}  // namespace blitzio::stream
