// `Poll<T>`: what a future answers: pending, or ready with its value.
#pragma once

#include <blitzio/base/check.hpp>

#include <optional>
#include <type_traits>
#include <utility>

namespace blitzio {

struct Pending {};
/// `return pending;` from any poll().
inline constexpr Pending pending{};

template <class T>
class [[nodiscard]] Poll {
 public:
  using Output = T;

  constexpr Poll(Pending) noexcept {}  // NOLINT(google-explicit-constructor): `return pending;`
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

 private:
  std::optional<T> value_;
};

/// Ready without a value.
struct Ready {};
inline constexpr Ready ready{};

template <>
class [[nodiscard]] Poll<void> {
 public:
  using Output = void;

  constexpr Poll(Pending) noexcept {}  // NOLINT(google-explicit-constructor): `return pending;`
  constexpr Poll(Ready) noexcept
      : ready_(true) {}  // NOLINT(google-explicit-constructor): `return ready;`

  [[nodiscard]] constexpr bool is_ready() const noexcept { return ready_; }
  [[nodiscard]] constexpr bool is_pending() const noexcept { return !ready_; }
  constexpr void take() && noexcept { BLITZIO_CHECK(ready_); }

 private:
  bool ready_ = false;
};

}  // namespace blitzio
