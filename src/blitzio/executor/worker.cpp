#include <blitzio/executor/worker.hpp>

#include <blitzio/base/frame_pool.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/task/block_on.hpp>

#include <algorithm>
#include <utility>

namespace blitzio::detail {

thread_local constinit Worker* Worker::current_ = nullptr;

Worker::Worker(Runtime& runtime, unsigned index, std::unique_ptr<driver::Driver> driver)
    : runtime_(runtime),
      index_(index),
      driver_(std::move(driver)),
      random_(0x9E3779B9U * (index + 1)),
      idling_(runtime.idle_, index),
      seen_(runtime.worker_count()),
      timers_([](void* data) noexcept { static_cast<Worker*>(data)->wake(); }, this,
              runtime.config().timer_tick, runtime.config().timers_max) {}

WorkerMetrics Worker::metrics() const noexcept {
  // Relaxed: plain counters.
  const auto read = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
  return {.polls = read(polls_),
          .steals = read(steals_),
          .parks = read(parks_),
          .yields = read(yields_),
          .queued = stealable() + read(backlog_size_),
          .io_submitted = read(io_submitted_),
          .io_completed = read(io_completed_)};
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
  before_blocking = [] noexcept { current_->share_slot(); };
  if (!runtime_.config().task_pooling) FramePool::disable_on_this_thread();
  timer_scope_.enter(timers_);
  driver_scope_.enter(*driver_, true);
  return {};
}

void Worker::unbind() noexcept {
  driver_scope_.leave();
  timer_scope_.leave();
  before_blocking = nullptr;
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
      if (BLITZIO_UNLIKELY(driver_->in_child())) return;
    }
    if (polls == kPollsPerTick) count(yields_);
    turn();
    if (has_local()) {
      idling_.found_work(*this);
      continue;
    }
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
  // Relaxed, both: as count().
  io_submitted_.store(driver_->metrics().submitted, std::memory_order_relaxed);
  io_completed_.store(driver_->metrics().completed, std::memory_order_relaxed);
  if (!timers_.is_empty()) timers_.advance(Instant::now());
  drain_inbox();
}

void Worker::park() noexcept {
  idling_.park(*this);
  turn();
  if (has_local()) idling_.found_work(*this);
}

void Worker::sleep(bool stands_by) noexcept {
  count(parks_);
  FramePool::share();
  const Instant until = timers_.before_sleep();
  const Duration to_timer = until == Instant::max() ? Duration::max() : until - Instant::now();
  driver_->wait(stands_by ? std::min(to_timer, kLookInterval) : to_timer);
  timers_.after_sleep();
}

bool Worker::has_own() const noexcept {
  return !inbox_.is_empty() || runtime_.is_stopping();
}

bool Worker::has_injected() const noexcept {
  return !runtime_.injector_.is_empty();
}

bool Worker::has_spare() const noexcept {
  return runtime_.is_stealing() && has_stealable_anywhere();
}

void Worker::wake_one() noexcept {
  runtime_.notify();
}

void Worker::offer_spare() noexcept {
  if (!runtime_.is_stealing() || !runtime_.idle_.may_choose()) return;
  const auto index = runtime_.idle_.choose();
  if (!index) return;
  Worker& chosen = *runtime_.workers_[*index];
  // It counts as searching from now on, so that nobody is woken for the injector either.
  const bool is_in_time =
      !has_injected() && chosen.timers_.wakes_by(Instant::now() + kLookInterval);
  if (!is_in_time) chosen.wake();
}

bool Worker::has_stealable_anywhere() const noexcept {
  return std::ranges::any_of(runtime_.workers_,
                             [](const auto& worker) { return worker->has_stealable(); });
}

// ---- finding tasks ---------------------------------------------------------------------------

Task* Worker::next_task() noexcept {
  Task* task = nullptr;
  if (++tick_ % kInjectorInterval == 0) {
    task = runtime_.injector_.pop(1);
    // Whoever woke up to search has found something this way, too.
    if (task != nullptr) idling_.found_work(*this);
  } else if (tick_ % kInjectorInterval == kInjectorInterval / 2) {
    task = overflow_.pop(1);
  }
  if (task == nullptr && lifo_ != nullptr && lifo_polls_ < kLifoPollsMax) {
    ++lifo_polls_;
    task = std::exchange(lifo_, nullptr);
  }
  if (task != nullptr) {
    offer_ring();
    return task;
  }
  task = next_queued();
  // Tasks are left for others; pop(), or queueing them behind the ring, has announced them.
  if (stealable() != 0) offer_spare();
  return task;
}

