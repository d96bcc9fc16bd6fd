// `Poll<T>`: what a future answers: pending, or ready with its value; and `pending` and `ready`,
// the words for it, which are the two simplest futures at the same time.
#pragma once

#include <blitzio/base/check.hpp>

#include <optional>
#include <type_traits>
#include <utility>

namespace blitzio {

class Context;
template <class T>
class Poll;

/// A future that is never ready: for a branch of select() that shall not happen.
template <class T = void>
struct [[nodiscard]] Pending {
  using Output = T;
  Poll<T> poll(Context& /*context*/) const noexcept { return Poll<T>(Pending<>{}); }
};
/// `return pending;` from any poll().
inline constexpr Pending<> pending{};

/// A future that is ready with its value at the first poll.
template <class T = void>
class [[nodiscard]] Ready {
 public:
  using Output = T;
  explicit constexpr Ready(T value) : value_(std::move(value)) {}
  Poll<T> poll(Context& /*context*/) { return Poll<T>(std::move(value_)); }

 private:
  T value_;
};
template <>
struct [[nodiscard]] Ready<void> {
  using Output = void;
  Poll<void> poll(Context& /*context*/) const noexcept;
  /// `ready(value)` is the future of a value that is there.
  template <class T>
  constexpr Ready<T> operator()(T value) const {
    return Ready<T>(std::move(value));
  }
};
/// `return ready;` from a poll() without a value.
inline constexpr Ready<> ready{};

template <class T>
class [[nodiscard]] Poll {
 public:
  using Output = T;

  constexpr Poll(Pending<>) noexcept {}  // NOLINT(google-explicit-constructor): `return pending;`
  // NOLINTNEXTLINE(google-explicit-constructor): `return value;`
  constexpr Poll(T value) noexcept(std::is_nothrow_move_constructible_v<T>)
      : value_(std::move(value)) {}

  [[nodiscard]] constexpr bool is_ready() const noexcept { return value_.has_value(); }
  [[nodiscard]] constexpr bool is_pending() const noexcept { return !is_ready(); }
  /// Must be ready.
  [[nodiscard]] constexpr T& value() & noexcept {
    BLITZIO_CHECK(is_ready());
    return *value_;
  }
  [[nodiscard]] constexpr T take() && noexcept(std::is_nothrow_move_constructible_v<T>) {
    BLITZIO_CHECK(is_ready());
    return std::move(*value_);
  }
  /// Becomes `other`, if that is ready; T need not be assignable.
  constexpr void adopt(Poll&& other) noexcept(std::is_nothrow_move_constructible_v<T>) {
    if (other.is_ready()) value_.emplace(std::move(*other.value_));
  }

 private:
  std::optional<T> value_;
};

/// Of a future that gives somebody's object rather than a value of its own.
template <class T>
class [[nodiscard]] Poll<T&> {
 public:
  using Output = T&;

  constexpr Poll(Pending<>) noexcept {}  // NOLINT(google-explicit-constructor): `return pending;`
  // NOLINTNEXTLINE(google-explicit-constructor): `return value;`
  constexpr Poll(T& value) noexcept : value_(&value) {}

  [[nodiscard]] constexpr bool is_ready() const noexcept { return value_ != nullptr; }
  [[nodiscard]] constexpr bool is_pending() const noexcept { return !is_ready(); }
  /// Must be ready.
  [[nodiscard]] constexpr T& value() & noexcept {
    BLITZIO_CHECK(is_ready());
    return *value_;
  }
  [[nodiscard]] constexpr T& take() && noexcept {
    BLITZIO_CHECK(is_ready());
    return *value_;
  }
  constexpr void adopt(Poll&& other) noexcept { value_ = other.value_; }

 private:
  T* value_ = nullptr;
};

template <>
class [[nodiscard]] Poll<void> {
 public:
  using Output = void;

  constexpr Poll(Pending<>) noexcept {}  // NOLINT(google-explicit-constructor): `return pending;`
  constexpr Poll(Ready<>) noexcept
      : ready_(true) {}  // NOLINT(google-explicit-constructor): `return ready;`

  [[nodiscard]] constexpr bool is_ready() const noexcept { return ready_; }
  [[nodiscard]] constexpr bool is_pending() const noexcept { return !ready_; }
  constexpr void take() && noexcept { BLITZIO_CHECK(ready_); }
  constexpr void adopt(Poll&& other) noexcept { ready_ = other.ready_; }

 private:
  bool ready_ = false;
};

inline Poll<void> Ready<void>::poll(Context& /*context*/) const noexcept {
  return *this;
}

}  // namespace blitzio
