// `Duration`: a span of time in nanoseconds, signed, saturating at both ends.
//
// Saturation makes "for ever" an ordinary value: Duration::max() plus anything stays for ever, so
// no caller needs an overflow check before it adds a user's number to a clock.
//
//     using namespace blitzio::literals;
//     Duration pause = 250_ms + 2 * retries * 1_s;
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
  [[nodiscard]] static constexpr Duration from_mins(std::int64_t n) noexcept {
    return Duration(multiply(n, 60'000'000'000));
  }
  [[nodiscard]] static constexpr Duration from_hours(std::int64_t n) noexcept {
    return Duration(multiply(n, 3'600'000'000'000));
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

  /// Whole units, rounded towards zero.
  [[nodiscard]] constexpr std::int64_t as_nanos() const noexcept { return nanos_; }
  [[nodiscard]] constexpr std::int64_t as_micros() const noexcept { return nanos_ / 1'000; }
  [[nodiscard]] constexpr std::int64_t as_millis() const noexcept { return nanos_ / 1'000'000; }
  [[nodiscard]] constexpr std::int64_t as_secs() const noexcept { return nanos_ / 1'000'000'000; }
  [[nodiscard]] constexpr std::int64_t as_mins() const noexcept { return nanos_ / 60'000'000'000; }
  [[nodiscard]] constexpr std::int64_t as_hours() const noexcept {
    return nanos_ / 3'600'000'000'000;
  }
  [[nodiscard]] constexpr double as_secs_f64() const noexcept {
    return static_cast<double>(nanos_) * 1e-9;
  }
  [[nodiscard]] constexpr bool is_zero() const noexcept { return nanos_ == 0; }
  [[nodiscard]] constexpr bool is_negative() const noexcept { return nanos_ < 0; }
  [[nodiscard]] constexpr bool is_forever() const noexcept { return *this == max(); }

  friend constexpr auto operator<=>(Duration, Duration) noexcept = default;
  friend constexpr Duration operator+(Duration a, Duration b) noexcept {
    return Duration(add(a.nanos_, b.nanos_));
  }
  friend constexpr Duration operator-(Duration a, Duration b) noexcept {
    return Duration(subtract(a.nanos_, b.nanos_));
  }
  friend constexpr Duration operator-(Duration a) noexcept { return Duration() - a; }
  friend constexpr Duration operator*(Duration a, std::int64_t factor) noexcept {
    return Duration(multiply(a.nanos_, factor));
  }
  friend constexpr Duration operator*(std::int64_t factor, Duration a) noexcept {
    return a * factor;
  }
  /// Division by zero is undefined, as for integers.
  friend constexpr Duration operator/(Duration a, std::int64_t divisor) noexcept {
    return divisor == -1 ? -a : Duration(a.nanos_ / divisor);
  }
  /// How often `b` fits into `a`, and what is left.
  friend constexpr std::int64_t operator/(Duration a, Duration b) noexcept {
    return (a / b.nanos_).nanos_;
  }
  friend constexpr Duration operator%(Duration a, Duration b) noexcept {
    return b.nanos_ == -1 ? Duration() : Duration(a.nanos_ % b.nanos_);
  }
  constexpr Duration& operator+=(Duration other) noexcept { return *this = *this + other; }
  constexpr Duration& operator-=(Duration other) noexcept { return *this = *this - other; }
  constexpr Duration& operator*=(std::int64_t factor) noexcept { return *this = *this * factor; }
  constexpr Duration& operator/=(std::int64_t divisor) noexcept { return *this = *this / divisor; }
  /// The same span forwards.
  [[nodiscard]] constexpr Duration abs() const noexcept { return is_negative() ? -*this : *this; }

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

inline namespace literals {

consteval Duration operator""_ns(unsigned long long n) {
  return Duration::from_nanos(static_cast<std::int64_t>(n));
}
consteval Duration operator""_us(unsigned long long n) {
  return Duration::from_micros(static_cast<std::int64_t>(n));
}
consteval Duration operator""_ms(unsigned long long n) {
  return Duration::from_millis(static_cast<std::int64_t>(n));
}
consteval Duration operator""_s(unsigned long long n) {
  return Duration::from_secs(static_cast<std::int64_t>(n));
}
consteval Duration operator""_s(long double n) {
  return Duration::from_secs_f64(static_cast<double>(n));
}
consteval Duration operator""_min(unsigned long long n) {
  return Duration::from_mins(static_cast<std::int64_t>(n));
}
consteval Duration operator""_h(unsigned long long n) {
  return Duration::from_hours(static_cast<std::int64_t>(n));
}

}  // namespace literals

}  // namespace blitzio