// Tasks are left for others, and nobody has been woken for them yet. All may be behind the ring: as
// long as a thief copies one half of it, it is full, and overflow() takes the other.
void Worker::offer_ring() noexcept {
  if (stealable() == 0 || !runtime_.is_stealing()) return;
  ring_.announce();
  offer_spare();
}

Task* Worker::next_queued() noexcept {
  lifo_polls_ = 0;
  if (Task* task = ring_.pop()) return task;
  if (BLITZIO_UNLIKELY(!backlog_.is_empty())) return from_backlog();
  if (BLITZIO_UNLIKELY(!overflow_.is_empty())) {
    if (Task* task = keep(overflow_.pop(LocalRing::kSlots / 2))) {
      // They were in no queue for a moment.
      offer_ring();
      return task;
    }
  }
  return std::exchange(lifo_, nullptr);
}

// Takes the oldest to run, and as many behind it as the ring, which is empty, has room for.
Task* Worker::from_backlog() noexcept {
  Task* first = backlog_.pop();
  std::uint32_t number = 1;
  for (; Task* next = backlog_.peek(); ++number) {
    if (!ring_.push(*next)) break;
    static_cast<void>(backlog_.pop());
  }
  add_to_backlog_size(-number);
  return first;
}

// Takes this worker's share among those that are awake: one to run, the others into the ring, which
// is empty.
Task* Worker::from_injector() noexcept {
  Injector& injector = runtime_.injector_;
  const std::size_t waiting = injector.size();
  if (waiting == 0) return nullptr;
  const unsigned awake = std::max(runtime_.worker_count() - runtime_.idle_.sleeping(), 1U);
  const std::size_t share = (waiting + awake - 1) / awake;
  return keep(injector.pop(std::min<std::size_t>(share, LocalRing::kSlots / 2)));
}

// Takes over a chain of tasks, if there is one: returns the first, to be run, and puts the others
// into the ring.
Task* Worker::keep(Task* chain) noexcept {
  if (chain == nullptr) return nullptr;
  for (InboxNode* rest = std::exchange(chain->inbox_next, nullptr); rest != nullptr;) {
    auto& task = static_cast<Task&>(*rest);
    rest = std::exchange(rest->inbox_next, nullptr);
    push_back(task);
  }
  return chain;
}

// Whether a worker has tasks to spare that it will not get to soon; see the top of worker.hpp.
bool Worker::is_worth_stealing() noexcept {
  const auto& workers = runtime_.workers_;
  // An earlier look has found a long poll, and it goes on. In small portions it would not pay.
  for (std::size_t i = 0; i < workers.size(); ++i) {
    if (workers[i]->polls() == seen_[i].long_poll && workers[i]->stealable() >= LocalRing::kSlots) {
      return true;
    }
  }
  const Instant now = Instant::now();
  const Duration elapsed = now - looked_at_;
  // Woken early, for another reason.
  if (looks_ != 0 && elapsed < kLookInterval) return false;
  bool has_spare = false;
  bool is_worth = false;
  for (std::size_t i = 0; i < workers.size(); ++i) {
    const std::uint64_t polls = workers[i]->polls();
    const auto done = static_cast<std::int64_t>(polls - std::exchange(seen_[i].polls, polls));
    const std::int64_t left = workers[i]->stealable();
    if (left == 0) continue;
    has_spare = true;
    if (looks_ == 0) continue;  // the first look knows no pace
    // It did `done` tasks in `elapsed`: will it need longer than kWorthMoving for `left`?
    is_worth |= left > done * kWorthMoving.as_nanos() / elapsed.as_nanos();
    if (done == 0) seen_[i].long_poll = polls;
  }
  looked_at_ = now;
  if (!has_spare) {
    looks_ = 0;
    return false;
  }
  ++looks_;
  if (looks_ == 1 || (!is_worth && looks_ < kLooksMax)) return false;
  looks_ = 0;
  return true;
}

