// `call_blocking(function)`: a future that runs a function where it may block: on the pool of the
// current Runtime, or, where there is none (a LocalExecutor, an event loop of somebody else, a
// plain thread), on one pool of the process, made at the first call and never destroyed: its
// threads go when they are idle, or with the process.
//
//           first poll             a thread begins           returns            poll
//     idle ────────────▶ queued ──────────────────▶ running ────────▶ done ──────────▶ taken
//
// Dropped while queued, the function does not run. Dropped while it runs, it runs to its end, and
// its result is destroyed there: so what it opened is closed. A function must own what it uses.
//
// Forking: a forked child makes a pool of its own at its first call.
//
// Threads: any, one at a time; it may migrate between polls.
#pragma once

#include <blitzio/base/result.hpp>
#include <blitzio/executor/blocking_pool.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/task/future.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/task/join_handle.hpp>

#include <concepts>
#include <optional>
#include <type_traits>
#include <utility>

namespace blitzio {

/// The process's own pool, for what belongs to no Runtime.   Thread: any.
[[nodiscard]] BlockingPool& process_blocking_pool() noexcept;

namespace detail {

/// Runs its tasks on process_blocking_pool().
[[nodiscard]] Scheduler& process_blocking_scheduler() noexcept;

}  // namespace detail

/// Errors   what the function gives; shut_down if the pool is shut down first or can have no
///          thread. Rethrows what the function throws.
/// Cancel   see the top.   Cost   two allocations and a hand-over to another thread.
template <std::invocable F>
  requires std::same_as<std::invoke_result_t<F&>,
                        Result<typename std::invoke_result_t<F&>::value_type>>
class [[nodiscard]] BlockingCall {
 public:
  using Output = std::invoke_result_t<F&>;

  explicit BlockingCall(F function) noexcept(std::is_nothrow_move_constructible_v<F>)
      : function_(std::move(function)) {}
  BlockingCall(BlockingCall&&) noexcept = default;
  BlockingCall(const BlockingCall&) = delete;
  BlockingCall& operator=(const BlockingCall&) = delete;
  BlockingCall& operator=(BlockingCall&&) = delete;
  ~BlockingCall() {
    if (handle_) handle_->cancel();
  }

  Poll<Output> poll(Context& context) {
    if (!handle_) handle_.emplace(start());
    auto answer = handle_->poll(context);
    if (answer.is_pending()) return pending;
    handle_.reset();
    JoinResult<Output> result = std::move(answer).take();
    if (result.is_cancelled()) return Output(fail(Error::runtime(RuntimeErrc::shut_down)));
    return std::move(result).get();
  }

 private:
  JoinHandle<Output> start() {
    if (Runtime* runtime = Runtime::current()) {
      return runtime->spawn_blocking(std::move(function_));
    }
    Scheduler& scheduler = detail::process_blocking_scheduler();
    auto [task, handle] = make_task(poll_fn([function = std::move(function_)](Context&) mutable {
                                      return Poll<Output>(function());
                                    }),
                                    scheduler);
    scheduler.schedule(*task);
    return std::move(handle);
  }

  F function_;
  std::optional<JoinHandle<Output>> handle_;
};

/// `function()` returns a Result.
template <std::invocable F>
BlockingCall<F> call_blocking(F function) {
  return BlockingCall<F>(std::move(function));
}

}  // namespace blitzio
