// `Instant`: a point on CLOCK_MONOTONIC, in nanoseconds. The clock that Python's time.monotonic()
// and io_uring's default timeouts use, so values can be compared across all three.
#pragma once

#include <blitzio/base/duration.hpp>

#include <compare>
#include <cstdint>
#include <ctime>

namespace blitzio {

class Instant {
 public:
  constexpr Instant() noexcept = default;

  /// Reads the clock (about 20 ns): loops do it once per turn, not once per timer.
  [[nodiscard]] static Instant now() noexcept {
    timespec ts{};
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return from_nanos(std::int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec);
  }
  [[nodiscard]] static constexpr Instant from_nanos(std::int64_t nanos) noexcept {
    Instant at;
    at.since_boot_ = Duration::from_nanos(nanos);
    return at;
  }
  /// Never reached.
  [[nodiscard]] static constexpr Instant max() noexcept {
    return from_nanos(Duration::max().as_nanos());
  }

  [[nodiscard]] constexpr std::int64_t as_nanos() const noexcept { return since_boot_.as_nanos(); }

  /// The time since then; negative if it is to come.
  [[nodiscard]] Duration elapsed() const noexcept { return now() - *this; }

  friend constexpr auto operator<=>(Instant, Instant) noexcept = default;
  friend constexpr Instant operator+(Instant at, Duration by) noexcept {
    return from_nanos((at.since_boot_ + by).as_nanos());
  }
  friend constexpr Instant operator-(Instant at, Duration by) noexcept {
    return from_nanos((at.since_boot_ - by).as_nanos());
  }
  friend constexpr Duration operator-(Instant a, Instant b) noexcept {
    return a.since_boot_ - b.since_boot_;
  }
  constexpr Instant& operator+=(Duration by) noexcept { return *this = *this + by; }
  constexpr Instant& operator-=(Duration by) noexcept { return *this = *this - by; }

 private:
  Duration since_boot_;
};

}  // namespace blitzio
