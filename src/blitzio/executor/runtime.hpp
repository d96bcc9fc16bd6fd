// `Runtime`: worker threads that share the work of many tasks.
//
//     auto runtime = Runtime::create().value();
//     int answer = runtime->block_on(work());              // on this thread
//     JoinHandle<int> handle = runtime->spawn(work());     // on a worker
//     handle.blocking_join().get();
//
// Several runtimes can live in one process. Inside its tasks, and in block_on(), Runtime::current()
// is the one they run on, and the free functions spawn() and spawn_blocking() use it.
//
// Life:
//
//     create ──▶ running ──shutdown()──▶ stopping ──▶ stopped
//
// running   workers run tasks (worker.hpp) and sleep in their drivers.
// stopping  the workers end after the task they are at; what is left is cancelled: its futures are
//           dropped on the thread that shuts down, which then waits for the functions of the pools.
// stopped   spawn() still answers: with a task that was cancelled.
//
// A task cannot end its own runtime, nor can a function of one of its pools, for they would wait
// for themselves: that is checked. A future in block_on() can.
//
// Forking: a forked child has the runtime but none of its threads. There it is as if stopped,
// except that tasks of before neither run nor end, and the destructor frees nothing of what the
// parent's threads may have been changing. A worker whose task forks ends in the child with that
// poll.
//
// A remote waker (one on another thread than the workers') is a visit (remote_visits.hpp), so
// shutdown() can wait until nobody reaches this object any more.
#pragma once

#include <blitzio/base/fork_guard.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/executor/blocking_pool.hpp>
#include <blitzio/executor/config.hpp>
#include <blitzio/executor/idle_map.hpp>
#include <blitzio/executor/injector.hpp>
#include <blitzio/executor/process_pool.hpp>
#include <blitzio/executor/remote_visits.hpp>
#include <blitzio/executor/worker.hpp>
#include <blitzio/task/block_on.hpp>
#include <blitzio/task/future.hpp>
#include <blitzio/task/join_handle.hpp>

#include <pthread.h>

#include <array>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace blitzio {

namespace detail {

class ParallelWork;

/// Calls a function at its first poll; if that gives a future, it is that future's from then on.
/// The function lives as long as this, so a coroutine may refer to what a lambda captured.
template <std::invocable F>
class CallFuture {
  using Made = std::invoke_result_t<F&>;
  static constexpr bool kIsAsync = Future<Made>;
  static auto output_of_call() noexcept {
    if constexpr (kIsAsync) {
      return std::type_identity<OutputOf<Made>>();
    } else {
      return std::type_identity<Made>();
    }
  }

 public:
  using Output = typename decltype(output_of_call())::type;

  explicit CallFuture(F function) : function_(std::move(function)) {}
  CallFuture(CallFuture&& other) noexcept(std::is_nothrow_move_constructible_v<F>)
      : function_(std::move(other.function_)) {
    BLITZIO_CHECK(!other.future_);
  }
  CallFuture(const CallFuture&) = delete;
  CallFuture& operator=(const CallFuture&) = delete;
  CallFuture& operator=(CallFuture&&) = delete;

  Poll<Output> poll(Context& context) {
    if constexpr (kIsAsync) {
      if (!future_) future_.emplace(function_());
      return future_->poll(context);
    } else if constexpr (std::is_void_v<Output>) {
      function_();
      return ready;
    } else {
      return function_();
    }
  }

 private:
  struct Nothing {};
  F function_;
  std::optional<std::conditional_t<kIsAsync, Made, Nothing>> future_;
};

}  // namespace detail

/// Counters of a runtime; a snapshot.
struct RuntimeMetrics {
  std::vector<WorkerMetrics> workers;  ///< of each, in their order
  std::size_t injected = 0;            ///< tasks that wait for any worker
  BlockingPool::Metrics blocking;      ///< of spawn_blocking()
  BlockingPool::Metrics compute;       ///< of compute() and parallel_for()
};

/// The state of a runtime's scheduler; a snapshot.
struct SchedulerInfo {
  Strategy strategy;  ///< never `automatic`
  unsigned workers;
  unsigned sleeping;   ///< workers that have nothing to do
  std::size_t queued;  ///< tasks that wait for a worker
};

