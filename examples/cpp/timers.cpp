// Ten thousand coroutines sleep on one thread's timer wheel; a slow one is cancelled.
#include <blitzio/executor/local_executor.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/time/sleep.hpp>

#include <cstdio>
#include <exception>
#include <vector>

using namespace blitzio;

namespace {

// Returns how late it woke.
Async<Duration> nap(Duration duration) {
  const Instant deadline = Instant::now() + duration;
  co_await time::sleep_until(deadline);
  co_return Instant::now() - deadline;
}

}  // namespace

int main() {
  try {
    auto created = LocalExecutor::create();
    if (!created) {
      std::fprintf(stderr, "no executor: %s\n", created.error().message().c_str());
      return 1;
    }
    LocalExecutor& executor = **created;
    auto slow = executor.spawn(nap(Duration::from_secs(3'600)));
    std::vector<JoinHandle<Duration>> naps;
    for (int i = 0; i < 10'000; ++i) {
      naps.push_back(executor.spawn(nap(Duration::from_micros(1 + i % 100 * 1'000))));
    }
    bool early = false;
    Duration latest;
    for (auto& handle : naps) {
      const Duration late = executor.block_on(handle).get();
      early = early || late < Duration::zero();
      latest = late > latest ? late : latest;
    }
    slow.cancel();
    const bool cancelled = executor.block_on(slow).is_cancelled();
    std::printf("10000 naps of up to 100 ms: %s woke early, the last %.2f ms late\n",
                early ? "some" : "none", latest.as_secs_f64() * 1e3);
    return !early && cancelled && executor.wheel().is_empty() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
