// `IoFuture<T>`: what `io.async_` and `io.concurrent` give: the way to a function's result.
//
//     IoFuture<int> sum = io.async_(add, 1, 2);
//     int three = (co_await sum.await()).get();
//
//           the function ends
//     running ───────────────▶ finished ──await, cancel──▶ joined (the result is here; again and
//        │                        ▲                         again)
//        └── cancel: asked to end ┘
//
// await() and cancel() may be called again: the result is kept. Dropping an IoFuture whose function
// still runs asks it to end, as cancel() does, and waits for nothing; detach() lets it go on.
//
// Threads: one at a time.
#pragma once

#include <blitzio/task/future.hpp>
#include <blitzio/task/join_handle.hpp>
#include <blitzio/task/join_result.hpp>

#include <optional>
#include <type_traits>
#include <utility>

namespace blitzio {

/// The way to the result of what Io::async_() or Io::concurrent() started. See above.
template <class T>
class [[nodiscard]] IoFuture {
 public:
  /// A value, what the function threw, or "cancelled".
  using Output = JoinResult<T>;

  explicit IoFuture(JoinHandle<T> handle) noexcept : handle_(std::move(handle)) {}
  IoFuture(IoFuture&&) noexcept = default;
  IoFuture& operator=(IoFuture&& other) noexcept {
    if (this != &other) {
      handle_.cancel();
      handle_ = std::move(other.handle_);
      result_ = std::move(other.result_);
    }
    return *this;
  }
  IoFuture(const IoFuture&) = delete;
  IoFuture& operator=(const IoFuture&) = delete;
  ~IoFuture() { handle_.cancel(); }

  /// Waits for the result: `co_await future.await()`, or `io.select(future, …)`.
  /// Returns  the future itself, to be awaited where it stands. A result that can be copied is
  ///          given as often as it is asked for; one that cannot, once.
  /// Cancel   dropping the wait leaves the function alone.
  [[nodiscard]] IoFuture& await() noexcept { return *this; }
  /// Asks the function to end: it ends at its next `co_await`; a function without one must ask
  /// Io::cancel_requested(). At once, and once; awaiting what this returns waits for the end, with
  /// the value if it came first.
  IoFuture& cancel() noexcept {
    handle_.cancel();
    return *this;
  }
  /// The result if the function has ended.
  [[nodiscard]] std::optional<Output> try_await() {
    if (!is_finished()) return std::nullopt;
    if (!result_) result_ = handle_.try_join();
    return give();
  }
  [[nodiscard]] bool is_finished() const noexcept {
    return result_.has_value() || handle_.is_finished();
  }
  /// Lets the function run on without anybody waiting for it. Empty afterwards.
  void detach() noexcept { handle_.detach(); }

  Poll<Output> poll(Context& context) {
    if (!result_) {
      auto answer = handle_.poll(context);
      if (answer.is_pending()) return pending;
      result_ = std::move(answer).take();
    }
    return give();
  }

 private:
  Output give() {
    if constexpr (std::is_void_v<T> || std::is_copy_constructible_v<T>) {
      return *result_;
    } else {
      BLITZIO_CHECK(!is_given_ && "the result cannot be copied, and was taken");
      is_given_ = true;
      return std::move(*result_);
    }
  }

  JoinHandle<T> handle_;  // empty once the result is here
  std::optional<Output> result_;
  bool is_given_ = false;  // only of a result that cannot be copied
};

}  // namespace blitzio