/// Thread: any.
class Runtime final : private Scheduler {
 public:
  /// Starts the workers.
  /// Errors   as validate(); what making a driver or a thread gives.
  [[nodiscard]] static Result<std::unique_ptr<Runtime>> create(const Config& config = {}) noexcept;
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  /// Shuts down. Not from a worker.
  ~Runtime();

  /// The runtime of the calling task or of the block_on() that goes on, or null.
  [[nodiscard]] static Runtime* current() noexcept;

  /// Starts `future` as a task on a worker.
  /// Cancel   dropping the handle detaches; JoinHandle::cancel() cancels. After shutdown() the task
  ///          is cancelled at once.
  /// Cost     one block of memory, mostly from a pool.
  template <Future F>
    requires(!std::is_lvalue_reference_v<F>)
  JoinHandle<OutputOf<F>> spawn(F future) {
    Scheduler& scheduler = scheduler_for_spawn();
    auto [task, handle] = make_task(std::move(future), scheduler);
    start(*task, scheduler);
    return std::move(handle);
  }
  /// Starts a function as a task: its result, or that of the future it returns, is the task's.
  template <std::invocable F>
    requires(!Future<F>)
  auto spawn(F function) {
    return spawn(detail::CallFuture<F>(std::move(function)));
  }

  /// spawn() of a future by the name that says so.
  template <Future F>
    requires(!std::is_lvalue_reference_v<F>)
  JoinHandle<OutputOf<F>> spawn_future(F future) {
    return spawn(std::move(future));
  }

  /// As spawn(), but for work that must get ahead while the caller goes on without a break: on
  /// another worker. spawn() promises no more than that the task runs some day, maybe when the
  /// caller waits; a task that blocks or computes for long should be met with concurrent().
  /// Errors   concurrency_unavailable if there is a single worker.
  template <Future F>
    requires(!std::is_lvalue_reference_v<F>)
  Result<JoinHandle<OutputOf<F>>> concurrent(F future) {
    return concurrent_made([&](Task&) { return F(std::move(future)); });
  }
  template <std::invocable F>
    requires(!Future<F>)
  auto concurrent(F function) {
    return concurrent(detail::CallFuture<F>(std::move(function)));
  }

  /// Runs `function()` on a thread where it may block.
  /// Cancel   before it begins; then the result says "cancelled".
  template <std::invocable F>
  JoinHandle<std::invoke_result_t<F&>> spawn_blocking(F function) {
    return spawn_on(blocking_scheduler_, std::move(function));
  }

  /// Runs `function()`, which computes for long, on a thread of a pool that has as many as there
  /// are processors: more would get in each other's way, and those of spawn_blocking() may be many.
  /// So it must not block until another compute() has ended: if all threads do, none is left.
  /// Cancel   as spawn_blocking().
  template <std::invocable F>
  JoinHandle<std::invoke_result_t<F&>> compute(F function) {
    return spawn_on(compute_scheduler_, std::move(function));
  }

  /// Runs `future` on the calling thread, which sleeps while it is pending, and returns its value.
  /// Its tasks run on the workers. Rethrows what it throws. Not from a worker: debug builds warn.
  template <Future F>
  OutputOf<F> block_on(F&& future) {
    const Entered entered(*this);
    return blitzio::block_on(future);
  }
  /// block_on() of what `function()` returns, or of the function itself.
  template <std::invocable F>
    requires(!Future<F>)
  auto run(F function) {
    return block_on(detail::CallFuture<F>(std::move(function)));
  }

  /// Ends the workers, cancels every task and drops its future, and waits for running blocking
  /// functions. Idempotent. Not from a worker, nor from a blocking function.
  void shutdown() noexcept;

  /// As it was resolved: no field is 0 or `automatic` that stands for something.
  [[nodiscard]] const Config& config() const noexcept { return config_; }
  [[nodiscard]] unsigned worker_count() const noexcept { return config_.workers; }
  /// Throws std::bad_alloc.
  [[nodiscard]] RuntimeMetrics metrics() const;
  [[nodiscard]] SchedulerInfo scheduler() const noexcept;
  /// The threads of spawn_blocking(), and those of compute() and parallel_for().
  [[nodiscard]] BlockingPool& blocking_pool() noexcept { return blocking_; }
  [[nodiscard]] BlockingPool& compute_pool() noexcept { return compute_; }

