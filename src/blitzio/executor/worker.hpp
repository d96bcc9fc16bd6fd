// `Worker`: one thread of a Runtime: its own driver, timers and ready tasks.
//
// A tick:
//
//   run up to 128 tasks ─▶ collect and dispatch I/O, fire timers ─▶ nothing of its own to run?
//        ▲                                                              │
//        │◀────── from the injector, or half of what another has ◀──────┤
//        └──────────────────────────── park in the driver's wait ◀──────┘
//
// What a task wakes or spawns goes to the LIFO slot and runs next, while its data is in the cache,
// at most kLifoPollsMax times in a row; what stood there before goes to the ring, from which others
// may steal. What finds the ring full goes behind it, together with half of the ring; others may
// steal from there as well, and this worker comes back to it when the ring is empty. The injector
// and the overflow are looked at every kInjectorInterval tasks, so that their tasks are not starved
// by those of the ring.
//
// To wake a thread on another processor, move a task there and share its data costs some ten
// microseconds, in which hundreds of small tasks are run. So a worker that is woken because another
// has tasks to spare looks first, and stands by: it sleeps for kLookInterval and looks again, until
// there is nothing to take or one of these is true (docs/design/waking-workers.md). A sleeper that
// a timer of its own wakes that soon is chosen, and not woken.
//
//   the other has not begun a new task since the last look   it is in a long poll
//   at its pace it needs longer than kWorthMoving            the queue is long
//   it had tasks to spare at kLooksMax looks in a row        it is busy for good
//
// Tasks of the injector belong to nobody, so a searching worker takes them at once. So it does with
// those of a long poll that it has found out about, as long as it lasts and a ring's worth is left.
//
// Threads: schedule() (as a Scheduler, of tasks that belong to this worker), wake(), timers(),
// metrics() and what tells of stealable tasks any; the rest its own.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/duration.hpp>
#include <blitzio/base/inbox.hpp>
#include <blitzio/base/instant.hpp>
#include <blitzio/base/intrusive_queue.hpp>
#include <blitzio/driver/driver.hpp>
#include <blitzio/driver/driver_context.hpp>
#include <blitzio/executor/idling.hpp>
#include <blitzio/executor/injector.hpp>
#include <blitzio/executor/local_ring.hpp>
#include <blitzio/task/task.hpp>
#include <blitzio/time/timer_context.hpp>
#include <blitzio/time/timer_queue.hpp>

#include <cstdint>
#include <memory>
#include <vector>

namespace blitzio {

class Runtime;

/// Counters of one worker since it began; a snapshot.
struct WorkerMetrics {
  std::uint64_t polls = 0;         ///< tasks run
  std::uint64_t steals = 0;        ///< times it took tasks from another worker
  std::uint64_t parks = 0;         ///< times it had nothing to do
  std::uint64_t yields = 0;        ///< ticks that ended with the budget, tasks being left
  std::uint32_t queued = 0;        ///< tasks in its ring and behind it
  std::uint64_t io_submitted = 0;  ///< operations given to its driver, as of its latest tick
  std::uint64_t io_completed = 0;  ///< and completions from it
};

namespace detail {

class Worker final : public Scheduler {
 public:
  static constexpr unsigned kPollsPerTick = 128;
  static constexpr unsigned kLifoPollsMax = 3;
  static constexpr unsigned kInjectorInterval = 61;
  static constexpr Duration kLookInterval = Duration::from_micros(50);
  static constexpr Duration kWorthMoving = Duration::from_micros(100);
  static constexpr unsigned kLooksMax = 5;

  /// Throws std::bad_alloc.
  Worker(Runtime& runtime, unsigned index, std::unique_ptr<driver::Driver> driver);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// The calling thread's worker, or null.
  [[nodiscard]] static Worker* current() noexcept { return current_; }
  [[nodiscard]] Runtime& runtime() noexcept { return runtime_; }
  [[nodiscard]] unsigned index() const noexcept { return index_; }
  [[nodiscard]] time::TimerQueue& timers() noexcept { return timers_; }
  /// Other threads may post to it and wake it, no more.
  [[nodiscard]] driver::Driver& driver() noexcept { return *driver_; }
  [[nodiscard]] WorkerMetrics metrics() const noexcept;

  /// Ends its sleep. Any thread.
  void wake() noexcept { driver_->wake(); }
  /// Seq_cst, so that it can be a sleeper's last look (idle_map.hpp).
  [[nodiscard]] bool has_stealable() const noexcept {
    return !ring_.is_empty() || !overflow_.is_empty();
  }
  /// Tasks that another worker could take, and tasks run so far; snapshots.
  [[nodiscard]] std::uint32_t stealable() const noexcept {
    return ring_.size() + static_cast<std::uint32_t>(overflow_.size());
  }
  [[nodiscard]] std::uint64_t polls() const noexcept {
    // Relaxed: a plain counter.
    return polls_.load(std::memory_order_relaxed);
  }

