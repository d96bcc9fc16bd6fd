// `try_join_all`: waits for all of several futures, whatever becomes of each.
//
//     std::vector<JoinResult<int>> results = co_await try_join_all(std::move(handles));
//     auto [row, lock] = co_await try_join_all(query(a), mutex.lock());
//     if (row && lock.has_value()) …
//
// Every future runs to its end and gives a value or an error: a JoinResult or a std::expected as it
// is; of a future of any other T a JoinResult<T>, which has the exception if its poll throws. Only
// an exception from a future of std::expected leaves at once, and the others are dropped.
//
// Given as lvalues the futures are borrowed (task/future.hpp). Cost: as join_all().
#pragma once

#include <blitzio/task/children.hpp>
#include <blitzio/task/future.hpp>
#include <blitzio/task/join_result.hpp>

#include <cstddef>
#include <exception>
#include <expected>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace blitzio {

namespace detail {

template <class T>
inline constexpr bool kTellsFailure = false;
template <class T, class E>
inline constexpr bool kTellsFailure<std::expected<T, E>> = true;
template <class T>
inline constexpr bool kTellsFailure<JoinResult<T>> = true;

/// A future whose value is a value or an exception: it does not throw.
template <Future F>
class Settle {
 public:
  using Output = JoinResult<OutputOf<F>>;
  explicit Settle(F future) : future_(std::move(future)) {}
  Poll<Output> poll(Context& context) {
    try {
      auto answer = future_.poll(context);
      if (answer.is_pending()) return pending;
      if constexpr (std::is_void_v<OutputOf<F>>) {
        return Output::of_value();
      } else {
        return Output::of_value(std::move(answer).take());
      }
    } catch (...) {
      return Output::of_exception(std::current_exception());
    }
  }

 private:
  F future_;
};
/// `F` if its value tells a failure anyway.
template <Future F>
using Settled = std::conditional_t<kTellsFailure<OutputOf<F>>, F, Settle<F>>;

}  // namespace detail

/// The future of try_join_all() of arguments.
template <Future... F>
class [[nodiscard]] TryJoinAll {
 public:
  using Output = std::tuple<OutputOf<detail::Settled<F>>...>;

  explicit TryJoinAll(F... futures)
      : children_(detail::Child<detail::Settled<F>>(detail::Settled<F>(std::move(futures)))...) {}
  Poll<Output> poll(Context& context) {
    return std::apply(
        [&](auto&... child) -> Poll<Output> {
          bool is_done = true;
          ((is_done = poll_one(child, context) && is_done), ...);
          if (!is_done) return pending;
          return Output(child.take()...);
        },
        children_);
  }

 private:
  template <class C>
  static bool poll_one(C& child, Context& context) {
    return child.is_done() || child.poll(context);
  }

  std::tuple<detail::Child<detail::Settled<F>>...> children_;
};

/// The future of try_join_all() of a range.
template <Future F>
class [[nodiscard]] TryJoinAllOf {
 public:
  using Output = std::vector<OutputOf<F>>;

  explicit TryJoinAllOf(detail::Children<F> children)
      : children_(std::move(children)), waiting_(children_.size()) {}
  Poll<Output> poll(Context& context) {
    children_.poll(context, 0, [&](std::size_t) {
      --waiting_;
      return false;
    });
    if (waiting_ != 0) return pending;
    Output values;
    values.reserve(children_.size());
    for (std::size_t i = 0; i < children_.size(); ++i) values.push_back(children_[i].take());
    return values;
  }

 private:
  detail::Children<F> children_;
  std::size_t waiting_;
};

/// Waits for every future.
/// Returns  future of the tuple of their results, see the top of the file.
/// Cancel   dropping it drops those that are not ready, and the values of those that are.
template <Future... F>
TryJoinAll<detail::Held<F>...> try_join_all(F&&... futures) {
  return TryJoinAll<detail::Held<F>...>(detail::Held<F>(std::forward<F>(futures))...);
}

/// Waits for every future of a range.
/// Returns  future of the std::vector of their results in the order of the range.
/// Cancel   as above.
template <detail::FutureRange R>
TryJoinAllOf<detail::Settled<detail::FutureOfRange<R>>> try_join_all(R&& futures) {
  using F = detail::Settled<detail::FutureOfRange<R>>;
  return TryJoinAllOf<F>(detail::Children<F>(std::forward<R>(futures)));
}

}  // namespace blitzio
