// `Take`: the first so many bytes of a stream, as a stream.
#pragma once

#include <blitzio/stream/stream.hpp>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace blitzio::stream {

/// `S` may be a reference; then the stream outlives this.
template <class S>
  requires ReadStream<std::remove_reference_t<S>>
class Take {
  using Stream = std::remove_reference_t<S>;

 public:
  Take(S stream, std::uint64_t limit) : stream_(std::forward<S>(stream)), left_(limit) {}

  class [[nodiscard]] Read {
   public:
    using Output = Result<std::size_t>;
    Read(Take& take, std::span<std::byte> buffer)
        : take_(&take),
          step_(take.stream_.read(buffer.first(
              static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), take.left_))))) {}
    Poll<Output> poll(Context& context) {
      if (take_->left_ == 0) return Output(0);
      auto answer = step_.poll(context);
      if (answer.is_ready() && answer.value()) take_->left_ -= *answer.value();
      return answer;
    }

   private:
    Take* take_;
    decltype(std::declval<Stream&>().read({})) step_;
  };
  /// As ReadStream says; the end after `limit` bytes.
  /// Cancel   as the stream's.
  Read read(std::span<std::byte> buffer) { return {*this, buffer}; }

  /// How many more bytes may come.
  [[nodiscard]] std::uint64_t remaining() const noexcept { return left_; }

 private:
  S stream_;
  std::uint64_t left_;
};

/// `take(socket, 100)` refers to the socket; `take(std::move(socket), 100)` has it.
template <class S>
Take<S> take(S&& stream, std::uint64_t limit) {
  return {std::forward<S>(stream), limit};
}

}  // namespace blitzio::stream
