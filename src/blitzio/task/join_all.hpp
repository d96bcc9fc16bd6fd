// `join_all`: waits for all of several futures, but not after one has failed.
//
//     auto [user, posts] = co_await join_all(spawn(fetch_user(id)), spawn(fetch_posts(id)));
//     Result<std::vector<Row>> rows = co_await join_all(std::move(queries));
//
// What a failure is, the future's Output says:
//   JoinResult<T>         the task threw or was cancelled: poll() throws that, as get() does
//   std::expected<T, E>   has no value: the failure is the Output's error
//   any other T           its poll throws
// The first failure ends the others: they are dropped, and tasks are cancelled whose JoinHandle
// waits here, be it borrowed. try_join_all() waits for every one instead.
//
// Given as lvalues the futures are borrowed (task/future.hpp).
// Cost: arguments are all polled whenever one of them wakes, and nothing is allocated. A range
// allocates when it is made; if it has more than 16 futures, a wake polls one of them.
#pragma once

#include <blitzio/task/children.hpp>
#include <blitzio/task/future.hpp>
#include <blitzio/task/join_result.hpp>

#include <cstddef>
#include <expected>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace blitzio {

namespace detail {

struct NoError {};

/// What is value and what is failure in the output of a future.
template <class T>
struct Attempt {
  using Value = T;
  using Error = NoError;
  static bool has_failed(const ValueOf<T>& /*output*/) noexcept { return false; }
  static ValueOf<T> take(ValueOf<T>&& output) { return std::move(output); }
};
template <class T, class E>
struct Attempt<std::expected<T, E>> {
  using Value = T;
  using Error = E;
  static bool has_failed(const std::expected<T, E>& output) noexcept { return !output.has_value(); }
  static ValueOf<T> take(std::expected<T, E>&& output) {
    if constexpr (std::is_void_v<T>) {
      return {};
    } else {
      return *std::move(output);
    }
  }
};
template <class T>
struct Attempt<JoinResult<T>> {
  using Value = T;
  using Error = NoError;
  static bool has_failed(const JoinResult<T>& output) noexcept { return !output.has_value(); }
  /// Throws if it has failed.
  static ValueOf<T> take(JoinResult<T>&& output) {
    if constexpr (std::is_void_v<T>) {
      std::move(output).get();
      return {};
    } else {
      return std::move(output).get();
    }
  }
};
template <Future F>
using AttemptOf = Attempt<OutputOf<F>>;

/// The one type of error among several, or NoError.
template <class... E>
struct CommonError {
  using type = NoError;
};
template <class First, class... Rest>
struct CommonError<First, Rest...> {
  using Others = typename CommonError<Rest...>::type;
  using type = std::conditional_t<std::is_same_v<First, NoError>, Others, First>;
  static_assert(std::is_same_v<First, NoError> || std::is_same_v<Others, NoError> ||
                    std::is_same_v<First, Others>,
                "join_all() needs one type of error; map() the others to it");
};

template <class T, class E>
using OrError = std::conditional_t<std::is_same_v<E, NoError>, T, std::expected<T, E>>;

/// The failure of a child as the combinator's own output; throws if it is an exception.
template <class Output, class A, class V>
Output failure_of(V&& output) {
  if constexpr (!std::is_same_v<typename A::Error, NoError>) {
    return Output(std::unexpected(std::move(output).error()));
  } else {
    static_cast<void>(A::take(std::move(output)));
    BLITZIO_CHECK(false);  // take() throws
    std::unreachable();
  }
}

}  // namespace detail

/// The future of join_all() of arguments.
template <Future... F>
class [[nodiscard]] JoinAll {
  using Error = typename detail::CommonError<typename detail::AttemptOf<F>::Error...>::type;
  using Values = std::tuple<detail::ValueOf<typename detail::AttemptOf<F>::Value>...>;

 public:
  using Output = detail::OrError<Values, Error>;

