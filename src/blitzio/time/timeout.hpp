// `timeout`, `deadline`: a future that is given up when its time is over.
//
//     Result<std::size_t> count = co_await time::timeout(5_s, stream.read(buffer));
//     if (!count && count.error().is(RuntimeErrc::timed_out)) …
//
// The future is polled before the clock is asked, so one that is ready in time's last moment, or
// at once with a deadline that has passed, still gives its value.
#pragma once

#include <blitzio/base/duration.hpp>
#include <blitzio/base/instant.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/task/future.hpp>
#include <blitzio/time/sleep.hpp>

#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

namespace blitzio::time {

namespace detail {

template <class T>
struct TimeoutOutput {
  using type = Result<T>;
};
template <class T>
struct TimeoutOutput<T&> {
  using type = Result<std::reference_wrapper<T>>;
};
template <class T>
struct TimeoutOutput<Result<T>> {
  using type = Result<T>;
};

}  // namespace detail

/// The future of timeout() and deadline().
template <Future F>
class [[nodiscard]] Timeout {
 public:
  /// Result<T> of a future of T; of a future of Result<T> as well: the timeout is one more error.
  using Output = typename detail::TimeoutOutput<OutputOf<F>>::type;

  Timeout(F future, Instant at) : future_(std::move(future)), sleep_(at) {}
  [[nodiscard]] Instant deadline() const noexcept { return sleep_.deadline(); }

  Poll<Output> poll(Context& context) {
    auto answer = future_->poll(context);
    if (answer.is_ready()) {
      if constexpr (std::is_void_v<OutputOf<F>>) {
        return Output();
      } else {
        return Output(std::move(answer).take());
      }
    }
    if (sleep_.poll(context).is_pending()) return pending;
    future_.reset();
    return Output(fail(Error::runtime(RuntimeErrc::timed_out)));
  }

 private:
  std::optional<F> future_;
  Sleep sleep_;
};

/// Waits for `future`, but not after `at`.
/// Returns  future of Result<T>, see Timeout::Output.
/// Errors   timed_out: the future has been dropped, with what dropping it means for it. A
///          JoinHandle's task runs on: give the handle as an lvalue to cancel it.
/// Cancel   dropping it drops `future` and the timer.
/// Cost     no allocation; a timer that is armed when the future is pending.   Thread: as Sleep.
template <Future F>
Timeout<blitzio::detail::Held<F>> deadline(Instant at, F&& future) {
  return {blitzio::detail::Held<F>(std::forward<F>(future)), at};
}

/// Waits for `future`, but no longer than `duration`, counted from this call. Otherwise as
/// deadline().
template <Future F>
Timeout<blitzio::detail::Held<F>> timeout(Duration duration, F&& future) {
  return deadline(deadline_in(duration), std::forward<F>(future));
}

/// A point in time by which several steps must be done: `deadline(budget, step)` for each.
class Deadline {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): an Instant is one
  constexpr Deadline(Instant at) noexcept : at_(at) {}
  [[nodiscard]] static Deadline after(Duration duration) noexcept { return deadline_in(duration); }

  // NOLINTNEXTLINE(google-explicit-constructor): for deadline() and sleep_until()
  constexpr operator Instant() const noexcept { return at_; }
  [[nodiscard]] constexpr Instant at() const noexcept { return at_; }
  [[nodiscard]] bool is_expired() const noexcept { return time::now() >= at_; }
  /// What is left of it; zero if it is expired.
  [[nodiscard]] Duration remaining() const noexcept {
    const Duration left = at_ - time::now();
    return left.is_negative() ? Duration::zero() : left;
  }

 private:
  Instant at_;
};

}  // namespace blitzio::time
