#include <blitzio/executor/local_executor.hpp>

#include <blitzio/base/backoff.hpp>

#include <algorithm>
#include <new>
#include <system_error>

namespace blitzio {

thread_local constinit LocalExecutor* LocalExecutor::current_ = nullptr;

Result<std::unique_ptr<LocalExecutor>> LocalExecutor::create(const driver::Config& config,
                                                             Duration timer_tick,
                                                             std::size_t timers_max) noexcept {
  auto driver = driver::create(config);
  if (!driver) return fail(driver.error());
  auto* executor = new (std::nothrow) LocalExecutor(std::move(*driver), timer_tick, timers_max);
  if (executor == nullptr) return fail(Error::os(ENOMEM));
  return std::unique_ptr<LocalExecutor>(executor);
}

LocalExecutor::LocalExecutor(std::unique_ptr<driver::Driver> driver, Duration timer_tick,
                             std::size_t timers_max) noexcept
    : driver_(std::move(driver)), timers_(timer_tick, timers_max) {}

LocalExecutor::~LocalExecutor() {
  shutdown();
  if (is_bound_) unbind();
}

Result<void> LocalExecutor::bind() noexcept {
  BLITZIO_CHECK(!is_bound_);
  if (auto bound = driver_->bind(); !bound) return bound;
  outer_ = std::exchange(current_, this);
  timer_scope_.enter(timers_);
  driver_scope_.enter(*driver_, true);
  is_bound_ = true;
  return {};
}

void LocalExecutor::unbind() noexcept {
  BLITZIO_CHECK(is_bound_ && is_owner() && !is_in_step_, is_bound_, is_in_step_);
  driver_->unbind();
  driver_scope_.leave();
  timer_scope_.leave();
  current_ = std::exchange(outer_, nullptr);
  is_bound_ = false;
}

void LocalExecutor::bind_or_throw() {
  if (auto bound = bind(); !bound) {
    throw std::system_error(bound.error().code(), std::generic_category(), "LocalExecutor::bind");
  }
}

void LocalExecutor::refresh_now() noexcept {
  now_ = Instant::now();
  now_is_fresh_ = true;
}

// ---- turns -----------------------------------------------------------------------------------

void LocalExecutor::turn(Duration max_wait, const WaitHooks& hooks) noexcept {
  gather(max_wait, hooks);
  dispatch();
  // A completion function forked: what else there is to run is the parent's.
  if (BLITZIO_UNLIKELY(driver_->in_child())) return;
  fire_timers();
  run_tasks();
}

void LocalExecutor::gather(Duration max_wait, const WaitHooks& hooks) noexcept {
  BLITZIO_DCHECK(is_bound_ && is_owner() && !is_in_step_, is_bound_, is_in_step_);
  is_in_step_ = true;
  now_is_fresh_ = false;
  drain_inbox();
  const auto is_idle = [&] {
    return !has_ready_tasks() && max_wait > Duration::zero() && !driver_->has_completions();
  };
  if (is_idle() && !is_look_due()) {
    wait(max_wait, hooks);
  } else {
    const bool was_idle = is_idle();
    driver_->collect();
    drain_inbox();
    if (was_idle) look_pays_ = !is_idle();
    if (is_idle()) wait(max_wait, hooks);
  }
  is_in_step_ = false;
}

bool LocalExecutor::is_look_due() noexcept {
  return look_pays_ || ++looks_skipped_ % kLookEvery == 0;
}

void LocalExecutor::dispatch() noexcept {
  BLITZIO_DCHECK(is_bound_ && is_owner() && !is_in_step_, is_bound_, is_in_step_);
  if (!driver_->has_completions()) return;
  is_in_step_ = true;
  driver_->dispatch();
  is_in_step_ = false;
}

void LocalExecutor::wait(Duration max_wait, const WaitHooks& hooks) noexcept {
  if (!wheel().is_empty()) {
    const Instant next = wheel().next_deadline();
    if (next != Instant::max()) {
      max_wait = std::min(max_wait, next - now());
      if (max_wait <= kShortestWait) {
        if (max_wait > Duration::zero()) driver_->collect();
        return;
      }
    }
  }
  if (hooks.before_wait != nullptr) hooks.before_wait(hooks.data);
  driver_->wait(max_wait);
  if (hooks.after_wait != nullptr) hooks.after_wait(hooks.data);
  now_is_fresh_ = false;
  drain_inbox();
}

void LocalExecutor::run_tasks() noexcept {
  BLITZIO_DCHECK(is_bound_ && is_owner() && !is_in_step_, is_bound_, is_in_step_);
  if (!has_ready_tasks()) return;
  is_in_step_ = is_running_tasks_ = true;
  unsigned lifo_polls = 0;
  for (unsigned polls = 0; polls < kPollsPerTurn; ++polls) {
    Task* task = nullptr;
    if (lifo_ != nullptr && lifo_polls < kLifoPollsMax) {
      task = std::exchange(lifo_, nullptr);
      ++lifo_polls;
    } else {
      if (lifo_ != nullptr) push_back(*std::exchange(lifo_, nullptr));
      task = pop();
      if (task == nullptr) break;
      lifo_polls = 0;
    }
    if (task->run() == Task::RunOutcome::again) push_back(*task);
    if (BLITZIO_UNLIKELY(driver_->in_child())) break;
  }
  is_in_step_ = is_running_tasks_ = false;
}

// ---- queues ----------------------------------------------------------------------------------

void LocalExecutor::push_back(Task& task) noexcept {
  task.inbox_next = nullptr;
  if (queue_head_ == nullptr) {
    queue_head_ = &task;
  } else {
    queue_tail_->inbox_next = &task;
  }
  queue_tail_ = &task;
}

Task* LocalExecutor::pop() noexcept {
  Task* task = queue_head_;
  if (task != nullptr) {
    queue_head_ = static_cast<Task*>(std::exchange(task->inbox_next, nullptr));
  }
  return task;
}

void LocalExecutor::drain_inbox() noexcept {
  inbox_.take_all([this](Task& task) { push_back(task); });
}

void LocalExecutor::schedule(Task& task) noexcept {
  if (!is_owner()) {
    schedule_remote(task);
  } else if (!is_running_tasks_) {
    push_back(task);
  } else {
    if (lifo_ != nullptr) push_back(*lifo_);
    lifo_ = &task;
  }
}

void LocalExecutor::schedule_remote(Task& task) noexcept {
  const detail::RemoteVisits::Visit visit(remote_visits_);
  inbox_.push(task);
  driver_->wake();
}

void LocalExecutor::adopt(Task& task) noexcept {
  tasks_.push_back(task);
  ++task_count_;
  if (BLITZIO_UNLIKELY(is_shut_down_)) task.cancel();
  // Not to the LIFO slot: what a task spawns waits its turn, so that a spawning loop keeps order.
  push_back(task);
}

void LocalExecutor::release(Task& task) noexcept {
  static_cast<ListNode<OwnedTag>&>(task).unlink();
  --task_count_;
}

// ---- the end ---------------------------------------------------------------------------------

void LocalExecutor::shutdown() noexcept {
  BLITZIO_CHECK(!is_in_step_);
  is_shut_down_ = true;
  // Dropping futures may wake, spawn, submit and arm: repeat until nothing is left. Tasks go first,
  // so that they still find a driver and a wheel.
  while (!tasks_.is_empty()) {
    tasks_.for_each([](Task& task) { task.cancel(); });
    drain_inbox();
    if (lifo_ != nullptr) push_back(*std::exchange(lifo_, nullptr));
    Task* task = pop();
    // Nothing queued, but tasks are left: another thread has claimed them and is about to push.
    if (task == nullptr) yield_thread();
    for (; task != nullptr; task = pop()) {
      if (task->run() == Task::RunOutcome::again) push_back(*task);
    }
  }
  driver_->shutdown();
  while (wheel().disarm_any() != nullptr) {
  }
  remote_visits_.wait_until_over();
}

}  // namespace blitzio
