// `JoinHandle<T>`: the spawner's end of a task: waits for its result, or cancels it.
//
// Dropping the handle detaches the task, which runs on. A handle is a future; it may be awaited in
// another task, on another executor, or by a plain thread.
#pragma once

#include <blitzio/task/block_on.hpp>
#include <blitzio/task/future.hpp>
#include <blitzio/task/join_result.hpp>
#include <blitzio/task/task.hpp>

#include <optional>
#include <utility>

namespace blitzio {

/// Thread: any, one at a time.
template <class T>
class [[nodiscard]] JoinHandle {
 public:
  using Output = JoinResult<T>;

  JoinHandle(JoinHandle&& other) noexcept
      : task_(std::exchange(other.task_, nullptr)),
        has_lent_waker_(std::exchange(other.has_lent_waker_, false)) {}
  JoinHandle& operator=(JoinHandle&& other) noexcept {
    if (this != &other) {
      detach();
      task_ = std::exchange(other.task_, nullptr);
      has_lent_waker_ = std::exchange(other.has_lent_waker_, false);
    }
    return *this;
  }
  JoinHandle(const JoinHandle&) = delete;
  JoinHandle& operator=(const JoinHandle&) = delete;
  ~JoinHandle() { detach(); }

  /// Waits for the task to end. Empty afterwards.
  /// Cancel   dropping the handle detaches the task; it is not cancelled.
  Poll<Output> poll(Context& context) noexcept {
    BLITZIO_CHECK(task_ != nullptr && "the handle is empty: its result was taken");
    if (auto result = try_join()) return std::move(*result);
    // Taken back even to compare it: while it is lent, the completer may be writing to it.
    if (has_lent_waker_ && !task_->state_.reclaim_join_waker()) return take();
    if (!task_->join_waker_.will_wake_same(context.waker())) {
      task_->join_waker_ = context.waker().clone();
    }
    has_lent_waker_ = task_->state_.lend_join_waker();
    if (has_lent_waker_) return pending;
    task_->join_waker_.reset();
    return take();
  }

  /// The handle itself, to be awaited where it stands: `co_await handle.join()`, or lent to
  /// select(); it is empty once that gave the result.
  [[nodiscard]] JoinHandle& join() noexcept { return *this; }
  /// The result if the task has ended, once; the handle is empty afterwards.
  [[nodiscard]] std::optional<Output> try_join() noexcept {
    BLITZIO_CHECK(task_ != nullptr && "the handle is empty: its result was taken");
    if (!task_->is_complete()) return std::nullopt;
    return take();
  }
  /// Blocks the calling thread until the task ends. Not on the thread that runs it.
  Output blocking_join() noexcept { return blitzio::block_on(*this); }

  /// Asks for the task's end: its future is dropped where it waits, on its executor's thread, and
  /// the result says "cancelled" unless it ends by itself first. Returns at once.
  void cancel() noexcept {
    if (task_ != nullptr) task_->cancel();
  }
  /// Whether the result is there, or was taken.
  [[nodiscard]] bool is_finished() const noexcept {
    return task_ == nullptr || task_->is_complete();
  }
  /// Whether the result was taken, or the handle moved from.
  [[nodiscard]] bool is_empty() const noexcept { return task_ == nullptr; }
  /// Lets the task run on without anybody waiting for it.
  void detach() noexcept {
    if (task_ == nullptr) return;
    const auto owned = task_->state_.detach();
    if (owned.owns_result) task_->vtable_->drop_result(*task_);
    if (owned.owns_waker) task_->join_waker_.reset();
    drop_task();
  }

 private:
  template <Future F>
  friend std::pair<Task*, JoinHandle<OutputOf<F>>> make_task(F future, Scheduler& scheduler);
  template <class Make>
  friend auto make_task_with(Make make, Scheduler& scheduler);

  explicit JoinHandle(Task& task) noexcept : task_(&task) {}

  // The task is complete.
  Output take() noexcept {
    std::optional<Output> result;
    task_->vtable_->take_result(*task_, &result);
    drop_task();
    return std::move(*result);
  }
  void drop_task() noexcept {
    has_lent_waker_ = false;
    std::exchange(task_, nullptr)->release_ref();
  }

  Task* task_;
  bool has_lent_waker_ = false;
};

}  // namespace blitzio