  /// For layers above that make tasks of their own: the scheduler that a task of spawn() is made
  /// with, and how it begins then.
  [[nodiscard]] Scheduler& scheduler_for_spawn() noexcept;
  void start(Task& task, Scheduler& scheduler) noexcept;
  /// The same for a task of concurrent(); there must be more than one worker.
  [[nodiscard]] Scheduler& scheduler_elsewhere() noexcept;
  void start_elsewhere(Task& task, Scheduler& scheduler) noexcept;

 private:
  friend class detail::Worker;
  friend class Group;
  friend class detail::ParallelWork;

  // Makes this the current runtime of a thread that is no worker, with a worker's timers and
  // driver.
  class Entered {
   public:
    explicit Entered(Runtime& runtime) noexcept;
    Entered(const Entered&) = delete;
    Entered& operator=(const Entered&) = delete;
    ~Entered();

   private:
    Runtime* outer_;
    time::TimerContext::Scope timers_;
    driver::DriverContext::Scope driver_;
  };
  struct BlockingTask;
  // Tasks that are functions for a pool: schedule() gives them to it.
  class PoolScheduler final : public Scheduler {
   public:
    PoolScheduler(Runtime& runtime, BlockingPool& pool) noexcept : runtime_(runtime), pool_(pool) {}
    void schedule(Task& task) noexcept override;
    void release(Task& task) noexcept override { runtime_.disown(task); }

   private:
    Runtime& runtime_;
    BlockingPool& pool_;
  };
  struct alignas(kCacheLineBytes) Shard {
    Mutex mutex{LockRank::runtime_tasks};
    IntrusiveList<Task, OwnedTag> tasks BLITZIO_GUARDED_BY(mutex);
    bool is_closed BLITZIO_GUARDED_BY(mutex) = false;

    // In a forked child, where the lock may be held for ever.
    void abandon() noexcept BLITZIO_THREAD_ATTRIBUTE(no_thread_safety_analysis) { tasks.abandon(); }
  };
  static constexpr std::size_t kShards = 16;

  explicit Runtime(const Config& config) noexcept;
  [[nodiscard]] Result<void> start_workers() noexcept;
  static void* thread_main(void* worker) noexcept;
  void pin(unsigned index) noexcept;

  void schedule(Task& task) noexcept override;
  void release(Task& task) noexcept override { disown(task); }
  static void refuse(Task& task) noexcept;
  void inject(Task& task) noexcept;

  template <std::invocable F>
  JoinHandle<std::invoke_result_t<F&>> spawn_on(PoolScheduler& scheduler, F function);
  // spawn() and concurrent() of the future that `make(Task&)` gives.
  template <class Make>
  auto spawn_made(Make make) {
    Scheduler& scheduler = scheduler_for_spawn();
    auto [task, handle] = make_task_with(std::move(make), scheduler);
    start(*task, scheduler);
    return std::move(handle);
  }
  template <class Make>
  auto concurrent_made(Make make) -> Result<decltype(spawn_made(std::move(make)))> {
    if (config_.workers == 1) return fail(Error::runtime(RuntimeErrc::concurrency_unavailable));
    Scheduler& scheduler = scheduler_elsewhere();
    auto [task, handle] = make_task_with(std::move(make), scheduler);
    start_elsewhere(*task, scheduler);
    return std::move(handle);
  }
  [[nodiscard]] bool own(Task& task) noexcept;
  void disown(Task& task) noexcept;
  [[nodiscard]] Shard& shard_of(const Task& task) noexcept;
  [[nodiscard]] Task* take_left() noexcept;
  enum class Tasks : std::uint8_t { futures, all };  ///< not those that are functions for a pool
  void end_tasks(Tasks which) noexcept;
  [[nodiscard]] bool cancel(Tasks which) noexcept;
  [[nodiscard]] bool is_function(const Task& task) const noexcept;
  void stop_workers() noexcept;

