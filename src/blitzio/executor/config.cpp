#include <blitzio/executor/config.hpp>

#include <sched.h>

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

namespace blitzio {

namespace {

constexpr std::size_t kStackBytesMin = 32 * 1024;
constexpr std::size_t kStackBytesMax = 1024 * 1024 * 1024;
constexpr Duration kTimerTickMin = Duration::from_micros(1);
constexpr Duration kTimerTickMax = Duration::from_secs(1);
constexpr std::size_t kBlockingThreadsMax = 32'768;
constexpr unsigned kComputeThreadsMax = 1'024;

unsigned usable_processors() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    return static_cast<unsigned>(std::max(CPU_COUNT(&set), 1));
  }
  return std::max(std::thread::hardware_concurrency(), 1U);
}

}  // namespace

std::optional<driver::Problem> problem_in(const Config& config) {
  const auto wrong = [](std::string text) {
    return driver::Problem{RuntimeErrc::invalid_argument, std::move(text)};
  };
  const auto number = [](auto value) { return std::to_string(value); };
  if (config.strategy > Strategy::single_threaded) {
    return wrong("strategy is " + number(std::to_underlying(config.strategy)) +
                 "; it must be one of Strategy");
  }
  if (config.affinity > Affinity::sequential) {
    return wrong("affinity is " + number(std::to_underlying(config.affinity)) +
                 "; it must be one of Affinity");
  }
  if (config.workers > Config::kWorkersMax) {
    return wrong("workers is " + number(config.workers) +
                 "; it must be 0 (one for each processor) to " + number(Config::kWorkersMax));
  }
  if (config.strategy == Strategy::single_threaded && config.workers > 1) {
    return wrong("workers is " + number(config.workers) +
                 "; with the strategy single_threaded it must be 0 or 1");
  }
  if (config.stack_bytes != 0 &&
      (config.stack_bytes < kStackBytesMin || config.stack_bytes > kStackBytesMax)) {
    return wrong("stack_bytes is " + number(config.stack_bytes) +
                 "; it must be 0 (the system's default) or " + number(kStackBytesMin) + " to " +
                 number(kStackBytesMax));
  }
  if (config.blocking_threads_max < 1 || config.blocking_threads_max > kBlockingThreadsMax) {
    return wrong("blocking_threads_max is " + number(config.blocking_threads_max) +
                 "; it must be 1 to " + number(kBlockingThreadsMax));
  }
  if (config.compute_threads > kComputeThreadsMax) {
    return wrong("compute_threads is " + number(config.compute_threads) +
                 "; it must be 0 (one for each processor) to " + number(kComputeThreadsMax));
  }
  if (config.blocking_keep_alive < Duration::zero()) {
    return wrong("blocking_keep_alive is " + number(config.blocking_keep_alive.as_nanos()) +
                 " ns; it must not be negative");
  }
  if (config.timer_tick < kTimerTickMin || config.timer_tick > kTimerTickMax) {
    return wrong("timer_tick is " + number(config.timer_tick.as_nanos()) + " ns; it must be " +
                 number(kTimerTickMin.as_nanos()) + " to " + number(kTimerTickMax.as_nanos()));
  }
  return driver::problem_in(config.driver);
}

Result<void> validate(const Config& config) noexcept {
  if (const auto problem = problem_in(config)) return fail(Error::runtime(problem->code));
  return {};
}

Config resolve(const Config& config) noexcept {
  Config resolved = config;
  if (resolved.strategy == Strategy::single_threaded) resolved.workers = 1;
  if (resolved.workers == 0) resolved.workers = std::min(usable_processors(), Config::kWorkersMax);
  if (resolved.compute_threads == 0) {
    resolved.compute_threads = std::min(usable_processors(), kComputeThreadsMax);
  }
  if (resolved.strategy == Strategy::automatic) {
    resolved.strategy = resolved.workers == 1 ? Strategy::single_threaded : Strategy::work_stealing;
  }
  if (resolved.affinity == Affinity::automatic) {
    resolved.affinity =
        resolved.strategy == Strategy::thread_per_core ? Affinity::sequential : Affinity::none;
  }
  return resolved;
}

}  // namespace blitzio
