// `read_exact`, `write_all`: as often as it takes until all has moved. Futures without a frame of
// their own, so they allocate nothing.
#pragma once

#include <blitzio/stream/stream.hpp>

#include <optional>
#include <utility>
#include <vector>

namespace blitzio::stream {

// The classes do not ask for the concepts, so that a stream can return them from its own members.

template <class S>
class [[nodiscard]] ReadExact {
 public:
  using Output = Result<void>;
  ReadExact(S& stream, std::span<std::byte> buffer) noexcept : stream_(&stream), left_(buffer) {}

  Poll<Output> poll(Context& context) {
    while (!left_.empty()) {
      if (!step_) step_.emplace(stream_->read(left_));
      auto answer = step_->poll(context);
      if (answer.is_pending()) return pending;
      const Result<std::size_t> count = std::move(answer).take();
      step_.reset();
      if (!count) return Output(fail(count.error()));
      if (*count == 0) return Output(fail(Error::runtime(RuntimeErrc::unexpected_end)));
      left_ = left_.subspan(*count);
    }
    return Output();
  }
  /// How much of the buffer is still to be filled, for who drops it half way.
  [[nodiscard]] std::size_t remaining() const noexcept { return left_.size(); }

 private:
  S* stream_;
  std::span<std::byte> left_;
  std::optional<decltype(std::declval<S&>().read({}))> step_;
};

/// Fills `buffer`.
/// Errors   what reading gives; unexpected_end if the stream ends before.
/// Cancel   not safe: bytes that came are in the buffer, and only remaining() tells how many.
template <ReadStream S>
ReadExact<S> read_exact(S& stream, std::span<std::byte> buffer) noexcept {
  return {stream, buffer};
}

template <class S>
class [[nodiscard]] WriteAll {
 public:
  using Output = Result<void>;
  WriteAll(S& stream, std::span<const std::byte> data) noexcept : stream_(&stream), left_(data) {}

  Poll<Output> poll(Context& context) {
    while (!left_.empty()) {
      if (!step_) step_.emplace(stream_->write(left_));
      auto answer = step_->poll(context);
      if (answer.is_pending()) return pending;
      const Result<std::size_t> count = std::move(answer).take();
      step_.reset();
      if (!count) return Output(fail(count.error()));
      left_ = left_.subspan(*count);
    }
    return Output();
  }
  /// How much is still to be written, for who drops it half way.
  [[nodiscard]] std::size_t remaining() const noexcept { return left_.size(); }

 private:
  S* stream_;
  std::span<const std::byte> left_;
  std::optional<decltype(std::declval<S&>().write({}))> step_;
};

/// Writes all of `data`.
/// Errors   what writing gives.
/// Cancel   not safe: part of it may be written, and only remaining() tells how much is not.
template <WriteStream S>
WriteAll<S> write_all(S& stream, std::span<const std::byte> data) noexcept {
  return {stream, data};
}

template <class S>
class [[nodiscard]] ReadToEnd {
 public:
  using Output = Result<std::size_t>;
  ReadToEnd(S& stream, std::vector<std::byte>& out, std::size_t limit) noexcept
      : stream_(&stream), out_(&out), limit_(limit) {}

  Poll<Output> poll(Context& context) {
    for (;;) {
      if (!step_) step_.emplace(stream_->read(block_));
      auto answer = step_->poll(context);
      if (answer.is_pending()) return pending;
      const Result<std::size_t> count = std::move(answer).take();
      step_.reset();
      if (!count) return Output(fail(count.error()));
      if (*count == 0) return Output(total_);
      out_->insert(out_->end(), block_, block_ + *count);
      total_ += *count;
      if (total_ > limit_) return Output(fail(Error::runtime(RuntimeErrc::limit_exceeded)));
    }
  }

 private:
  S* stream_;
  std::vector<std::byte>* out_;
  std::size_t limit_;
  std::size_t total_ = 0;
  std::optional<decltype(std::declval<S&>().read({}))> step_;
  std::byte block_[4096];
};

/// Appends all that comes until the end to `out`.
/// Returns  how many bytes that were.
/// Errors   what reading gives; limit_exceeded after more than `limit`; `out` has what came.
/// Cancel   what came is in `out`, the rest still in the stream.
template <ReadStream S>
ReadToEnd<S> read_to_end(S& stream, std::vector<std::byte>& out,
                         std::size_t limit = SIZE_MAX) noexcept {
  return {stream, out, limit};
}

}  // namespace blitzio::stream
