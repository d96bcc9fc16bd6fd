#include <blitzio/executor/runtime.hpp>

#include <blitzio/base/backoff.hpp>

#include <sched.h>

#include <algorithm>
#include <new>
#include <stdexcept>
#include <system_error>

namespace blitzio {

thread_local constinit Runtime* Runtime::entered_ = nullptr;

// ---- life ------------------------------------------------------------------------------------

Result<std::unique_ptr<Runtime>> Runtime::create(const Config& config) noexcept {
  if (auto valid = validate(config); !valid) return fail(valid.error());
  std::unique_ptr<Runtime> runtime(new (std::nothrow) Runtime(resolve(config)));
  if (runtime == nullptr) return fail(Error::os(ENOMEM));
  if (auto started = runtime->start_workers(); !started) return fail(started.error());
  return runtime;
}

Runtime::Runtime(const Config& config) noexcept
    : config_(config),
      blocking_(
          {.threads_max = config.blocking_threads_max, .keep_alive = config.blocking_keep_alive}),
      compute_({.threads_max = config.compute_threads,
                .keep_alive = config.blocking_keep_alive,
                .thread_name = "blitzio-cpu"}) {}

Runtime::~Runtime() {
  if (BLITZIO_UNLIKELY(in_child())) {
    for (auto& worker : workers_) static_cast<void>(worker.release());
    for (Shard& shard : shards_) shard.abandon();
    injector_.abandon();
    return;
  }
  shutdown();
}

Runtime* Runtime::current() noexcept {
  if (detail::Worker* worker = detail::Worker::current()) return &worker->runtime();
  return entered_;
}

Result<void> Runtime::start_workers() noexcept {
  try {
    workers_.reserve(config_.workers);
    threads_.reserve(config_.workers);
    for (unsigned i = 0; i < config_.workers; ++i) {
      auto driver = driver::create(config_.driver);
      if (!driver) return fail(driver.error());
      workers_.push_back(std::make_unique<detail::Worker>(*this, i, std::move(*driver)));
    }
  } catch (const std::bad_alloc&) {
    return fail(Error::os(ENOMEM));
  }
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  if (config_.stack_bytes != 0) ::pthread_attr_setstacksize(&attributes, config_.stack_bytes);
  int error = 0;
  for (const auto& worker : workers_) {
    pthread_t thread{};
    error = ::pthread_create(&thread, &attributes, thread_main, worker.get());
    if (error != 0) break;
    threads_.push_back(thread);
  }
  ::pthread_attr_destroy(&attributes);
  const MutexLock lock(starting_mutex_);
  while (started_ < threads_.size()) starting_.wait(starting_mutex_);
  if (error != 0) return fail(Error::os(error));
  if (failure_) return fail(*failure_);
  return {};
}

void* Runtime::thread_main(void* data) noexcept {
  auto& worker = *static_cast<detail::Worker*>(data);
  Runtime& runtime = worker.runtime();
  if (runtime.config_.affinity == Affinity::sequential) runtime.pin(worker.index());
  const Result<void> bound = worker.bind();
  {
    const MutexLock lock(runtime.starting_mutex_);
    ++runtime.started_;
    if (!bound) runtime.failure_ = bound.error();
    runtime.starting_.notify_one();
  }
  if (bound) {
    worker.run();
    worker.unbind();
  }
  return nullptr;
}

// Best effort: a container may forbid it, and the worker runs all the same.
void Runtime::pin(unsigned index) noexcept {
  cpu_set_t usable;
  CPU_ZERO(&usable);
  if (::sched_getaffinity(0, sizeof usable, &usable) != 0) return;
  const int count = CPU_COUNT(&usable);
  if (count == 0) return;
  unsigned left = index % static_cast<unsigned>(count);
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &usable) || left-- != 0) continue;
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(cpu, &own);
    ::pthread_setaffinity_np(::pthread_self(), sizeof own, &own);
    return;
  }
}

