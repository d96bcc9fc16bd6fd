// bench_sync [--json] [--quick]: the eighteen benchmarks of locks and channels, see benchmarks.hpp.
//
// Prints one JSON object; without --json a table. --quick does a hundredth of the work and once, to
// see that it runs: its numbers mean nothing.
#include "../common/allocations.hpp"
#include "../common/arguments.hpp"
#include "benchmarks.hpp"

#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <thread>

namespace blitzio::bench {
namespace {

struct Row {
  std::string_view name;
  std::size_t ops = 0;
  std::int64_t median_ns = 0;
  std::int64_t min_ns = 0;
  Allocations allocated;

  [[nodiscard]] double per_op(double total) const { return total / static_cast<double>(ops); }
  [[nodiscard]] double ns_per_op() const { return per_op(static_cast<double>(median_ns)); }
  [[nodiscard]] double bytes_per_op() const { return per_op(static_cast<double>(allocated.bytes)); }
  [[nodiscard]] double allocs_per_op() const {
    return per_op(static_cast<double>(allocated.calls));
  }
};

// Keeps the process from being one of a single thread, in which the C++ library would leave out
// what makes reference counts and locks safe between threads.
class ParkedThread {
 public:
  ParkedThread() : thread_([this] { is_over_.wait(false); }) {}
  ParkedThread(const ParkedThread&) = delete;
  ParkedThread& operator=(const ParkedThread&) = delete;
  ~ParkedThread() {
    is_over_ = true;
    is_over_.notify_one();
    thread_.join();
  }

 private:
  std::atomic<bool> is_over_{false};
  std::thread thread_;
};

Row measure(const SyncBenchmark& benchmark, const Sizes& sizes) {
  for (int i = 0; i < sizes.warmup; ++i) static_cast<void>(benchmark.iterate());
  std::vector<std::int64_t> times;
  Row row{benchmark.name, benchmark.ops, 0, 0, {}};
  for (int i = 0; i < sizes.iterations; ++i) {
    times.push_back(benchmark.iterate());
    row.allocated = allocations();
  }
  row.median_ns = median(times);
  row.min_ns = *std::ranges::min_element(times);
  return row;
}

void print_json(const std::vector<Row>& rows, const Sizes& sizes) {
  std::printf(
      "{\"metadata\": {\"runtime\": \"blitzio\", \"sync_ops\": %zu, \"channel_ops\": %zu, "
      "\"async_ops\": %zu, \"iterations\": %d, \"warmup\": %d, \"workers\": %u, "
      "\"mpmc_buffer\": %zu, \"methodology\": \"upper median of the timed iterations; allocations "
      "of the last one, counted in operator new, pool blocks included: what a pool kept from the "
      "warm-up shows as 0\"},\n \"benchmarks\": {",
      sizes.sync_ops, sizes.channel_ops, sizes.async_ops, sizes.iterations, sizes.warmup,
      sizes.workers, sizes.mpmc_buffer);
  const char* separator = "\n";
  for (const Row& row : rows) {
    std::printf("%s  \"%.*s\": {\"ns_per_op\": %.4f, \"ops_per_sec\": %.0f, \"median_ns\": %" PRId64
                ", \"min_ns\": %" PRId64
                ", \"ops_per_iter\": %zu, \"bytes_per_op\": %.4f, \"allocs_per_op\": %.6f}",
                std::exchange(separator, ",\n"), static_cast<int>(row.name.size()), row.name.data(),
                row.ns_per_op(), 1e9 / row.ns_per_op(), row.median_ns, row.min_ns, row.ops,
                row.bytes_per_op(), row.allocs_per_op());
  }
  std::printf("}}\n");
}

void print_table(const std::vector<Row>& rows) {
  std::printf("%-20s %10s %10s %10s\n", "", "ns/op", "bytes/op", "allocs/op");
  for (const Row& row : rows) {
    std::printf("%-20.*s %10.2f %10.2f %10.5f\n", static_cast<int>(row.name.size()),
                row.name.data(), row.ns_per_op(), row.bytes_per_op(), row.allocs_per_op());
  }
}

int run(bool is_json, const Sizes& sizes) {
  const ParkedThread second_thread;
  std::vector<SyncBenchmark> benchmarks;
  add_uncontended(benchmarks, sizes);
  add_channels(benchmarks, sizes);
  add_contended(benchmarks, sizes);
  std::vector<Row> rows;
  for (const SyncBenchmark& benchmark : benchmarks) rows.push_back(measure(benchmark, sizes));
  if (is_json) {
    print_json(rows, sizes);
  } else {
    print_table(rows);
  }
  return 0;
}

}  // namespace
}  // namespace blitzio::bench

int main(int count, char** words) {
  using blitzio::bench::Sizes;
  bool is_json = false;
  Sizes sizes;
  for (int i = 1; i < count; ++i) {
    if (std::strcmp(words[i], "--json") == 0) {
      is_json = true;
    } else if (std::strcmp(words[i], "--quick") == 0) {
      sizes.sync_ops /= 100;
      sizes.channel_ops /= 100;
      sizes.async_ops /= 10;
      sizes.warmup = 1;
      sizes.iterations = 1;
    } else {
      std::fprintf(stderr, "usage: bench_sync [--json] [--quick]\n");
      return blitzio::bench::kUsage;
    }
  }
  return blitzio::bench::run(is_json, sizes);
}
