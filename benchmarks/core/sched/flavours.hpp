// The two schedulers under one set of names, so that each benchmark is written once.
//
//   spawn(future)         a task; its handle
//   inside(future)        the future as a task; the main thread waits for it
//   outside(future)       the future on the main thread, whose tasks the scheduler runs
#pragma once

#include "../common/measure.hpp"

#include <blitzio/executor/local_executor.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>

#include <memory>
#include <utility>

namespace blitzio::bench {

/// Worker threads.
class ManyThreads {
 public:
  explicit ManyThreads(unsigned workers) {
    Config config;
    config.workers = workers;
    auto made = Runtime::create(config);
    require(made.has_value(), "Runtime::create");
    runtime_ = std::move(*made);
  }
  template <Future F>
  auto spawn(F future) {
    return runtime_->spawn(std::move(future));
  }
  template <Future F>
  void inside(F future) {
    runtime_->spawn(std::move(future)).blocking_join().get();
  }
  template <Future F>
  void outside(F future) {
    runtime_->block_on(std::move(future));
  }
  template <std::invocable F>
  auto spawn_blocking(F function) {
    return runtime_->spawn_blocking(std::move(function));
  }

 private:
  std::unique_ptr<Runtime> runtime_;
};

/// No thread but the main one, and those of the blocking pool.
class OneThread {
 public:
  OneThread() {
    auto made = LocalExecutor::create();
    require(made.has_value(), "LocalExecutor::create");
    executor_ = std::move(*made);
  }
  template <Future F>
  auto spawn(F future) {
    return executor_->spawn(std::move(future));
  }
  template <Future F>
  void inside(F future) {
    executor_->block_on(std::move(future));
  }
  template <Future F>
  void outside(F future) {
    executor_->block_on(std::move(future));
  }
  template <std::invocable F>
  auto spawn_blocking(F function) {
    return blitzio::spawn_blocking(std::move(function));
  }

 private:
  std::unique_ptr<LocalExecutor> executor_;
};

/// What a run gives, both per operation.
struct Sample {
  double value = 0;
  double cpu = 0;           ///< nanoseconds of all threads
  double late_p50_us = -1;  ///< of timers: wake after the deadline; below 0: not measured
  double late_p99_us = -1;
};

/// Times `work()`, which is `ops` operations.
template <class Work>
[[nodiscard]] Sample sample_of(std::size_t ops, Work&& work) {
  const std::int64_t cpu_before = cpu_nanos();
  const std::int64_t wall = time_of(work);
  const std::int64_t cpu = cpu_nanos() - cpu_before;
  const auto count = static_cast<double>(ops);
  return {static_cast<double>(wall) / count, static_cast<double>(cpu) / count};
}

using Handles = std::vector<JoinHandle<void>>;

inline Async<> join_all(Handles& handles) {
  for (auto& handle : handles) (co_await handle).get();
}

/// A task with an empty body.
inline auto empty_task() {
  return lazy([] {});
}

}  // namespace blitzio::bench
