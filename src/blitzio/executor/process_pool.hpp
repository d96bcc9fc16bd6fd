// The process's own blocking pool, for functions that belong to no Runtime: called on a
// LocalExecutor, on an event loop of somebody else, or on a plain thread. Made at the first call
// and never destroyed: its threads go when they are idle, or with the process.
//
// Forking: a forked child makes a pool of its own at its first call.
//
// Threads: any.
#pragma once

#include <blitzio/executor/blocking_pool.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/task/join_handle.hpp>
#include <blitzio/task/task.hpp>

#include <concepts>
#include <optional>
#include <type_traits>
#include <utility>

namespace blitzio {

[[nodiscard]] BlockingPool& process_blocking_pool() noexcept;

namespace detail {

/// Runs its tasks on process_blocking_pool().
[[nodiscard]] Scheduler& process_blocking_scheduler() noexcept;

/// `function()` as a future that is ready at once, on a thread of a pool, which is idle but for
/// telling so. Not a CallFuture: a future that the function returns is a result like any other.
template <std::invocable F>
auto call_on_poll(F function) {
  return poll_fn([function = std::optional<F>(std::move(function))](Context&) mutable {
    using Result = std::invoke_result_t<F&>;
    // What the function holds goes before: that may take its time, and even wait for other jobs.
    if constexpr (std::is_void_v<Result>) {
      (*function)();
      function.reset();
      BlockingPool::expect_idle();
      return Poll<void>(ready);
    } else {
      Poll<Result> result((*function)());
      function.reset();
      BlockingPool::expect_idle();
      return result;
    }
  });
}

/// As Runtime::spawn_blocking(), on process_blocking_pool().
template <std::invocable F>
JoinHandle<std::invoke_result_t<F&>> spawn_on_process_pool(F function) {
  Scheduler& scheduler = process_blocking_scheduler();
  auto [task, handle] = make_task(call_on_poll(std::move(function)), scheduler);
  scheduler.schedule(*task);
  return std::move(handle);
}

}  // namespace detail

}  // namespace blitzio
