// `Attempt`: a future that tries to have its answer on the spot, and starts another future only if
// that would block: "in line first" for every file operation. `attempt_or_block`: one made of a
// function that tries and of one for a thread.
//
//            first poll: try gives the answer
//     idle ─────────────────────────────────────────▶ ready
//       │ first poll: try would block                   ▲
//       └───────────────────────────────▶ waiting ──────┘  the slow future's answer
//
// Threads: any, one at a time.
#pragma once

#include <blitzio/executor/blocking_call.hpp>
#include <blitzio/task/future.hpp>

#include <concepts>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace blitzio::fs::detail {

/// `try_now()` gives an optional answer, `wait()` a future of one; each is called at most once.
template <std::invocable Try, std::invocable Wait>
class [[nodiscard]] Attempt {
  using Slow = std::invoke_result_t<Wait&>;

 public:
  using Output = OutputOf<Slow>;

  Attempt(Try try_now, Wait wait) : try_(std::move(try_now)), wait_(std::move(wait)) {}
  Attempt(Attempt&& other) noexcept : try_(std::move(other.try_)), wait_(std::move(other.wait_)) {
    BLITZIO_CHECK(!other.slow_);
  }
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;
  Attempt& operator=(Attempt&&) = delete;

  Poll<Output> poll(Context& context) {
    if (!slow_) {
      if (std::optional<Output> answer = try_()) return std::move(*answer);
      slow_.emplace(wait_());
    }
    return slow_->poll(context);
  }

 private:
  Try try_;
  Wait wait_;
  std::optional<Slow> slow_;
};

/// `try_now(arguments…)`, and if that gives nothing, `blocking(arguments…)` in a thread.
template <class Try, class Blocking, class... Arguments>
auto attempt_or_block(Try try_now, Blocking blocking, Arguments... arguments) {
  auto shared = std::make_shared<const std::tuple<Arguments...>>(std::move(arguments)...);
  return Attempt(
      [shared, try_now] { return std::apply(try_now, *shared); },
      [shared, blocking] {
        return call_blocking([shared, blocking] { return std::apply(blocking, *shared); });
      });
}

}  // namespace blitzio::fs::detail
