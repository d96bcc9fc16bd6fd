// `JoinResult<T>`: how a task ended: with a value, with an exception, or cancelled.
#pragma once

#include <blitzio/base/check.hpp>
#include <blitzio/task/future.hpp>

#include <exception>
#include <type_traits>
#include <utility>
#include <variant>

namespace blitzio {

/// What JoinResult::get() throws for a cancelled task.
class TaskCancelled : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override { return "the task was cancelled"; }
};

/// What became of a task: a value, an exception, or "cancelled".
template <class T>
class [[nodiscard]] JoinResult {
  struct Cancelled {};
  // Stands for void; a struct of its own so that T may be any type.
  struct Unit {};
  template <class U>
  struct Holder {
    U value;
  };
  using Value = std::conditional_t<std::is_void_v<T>, Unit, Holder<detail::ValueOf<T>>>;
  using Outcome = std::variant<Cancelled, Value, std::exception_ptr>;

 public:
  [[nodiscard]] static JoinResult of_cancelled() noexcept {
    return JoinResult(std::in_place_type<Cancelled>);
  }
  [[nodiscard]] static JoinResult of_exception(std::exception_ptr exception) noexcept {
    return JoinResult(std::in_place_type<std::exception_ptr>, std::move(exception));
  }
  template <class... V>
  [[nodiscard]] static JoinResult of_value(V&&... value) {
    return JoinResult(std::in_place_type<Value>, Value{std::forward<V>(value)...});
  }

  [[nodiscard]] bool has_value() const noexcept { return std::holds_alternative<Value>(outcome_); }
  [[nodiscard]] bool is_cancelled() const noexcept {
    return std::holds_alternative<Cancelled>(outcome_);
  }
  /// What the future threw; null if it did not throw.
  [[nodiscard]] std::exception_ptr exception() const noexcept {
    const auto* exception = std::get_if<std::exception_ptr>(&outcome_);
    return exception != nullptr ? *exception : nullptr;
  }
  /// Must have a value.
  [[nodiscard]] std::add_lvalue_reference_t<T> value() & noexcept
    requires(!std::is_void_v<T>)
  {
    BLITZIO_CHECK(has_value(), outcome_.index());
    return std::get_if<Value>(&outcome_)->value;
  }
  [[nodiscard]] std::add_lvalue_reference_t<const T> value() const& noexcept
    requires(!std::is_void_v<T>)
  {
    BLITZIO_CHECK(has_value(), outcome_.index());
    return std::get_if<Value>(&outcome_)->value;
  }
  /// Of a temporary, which would take it along.
  [[nodiscard]] T value() && noexcept(std::is_nothrow_move_constructible_v<T>)
    requires(!std::is_void_v<T>)
  {
    BLITZIO_CHECK(has_value(), outcome_.index());
    return static_cast<T&&>(std::get_if<Value>(&outcome_)->value);
  }
  /// The value; rethrows the exception, throws TaskCancelled if cancelled.
  T get() && {
    if (auto* exception = std::get_if<std::exception_ptr>(&outcome_)) {
      std::rethrow_exception(std::move(*exception));
    }
    if (is_cancelled()) throw TaskCancelled();
    if constexpr (!std::is_void_v<T>) {
      return static_cast<T&&>(std::get_if<Value>(&outcome_)->value);
    }
  }

 private:
  template <class A, class... Args>
  explicit JoinResult(std::in_place_type_t<A> alternative, Args&&... args)
      : outcome_(alternative, std::forward<Args>(args)...) {}

  Outcome outcome_;
};

}  // namespace blitzio