  [[nodiscard]] bool in_child() const noexcept { return fork_guard_.in_child(); }
  /// Wakes a worker for a task that was queued, if it is worth it.
  void notify() noexcept;
  [[nodiscard]] bool is_stopping() const noexcept {
    // Acquire: pairs with the release in stop_workers().
    return stopping_.load(std::memory_order_acquire) || BLITZIO_UNLIKELY(in_child());
  }
  [[nodiscard]] bool is_stealing() const noexcept {
    return config_.strategy == Strategy::work_stealing;
  }

  [[gnu::tls_model("initial-exec")]] static thread_local constinit Runtime* entered_;

  const Config config_;
  const ForkGuard fork_guard_;
  std::vector<std::unique_ptr<detail::Worker>> workers_;
  std::vector<pthread_t> threads_;
  BlockingPool blocking_;
  BlockingPool compute_;
  PoolScheduler blocking_scheduler_{*this, blocking_};
  PoolScheduler compute_scheduler_{*this, compute_};
  std::array<Shard, kShards> shards_;
  detail::IdleMap idle_;
  detail::Injector injector_;
  // Written once, by shutdown().
  Atomic<bool> stopping_{false};
  // Where the next task from outside goes, with thread_per_core.
  Atomic<std::uint32_t> next_worker_{0};
  detail::RemoteVisits remote_visits_;

  // Starting: how many workers are bound, and what went wrong.
  Mutex starting_mutex_{LockRank::leaf};
  CondVar starting_;
  unsigned started_ BLITZIO_GUARDED_BY(starting_mutex_) = 0;
  std::optional<Error> failure_ BLITZIO_GUARDED_BY(starting_mutex_);
};

template <std::invocable F>
JoinHandle<std::invoke_result_t<F&>> Runtime::spawn_on(PoolScheduler& scheduler, F function) {
  auto [task, handle] = make_task(detail::call_on_poll(std::move(function)), scheduler);
  start(*task, scheduler);
  return std::move(handle);
}

// ---- of the current runtime ------------------------------------------------------------------

/// Runtime::spawn() of the current runtime; there must be one.
template <class F>
auto spawn(F work) {
  Runtime* runtime = Runtime::current();
  BLITZIO_CHECK(runtime != nullptr);  // neither in a task of a Runtime nor in its block_on()
  return runtime->spawn(std::move(work));
}
/// Runtime::spawn_future() of the current runtime; there must be one.
template <Future F>
auto spawn_future(F future) {
  return spawn(std::move(future));
}
/// Runtime::concurrent() of the current runtime; there must be one.
template <class F>
auto concurrent(F work) {
  Runtime* runtime = Runtime::current();
  BLITZIO_CHECK(runtime != nullptr);  // neither in a task of a Runtime nor in its block_on()
  return runtime->concurrent(std::move(work));
}
/// Runtime::spawn_blocking() of the current runtime; on the pool of the process where there is none
/// (process_pool.hpp), as on a LocalExecutor.
template <std::invocable F>
auto spawn_blocking(F function) {
  if (Runtime* runtime = Runtime::current()) return runtime->spawn_blocking(std::move(function));
  return detail::spawn_on_process_pool(std::move(function));
}

/// Runtime::compute() of the current runtime; there must be one.
template <std::invocable F>
auto compute(F function) {
  Runtime* runtime = Runtime::current();
  BLITZIO_CHECK(runtime != nullptr);  // neither in a task of a Runtime nor in its block_on()
  return runtime->compute(std::move(function));
}

/// Makes a runtime, runs `function()` or the future that it returns to its end, and shuts down.
/// Throws std::invalid_argument for what problem_in() finds, and std::system_error or
/// std::runtime_error if the runtime cannot be made.
template <std::invocable F>
auto run_with(const Config& config, F function);
template <std::invocable F>
auto run(F function) {
  return run_with(Config{}, std::move(function));
}

namespace detail {
[[nodiscard]] std::unique_ptr<Runtime> make_runtime_or_throw(const Config& config);
}  // namespace detail

template <std::invocable F>
auto run_with(const Config& config, F function) {
  const std::unique_ptr<Runtime> runtime = detail::make_runtime_or_throw(config);
  return runtime->run(std::move(function));
}

}  // namespace blitzio
