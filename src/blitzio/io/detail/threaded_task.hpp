// `ThreadedTask`: a task of Threaded and the thread that runs it, as the task's scheduler.
//
//             start                   idle: the thread sleeps
//   made ──────────────▶ running ◀────────────────────────────▶ waiting
//   (in place, or by a     │              schedule
//    thread of the pool)   ▼ complete
//                        gone: frees itself
//
// schedule() comes from whoever wakes or cancels an idle task, which cannot end before that call
// has set `is_scheduled_`, its last access.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/intrusive_list.hpp>
#include <blitzio/executor/blocking_pool.hpp>
#include <blitzio/io/threaded.hpp>
#include <blitzio/task/task.hpp>

namespace blitzio::io::detail {

class ThreadedTask final : public Scheduler, private BlockingJob, private ListNode<> {
 public:
  /// `has_place`: it counts as busy until it ends.
  ThreadedTask(Threaded& owner, bool has_place) noexcept
      : BlockingJob(run_job, drop_job), owner_(owner), has_place_(has_place) {}
  ThreadedTask(const ThreadedTask&) = delete;
  ThreadedTask& operator=(const ThreadedTask&) = delete;

  [[nodiscard]] bool has_place() const noexcept { return has_place_; }
  /// Becomes the scheduler of `task`; returns false if Threaded is being destroyed: then it is
  /// cancelled.
  void adopt(Task& task) noexcept;
  /// Gives the task to a thread. False if none is to be had.
  [[nodiscard]] bool run_elsewhere() noexcept;
  /// Runs the task to its end on the calling thread, and frees itself.
  void run_here() noexcept;
  /// Asks the task to end.
  void cancel() noexcept { task_->cancel(); }

 private:
  friend class IntrusiveList<ThreadedTask>;
  class Drive;

  void schedule(Task& task) noexcept override;
  void release(Task& task) noexcept override;
  static void run_job(BlockingJob& job) noexcept { static_cast<ThreadedTask&>(job).run_here(); }
  // The pool drops nothing: it is shut down without cancelling.
  static void drop_job(BlockingJob& job) noexcept { run_job(job); }

  Threaded& owner_;
  Task* task_ = nullptr;
  bool has_place_;
  Waker thread_;  // set before the first poll
  // Set by schedule(), taken by the thread; says that schedule() is done with this object.
  Atomic<bool> is_scheduled_{true};
};

}  // namespace blitzio::io::detail
