// The ways in: run() as it comes, run_with() a configuration, and a Runtime of one's own; and a
// library's function that uses a runtime if there is one.
#include <blitzio/base/version.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/task/async.hpp>

#include <cstdio>
#include <exception>
#include <numeric>
#include <vector>

using namespace blitzio;

namespace {

// Many connections that wait: a worker for each processor, room for calls that block.
Config web_server() {
  Config config;
  config.blocking_threads_max = 256;
  config.blocking_keep_alive = 30_s;
  return config;
}

// Work that calculates: few workers, threads for the rest.
Config pipeline() {
  Config config;
  config.workers = 2;
  config.blocking_threads_max = 16;
  config.compute_threads = 2;
  return config;
}

// Answers that must be quick: workers that stay on their processors, idle threads soon gone.
Config low_latency() {
  Config config;
  config.workers = 2;
  config.strategy = Strategy::thread_per_core;
  config.affinity = Affinity::sequential;
  config.blocking_keep_alive = 2_s;
  return config;
}

long compress(const std::vector<int>& data) {
  return std::accumulate(data.begin(), data.end(), 0L);
}

// Inside a runtime the work goes to its threads; elsewhere it is done on the spot.
long process_data(const std::vector<int>& data) {
  if (Runtime* runtime = Runtime::current()) {
    return runtime->spawn_blocking([&] { return compress(data); }).blocking_join().get();
  }
  return compress(data);
}

Async<int> count(int n) {
  int sum = 0;
  for (int i = 1; i <= n; ++i) sum += (co_await spawn([i] { return i; })).get();
  co_return sum;
}

}  // namespace

int main() {
  try {
    std::printf("blitzio %s\n", kVersion.text.data());
    const std::vector<int> data{1, 2, 3};
    bool is_right = Runtime::current() == nullptr && process_data(data) == 6;

    is_right &= run([] { return count(10); }) == 55;
    for (const Config& config : {web_server(), pipeline(), low_latency()}) {
      is_right &= run_with(config, [] { return count(10); }) == 55;
    }

    const auto runtime = Runtime::create(pipeline()).value();
    is_right &= runtime->run([&] { return process_data(data); }) == 6;
    auto handle = runtime->spawn(count(10));
    is_right &= handle.blocking_join().get() == 55;
    const SchedulerInfo info = runtime->scheduler();
    std::printf("%u workers, %zu blocking threads\n", info.workers,
                runtime->blocking_pool().metrics().threads);
    runtime->shutdown();  // the destructor would, too
    return is_right && info.workers == 2 ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