  explicit JoinAll(F... futures) : children_(detail::Child<F>(std::move(futures))...) {}
  Poll<Output> poll(Context& context) {
    try {
      return std::apply(
          [&](auto&... child) -> Poll<Output> {
            std::optional<Output> failure;
            bool is_done = true;
            static_cast<void>((poll_one<F>(child, context, is_done, failure) && ...));
            if (failure) return *std::move(failure);
            if (!is_done) return pending;
            return Output(Values(detail::AttemptOf<F>::take(child.take())...));
          },
          children_);
    } catch (...) {
      cancel_all();
      throw;
    }
  }

 private:
  // Returns false if the child has failed.
  template <Future G>
  bool poll_one(detail::Child<G>& child, Context& context, bool& is_done,
                std::optional<Output>& failure) {
    using Attempt = detail::AttemptOf<G>;
    if (child.is_done()) return true;
    if (!child.poll(context)) {
      is_done = false;
      return true;
    }
    if (!Attempt::has_failed(child.value())) return true;
    failure.emplace(detail::failure_of<Output, Attempt>(child.take()));
    cancel_all();
    return false;
  }
  void cancel_all() noexcept {
    std::apply([](auto&... child) { (child.cancel(), ...); }, children_);
  }

  std::tuple<detail::Child<F>...> children_;
};

/// The future of join_all() of a range.
template <Future F>
class [[nodiscard]] JoinAllOf {
  using Attempt = detail::AttemptOf<F>;
  using Value = typename Attempt::Value;
  using Values =
      std::conditional_t<std::is_void_v<Value>, void, std::vector<detail::ValueOf<Value>>>;

 public:
  using Output = detail::OrError<Values, typename Attempt::Error>;

  explicit JoinAllOf(detail::Children<F> children)
      : children_(std::move(children)), waiting_(children_.size()) {}
  Poll<Output> poll(Context& context) {
    try {
      std::optional<std::size_t> failed;
      children_.poll(context, 0, [&](std::size_t i) {
        --waiting_;
        if (Attempt::has_failed(children_[i].value())) failed = i;
        return failed.has_value();
      });
      if (failed) return fail(*failed);
      if (waiting_ != 0) return pending;
      return succeed();
    } catch (...) {
      children_.cancel_all();
      throw;
    }
  }

 private:
  Poll<Output> fail(std::size_t index) {
    if constexpr (std::is_void_v<Output>) {
      static_cast<void>(Attempt::take(children_[index].take()));  // throws
      return ready;
    } else {
      auto failure = detail::failure_of<Output, Attempt>(children_[index].take());
      children_.cancel_all();
      return failure;
    }
  }
  Poll<Output> succeed() {
    if constexpr (std::is_void_v<Values>) {
      if constexpr (std::is_void_v<Output>) {
        return ready;
      } else {
        return Output();
      }
    } else {
      Values values;
      values.reserve(children_.size());
      for (std::size_t i = 0; i < children_.size(); ++i) {
        values.push_back(Attempt::take(children_[i].take()));
      }
      return Output(std::move(values));
    }
  }

  detail::Children<F> children_;
  std::size_t waiting_;
};

/// Waits for every future, or until one fails.
/// Returns  future of the tuple of the values, std::monostate for void; if an Output is a
///          std::expected<T, E>, of a std::expected of that tuple with the first error.
/// Throws   from poll(), so at the co_await, what a task or future that fails has thrown;
///          TaskCancelled if the task was cancelled.
/// Cancel   dropping it drops those that are not ready; tasks run on.
template <Future... F>
JoinAll<detail::Held<F>...> join_all(F&&... futures) {
  return JoinAll<detail::Held<F>...>(detail::Held<F>(std::forward<F>(futures))...);
}

/// The same of a range.
/// Returns  future of the std::vector of the values in the order of the range (or void), or of a
///          std::expected of it.
template <detail::FutureRange R>
JoinAllOf<detail::FutureOfRange<R>> join_all(R&& futures) {
  using F = detail::FutureOfRange<R>;
  return JoinAllOf<F>(detail::Children<F>(std::forward<R>(futures)));
}

}  // namespace blitzio
