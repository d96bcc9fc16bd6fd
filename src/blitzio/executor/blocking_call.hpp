// `call_blocking(function)`: a future that runs a function where it may block, by
// spawn_blocking(), and that is not started before it is polled.
//
//           first poll             a thread begins           returns            poll
//     idle ────────────▶ queued ──────────────────▶ running ────────▶ done ──────────▶ taken
//
// Dropped while queued, the function does not run. Dropped while it runs, it runs to its end, and
// its result is destroyed there: so what it opened is closed. A function must own what it uses.
// Detached, it runs in any case.
//
// Threads: any, one at a time; it may migrate between polls.
#pragma once

#include <blitzio/base/result.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/task/future.hpp>
#include <blitzio/task/join_handle.hpp>

#include <concepts>
#include <optional>
#include <type_traits>
#include <utility>

namespace blitzio {

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
    if (!handle_) handle_.emplace(spawn_blocking(std::move(function_)));
    auto answer = handle_->poll(context);
    if (answer.is_pending()) return pending;
    handle_.reset();
    JoinResult<Output> result = std::move(answer).take();
    if (result.is_cancelled()) return Output(fail(Error::runtime(RuntimeErrc::shut_down)));
    return std::move(result).get();
  }

  /// Leaves the function, once a poll has sent it to a thread, to run with nobody waiting.
  void detach() noexcept { handle_.reset(); }

 private:
  F function_;
  std::optional<JoinHandle<Output>> handle_;
};

/// `function()` returns a Result.
template <std::invocable F>
BlockingCall<F> call_blocking(F function) {
  return BlockingCall<F>(std::move(function));
}

}  // namespace blitzio
