// The smallest futures: a value that is there, one that never comes, a function, a place to yield.
#pragma once

#include <blitzio/task/future.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace blitzio {

/// Is ready with its value at the first poll.
template <class T>
class [[nodiscard]] ReadyFuture {
 public:
  using Output = T;
  explicit ReadyFuture(T value) : value_(std::move(value)) {}
  Poll<T> poll(Context& /*context*/) { return std::move(value_); }

 private:
  T value_;
};
template <class T>
ReadyFuture<T> ready_future(T value) {
  return ReadyFuture<T>(std::move(value));
}

/// Is never ready.
template <class T = void>
class [[nodiscard]] PendingFuture {
 public:
  using Output = T;
  Poll<T> poll(Context& /*context*/) noexcept { return pending; }
};

/// `function(Context&)` is the poll; it returns a Poll<T>.
template <std::invocable<Context&> F>
class [[nodiscard]] FnFuture {
 public:
  using Output = typename std::invoke_result_t<F&, Context&>::Output;
  explicit FnFuture(F function) : function_(std::move(function)) {}
  Poll<Output> poll(Context& context) { return function_(context); }

 private:
  F function_;
};
template <std::invocable<Context&> F>
FnFuture<F> poll_fn(F function) {
  return FnFuture<F>(std::move(function));
}

/// Calls `function()` at the first poll and is ready with what it returns.
template <std::invocable F>
class [[nodiscard]] LazyFuture {
 public:
  using Output = std::invoke_result_t<F&>;
  explicit LazyFuture(F function) : function_(std::move(function)) {}
  Poll<Output> poll(Context& /*context*/) {
    if constexpr (std::is_void_v<Output>) {
      function_();
      return ready;
    } else {
      return function_();
    }
  }

 private:
  F function_;
};
template <std::invocable F>
LazyFuture<F> lazy(F function) {
  return LazyFuture<F>(std::move(function));
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
