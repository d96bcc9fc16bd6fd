// `Interval`: a clock that ticks: at once, and then every period.
//
//     time::Interval every_second = time::interval(1_s);
//     for (;;) {
//       co_await every_second.tick();
//       report();
//     }
//
// A tick that is waited for too late, by more than kLate, has been missed. What then:
//
//   period 100 ms, a tick handled at 0, then nothing until 250
//   burst   0        250 250 300 400     the missed at once, then as planned
//   delay   0        250     350 450     a period after the late one
//   skip    0        250   300   400     the next of the plan that is still to come
#pragma once

#include <blitzio/base/duration.hpp>
#include <blitzio/base/instant.hpp>
#include <blitzio/task/future.hpp>
#include <blitzio/time/sleep.hpp>

#include <cstdint>
#include <stdexcept>
#include <utility>

namespace blitzio::time {

/// What an Interval does about ticks that nobody waited for in time.
enum class MissedTicks : std::uint8_t { burst, delay, skip };

namespace detail {

/// When the tick after the one planned for `planned` and taken at `now` is due.
[[nodiscard]] constexpr Instant next_tick(MissedTicks policy, Instant planned, Instant now,
                                          Duration period, Duration late) noexcept {
  if (now - planned > late) {
    switch (policy) {
      case MissedTicks::burst:
        break;
      case MissedTicks::delay:
        return now + period;
      case MissedTicks::skip:
        return now + period - (now - planned) % period;
    }
  }
  return planned + period;
}

}  // namespace detail

/// Thread: as Sleep, one at a time. Can move until its first tick is waited for.
class Interval {
 public:
  /// Lateness that an executor's turn explains; no tick counts as missed for it.
  static constexpr Duration kLate = Duration::from_millis(5);

  /// Ticks at `start` and every `period` after it.
  /// Errors   std::invalid_argument if the period is not positive.
  Interval(Instant start, Duration period) : sleep_(start), period_(period) {
    if (period <= Duration::zero())
      throw std::invalid_argument("an interval's period must be positive");
  }

  class [[nodiscard]] Tick {
   public:
    using Output = Instant;
    Poll<Instant> poll(Context& context) { return interval_->poll_tick(context); }

   private:
    friend class Interval;
    explicit Tick(Interval& interval) noexcept : interval_(&interval) {}
    Interval* interval_;
  };

  /// Waits for the next tick.
  /// Returns  future of Instant: when the tick was planned.
  /// Cancel   dropping it misses no tick: the next call waits for the same one.
  /// Cost     never allocates.   Thread: one such future at a time.
  Tick tick() noexcept { return Tick(*this); }

  /// The next tick is a period from now.
  void reset() noexcept { reset_at(time::now() + period_); }
  /// The next tick is at once.
  void reset_immediately() noexcept { reset_at(time::now()); }
  /// The next tick is after `duration`, and those after it a period apart.
  void reset_after(Duration duration) noexcept { reset_at(time::now() + duration); }
  /// The next tick is at `at`.
  void reset_at(Instant at) noexcept { sleep_.reset(at); }

  [[nodiscard]] Duration period() const noexcept { return period_; }
  [[nodiscard]] MissedTicks missed() const noexcept { return missed_; }
  void set_missed(MissedTicks policy) noexcept { missed_ = policy; }

 private:
  Poll<Instant> poll_tick(Context& context) {
    const Instant planned = sleep_.deadline();
    Instant now = time::now();
    if (now < planned) {
      if (sleep_.poll(context).is_pending()) return pending;
      now = time::now();
    }
    sleep_.reset(detail::next_tick(missed_, planned, now, period_, kLate));
    return planned;
  }

  Sleep sleep_;  ///< until the next tick
  Duration period_;
  MissedTicks missed_ = MissedTicks::burst;
};

/// Ticks at once and then every `period`.
/// Errors   std::invalid_argument if the period is not positive.
[[nodiscard]] inline Interval interval(Duration period) {
  return {time::now(), period};
}
/// Ticks at `start` and then every `period`.
[[nodiscard]] inline Interval interval_at(Instant start, Duration period) {
  return {start, period};
}

}  // namespace blitzio::time
