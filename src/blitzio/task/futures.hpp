// The smallest futures: a function as a future, a function as its poll, a place to yield.
// `ready(…)` and `pending` are in poll.hpp.
#pragma once

#include <blitzio/task/future.hpp>

#include <concepts>
#include <tuple>
#include <type_traits>
#include <utility>

namespace blitzio {

/// `function(Context&)` is the poll; it returns a Poll<T>.
template <std::invocable<Context&> F>
class [[nodiscard]] PollFn {
 public:
  using Output = typename std::invoke_result_t<F&, Context&>::Output;
  explicit PollFn(F function) : function_(std::move(function)) {}
  Poll<Output> poll(Context& context) { return function_(context); }

 private:
  F function_;
};
template <std::invocable<Context&> F>
PollFn<F> poll_fn(F function) {
  return PollFn<F>(std::move(function));
}

/// Calls `function(arguments…)` at the first poll and is ready with what it returns.
template <class F, class... Args>
  requires std::invocable<F, Args...>
class [[nodiscard]] FnFuture {
 public:
  using Output = std::invoke_result_t<F, Args...>;
  explicit FnFuture(F function, Args... arguments)
      : function_(std::move(function)), arguments_(std::move(arguments)...) {}
  Poll<Output> poll(Context& /*context*/) {
    if constexpr (std::is_void_v<Output>) {
      std::apply(std::move(function_), std::move(arguments_));
      return ready;
    } else {
      return std::apply(std::move(function_), std::move(arguments_));
    }
  }

 private:
  F function_;
  [[no_unique_address]] std::tuple<Args...> arguments_;
};
template <class F, class... Args>
FnFuture<F, Args...> fn_future(F function, Args... arguments) {
  return FnFuture<F, Args...>(std::move(function), std::move(arguments)...);
}

/// fn_future() of a function without arguments: a value that is computed if somebody wants it.
template <class F>
using Lazy = FnFuture<F>;
template <std::invocable F>
Lazy<F> lazy(F function) {
  return Lazy<F>(std::move(function));
}

/// Lets every other ready task run once before it is ready.
class [[nodiscard]] YieldNow {
 public:
  using Output = void;
  Poll<void> poll(Context& context) noexcept {
    if (std::exchange(has_yielded_, true)) return ready;
    context.waker().wake_by_ref();
    return pending;
  }

 private:
  bool has_yielded_ = false;
};
[[nodiscard]] inline YieldNow yield_now() noexcept {
  return {};
}

}  // namespace blitzio
