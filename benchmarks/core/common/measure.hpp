// What the programs that are compared with other runtimes share: clocks, medians, a barrier for the
// optimiser, checks, and a context for futures that must not wait.
#pragma once

#include <blitzio/base/instant.hpp>
#include <blitzio/task/future.hpp>
#include <blitzio/task/waker.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <utility>
#include <vector>

namespace blitzio::bench {

/// A benchmark that cannot do its work says so and ends: a number would be a lie.
inline void require(bool condition, const char* what) {
  if (condition) return;
  std::perror(what);
  std::abort();
}

/// The optimiser must assume that `value` is looked at.
template <class T>
void keep(const T& value) noexcept {
  asm volatile("" : : "r,m"(value) : "memory");
}

/// Runs `work()` and returns how long it took, in nanoseconds.
template <class Work>
[[nodiscard]] std::int64_t time_of(Work&& work) {
  const Instant start = Instant::now();
  work();
  return (Instant::now() - start).as_nanos();
}

/// Processor time of all threads of this process, in nanoseconds.
[[nodiscard]] inline std::int64_t cpu_nanos() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

/// The upper median.
template <class T>
[[nodiscard]] T median(std::vector<T> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// Polls a future that must be ready at once, as a task would.
template <Future F>
OutputOf<F> poll_now(F future) {
  const Waker nobody;
  Context context(nobody);
  auto answer = future.poll(context);
  require(answer.is_ready(), "a future that had to be ready");
  return std::move(answer).take();
}

}  // namespace blitzio::bench
