// bench_sched --bench NAME --workers W [--quick]: one benchmark of the scheduler; W = 0 is the
// single-threaded executor. bench_sched --list prints the names, --all instead of a name runs them
// one after the other (the memory of tasks is then that which earlier ones left).
//
// Prints one JSON object. The value is the median of three runs after a warm-up. Exit status 2:
// there is no such benchmark for that number of workers. --quick does a hundredth of the work and
// once, to see that it runs: its numbers mean nothing.
#include "../common/arguments.hpp"
#include "blocking.hpp"
#include "memory.hpp"
#include "spawning.hpp"
#include "switching.hpp"
#include "timers.hpp"

#include <cstdio>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

namespace blitzio::bench {
namespace {

constexpr int kNotImplemented = 2;

template <class Flavour>
struct SchedBenchmark {
  std::string_view name;
  Sample (*run)(Flavour& flavour, std::size_t divisor);
  const char* unit = "ns/op";
  bool is_memory = false;  ///< once, see memory.hpp
};

template <class F>
std::vector<SchedBenchmark<F>> benchmarks() {
  std::vector<SchedBenchmark<F>> list{
      {"spawn_join_out", spawn_join_out<F>},
      {"spawn_join_in", spawn_join_in<F>},
      {"spawn_await_1", spawn_await_1<F>},
      {"pingpong", pingpong<F>},
      {"yield_1", yield_1<F>},
      {"yield_1000", yield_1000<F>},
      {"chain", chain<F>},
      {"fan_10k", fan_10k<F>},
      {"chan_spsc_1024", recv_from_producers<F, 1>},
      {"chan_mpsc4_1024", recv_from_producers<F, 4>},
      {"timer_cancel", timer_cancel<F>},
      {"timer_hold", timer_hold<F>},
      {"sleep_fire_100k", sleep_fire_100k<F>},
      {"blocking_1", blocking_1<F>},
      {"blocking_batch", blocking_batch<F>},
      {"mem_parked", mem_parked<F>, "B/task", true},
      {"mem_sleeping", mem_sleeping<F>, "B/task", true},
  };
  return list;
}

void print(std::string_view name, unsigned workers, const char* unit, const Sample& sample) {
  std::printf(
      "{\"name\": \"%.*s\", \"workers\": %u, \"value\": %.3f, \"unit\": \"%s\", \"cpu\": %.3f",
      static_cast<int>(name.size()), name.data(), workers, sample.value, unit, sample.cpu);
  if (sample.late_p50_us >= 0) {
    std::printf(", \"late_p50_us\": %.1f, \"late_p99_us\": %.1f", sample.late_p50_us,
                sample.late_p99_us);
  }
  std::printf("}\n");
}

template <class Flavour>
void measure(Flavour& flavour, const SchedBenchmark<Flavour>& benchmark, unsigned workers,
             bool is_quick) {
  const std::size_t divisor = is_quick ? 100 : 1;
  const bool is_once = is_quick || benchmark.is_memory;
  if (!is_once) static_cast<void>(benchmark.run(flavour, divisor));
  std::vector<Sample> samples;
  for (int i = 0; i < (is_once ? 1 : 3); ++i) samples.push_back(benchmark.run(flavour, divisor));
  std::ranges::sort(samples, {}, &Sample::value);
  print(benchmark.name, workers, benchmark.unit, samples[samples.size() / 2]);
}

int not_implemented(std::string_view name, unsigned workers) {
  std::fprintf(stderr, "bench_sched: no benchmark %.*s with %u workers\n",
               static_cast<int>(name.size()), name.data(), workers);
  return kNotImplemented;
}

/// Runs the one of this name, or, without a name, all.
template <class Flavour>
int measure_named(Flavour flavour, std::string_view name, unsigned workers, bool is_quick) {
  bool is_known = false;
  for (const SchedBenchmark<Flavour>& benchmark : benchmarks<Flavour>()) {
    if (!name.empty() && benchmark.name != name) continue;
    measure(flavour, benchmark, workers, is_quick);
    is_known = true;
  }
  if (is_known) return 0;
  return not_implemented(name, workers);
}

int list_names() {
  for (const auto& benchmark : benchmarks<ManyThreads>()) {
    std::printf("%.*s\n", static_cast<int>(benchmark.name.size()), benchmark.name.data());
  }
  return 0;
}

int usage() {
  std::fprintf(stderr,
               "usage: bench_sched (--bench NAME | --all) --workers W [--quick] | --list\n");
  return kUsage;
}

int run(int count, char** words) {
  std::string_view name;
  std::optional<unsigned> workers;
  bool is_all = false;
  bool is_quick = false;
  for (int i = 1; i < count; ++i) {
    if (std::strcmp(words[i], "--list") == 0) return list_names();
    if (std::strcmp(words[i], "--quick") == 0) {
      is_quick = true;
    } else if (std::strcmp(words[i], "--all") == 0) {
      is_all = true;
    } else if (std::strcmp(words[i], "--bench") == 0 && i + 1 < count) {
      name = words[++i];
    } else if (std::strcmp(words[i], "--workers") == 0 && i + 1 < count) {
      workers = parse_number<unsigned>(words[++i]);
      if (!workers) return usage();
    } else {
      return usage();
    }
  }
  if (name.empty() != is_all || !workers) return usage();
  if (*workers > Config::kWorkersMax) return not_implemented(name, *workers);
  if (*workers == 0) return measure_named(OneThread(), name, *workers, is_quick);
  return measure_named(ManyThreads(*workers), name, *workers, is_quick);
}

}  // namespace
}  // namespace blitzio::bench

int main(int count, char** words) {
  return blitzio::bench::run(count, words);
}
