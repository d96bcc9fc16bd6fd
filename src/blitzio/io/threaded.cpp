#include <blitzio/io/threaded.hpp>

#include <blitzio/io/detail/native.hpp>
#include <blitzio/io/detail/threaded_task.hpp>
#include <blitzio/task/thread_parker.hpp>

#include <algorithm>
#include <utility>

namespace blitzio::io {

namespace {

// The most threads that a pool may have.
constexpr std::size_t kThreadsMax = 32'768;

std::size_t processors() noexcept {
  return resolve(blitzio::Config()).workers;
}

// One worker that waits for everybody and runs no task of ours.
std::unique_ptr<Runtime> make_waiter(const driver::Config& driver) {
  blitzio::Config config;
  config.workers = 1;
  config.driver = driver;
  return blitzio::detail::make_runtime_or_throw(config);
}

BlockingPool::Config pool_config(const Threaded::Config& config) noexcept {
  BlockingPool::Config pool;
  pool.threads_max = kThreadsMax;
  pool.keep_alive = config.keep_alive;
  pool.thread_name = "blitzio-io";
  return pool;
}

}  // namespace

namespace detail {

// The task as a future of its thread's block_on().
class ThreadedTask::Drive {
 public:
  using Output = void;
  explicit Drive(ThreadedTask& self) noexcept : self_(self) {}
  Poll<void> poll(Context& context) noexcept {
    // The same thread polls to the end, so its waker stays the same.
    if (self_.thread_.is_empty()) self_.thread_ = context.waker().clone();
    // Acquire: pairs with the release in schedule(), which has read this object before.
    while (self_.is_scheduled_.exchange(false, std::memory_order_acquire)) {
      switch (self_.task_->run()) {
        case Task::RunOutcome::complete:
          return ready;
        case Task::RunOutcome::again:
          // Relaxed: this thread's own.
          self_.is_scheduled_.store(true, std::memory_order_relaxed);
          break;
        case Task::RunOutcome::idle:
          break;
      }
    }
    return pending;
  }

 private:
  ThreadedTask& self_;
};

void ThreadedTask::adopt(Task& task) noexcept {
  task_ = &task;
  const MutexLock lock(owner_.mutex_);
  owner_.tasks_.push_back(*this);
  if (owner_.is_closed_) task.cancel();
}

bool ThreadedTask::run_elsewhere() noexcept {
  return owner_.pool_.submit(*this).has_value();
}

void ThreadedTask::run_here() noexcept {
  owner_.waiter_->block_on(Drive(*this));
  // Its waits may have taken a wake of one that this thread is inside of: that looks again.
  ThreadParker::current().waker().wake();
  delete this;
}

void ThreadedTask::schedule(Task& /*task*/) noexcept {
  Waker thread = thread_.clone();
  // Release: the last access; the thread may run the task to its end and free this.
  is_scheduled_.store(true, std::memory_order_release);
  thread.wake();
}

void ThreadedTask::release(Task& /*task*/) noexcept {
  const MutexLock lock(owner_.mutex_);
  unlink();
  if (has_place_) --owner_.busy_;
}

}  // namespace detail

Threaded::Threaded(const Config& config)
    : async_limit_(std::min(config.async_limit.value_or(processors()), kThreadsMax)),
      concurrent_limit_(std::min(config.concurrent_limit, kThreadsMax)),
      waiter_(make_waiter(config.driver)),
      native_(new detail::Native(detail::DiskWaits::in_place)),
      pool_(pool_config(config)) {}

Threaded::~Threaded() {
  if (BLITZIO_UNLIKELY(fork_guard_.in_child())) {
    abandon_tasks();
    return;
  }
  BLITZIO_CHECK(!pool_.is_own_thread());  // else it would wait for itself
  {
    const MutexLock lock(mutex_);
    is_closed_ = true;
    tasks_.for_each([](detail::ThreadedTask& task) { task.cancel(); });
  }
  pool_.shutdown(true);
}

Threaded::Metrics Threaded::metrics() noexcept {
  const std::size_t threads = pool_.metrics().threads;
  const MutexLock lock(mutex_);
  return {busy_, threads};
}

bool Threaded::take_place(std::size_t limit) noexcept {
  const MutexLock lock(mutex_);
  if (busy_ >= limit) return false;
  ++busy_;
  return true;
}

void Threaded::give_place_back() noexcept {
  const MutexLock lock(mutex_);
  --busy_;
}

Scheduler* Threaded::admit(Start how) noexcept {
  const bool has_place = take_place(how == Start::async ? async_limit_ : concurrent_limit_);
  if (!has_place && how == Start::concurrent) return nullptr;
  return new detail::ThreadedTask(*this, has_place);
}

bool Threaded::start(Scheduler& scheduler, Task& task, Start how) {
  auto& runner = static_cast<detail::ThreadedTask&>(scheduler);
  runner.adopt(task);
  if (runner.has_place() && runner.run_elsewhere()) return true;
  // No thread is to be had, be it by the limit or by the system.
  const bool is_refused = how == Start::concurrent;
  if (is_refused) task.cancel();
  runner.run_here();
  return !is_refused;
}

void Threaded::block_on(AnyFuture<void> work) {
  waiter_->block_on(work);
}

FileSystem& Threaded::fs() noexcept {
  return native_->files;
}
Network& Threaded::net() noexcept {
  return native_->network;
}
Processes& Threaded::process() noexcept {
  return native_->processes;
}
Signals& Threaded::signal() noexcept {
  return native_->signals;
}

}  // namespace blitzio::io
