// What does a timer cost in the wheel? Deadlines are pseudo-random, 1 ms to 60 s ahead, as
// requests' timeouts are; `armed` is how many others are in the wheel meanwhile.
//
//   insert_cancel   arm one and disarm it: what a request that ends in time pays
//   insert          arm (the disarming is not timed)
//   fire            advance over all of them; per timer
#include "support.hpp"

#include <blitzio/time/wheel.hpp>

#include <random>

namespace blitzio::bench {
namespace {

using time::TimerEntry;
using time::TimerWheel;

struct Entry : TimerEntry {
  Entry() noexcept : TimerEntry([](TimerEntry&) noexcept {}) {}
};

constexpr std::size_t kDeadlines = 1 << 16;

std::vector<Duration> random_delays() {
  std::mt19937 random(1);
  std::vector<Duration> delays;
  for (std::size_t i = 0; i < kDeadlines; ++i) {
    delays.push_back(Duration::from_micros(1'000 + random() % 59'999'000));
  }
  return delays;
}

void arm_all(TimerWheel& wheel, std::vector<Entry>& entries, Instant now,
             const std::vector<Duration>& delays) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    wheel.insert(entries[i], now + delays[i % kDeadlines]);
  }
}

void insert_cancel(benchmark::State& state) {
  const Instant now = Instant::from_nanos(1'000'000'000);
  const auto delays = random_delays();
  TimerWheel wheel(now);
  std::vector<Entry> others(static_cast<std::size_t>(state.range(0)));
  arm_all(wheel, others, now, delays);
  Entry entry;
  std::size_t i = 0;
  for (auto _ : state) {
    wheel.insert(entry, now + delays[i++ % kDeadlines]);
    wheel.cancel(entry);
  }
  for (Entry& other : others) wheel.cancel(other);
}

void insert(benchmark::State& state) {
  const Instant now = Instant::from_nanos(1'000'000'000);
  const auto delays = random_delays();
  TimerWheel wheel(now);
  std::vector<Entry> entries(static_cast<std::size_t>(state.range(0)));
  while (state.KeepRunningBatch(state.range(0))) {
    arm_all(wheel, entries, now, delays);
    state.PauseTiming();
    for (Entry& entry : entries) wheel.cancel(entry);
    state.ResumeTiming();
  }
}

void fire(benchmark::State& state) {
  Instant now = Instant::from_nanos(1'000'000'000);
  const auto delays = random_delays();
  TimerWheel wheel(now);
  std::vector<Entry> entries(static_cast<std::size_t>(state.range(0)));
  while (state.KeepRunningBatch(state.range(0))) {
    state.PauseTiming();
    arm_all(wheel, entries, now, delays);
    state.ResumeTiming();
    // A turn of a busy loop per millisecond.
    while (!wheel.is_empty()) {
      now = std::max(now + Duration::from_millis(1), wheel.next_deadline());
      wheel.advance(now);
    }
  }
}

[[maybe_unused]] const bool registered = [] {
  arm("insert_cancel/armed", insert_cancel)->Arg(0)->Arg(1'000)->Arg(1'000'000);
  arm("insert", insert)->Arg(1'000)->Arg(100'000);
  arm("fire", fire)->Arg(1'000)->Arg(100'000);
  return true;
}();

}  // namespace
}  // namespace blitzio::bench
