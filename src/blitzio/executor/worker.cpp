#include <blitzio/executor/worker.hpp>

#include <blitzio/executor/runtime.hpp>

#include <algorithm>
#include <utility>

namespace blitzio::detail {

thread_local constinit Worker* Worker::current_ = nullptr;

Worker::Worker(Runtime& runtime, unsigned index, std::unique_ptr<driver::Driver> driver) noexcept
    : runtime_(runtime),
      index_(index),
      driver_(std::move(driver)),
      random_(0x9E3779B9U * (index + 1)),
      timers_([](void* data) noexcept { static_cast<Worker*>(data)->wake(); }, this) {}

WorkerMetrics Worker::metrics() const noexcept {
  // Relaxed, all: plain counters.
  return {polls_.load(std::memory_order_relaxed), steals_.load(std::memory_order_relaxed),
          parks_.load(std::memory_order_relaxed), yields_.load(std::memory_order_relaxed),
          ring_.size()};
}

void Worker::count(Atomic<std::uint64_t>& counter) noexcept {
  // Relaxed, both: only this thread writes it.
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

std::uint32_t Worker::random_below(std::uint32_t limit) noexcept {
  // Marsaglia's xorshift; any victim will do.
  random_ ^= random_ << 13;
  random_ ^= random_ >> 17;
  random_ ^= random_ << 5;
  return static_cast<std::uint32_t>((std::uint64_t{random_} * limit) >> 32);
}

// ---- life ------------------------------------------------------------------------------------

Result<void> Worker::bind() noexcept {
  if (auto bound = driver_->bind(); !bound) return bound;
  current_ = this;
  timer_scope_.enter(timers_);
  return {};
}

void Worker::unbind() noexcept {
  timer_scope_.leave();
  current_ = nullptr;
  driver_->unbind();
}

void Worker::run() noexcept {
  while (!runtime_.is_stopping()) {
    unsigned polls = 0;
    while (polls < kPollsPerTick) {
      Task* task = next_task();
      if (task == nullptr) break;
      run_task(*task);
      ++polls;
    }
    if (polls == kPollsPerTick) count(yields_);
    turn();
    if (has_local()) continue;
    if (Task* task = find_work()) {
      run_task(*task);
    } else {
      park();
    }
  }
}

void Worker::run_task(Task& task) noexcept {
  count(polls_);
  is_running_task_ = true;
  const Task::RunOutcome outcome = task.run();
  is_running_task_ = false;
  if (outcome == Task::RunOutcome::again) push_back(task);
}

// I/O and timers; never blocks.
void Worker::turn() noexcept {
  driver_->collect();
  if (driver_->has_completions()) driver_->dispatch();
  if (!timers_.is_empty()) timers_.advance(Instant::now());
  drain_inbox();
}

void Worker::park() noexcept {
  runtime_.idle_.sleep(index_, std::exchange(is_searching_, false));
  if (!has_work_anywhere() && !runtime_.is_stopping()) {
    count(parks_);
    const Instant until = timers_.before_sleep();
    driver_->wait(until == Instant::max() ? Duration::max() : until - Instant::now());
    timers_.after_sleep();
  }
  is_searching_ = runtime_.idle_.wake_up(index_);
  turn();
  // Woken to search, but there is work of its own: somebody else shall search.
  if (has_local()) found_work();
}

// The last look before sleeping; see idle_map.hpp.
bool Worker::has_work_anywhere() const noexcept {
  if (!inbox_.is_empty() || !runtime_.injector_.is_empty()) return true;
  if (!runtime_.is_stealing()) return false;
  return std::ranges::any_of(runtime_.workers_,
                             [](const auto& worker) { return worker->has_stealable(); });
}

// ---- finding tasks ---------------------------------------------------------------------------

Task* Worker::next_task() noexcept {
  if (++tick_ % kInjectorInterval == 0) {
    if (Task* task = runtime_.injector_.pop(1)) return task;
  }
  return next_local();
}

Task* Worker::next_local() noexcept {
  if (lifo_ != nullptr && lifo_polls_ < kLifoPollsMax) {
    ++lifo_polls_;
    return std::exchange(lifo_, nullptr);
  }
  lifo_polls_ = 0;
  Task* task = ring_.pop();
  if (task == nullptr) return std::exchange(lifo_, nullptr);
  return task;
}

// Takes this worker's share: one to run, the others into the ring, which is empty.
Task* Worker::from_injector() noexcept {
  Injector& injector = runtime_.injector_;
  const std::size_t share = injector.size() / runtime_.worker_count() + 1;
  Task* first = injector.pop(std::min<std::size_t>(share, LocalRing::kSlots / 2));
  if (first == nullptr) return nullptr;
  for (InboxNode* rest = std::exchange(first->inbox_next, nullptr); rest != nullptr;) {
    auto& task = static_cast<Task&>(*rest);
    rest = std::exchange(rest->inbox_next, nullptr);
    push_back(task);
  }
  return first;
}

Task* Worker::steal() noexcept {
  const auto& workers = runtime_.workers_;
  const auto number = static_cast<std::uint32_t>(workers.size());
  const std::uint32_t start = random_below(number);
  for (std::uint32_t i = 0; i < number; ++i) {
    Worker& victim = *workers[(start + i) % number];
    if (&victim == this) continue;
    if (Task* task = victim.steal_into(ring_)) {
      count(steals_);
      return task;
    }
  }
  return nullptr;
}

Task* Worker::find_work() noexcept {
  if (Task* task = from_injector()) {
    found_work();
    return task;
  }
  if (!runtime_.is_stealing()) return nullptr;
  if (!is_searching_) {
    is_searching_ = runtime_.idle_.begin_search();
    // Somebody else searches; he will wake us if there is more than one worker's work.
    if (!is_searching_) return nullptr;
  }
  Task* task = steal();
  if (task == nullptr) task = from_injector();
  if (task != nullptr) found_work();
  return task;
}

void Worker::found_work() noexcept {
  if (std::exchange(is_searching_, false) && runtime_.idle_.end_search()) runtime_.notify();
}

// ---- queueing --------------------------------------------------------------------------------

void Worker::push_back(Task& task) noexcept {
  if (BLITZIO_UNLIKELY(!ring_.push(task))) overflow(task);
}

// The ring is full: half of it goes where all can take it, so that the next pushes are cheap.
void Worker::overflow(Task& task) noexcept {
  if (!runtime_.is_stealing()) {
    inbox_.push(task);
    return;
  }
  task.inbox_next = nullptr;
  Task* first = &task;
  Task* newest = nullptr;  // of those from the ring
  std::size_t number = 1;
  for (; number <= LocalRing::kSlots / 2; ++number) {
    Task* oldest = ring_.pop();
    if (oldest == nullptr) break;  // thieves were faster
    oldest->inbox_next = &task;
    if (newest == nullptr) {
      first = oldest;
    } else {
      newest->inbox_next = oldest;
    }
    newest = oldest;
  }
  runtime_.injector_.push_chain(*first, task, number);
}

void Worker::schedule_local(Task& task) noexcept {
  Task* to_ring = &task;
  if (is_running_task_) to_ring = std::exchange(lifo_, &task);
  if (to_ring == nullptr) return;
  push_back(*to_ring);
  if (runtime_.is_stealing() && runtime_.idle_.may_choose()) runtime_.notify();
}

void Worker::schedule(Task& task) noexcept {
  if (current_ == this) {
    schedule_local(task);
    return;
  }
  // Relaxed: as in Runtime::schedule().
  runtime_.remote_schedulers_.fetch_add(1, std::memory_order_relaxed);
  inbox_.push(task);
  wake();
  // Release: the last access to the runtime; pairs with the acquire in Runtime::shutdown().
  runtime_.remote_schedulers_.fetch_sub(1, std::memory_order_release);
}

void Worker::release(Task& task) noexcept {
  runtime_.disown(task);
}

void Worker::drain_inbox() noexcept {
  // Only as many as fit: an overflow would come back here.
  inbox_.take_all([this](Task& task) {
    if (!ring_.push(task)) inbox_.push(task);
  });
}

// ---- the end ---------------------------------------------------------------------------------

Task* Worker::take_left() noexcept {
  if (lifo_ != nullptr) return std::exchange(lifo_, nullptr);
  if (Task* task = ring_.pop()) return task;
  drain_inbox();
  return ring_.pop();
}

void Worker::shutdown_driver() noexcept {
  driver_->shutdown();
}

}  // namespace blitzio::detail
