#include <blitzio/executor/config.hpp>

#include <sched.h>

#include <algorithm>
#include <thread>

namespace blitzio {

namespace {

constexpr std::size_t kStackBytesMin = 16 * 1024;
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

Result<void> validate(const Config& config) noexcept {
  const bool is_single = config.strategy == Strategy::single_threaded;
  const bool is_valid =
      config.workers <= Config::kWorkersMax && (!is_single || config.workers <= 1) &&
      (config.stack_bytes == 0 || config.stack_bytes >= kStackBytesMin) &&
      config.compute_threads <= kComputeThreadsMax && config.blocking_threads_max >= 1 &&
      config.blocking_threads_max <= kBlockingThreadsMax &&
      config.blocking_keep_alive >= Duration::zero();
  if (!is_valid) return fail(Error::runtime(RuntimeErrc::invalid_argument));
  return driver::validate(config.driver);
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
