#include <blitzio/executor/process_pool.hpp>

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/fork_guard.hpp>

#include <memory>
#include <new>

namespace blitzio {

namespace {

struct ProcessPool {
  BlockingPool pool;
  ForkGuard fork_guard;
};

// A task on its way to a thread of the pool.
struct ProcessJob : BlockingJob {
  explicit ProcessJob(Task& blocking_task) noexcept
      : BlockingJob(run_task, drop_task), task(blocking_task) {}

  static void run_task(BlockingJob& job) noexcept {
    const auto own = std::unique_ptr<ProcessJob>(static_cast<ProcessJob*>(&job));
    static_cast<void>(own->task.run());
  }
  static void drop_task(BlockingJob& job) noexcept {
    static_cast<ProcessJob&>(job).task.cancel();
    run_task(job);
  }

  Task& task;
};

class ProcessScheduler final : public Scheduler {
 public:
  void schedule(Task& task) noexcept override {
    auto* job = new (std::nothrow) ProcessJob(task);
    if (job != nullptr && process_blocking_pool().submit(*job)) return;
    delete job;
    // No thread is to be had: the caller sees "cancelled".
    task.cancel();
    static_cast<void>(task.run());
  }
  void release(Task& /*task*/) noexcept override {}
};

// Set by whoever needs the pool first, and again in a forked child; read by all.
constinit Atomic<ProcessPool*> process_pool{nullptr};

}  // namespace

BlockingPool& process_blocking_pool() noexcept {
  // Acquire: the pool that another thread made; pairs with the release below.
  ProcessPool* current = process_pool.load(std::memory_order_acquire);
  while (current == nullptr || BLITZIO_UNLIKELY(current->fork_guard.in_child())) {
    // One of a parent is left alone: its threads are not here.
    auto made = std::make_unique<ProcessPool>();
    // Release: publishes the pool. Acquire on failure: somebody else's.
    if (process_pool.compare_exchange_strong(current, made.get(), std::memory_order_release,
                                             std::memory_order_acquire)) {
      current = made.release();
    }
  }
  return current->pool;
}

Scheduler& detail::process_blocking_scheduler() noexcept {
  static constinit ProcessScheduler scheduler;
  return scheduler;
}

}  // namespace blitzio
