// The `Future` concept: anything with an Output and `Poll<Output> poll(Context&)`.
//
// A future does nothing until polled. A poll that answers pending has stored the context's waker
// (or a clone of it) and wakes it when another poll can make progress; only the waker of the latest
// poll counts. After ready it is not polled again. Destroying a pending future cancels it: whatever
// it had been granted goes to the next in line, and nothing it received is lost to others.
//
// A future may be moved until its first poll; after that it stays where it is, because others may
// hold pointers into it.
//
// What takes futures (combinators, executors) takes an rvalue as its own and an lvalue as a loan:
// the future stays the caller's, outlives the loan and may be polled again after it.
#pragma once

#include <blitzio/task/poll.hpp>
#include <blitzio/task/waker.hpp>

#include <concepts>
#include <functional>
#include <type_traits>
#include <variant>

namespace blitzio {

template <class F>
concept Future = requires(std::remove_reference_t<F>& future, Context& context) {
  typename std::remove_reference_t<F>::Output;
  { future.poll(context) } -> std::same_as<Poll<typename std::remove_reference_t<F>::Output>>;
};

template <Future F>
using OutputOf = typename std::remove_reference_t<F>::Output;

namespace detail {

/// A loan of a future that lives longer.
template <Future F>
class Borrowed {
 public:
  using Output = OutputOf<F>;
  explicit Borrowed(F& future) noexcept : future_(&future) {}
  Poll<Output> poll(Context& context) { return future_->poll(context); }
  /// Only of futures that have it: JoinHandle.
  void cancel() noexcept
    requires requires(F& future) { future.cancel(); }
  {
    future_->cancel();
  }

 private:
  F* future_;
};

/// How a combinator keeps what it was given as `F&&`.
template <Future F>
using Held = std::conditional_t<std::is_lvalue_reference_v<F>, Borrowed<std::remove_reference_t<F>>,
                                std::remove_cvref_t<F>>;

/// `void` and references as types of values, for tuples and variants.
template <class T>
struct ValueOfOutput {
  using type = T;
};
template <>
struct ValueOfOutput<void> {
  using type = std::monostate;
};
template <class T>
struct ValueOfOutput<T&> {
  using type = std::reference_wrapper<T>;
};
template <class T>
using ValueOf = typename ValueOfOutput<T>::type;

}  // namespace detail

}  // namespace blitzio
