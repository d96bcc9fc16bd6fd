// What the driver benchmarks share: one bound driver per backend, and arms registered by name.
//
// Reading the numbers: on a shared machine only the fastest repetition means something, and arms
// are comparable only when they alternate. So each arm runs several repetitions and reports `min`;
// run with
//
//   --benchmark_enable_random_interleaving=true --benchmark_report_aggregates_only=true
//
// and compare the `min` rows. CPU time is the one to look at where both ends share a thread.
#pragma once

#include <blitzio/driver/driver.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace blitzio::bench {

/// A benchmark that can not be set up says so and ends: a number would be a lie.
inline void require(bool condition, const char* what) {
  if (condition) return;
  std::perror(what);
  std::abort();
}

inline double fastest(const std::vector<double>& samples) {
  return *std::ranges::min_element(samples);
}

/// Registers one arm with the statistics that this folder reports.
template <class Body>
benchmark::internal::Benchmark* arm(const std::string& name, Body body) {
  return benchmark::RegisterBenchmark(name.c_str(), std::move(body))
      ->Repetitions(5)
      ->MinTime(0.1)
      ->ComputeStatistics("min", fastest);
}

/// Calls `add(backend, its name)` for each backend that can run here.
template <class Add>
void for_each_backend(Add&& add) {
  for (const driver::Availability& found : driver::detect()) {
    if (found.usable) add(found.backend, std::string(driver::name(found.backend)));
  }
}

[[nodiscard]] inline std::unique_ptr<driver::Driver> make_driver(driver::Backend backend) {
  driver::Config config;
  config.backend = backend;
  auto made = driver::create(config);
  require(made.has_value() && (*made)->bind().has_value(), "driver");
  return std::move(*made);
}

/// One turn of a loop that may sleep.
inline void turn(driver::Driver& driver) {
  driver.collect();
  if (!driver.has_completions()) driver.wait(Duration::max());
  driver.dispatch();
}

}  // namespace blitzio::bench
