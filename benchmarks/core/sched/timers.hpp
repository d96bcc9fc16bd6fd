// What timers cost: most are cancelled long before their time, some fire.
#pragma once

#include "flavours.hpp"

#include <blitzio/time/sleep.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace blitzio::bench {

/// 1 to 60 s in milliseconds, as the deadlines of requests are.
class RandomDelays {
 public:
  [[nodiscard]] Duration next() noexcept {
    // Marsaglia's xorshift.
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return Duration::from_millis(static_cast<std::int64_t>(1'000 + state_ % 59'001));
  }

 private:
  std::uint64_t state_ = 88'172'645'463'325'252;
};

template <class Flavour>
Sample timer_cancel(Flavour& flavour, std::size_t divisor) {
  const std::size_t count = 1'000'000 / divisor;
  return sample_of(count, [&] {
    flavour.inside(poll_fn([count](Context& context) -> Poll<void> {
      RandomDelays delays;
      for (std::size_t i = 0; i < count; ++i) {
        auto sleep = time::sleep(delays.next());
        require(sleep.poll(context).is_pending(), "a sleep that is armed");
      }
      return ready;
    }));
  });
}

template <class Flavour>
Sample timer_hold(Flavour& flavour, std::size_t divisor) {
  const std::size_t count = 1'000'000 / divisor;
  return sample_of(count, [&] {
    flavour.inside(poll_fn([count](Context& context) -> Poll<void> {
      RandomDelays delays;
      std::vector<std::unique_ptr<time::Sleep>> held;
      held.reserve(count);
      for (std::size_t i = 0; i < count; ++i) {
        held.push_back(std::make_unique<time::Sleep>(time::sleep(delays.next())));
        require(held.back()->poll(context).is_pending(), "a sleep that is armed");
      }
      return ready;
    }));
  });
}

inline Async<> sleep_and_note(Instant deadline, std::int64_t& late_ns) {
  co_await time::sleep_until(deadline);
  late_ns = (Instant::now() - deadline).as_nanos();
}

template <class Flavour>
Async<> sleep_in_many(Flavour& flavour, std::vector<std::int64_t>& late_ns) {
  const Instant first = Instant::now() + Duration::from_millis(500);
  Handles handles;
  handles.reserve(late_ns.size());
  for (std::size_t i = 0; i < late_ns.size(); ++i) {
    const Instant deadline = first + Duration::from_millis(static_cast<std::int64_t>(i % 1'000));
    handles.push_back(flavour.spawn(sleep_and_note(deadline, late_ns[i])));
  }
  co_await join_all(handles);
}

template <class Flavour>
Sample sleep_fire_100k(Flavour& flavour, std::size_t divisor) {
  std::vector<std::int64_t> late_ns(100'000 / divisor);
  Sample sample =
      sample_of(late_ns.size(), [&] { flavour.inside(sleep_in_many(flavour, late_ns)); });
  // Most of the wall time is the waiting that was asked for.
  sample.value = sample.cpu;
  std::ranges::sort(late_ns);
  sample.late_p50_us = static_cast<double>(late_ns[late_ns.size() / 2]) / 1e3;
  sample.late_p99_us = static_cast<double>(late_ns[late_ns.size() * 99 / 100]) / 1e3;
  return sample;
}

}  // namespace blitzio::bench
