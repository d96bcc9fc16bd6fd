// `copy`, `copy_bidirectional`: move everything from one stream to another.
#pragma once

#include <blitzio/stream/transfer.hpp>
#include <blitzio/task/async.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>

namespace blitzio::stream {

inline constexpr std::size_t kCopyBytes = 16 * 1024;

/// Copies until `from` ends, then flushes `to` if it keeps bytes back; does not finish it.
/// Returns  future of how many bytes were moved.
/// Errors   what reading or writing gives.
/// Cancel   bytes that were read and not yet written are lost.
/// Cost     one buffer of `buffer_bytes` (0 counts as 1), once.   Lifetime  both streams outlive
/// the future.
template <ReadStream R, WriteStream W>
Async<Result<std::uint64_t>> copy(R& from, W& to, std::size_t buffer_bytes = kCopyBytes) {
  buffer_bytes = std::max<std::size_t>(buffer_bytes, 1);  // into no room nothing would ever come
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(buffer_bytes);
  std::uint64_t total = 0;
  for (;;) {
    const Result<std::size_t> count =
        co_await from.read(std::span<std::byte>(buffer.get(), buffer_bytes));
    if (!count) co_return fail(count.error());
    if (*count == 0) break;
    const Result<void> written =
        co_await write_all(to, std::span<const std::byte>(buffer.get(), *count));
    if (!written) co_return fail(written.error());
    total += *count;
  }
  if constexpr (FlushStream<W>) {
    const Result<void> flushed = co_await to.flush();
    if (!flushed) co_return fail(flushed.error());
  }
  co_return total;
}

/// How many bytes went each way.
struct CopiedBoth {
  std::uint64_t a_to_b = 0;
  std::uint64_t b_to_a = 0;
};

namespace detail {

template <class A, class B>
Async<Result<std::uint64_t>> copy_and_finish(A& from, B& to, std::size_t buffer_bytes) {
  const Result<std::uint64_t> total = co_await copy(from, to, buffer_bytes);
  if (!total) co_return fail(total.error());
  const Result<void> finished = co_await to.finish();
  if (!finished) co_return fail(finished.error());
  co_return *total;
}

/// Two copies as one future: over when both are done or one has failed.
class [[nodiscard]] BothWays {
 public:
  using Output = Result<CopiedBoth>;
  BothWays(Async<Result<std::uint64_t>> a_to_b, Async<Result<std::uint64_t>> b_to_a) noexcept
      : ways_{Way{std::move(a_to_b), {}}, Way{std::move(b_to_a), {}}} {}

  Poll<Output> poll(Context& context) {
    bool is_done = true;
    for (Way& way : ways_) {
      if (way.total) continue;
      auto answer = way.copying.poll(context);
      if (answer.is_pending()) {
        is_done = false;
        continue;
      }
      const Result<std::uint64_t> total = std::move(answer).take();
      if (!total) return Output(fail(total.error()));
      way.total = *total;
    }
    if (!is_done) return pending;
    return Output(CopiedBoth{*ways_[0].total, *ways_[1].total});
  }

 private:
  struct Way {
    Async<Result<std::uint64_t>> copying;
    std::optional<std::uint64_t> total;
  };
  Way ways_[2];
};

}  // namespace detail

/// Copies both ways at once, as a proxy does: when one stream ends, the other is finished (its peer
/// sees the end) while the opposite way goes on. Over when both have ended, or one has failed.
/// Returns  future of how many bytes went each way.
/// Errors   of the way that failed first.
/// Cancel   as copy(), each way.   Cost   two buffers of `buffer_bytes`.
template <class A, class B>
  requires ReadStream<A> && WriteStream<A> && ReadStream<B> && WriteStream<B>
auto copy_bidirectional(A& a, B& b, std::size_t buffer_bytes = kCopyBytes) {
  return detail::BothWays(detail::copy_and_finish(a, b, buffer_bytes),
                          detail::copy_and_finish(b, a, buffer_bytes));
}

}  // namespace blitzio::stream
