// `LocalExecutor`: one thread's runtime: a driver, a timer wheel and a queue of tasks.
//
// A turn collects completions, waits only if nothing at all is ready, dispatches, fires timers and
// polls ready tasks:
//
//   collect ─▶ nothing ready? ─▶ wait (hooks around it) ─▶ dispatch ─▶ fire timers ─▶ run tasks
//   └──────────────── gather() ────────────────────────┘
//
// An embedder with a queue of its own takes the steps one by one and runs its queue in between.
//
// It allocates nothing, reads the clock only if there are timers, and makes no syscall of its own.
//
// Waiting takes what is there, too, but around it an embedder gives up its lock. So a turn looks
// first while that finds something, and goes straight to the wait while it does not, save for one
// turn in kLookEvery: a system call less wherever each answer is waited for.
//
// Ready tasks: a task that another task wakes goes to the LIFO slot and runs next, while its data
// is in the cache, at most kLifoPollsMax times in a row; everything else queues first in, first
// out. A turn polls at most kPollsPerTurn tasks, so I/O and timers are never starved.
//
// Threads: the owner is the thread between bind() and unbind(). schedule(), and so every waker and
// JoinHandle::cancel(), may come from any thread: there the task goes through an inbox and one
// Driver::wake(). Everything else is the owner's.
//
// Shutting down: shutdown() takes every task that was scheduled, waiting for those that a remote
// waker has claimed but not pushed yet, and then for the wakers' visits to be over
// (remote_visits.hpp): afterwards no thread can still reach this object, though wakers may live on.
//
// Forking: as Driver. A turn ends in the child after what forked, bind() fails there, and
// shutdown() drops what the child has copies of. Not, not even by its destructor, if another thread
// was the owner at the fork.
#pragma once

#include <blitzio/base/cache_line.hpp>
#include <blitzio/base/inbox.hpp>
#include <blitzio/base/intrusive_list.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/driver/driver.hpp>
#include <blitzio/driver/driver_context.hpp>
#include <blitzio/executor/remote_visits.hpp>
#include <blitzio/task/future.hpp>
#include <blitzio/task/join_handle.hpp>
#include <blitzio/task/task.hpp>
#include <blitzio/time/timer_context.hpp>
#include <blitzio/time/timer_queue.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

namespace blitzio {

/// Run around a wait that may block, on the owner thread: an embedder gives up its locks there.
struct WaitHooks {
  void (*before_wait)(void* data) noexcept = nullptr;
  void (*after_wait)(void* data) noexcept = nullptr;
  void* data = nullptr;
};

class LocalExecutor final : private Scheduler {
 public:
  static constexpr unsigned kPollsPerTurn = 128;
  static constexpr unsigned kLifoPollsMax = 3;
  static constexpr unsigned kLookEvery = 8;
  /// To a timer. What is left of no more is spent looking: to fall asleep and be woken takes 16 µs
  /// of the processor, and the kernel may add its slack of 50 µs to it.
  static constexpr Duration kShortestWait = Duration::from_micros(10);

  /// `timer_tick` and `timers_max` as in blitzio::Config.
  /// Errors   as driver::create().
  [[nodiscard]] static Result<std::unique_ptr<LocalExecutor>> create(
      const driver::Config& config = {}, Duration timer_tick = time::TimerWheel::kTick,
      std::size_t timers_max = 0) noexcept;
  /// Takes a driver, unbound, that was made elsewhere.
  explicit LocalExecutor(std::unique_ptr<driver::Driver> driver,
                         Duration timer_tick = time::TimerWheel::kTick,
                         std::size_t timers_max = 0) noexcept;
  LocalExecutor(const LocalExecutor&) = delete;
  LocalExecutor& operator=(const LocalExecutor&) = delete;
  /// Shuts down if shutdown() was not called. Must not be bound to another thread.
  ~LocalExecutor();

  /// The executor bound to the calling thread (the latest, if several are), or null.
  [[nodiscard]] static LocalExecutor* current() noexcept { return current_; }

  [[nodiscard]] driver::Driver& driver() noexcept { return *driver_; }
  [[nodiscard]] time::TimerWheel& wheel() noexcept { return timers_.wheel(); }
  /// Whether another timer may be armed.
  [[nodiscard]] bool has_timer_room() const noexcept { return timers_.has_room(); }
  /// The time of this turn: read at most once per turn, on first use.
  [[nodiscard]] Instant now() noexcept {
    if (!now_is_fresh_) refresh_now();
    return now_;
  }

  /// Makes the calling thread the owner. Must be unbound. Executors of one thread nest: unbind in
  /// reverse order.
  /// Errors   as Driver::bind(); still unbound.
  [[nodiscard]] Result<void> bind() noexcept;
  void unbind() noexcept;
  [[nodiscard]] bool is_bound() const noexcept { return is_bound_; }

