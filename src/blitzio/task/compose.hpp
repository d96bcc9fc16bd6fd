// `map`, `and_then`, `compose`: futures made of a future and a function.
//
//     co_await compose(channel.recv()).map(parse).and_then(store);
//
// Nothing is allocated: each step contains the one before.
#pragma once

#include <blitzio/task/future.hpp>

#include <functional>
#include <type_traits>
#include <utility>
#include <variant>

namespace blitzio {

namespace detail {

/// `std::invoke(function, value)`, or `function()` after a future of void. What is a part of the
/// value, which ends with the call, is taken out of it.
template <class F, class Input>
struct CallWith : std::invoke_result<F, Input> {};
template <class F>
struct CallWith<F, void> : std::invoke_result<F> {};
template <class Made>
using NoPart =
    std::conditional_t<std::is_rvalue_reference_v<Made>, std::remove_cvref_t<Made>, Made>;
template <class F, class Input>
using CallWithResult = NoPart<typename CallWith<F, Input>::type>;

template <class F, class Input>
CallWithResult<F, Input> call_with(F&& function, Poll<Input>&& answer) {
  if constexpr (std::is_void_v<Input>) {
    std::move(answer).take();
    return std::forward<F>(function)();
  } else {
    return std::invoke(std::forward<F>(function), std::move(answer).take());
  }
}

}  // namespace detail

/// The future of map().
template <Future F, class G>
class [[nodiscard]] MapFuture {
 public:
  using Output = detail::CallWithResult<G, OutputOf<F>>;

  MapFuture(F future, G function) : future_(std::move(future)), function_(std::move(function)) {}
  Poll<Output> poll(Context& context) {
    auto answer = future_.poll(context);
    if (answer.is_pending()) return pending;
    if constexpr (std::is_void_v<Output>) {
      detail::call_with(std::move(function_), std::move(answer));
      return ready;
    } else {
      return detail::call_with(std::move(function_), std::move(answer));
    }
  }

 private:
  F future_;
  G function_;
};

/// The future of and_then().
template <Future F, class G>
class [[nodiscard]] AndThenFuture {
  using Next = detail::CallWithResult<G, OutputOf<F>>;
  static_assert(Future<Next>, "the function of and_then() returns a future; map() takes others");

 public:
  using Output = OutputOf<Next>;

  AndThenFuture(F future, G function)
      : step_(std::in_place_index<0>, std::move(future)), function_(std::move(function)) {}
  Poll<Output> poll(Context& context) {
    if (F* first = std::get_if<0>(&step_)) {
      auto answer = first->poll(context);
      if (answer.is_pending()) return pending;
      step_.template emplace<1>(detail::call_with(std::move(function_), std::move(answer)));
    }
    return std::get<1>(step_).poll(context);
  }

 private:
  std::variant<F, Next> step_;
  G function_;
};

/// A future whose value is `function(value of future)`, or that member of it.
/// Cancel   dropping it drops `future`.
template <Future F, class G>
MapFuture<detail::Held<F>, std::decay_t<G>> map(F&& future, G&& function) {
  return {detail::Held<F>(std::forward<F>(future)), std::forward<G>(function)};
}

/// A future that waits for `future` and then for the future that `function(value)` returns. It is
/// called whatever the value is, also for a Result without one.
/// Cancel   dropping it drops the one that it waits for.
template <Future F, class G>
AndThenFuture<detail::Held<F>, std::decay_t<G>> and_then(F&& future, G&& function) {
  return {detail::Held<F>(std::forward<F>(future)), std::forward<G>(function)};
}

/// A future with map() and and_then() as methods.
template <Future F>
class [[nodiscard]] Compose {
 public:
  using Output = OutputOf<F>;

  explicit Compose(F future) : future_(std::move(future)) {}
  Poll<Output> poll(Context& context) { return future_.poll(context); }

  template <class G>
  auto map(G&& function) && {
    return make(blitzio::map(std::move(future_), std::forward<G>(function)));
  }
  template <class G>
  auto and_then(G&& function) && {
    return make(blitzio::and_then(std::move(future_), std::forward<G>(function)));
  }

 private:
  template <Future Next>
  static Compose<Next> make(Next next) {
    return Compose<Next>(std::move(next));
  }

  F future_;
};

/// Begins a chain: `compose(future).map(f).and_then(g)`, a future at each point.
template <Future F>
Compose<detail::Held<F>> compose(F&& future) {
  return Compose<detail::Held<F>>(detail::Held<F>(std::forward<F>(future)));
}

}  // namespace blitzio