Task* Worker::steal() noexcept {
  if (!is_worth_stealing()) return nullptr;
  const auto& workers = runtime_.workers_;
  const auto number = static_cast<std::uint32_t>(workers.size());
  const std::uint32_t start = random_below(number);
  for (std::uint32_t i = 0; i < number; ++i) {
    Worker& victim = *workers[(start + i) % number];
    if (&victim == this) continue;
    if (Task* task = steal_from(victim)) {
      count(steals_);
      return task;
    }
  }
  return nullptr;
}

// Half of what found no room in the other's ring, which has grown colder; else half of the ring.
Task* Worker::steal_from(Worker& victim) noexcept {
  constexpr std::size_t kLeast = LocalRing::kSlots / 2;
  const std::size_t half = victim.overflow_.size() / 2;
  if (Task* task = keep(victim.overflow_.pop(std::clamp(half, kLeast, 2 * kLeast)))) return task;
  return victim.ring_.steal_into(ring_);
}

Task* Worker::find_work() noexcept {
  Task* task = from_injector();
  if (task == nullptr && runtime_.is_stealing() && idling_.search()) {
    task = steal();
    if (task == nullptr) task = from_injector();
  }
  if (task != nullptr) {
    idling_.found_work(*this);
    // The rest was in no queue for a moment: whoever looked then has gone to sleep.
    offer_ring();
  }
  return task;
}

// ---- queueing --------------------------------------------------------------------------------

void Worker::push_back(Task& task) noexcept {
  // Behind those of the backlog, or a task that yields again and again would keep the ring filled
  // and them waiting.
  if (BLITZIO_UNLIKELY(!backlog_.is_empty() || !ring_.push(task))) overflow(task);
}

// The ring is full: half of it goes behind it, so that the next pushes are cheap, and `task` as
// well. Where nobody steals, only that one, and in order: it waits until the ring is empty.
void Worker::overflow(Task& task) noexcept {
  if (!runtime_.is_stealing()) {
    backlog_.push(task);
    add_to_backlog_size(1);
    return;
  }
  // Who forked may have left a thief behind that holds the lock; nothing runs here any more.
  if (BLITZIO_UNLIKELY(driver_->in_child())) return;
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
  overflow_.push_chain(*first, task, number);
}

void Worker::schedule_local(Task& task) noexcept {
  Task* to_ring = &task;
  if (is_running_task_) to_ring = std::exchange(lifo_, &task);
  if (to_ring == nullptr) return;
  push_back(*to_ring);
  // What dispatching woke is counted when the first of it runs (next_task()).
  if (is_running_task_) offer_ring();
}

void Worker::share_slot() noexcept {
  if (lifo_ != nullptr) push_back(*std::exchange(lifo_, nullptr));
  offer_ring();
}

void Worker::schedule(Task& task) noexcept {
  if (current_ == this) {
    schedule_local(task);
    return;
  }
  if (BLITZIO_UNLIKELY(driver_->in_child())) return;
  const RemoteVisits::Visit visit(runtime_.remote_visits_);
  inbox_.push(task);
  wake();
}

void Worker::release(Task& task) noexcept {
  runtime_.disown(task);
}

void Worker::drain_inbox() noexcept {
  inbox_.take_all([this](Task& task) { push_back(task); });
}

void Worker::add_to_backlog_size(std::uint32_t change) noexcept {
  // Relaxed, both: as count().
  backlog_size_.store(backlog_size_.load(std::memory_order_relaxed) + change,
                      std::memory_order_relaxed);
}

// ---- the end ---------------------------------------------------------------------------------

Task* Worker::take_left() noexcept {
  drain_inbox();
  if (Task* task = std::exchange(lifo_, nullptr)) return task;
  if (Task* task = ring_.pop()) return task;
  if (Task* task = overflow_.pop(1)) return task;
  return backlog_.is_empty() ? nullptr : from_backlog();
}

void Worker::shutdown_driver() noexcept {
  driver_->shutdown();
}

}  // namespace blitzio::detail
