// What a task that waits takes in memory: how much the resident set grows per task. Measured once,
// in a fresh process: a second run would find the memory of the first.
#pragma once

#include "flavours.hpp"

#include <blitzio/time/sleep.hpp>

#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdio>

namespace blitzio::bench {

/// Of this process, in bytes.
[[nodiscard]] inline double resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  require(file != nullptr, "/proc/self/statm");
  unsigned long total = 0;
  unsigned long resident = 0;
  require(std::fscanf(file, "%lu %lu", &total, &resident) == 2, "/proc/self/statm");
  std::fclose(file);
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

/// Says that it was polled, and polls what it is about.
template <Future F>
class Counted {
 public:
  using Output = OutputOf<F>;
  Counted(F future, std::atomic<std::size_t>& started) noexcept
      : future_(std::move(future)), started_(&started) {}
  Poll<Output> poll(Context& context) noexcept {
    if (started_ != nullptr) {
      std::exchange(started_, nullptr)->fetch_add(1, std::memory_order_relaxed);
    }
    return future_.poll(context);
  }

 private:
  F future_;
  std::atomic<std::size_t>* started_;
};

// `make_wait()` makes what a task waits for.
template <class Flavour, class Make>
Async<> park_many(Flavour& flavour, std::size_t count, Make make_wait, Sample& sample) {
  std::atomic<std::size_t> started{0};
  const double before = resident_bytes();
  for (std::size_t i = 0; i < count; ++i) {
    flavour.spawn(Counted(make_wait(), started)).detach();
  }
  while (started.load(std::memory_order_relaxed) < count) co_await yield_now();
  sample.value = (resident_bytes() - before) / static_cast<double>(count);
}

template <class Flavour>
Sample mem_parked(Flavour& flavour, std::size_t divisor) {
  Sample sample;
  flavour.inside(park_many(flavour, 1'000'000 / divisor, [] { return Pending<>(); }, sample));
  return sample;
}

template <class Flavour>
Sample mem_sleeping(Flavour& flavour, std::size_t divisor) {
  Sample sample;
  flavour.inside(park_many(
      flavour, 1'000'000 / divisor, [] { return time::sleep(Duration::from_secs(3'600)); },
      sample));
  return sample;
}

}  // namespace blitzio::bench
