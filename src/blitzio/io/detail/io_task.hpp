// What the tasks of an Io are made of: a call as a future, and a future that knows whether its task
// was asked to end.
//
// A thread's running tasks form a chain: an implementation may run a task synchronously, inside the
// one that starts it, and that one's end is then asked of both.
#pragma once

#include <blitzio/executor/runtime.hpp>
#include <blitzio/task/future.hpp>
#include <blitzio/task/task.hpp>

#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace blitzio::io::detail {

/// The calling thread is inside a poll of `task`.
class RunningTask {
 public:
  explicit RunningTask(const Task& task) noexcept
      : task_(task), outer_(std::exchange(current_, this)) {}
  RunningTask(const RunningTask&) = delete;
  RunningTask& operator=(const RunningTask&) = delete;
  ~RunningTask() { current_ = outer_; }

  [[nodiscard]] static bool cancel_requested() noexcept {
    for (const RunningTask* at = current_; at != nullptr; at = at->outer_) {
      if (at->task_.cancel_requested()) return true;
    }
    return false;
  }

 private:
  [[gnu::tls_model("initial-exec")]] static inline thread_local constinit RunningTask* current_ =
      nullptr;
  const Task& task_;
  RunningTask* const outer_;
};

/// The future of an Io's task.
template <Future F>
class IoTask {
 public:
  using Output = OutputOf<F>;
  IoTask(F future, const Task& task) noexcept(std::is_nothrow_move_constructible_v<F>)
      : future_(std::move(future)), task_(&task) {}
  Poll<Output> poll(Context& context) {
    const RunningTask running(*task_);
    return future_.poll(context);
  }

 private:
  F future_;
  const Task* task_;
};

/// `function(arguments…)`, which own copies of what they were given, as a future: of what it
/// returns, or of what the future gives that it returns. A future without arguments is itself.
template <class F, class... Args>
auto future_of(F&& function, Args&&... arguments) {
  if constexpr (sizeof...(Args) == 0 && Future<std::decay_t<F>>) {
    static_assert(!std::is_lvalue_reference_v<F>, "a task owns its future: std::move() it");
    return std::decay_t<F>(std::forward<F>(function));
  } else {
    return blitzio::detail::CallFuture(
        [function = std::decay_t<F>(std::forward<F>(function)),
         owned = std::tuple<std::decay_t<Args>...>(std::forward<Args>(arguments)...)]() mutable
            -> decltype(auto) { return std::apply(function, std::move(owned)); });
  }
}
template <class F, class... Args>
using FutureOfCall = decltype(future_of(std::declval<F>(), std::declval<Args>()...));

}  // namespace blitzio::io::detail
