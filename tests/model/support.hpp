// What scenarios share: tasks without a future, polls without a task, a scheduler on one thread.
#pragma once

#include <blitzio/base/check.hpp>
#include <blitzio/base/inbox.hpp>
#include <blitzio/base/park_word.hpp>
#include <blitzio/task/future.hpp>
#include <blitzio/task/task.hpp>

#include <model/model.hpp>

namespace blitzio::model {

/// A scheduler of tasks that are never scheduled.
class NoScheduler final : public Scheduler {
 public:
  void schedule(Task& /*task*/) noexcept override { BLITZIO_CHECK(false); }
  void release(Task& /*task*/) noexcept override { BLITZIO_CHECK(false); }
};

/// Stands for a task in a queue. `value` and `takes` are plain memory, so that whoever takes it
/// must know of what was written before it was queued, and must be the only one.
class QueuedTask : public Task {
 public:
  explicit QueuedTask(Scheduler& scheduler) noexcept : Task(scheduler, kVTable) {}
  void prepare(int new_value) noexcept { value_ = new_value; }
  void take(int expected) noexcept {
    BLITZIO_CHECK(value_ == expected, value_, expected);
    ++takes_;
  }
  [[nodiscard]] int takes() const noexcept { return takes_; }

 private:
  static constexpr TaskVTable kVTable{nullptr, nullptr, nullptr, nullptr, nullptr};
  int value_ = 0;
  int takes_ = 0;
};

/// A waker that wakes nobody.
inline constexpr WakerVTable kNoWaker{
    [](void* data) noexcept { return data; },
    [](void*) noexcept {},
    [](void*) noexcept {},
    [](void*) noexcept {},
};
template <Future F>
auto poll_once(F& future) {
  const Waker waker(nullptr, &kNoWaker);
  Context context(waker);
  return future.poll(context);
}

/// Runs tasks on the thread that calls run(); others wake it as they wake an executor in its
/// driver's wait.
class OneThreadScheduler final : public Scheduler {
 public:
  void schedule(Task& task) noexcept override {
    inbox_.push(task);
    if (park_.notify()) event_.signal();
  }
  void release(Task& /*task*/) noexcept override { --left_; }

  /// Takes a task that was made with this scheduler. Before run().
  void adopt(Task& task) noexcept {
    ++left_;
    inbox_.push(task);
  }
  /// As adopt(), for `count` tasks that are in no queue yet.
  void expect(int count) noexcept { left_ += count; }
  /// Returns when every task is complete.
  void run() noexcept {
    while (left_ > 0) {
      inbox_.take_all([this](Task& task) {
        if (task.run() == Task::RunOutcome::again) inbox_.push(task);
      });
      if (left_ > 0 && inbox_.is_empty() && park_.begin_sleep()) {
        event_.wait();
        park_.end_sleep();
      }
    }
  }

 private:
  Inbox<Task> inbox_;
  ParkWord park_;
  Event event_;
  int left_ = 0;
};

}  // namespace blitzio::model
