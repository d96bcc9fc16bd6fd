// The eighteen benchmarks of locks and channels, in three groups; what each does is in
// docs/performance-core.md, and benchmarks/tokio does the same work.
#pragma once

#include "../common/measure.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace blitzio::bench {

/// How much work an iteration is. The defaults are what results are published with.
struct Sizes {
  std::size_t sync_ops = 1'000'000;
  std::size_t channel_ops = 100'000;
  std::size_t async_ops = 10'000;
  std::size_t mpmc_buffer = 1'000;
  unsigned workers = 4;
  int warmup = 5;
  int iterations = 10;
};

struct SyncBenchmark {
  std::string_view name;
  std::size_t ops;  ///< of one iteration
  /// One iteration: sets the allocation counters to 0, makes what is made outside the clock, and
  /// returns the time of the work in nanoseconds.
  std::function<std::int64_t()> iterate;
};

/// One thread, no scheduling: locks, cells and events.
void add_uncontended(std::vector<SyncBenchmark>& list, const Sizes& sizes);
/// One thread, no scheduling: channels.
void add_channels(std::vector<SyncBenchmark>& list, const Sizes& sizes);
/// Tasks on a Runtime, which the first iteration makes.
void add_contended(std::vector<SyncBenchmark>& list, const Sizes& sizes);

}  // namespace blitzio::bench