  // ---- the worker's thread -----------------------------------------------------------------

  /// Errors   as Driver::bind().
  [[nodiscard]] Result<void> bind() noexcept;
  /// Runs until the runtime stops.
  void run() noexcept;
  void unbind() noexcept;
  /// Queues a task that became ready on this thread.
  void schedule_local(Task& task) noexcept;

  // ---- Scheduler: of tasks that stay with this worker (Strategy::thread_per_core) -----------

  void schedule(Task& task) noexcept override;
  void release(Task& task) noexcept override;

  // ---- when the thread has ended -----------------------------------------------------------

  /// A task that it left behind; null if there is none.
  [[nodiscard]] Task* take_left() noexcept;
  void shutdown_driver() noexcept;

 private:
  void run_task(Task& task) noexcept;
  [[nodiscard]] Task* next_task() noexcept;
  [[nodiscard]] Task* next_queued() noexcept;
  [[nodiscard]] Task* from_backlog() noexcept;
  [[nodiscard]] Task* from_injector() noexcept;
  [[nodiscard]] Task* keep(Task* chain) noexcept;
  [[nodiscard]] Task* steal() noexcept;
  [[nodiscard]] Task* steal_from(Worker& victim) noexcept;
  [[nodiscard]] bool is_worth_stealing() noexcept;
  [[nodiscard]] Task* find_work() noexcept;
  void push_back(Task& task) noexcept;
  BLITZIO_COLD void overflow(Task& task) noexcept;
  void turn() noexcept;
  void park() noexcept;
  // What Idling asks of its worker; see idling.hpp.
  friend class Idling;
  [[nodiscard]] bool has_own() const noexcept;
  [[nodiscard]] bool has_injected() const noexcept;
  [[nodiscard]] bool has_spare() const noexcept;
  void sleep(bool stands_by) noexcept;
  void wake_one() noexcept;
  void offer_spare() noexcept;

  /// Before this thread blocks in a poll: the slot's task goes where others can steal it.
  void share_slot() noexcept;
  void drain_inbox() noexcept;
  void add_to_backlog_size(std::uint32_t change) noexcept;
  [[nodiscard]] bool has_stealable_anywhere() const noexcept;
  void offer_ring() noexcept;
  [[nodiscard]] bool has_local() const noexcept {
    return lifo_ != nullptr || stealable() != 0 || !backlog_.is_empty();
  }
  [[nodiscard]] std::uint32_t random_below(std::uint32_t limit) noexcept;
  static void count(Atomic<std::uint64_t>& counter) noexcept;

  [[gnu::tls_model("initial-exec")]] static thread_local constinit Worker* current_;

  Runtime& runtime_;
  const unsigned index_;
  const std::unique_ptr<driver::Driver> driver_;
  Task* lifo_ = nullptr;
  unsigned lifo_polls_ = 0;
  std::uint32_t tick_ = 0;
  std::uint32_t random_;
  bool is_running_task_ = false;
  Idling idling_;
  // While standing by: looks at which others had tasks to spare, when the last one was, and how far
  // each worker was then.
  unsigned looks_ = 0;
  Instant looked_at_;
  struct Seen {
    std::uint64_t polls = 0;
    // Its polls when it was in a long one; it still is if they are these.
    std::uint64_t long_poll = ~std::uint64_t{0};
  };
  std::vector<Seen> seen_;
  time::TimerContext::Scope timer_scope_;
  driver::DriverContext::Scope driver_scope_;
  time::TimerQueue timers_;
  LocalRing ring_;
  // What the ring had no room for; others may take from it.
  Injector overflow_;
  // The same if nobody steals: tasks stay here in their order.
  IntrusiveQueue<Task> backlog_;

  // Written by this worker, read by metrics().
  Atomic<std::uint64_t> polls_{0};
  Atomic<std::uint64_t> steals_{0};
  Atomic<std::uint64_t> parks_{0};
  Atomic<std::uint64_t> yields_{0};
  Atomic<std::uint64_t> io_submitted_{0};
  Atomic<std::uint64_t> io_completed_{0};
  Atomic<std::uint32_t> backlog_size_{0};

  // What other threads write, on its own line: tasks that stay with this worker.
  alignas(kCacheLineBytes) Inbox<Task> inbox_;
};

}  // namespace detail
}  // namespace blitzio