  /// One turn, see above. Waits, if nothing is ready, until there is a completion, a wake, a timer
  /// or `max_wait` has passed (zero or less: never waits; Duration::max(): for ever). May return
  /// without having done anything. Must be bound; not from inside a turn.
  void turn(Duration max_wait, const WaitHooks& hooks = {}) noexcept;

  /// The steps of a turn. Must be bound; not from inside a step. In a forked child they do nothing
  /// of the parent's.
  /// Takes what is complete, waiting for it as turn() does; runs none of it.
  void gather(Duration max_wait, const WaitHooks& hooks = {}) noexcept;
  /// Runs the completion functions of what gather() took, and delivers messages.
  void dispatch() noexcept;
  /// Fires the timers that are due at now().
  void fire_timers() noexcept {
    if (!wheel().is_empty()) wheel().advance(now());
  }
  /// Polls ready tasks, at most kPollsPerTurn.
  void run_tasks() noexcept;

  /// Whether tasks wait to be polled, so that the next turn will not wait.
  [[nodiscard]] bool has_ready_tasks() const noexcept {
    return lifo_ != nullptr || queue_head_ != nullptr;
  }
  /// Tasks spawned and not complete.
  [[nodiscard]] std::size_t task_count() const noexcept { return task_count_; }

  /// Starts `future` as a task; its first poll is in the next turn.
  /// Cancel   dropping the handle detaches; JoinHandle::cancel() cancels. After shutdown() the task
  ///          is cancelled at once.
  /// Thread   the owner, or the only user while unbound.   Cost   one block,
  /// mostly from a pool.
  template <Future F>
    requires(!std::is_lvalue_reference_v<F>)
  JoinHandle<OutputOf<F>> spawn(F future) {
    auto [task, handle] = make_task(std::move(future), *this);
    adopt(*task);
    return std::move(handle);
  }

  /// Runs turns until `future` is complete and returns its value; other tasks run meanwhile.
  /// Binds, and unbinds afterwards, if the executor is unbound. Rethrows what the future throws;
  /// throws std::system_error if bind() fails, TaskCancelled if shutdown() interrupts it.
  /// Not from inside a turn.
  template <Future F>
  OutputOf<F> block_on(F&& future);

  /// Drops all tasks (their joiners see "cancelled"), disarms all timers without firing them, ends
  /// all operations. Idempotent. Owner thread, or the only user while unbound; not inside a turn.
  void shutdown() noexcept;

 private:
  class BindGuard;

  void schedule(Task& task) noexcept override;
  void release(Task& task) noexcept override;

  void adopt(Task& task) noexcept;
  void schedule_remote(Task& task) noexcept;
  void push_back(Task& task) noexcept;
  Task* pop() noexcept;
  void drain_inbox() noexcept;
  bool is_look_due() noexcept;
  void wait(Duration max_wait, const WaitHooks& hooks) noexcept;
  void refresh_now() noexcept;
  void bind_or_throw();
  bool is_owner() const noexcept { return current_ == this; }

  [[gnu::tls_model("initial-exec")]] static thread_local constinit LocalExecutor* current_;

  std::unique_ptr<driver::Driver> driver_;
  // First in, first out, linked through Task::inbox_next: a task is in one queue at a time.
  Task* queue_head_ = nullptr;
  Task* queue_tail_ = nullptr;
  Task* lifo_ = nullptr;
  bool is_running_tasks_ = false;
  bool is_in_step_ = false;  // where unbind() and shutdown() would pull the rug
  bool is_bound_ = false;
  bool is_shut_down_ = false;
  bool now_is_fresh_ = false;
  // Whether the last look before a wait found something.
  bool look_pays_ = true;
  unsigned looks_skipped_ = 0;
  Instant now_;
  std::size_t task_count_ = 0;
  IntrusiveList<Task, OwnedTag> tasks_;
  LocalExecutor* outer_ = nullptr;  // what current_ was before bind()
  time::TimerContext::Scope timer_scope_;
  driver::DriverContext::Scope driver_scope_;
  time::TimerQueue timers_;

  // What other threads write, on its own line.
  alignas(kCacheLineBytes) Inbox<Task> inbox_;
  detail::RemoteVisits remote_visits_;
};

template <Future F>
OutputOf<F> LocalExecutor::block_on(F&& future) {
  struct Unbinder {
    LocalExecutor* executor;
    ~Unbinder() {
      if (executor != nullptr) executor->unbind();
    }
  };
  Unbinder unbinder{nullptr};
  if (!is_bound_) {
    bind_or_throw();
    unbinder.executor = this;
  }
  auto handle = spawn(detail::Borrowed(future));
  while (!handle.is_finished()) turn(Duration::max());
  return std::move(*handle.try_join()).get();
}

}  // namespace blitzio