void Runtime::stop_workers() noexcept {
  // Release: pairs with the acquire in is_stopping().
  stopping_.store(true, std::memory_order_release);
  for (const auto& worker : workers_) worker->wake();
  for (const pthread_t thread : std::exchange(threads_, {})) ::pthread_join(thread, nullptr);
}

void Runtime::shutdown() noexcept {
  if (BLITZIO_UNLIKELY(in_child())) return;
  // Else it would wait for itself.
  BLITZIO_CHECK(detail::Worker::current() == nullptr ||
                &detail::Worker::current()->runtime() != this);
  BLITZIO_CHECK(!blocking_.is_own_thread() && !compute_.is_own_thread());
  stop_workers();
  blocking_.shutdown(false, true);
  compute_.shutdown(false, true);
  // First, for a function may wait for something until the future that wants it is dropped.
  end_tasks(Tasks::futures);
  blocking_.shutdown(true, true);
  compute_.shutdown(true, true);
  end_tasks(Tasks::all);
  for (const auto& worker : workers_) worker->shutdown_driver();
  remote_visits_.wait_until_over();
}

void Runtime::end_tasks(Tasks which) noexcept {
  // Dropping futures may wake and spawn: repeat until nothing is left.
  while (!cancel(which)) {
    Task* task = take_left();
    // Nothing queued, but tasks are left: another thread has claimed them and is about to push.
    if (task == nullptr) yield_thread();
    for (; task != nullptr; task = take_left()) {
      if (task->run() == Task::RunOutcome::again) injector_.push(*task);
    }
  }
}

// Asks these tasks to end; from now on none is taken. Returns whether there is none of them. Only
// this thread runs them by now, so none ends meanwhile.
bool Runtime::cancel(Tasks which) noexcept {
  bool is_empty = true;
  for (Shard& shard : shards_) {
    const MutexLock lock(shard.mutex);
    shard.is_closed = true;
    shard.tasks.for_each([&](Task& task) {
      if (which == Tasks::futures && is_function(task)) return;
      is_empty = false;
      task.cancel();
    });
  }
  return is_empty;
}

bool Runtime::is_function(const Task& task) const noexcept {
  return &task.scheduler() == &blocking_scheduler_ || &task.scheduler() == &compute_scheduler_;
}

Task* Runtime::take_left() noexcept {
  if (Task* task = injector_.pop(1)) return task;
  for (const auto& worker : workers_) {
    if (Task* task = worker->take_left()) return task;
  }
  return nullptr;
}

// ---- tasks -----------------------------------------------------------------------------------

Scheduler& Runtime::scheduler_for_spawn() noexcept {
  if (config_.strategy != Strategy::thread_per_core) return *this;
  detail::Worker* worker = detail::Worker::current();
  if (worker != nullptr && &worker->runtime() == this) return *worker;
  // Relaxed: only spreads the load.
  return *workers_[next_worker_.fetch_add(1, std::memory_order_relaxed) % workers_.size()];
}

// Of a worker that is not the caller's.
Scheduler& Runtime::scheduler_elsewhere() noexcept {
  Scheduler& scheduler = scheduler_for_spawn();
  if (&scheduler != detail::Worker::current()) return scheduler;
  const std::size_t next = detail::Worker::current()->index() + 1;
  return *workers_[next % workers_.size()];
}

void Runtime::start(Task& task, Scheduler& scheduler) noexcept {
  if (BLITZIO_LIKELY(own(task))) {
    scheduler.schedule(task);
  } else {
    refuse(task);
  }
}

void Runtime::start_elsewhere(Task& task, Scheduler& scheduler) noexcept {
  if (!own(task)) {
    refuse(task);
  } else if (&scheduler == this) {
    inject(task);
  } else {
    scheduler.schedule(task);
  }
}

// Stopped: the task ends here, and its joiner sees "cancelled".
void Runtime::refuse(Task& task) noexcept {
  task.cancel();
  static_cast<void>(task.run());
}

Runtime::Shard& Runtime::shard_of(const Task& task) noexcept {
  // Tasks are at least 64 bytes apart; what varies lies above.
  return shards_[(reinterpret_cast<std::uintptr_t>(&task) >> 7) % kShards];
}

