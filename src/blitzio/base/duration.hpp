// `Duration`: a span of time in nanoseconds, signed, saturating at both ends.
//
// Saturation makes "for ever" an ordinary value: Duration::max() plus anything stays for ever, so
// no caller needs an overflow check before it adds a user's number to a clock.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

namespace blitzio {

class Duration {
 public:
  constexpr Duration() noexcept = default;

  [[nodiscard]] static constexpr Duration from_nanos(std::int64_t n) noexcept {
    return Duration(n);
  }
  [[nodiscard]] static constexpr Duration from_micros(std::int64_t n) noexcept {
    return Duration(multiply(n, 1'000));
  }
  [[nodiscard]] static constexpr Duration from_millis(std::int64_t n) noexcept {
    return Duration(multiply(n, 1'000'000));
  }
  [[nodiscard]] static constexpr Duration from_secs(std::int64_t n) noexcept {
    return Duration(multiply(n, 1'000'000'000));
  }
  /// Rounds up to the next nanosecond, so that a wait is never shorter than asked. NaN is zero.
  [[nodiscard]] static constexpr Duration from_secs_f64(double seconds) noexcept {
    if (!(seconds == seconds)) return {};
    const double nanos = seconds * 1e9;
    if (nanos >= 9.2e18) return max();
    if (nanos <= -9.2e18) return min();
    auto whole = static_cast<std::int64_t>(nanos);
    if (static_cast<double>(whole) < nanos) ++whole;
    return Duration(whole);
  }

  [[nodiscard]] static constexpr Duration zero() noexcept { return {}; }
  /// For ever.
  [[nodiscard]] static constexpr Duration max() noexcept {
    return Duration(std::numeric_limits<std::int64_t>::max());
  }
  [[nodiscard]] static constexpr Duration min() noexcept {
    return Duration(std::numeric_limits<std::int64_t>::min());
  }

  [[nodiscard]] constexpr std::int64_t as_nanos() const noexcept { return nanos_; }
  [[nodiscard]] constexpr std::int64_t as_micros() const noexcept { return nanos_ / 1'000; }
  [[nodiscard]] constexpr std::int64_t as_millis() const noexcept { return nanos_ / 1'000'000; }
  [[nodiscard]] constexpr std::int64_t as_secs() const noexcept { return nanos_ / 1'000'000'000; }
  [[nodiscard]] constexpr double as_secs_f64() const noexcept {
    return static_cast<double>(nanos_) * 1e-9;
  }
  [[nodiscard]] constexpr bool is_zero() const noexcept { return nanos_ == 0; }
  [[nodiscard]] constexpr bool is_forever() const noexcept { return *this == max(); }

  friend constexpr auto operator<=>(Duration, Duration) noexcept = default;
  friend constexpr Duration operator+(Duration a, Duration b) noexcept {
    return Duration(add(a.nanos_, b.nanos_));
  }
  friend constexpr Duration operator-(Duration a, Duration b) noexcept {
    return Duration(subtract(a.nanos_, b.nanos_));
  }
  friend constexpr Duration operator*(Duration a, std::int64_t factor) noexcept {
    return Duration(multiply(a.nanos_, factor));
  }
  /// Division by zero is undefined, as for integers.
  friend constexpr Duration operator/(Duration a, std::int64_t divisor) noexcept {
    return divisor == -1 ? Duration(subtract(0, a.nanos_)) : Duration(a.nanos_ / divisor);
  }

 private:
  constexpr explicit Duration(std::int64_t nanos) noexcept : nanos_(nanos) {}

  static constexpr std::int64_t saturated(bool negative) noexcept {
    return negative ? std::numeric_limits<std::int64_t>::min()
                    : std::numeric_limits<std::int64_t>::max();
  }
  static constexpr std::int64_t add(std::int64_t a, std::int64_t b) noexcept {
    std::int64_t out = 0;
    return __builtin_add_overflow(a, b, &out) ? saturated(b < 0) : out;
  }
  static constexpr std::int64_t subtract(std::int64_t a, std::int64_t b) noexcept {
    std::int64_t out = 0;
    return __builtin_sub_overflow(a, b, &out) ? saturated(b > 0) : out;
  }
  static constexpr std::int64_t multiply(std::int64_t a, std::int64_t b) noexcept {
    std::int64_t out = 0;
    return __builtin_mul_overflow(a, b, &out) ? saturated((a < 0) != (b < 0)) : out;
  }

  std::int64_t nanos_ = 0;

  friend class Instant;
};

}  // namespace blitzio
