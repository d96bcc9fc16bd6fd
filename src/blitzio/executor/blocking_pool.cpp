#include <blitzio/executor/blocking_pool.hpp>

#include <blitzio/base/adaptive_spin.hpp>
#include <blitzio/base/atomic.hpp>
#include <blitzio/base/check.hpp>
#include <blitzio/base/intrusive_list.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/base/native_thread.hpp>
#include <blitzio/base/park_word.hpp>

#include <pthread.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <new>
#include <utility>

namespace blitzio {

// The pool's shared half: owned by the pool and by every thread.
class BlockingPool::State {
 public:
  explicit State(const Config& config) noexcept : config_(config) {
    BLITZIO_CHECK(config.threads_max >= 1 && config.threads_max <= kThreadsMax, config.threads_max);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Result<void> submit(Job& job) noexcept BLITZIO_EXCLUDES(mutex_);
  void shutdown(bool cancel_pending) noexcept BLITZIO_EXCLUDES(mutex_);
  bool wait_until_ended(Instant deadline) noexcept BLITZIO_EXCLUDES(mutex_);
  [[nodiscard]] bool is_shut_down() noexcept BLITZIO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return is_shut_down_;
  }
  [[nodiscard]] Metrics metrics() noexcept BLITZIO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return {alive_, idle_count_, queued_count_};
  }
  [[nodiscard]] bool is_own_thread() const noexcept {
    return current_ != nullptr && current_->state == this;
  }
  static void expect_idle() noexcept;
  void release_ref() noexcept {
    // Acquire-release: the last owner sees everybody's accesses; pairs with itself.
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 private:
  // A thread's place in the pool. Places are used again and freed with the pool alone, so a
  // notification may come late, after the thread that it was for has gone.
  struct Worker : ListNode<> {
    /// Any thread.
    void wake() noexcept {
      if (park.notify()) park.interrupt();
    }
    /// Until it is woken, or `deadline`. Returns false if that has passed.
    bool sleep(Instant deadline) noexcept;

    State* state = nullptr;
    std::size_t number = 0;
    Worker* next_made = nullptr;  // all places, to free them
    Worker* next_free = nullptr;  // places without a thread
    Job* job = nullptr;           // handed over while listed as idle, or before the thread starts
    bool is_expected = false;     // its job has said that it ends: listed, or handed a job since
    ParkWord park;
    AdaptiveSpin spin;
  };

  ~State() {
    BLITZIO_CHECK(alive_ == 0 && queue_head_ == nullptr, alive_);
    while (made_ != nullptr) delete std::exchange(made_, made_->next_made);
  }

  struct Called {
    bool has_job = false;
    Worker* sleeper = nullptr;  // to be notified, without the lock
    int error = 0;              // of creating a thread
  };
  Called call_for(Job& job) noexcept BLITZIO_REQUIRES(mutex_);
  Worker* call_for_rest() noexcept BLITZIO_REQUIRES(mutex_);
  int start_thread(Job& job) noexcept BLITZIO_REQUIRES(mutex_);
  void end_expectation(Worker& worker) noexcept BLITZIO_REQUIRES(mutex_);
  void list_idle(Worker& worker) noexcept BLITZIO_REQUIRES(mutex_);
  void unlist_idle(Worker& worker) noexcept BLITZIO_REQUIRES(mutex_);
  static void* thread_main(void* worker) noexcept;
  void run_worker(Worker& worker) noexcept BLITZIO_EXCLUDES(mutex_);
  Job* first_job(Worker& worker) noexcept BLITZIO_EXCLUDES(mutex_);
  Job* next_job(Worker& worker) noexcept BLITZIO_EXCLUDES(mutex_);
  bool await_call(Worker& worker) noexcept BLITZIO_REQUIRES(mutex_);
  struct Taken {
    Job* job = nullptr;
    Worker* sleeper = nullptr;  // to be notified, as above
  };
  Taken take(Worker& worker) noexcept BLITZIO_REQUIRES(mutex_);
  void push(Job& job) noexcept BLITZIO_REQUIRES(mutex_);
  Job* pop() noexcept BLITZIO_REQUIRES(mutex_);

  [[gnu::tls_model("initial-exec")]] static thread_local constinit Worker* current_;

  const Config config_;
  Mutex mutex_{LockRank::blocking_pool};
  CondVar all_ended_;
  Job* queue_head_ BLITZIO_GUARDED_BY(mutex_) = nullptr;
  Job* queue_tail_ BLITZIO_GUARDED_BY(mutex_) = nullptr;
  std::size_t queued_count_ BLITZIO_GUARDED_BY(mutex_) = 0;
  IntrusiveList<Worker> idle_ BLITZIO_GUARDED_BY(mutex_);  // front: idle for the shortest time
  std::size_t idle_count_ BLITZIO_GUARDED_BY(mutex_) = 0;
  // Threads that will look at the queue again. While the queue is not empty there is at least one.
  std::size_t working_ BLITZIO_GUARDED_BY(mutex_) = 0;
  // That of them that was woken or created and has not looked yet: nobody else is called until
  // then.
  Worker* called_ BLITZIO_GUARDED_BY(mutex_) = nullptr;
  std::size_t alive_ BLITZIO_GUARDED_BY(mutex_) = 0;  // and those that are running their stop hook
  std::size_t made_count_ BLITZIO_GUARDED_BY(mutex_) = 0;
  Worker* made_ = nullptr;  // guarded by mutex_, and by the last reference in the destructor
  Worker* free_ BLITZIO_GUARDED_BY(mutex_) = nullptr;
  bool is_shut_down_ BLITZIO_GUARDED_BY(mutex_) = false;
  // Counted by the pool and its threads.
  Atomic<std::size_t> refs_{1};
  const ForkGuard fork_guard_;
};

thread_local constinit BlockingPool::State::Worker* BlockingPool::State::current_ = nullptr;

// ---- the pool's side -------------------------------------------------------------------------

Result<void> BlockingPool::State::submit(Job& job) noexcept {
  MutexLock lock(mutex_);
  if (is_shut_down_) return fail(Error::runtime(RuntimeErrc::shut_down));
  // Who submits is still at work, whatever it said, and may wait for this one.
  if (is_own_thread()) end_expectation(*current_);
  const Called called = call_for(job);
  if (called.error != 0 && working_ == 0) return fail(Error::os(called.error));
  if (!called.has_job) push(job);
  lock.unlock();
  if (called.sleeper != nullptr) called.sleeper->wake();
  return {};
}

// Hands it to a thread that has nothing else to do, unless one is on its way or there is no room.
BlockingPool::State::Called BlockingPool::State::call_for(Job& job) noexcept {
  if (called_ != nullptr) return {};
  if (Worker* worker = idle_.pop_front()) {
    --idle_count_;
    worker->job = &job;
    // It looks before it sleeps, whatever it is at. Further jobs call others, should it take long.
    if (worker->is_expected) return {.has_job = true};
    called_ = worker;
    return {.has_job = true, .sleeper = worker};
  }
  if (working_ == config_.threads_max) return {};
  const int error = start_thread(job);
  return {.has_job = error == 0, .error = error};
}

// The same for the oldest jobs of the queue, until one is called. Returns whom to notify.
BlockingPool::State::Worker* BlockingPool::State::call_for_rest() noexcept {
  while (queue_head_ != nullptr) {
    Job* next = queue_head_->next;
    const Called called = call_for(*queue_head_);
    if (!called.has_job) return nullptr;
    queue_head_ = next;
    --queued_count_;
    if (called.sleeper != nullptr) return called.sleeper;
  }
  return nullptr;
}

// Creates the thread with the lock held, so that whoever fails knows whether others are there to
// take the job.
int BlockingPool::State::start_thread(Job& job) noexcept {
  Worker* worker = free_;
  if (worker != nullptr) {
    free_ = worker->next_free;
  } else {
    worker = new (std::nothrow) Worker;
    if (worker == nullptr) return ENOMEM;
    worker->state = this;
    worker->number = made_count_++;
    worker->next_made = std::exchange(made_, worker);
  }
  worker->job = &job;
  ++working_;
  ++alive_;
  // Relaxed: the caller holds a reference itself.
  refs_.fetch_add(1, std::memory_order_relaxed);

  const int error =
      start_detached_thread([](void* data) -> void* { return thread_main(data); }, worker);
  if (error == 0) {
    called_ = worker;
  } else {
    worker->job = nullptr;
    worker->next_free = std::exchange(free_, worker);
    --working_;
    --alive_;
    // Relaxed: the caller's own reference is left.
    refs_.fetch_sub(1, std::memory_order_relaxed);
  }
  return error;
}

void BlockingPool::State::shutdown(bool cancel_pending) noexcept {
  Job* dropped = nullptr;
  {
    const MutexLock lock(mutex_);
    is_shut_down_ = true;
    if (cancel_pending) {
      dropped = std::exchange(queue_head_, nullptr);
      queued_count_ = 0;
    }
    // Woken with the lock held, unlike elsewhere: it happens once, and the list must not change.
    idle_.for_each([](Worker& worker) { worker.wake(); });
  }
  while (dropped != nullptr) {
    Job& job = *std::exchange(dropped, dropped->next);
    job.drop(job);
  }
}

bool BlockingPool::State::wait_until_ended(Instant deadline) noexcept {
  const MutexLock lock(mutex_);
  while (alive_ != 0) {
    if (!all_ended_.wait_until(mutex_, deadline)) return alive_ == 0;
  }
  return true;
}

void BlockingPool::State::push(Job& job) noexcept {
  job.next = nullptr;
  if (queue_head_ == nullptr) {
    queue_head_ = &job;
  } else {
    queue_tail_->next = &job;
  }
  queue_tail_ = &job;
  ++queued_count_;
}

BlockingPool::Job* BlockingPool::State::pop() noexcept {
  Job* job = queue_head_;
  if (job != nullptr) {
    queue_head_ = job->next;
    --queued_count_;
  }
  return job;
}

// ---- a thread's side -------------------------------------------------------------------------

void* BlockingPool::State::thread_main(void* data) noexcept {
  auto& worker = *static_cast<Worker*>(data);
  State& state = *worker.state;
  std::array<char, 16> name{};
  std::snprintf(name.data(), name.size(), "%s-%zu", state.config_.thread_name,
                worker.number % 1'000);
  pthread_setname_np(pthread_self(), name.data());
  current_ = &worker;
  state.run_worker(worker);
  if (BLITZIO_LIKELY(!state.fork_guard_.in_child())) state.release_ref();
  return nullptr;
}

void BlockingPool::State::run_worker(Worker& worker) noexcept {
  // Before the hook, which may take its time: until this thread has looked, no other is called.
  Job* job = first_job(worker);
  if (config_.on_thread_start != nullptr) config_.on_thread_start(config_.hook_data);
  for (; job != nullptr; job = next_job(worker)) {
    job->run(*job);  // the job may be gone afterwards
    if (BLITZIO_UNLIKELY(fork_guard_.in_child())) break;
  }
  if (config_.on_thread_stop != nullptr) config_.on_thread_stop(config_.hook_data);
  if (BLITZIO_UNLIKELY(fork_guard_.in_child())) return;
  MutexLock lock(mutex_);
  worker.next_free = std::exchange(free_, &worker);
  const bool is_last = --alive_ == 0;
  lock.unlock();
  if (is_last) all_ended_.notify_all();  // this thread's reference keeps it there
}

BlockingPool::Job* BlockingPool::State::first_job(Worker& worker) noexcept {
  Taken taken;
  {
    const MutexLock lock(mutex_);
    taken = take(worker);
  }
  if (taken.sleeper != nullptr) taken.sleeper->wake();
  return taken.job;
}

// Null: the thread shall end, and does not count as working any more.
BlockingPool::Job* BlockingPool::State::next_job(Worker& worker) noexcept {
  Taken taken;
  {
    const MutexLock lock(mutex_);
    end_expectation(worker);
    taken = take(worker);
    while (taken.job == nullptr && !is_shut_down_ && await_call(worker)) taken = take(worker);
    if (taken.job == nullptr) --working_;
  }
  if (taken.sleeper != nullptr) taken.sleeper->wake();
  return taken.job;
}

// False: nobody has called it for too long, or the pool is shut down.
bool BlockingPool::State::await_call(Worker& worker) noexcept {
  list_idle(worker);
  const Instant deadline = Instant::now() + config_.keep_alive;
  bool is_young = true;
  while (worker.job == nullptr && !is_shut_down_ && is_young) {
    mutex_.unlock();
    is_young = worker.sleep(deadline);
    mutex_.lock();
  }
  // A job that came with the last tick still counts: it was handed to this thread alone.
  if (worker.job != nullptr) return true;
  unlist_idle(worker);
  return false;
}

// The queue comes first: with jobs in it the thread will not be idle.
void BlockingPool::State::expect_idle() noexcept {
  Worker* worker = current_;
  if (worker == nullptr) return;
  State& state = *worker->state;
  if (BLITZIO_UNLIKELY(state.fork_guard_.in_child())) return;
  const MutexLock lock(state.mutex_);
  // One that has a job already gets no other: it would take its place.
  if (worker->is_expected || worker->job != nullptr || state.queue_head_ != nullptr) return;
  worker->is_expected = true;
  state.list_idle(*worker);
}

void BlockingPool::State::end_expectation(Worker& worker) noexcept {
  if (std::exchange(worker.is_expected, false) && worker.job == nullptr) unlist_idle(worker);
}

void BlockingPool::State::list_idle(Worker& worker) noexcept {
  idle_.push_front(worker);
  ++idle_count_;
}

void BlockingPool::State::unlist_idle(Worker& worker) noexcept {
  worker.unlink();
  --idle_count_;
}

bool BlockingPool::State::Worker::sleep(Instant deadline) noexcept {
  bool is_young = true;
  if (!spin.until([this] { return park.is_notified(); }) && park.begin_sleep()) {
    is_young = park.sleep(deadline);
  }
  park.end_sleep();
  return is_young;
}

// The job that was handed to it, or the oldest; and sees to it that somebody comes for the others.
BlockingPool::State::Taken BlockingPool::State::take(Worker& worker) noexcept {
  Taken taken{.job = std::exchange(worker.job, nullptr)};
  if (taken.job == nullptr) taken.job = pop();
  if (called_ == &worker) called_ = nullptr;
  taken.sleeper = call_for_rest();
  return taken;
}

// ---- the handle ------------------------------------------------------------------------------

BlockingPool::BlockingPool(const Config& config) noexcept : state_(new State(config)) {}

BlockingPool::~BlockingPool() {
  if (BLITZIO_UNLIKELY(fork_guard_.in_child())) return;
  if (!state_->is_shut_down()) shutdown(true);
  state_->release_ref();
}

Result<void> BlockingPool::submit(Job& job) noexcept {
  if (BLITZIO_UNLIKELY(fork_guard_.in_child())) return fail(Error::runtime(RuntimeErrc::shut_down));
  return state_->submit(job);
}

void BlockingPool::shutdown(bool wait, bool cancel_pending) noexcept {
  if (BLITZIO_UNLIKELY(fork_guard_.in_child())) return;
  state_->shutdown(cancel_pending);
  if (wait) state_->wait_until_ended(Instant::max());
}

bool BlockingPool::wait_until_ended(Instant deadline) noexcept {
  return BLITZIO_UNLIKELY(fork_guard_.in_child()) || state_->wait_until_ended(deadline);
}

void BlockingPool::expect_idle() noexcept {
  State::expect_idle();
}

bool BlockingPool::is_own_thread() const noexcept {
  return state_->is_own_thread();
}

BlockingPool::Metrics BlockingPool::metrics() const noexcept {
  if (BLITZIO_UNLIKELY(fork_guard_.in_child())) return {};
  return state_->metrics();
}

}  // namespace blitzio