bool Runtime::own(Task& task) noexcept {
  if (BLITZIO_UNLIKELY(in_child())) return false;
  Shard& shard = shard_of(task);
  const MutexLock lock(shard.mutex);
  if (shard.is_closed) return false;
  shard.tasks.push_back(task);
  return true;
}

void Runtime::disown(Task& task) noexcept {
  if (BLITZIO_UNLIKELY(in_child())) return;
  Shard& shard = shard_of(task);
  const MutexLock lock(shard.mutex);
  auto& node = static_cast<ListNode<OwnedTag>&>(task);
  if (BLITZIO_LIKELY(node.is_linked())) node.unlink();
}

void Runtime::schedule(Task& task) noexcept {
  if (BLITZIO_UNLIKELY(in_child())) return;
  detail::Worker* worker = detail::Worker::current();
  if (worker != nullptr && &worker->runtime() == this) {
    worker->schedule_local(task);
  } else {
    inject(task);
  }
}

// Where any worker may take it.
void Runtime::inject(Task& task) noexcept {
  const detail::RemoteVisits::Visit visit(remote_visits_);
  injector_.push(task);
  notify();
}

void Runtime::notify() noexcept {
  if (const auto index = idle_.choose()) workers_[*index]->wake();
}

SchedulerInfo Runtime::scheduler() const noexcept {
  std::size_t queued = injector_.size();
  for (const auto& worker : workers_) queued += worker->metrics().queued;
  return {config_.strategy, config_.workers, idle_.sleeping(), queued};
}

RuntimeMetrics Runtime::metrics() const {
  RuntimeMetrics metrics;
  metrics.workers.reserve(workers_.size());
  for (const auto& worker : workers_) metrics.workers.push_back(worker->metrics());
  metrics.injected = injector_.size();
  metrics.blocking = blocking_.metrics();
  metrics.compute = compute_.metrics();
  return metrics;
}

// ---- threads that are no workers -------------------------------------------------------------

Runtime::Entered::Entered(Runtime& runtime) noexcept : outer_(std::exchange(entered_, &runtime)) {
  timers_.enter(runtime.workers_.front()->timers());
  driver_.enter(runtime.workers_.front()->driver(), false);
}

Runtime::Entered::~Entered() {
  driver_.leave();
  timers_.leave();
  entered_ = outer_;
}

// A task on its way to a thread of the pool.
struct Runtime::BlockingTask : BlockingJob {
  BlockingTask(Runtime& owner, Task& blocking_task) noexcept
      : BlockingJob(run_task, drop_task), runtime(owner), task(blocking_task) {}

  static void run_task(BlockingJob& job) noexcept {
    const auto own = std::unique_ptr<BlockingTask>(static_cast<BlockingTask*>(&job));
    const Entered entered(own->runtime);
    static_cast<void>(own->task.run());
  }
  static void drop_task(BlockingJob& job) noexcept {
    static_cast<BlockingTask&>(job).task.cancel();
    run_task(job);
  }

  Runtime& runtime;
  Task& task;
};

void Runtime::PoolScheduler::schedule(Task& task) noexcept {
  auto* job = new (std::nothrow) BlockingTask(runtime_, task);
  if (job != nullptr && pool_.submit(*job)) return;
  delete job;
  // No thread is to be had: the joiner sees "cancelled".
  task.cancel();
  static_cast<void>(task.run());
}

std::unique_ptr<Runtime> detail::make_runtime_or_throw(const Config& config) {
  if (const auto problem = problem_in(config)) throw std::invalid_argument(problem->text);
  auto runtime = Runtime::create(config);
  if (runtime) return std::move(*runtime);
  const Error error = runtime.error();
  if (error.domain() == ErrorDomain::os) {
    throw std::system_error(error.code(), std::generic_category(), "Runtime::create");
  }
  throw std::runtime_error("Runtime::create: " + error.message());
}

}  // namespace blitzio
