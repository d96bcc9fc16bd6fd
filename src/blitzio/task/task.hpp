// `Task`: a future that a scheduler runs. One block of memory, mostly from a pool: this header of
// 64 bytes, then the future, whose place the result takes when it is complete.
//
// The header knows its scheduler only as `Scheduler`, and a scheduler knows a task only as `Task`:
// the single-threaded executor and a multi-threaded one share all of this.
//
// Who may touch what (see task_state.hpp for the bits):
//   state            everybody
//   inbox_next       whoever has the task scheduled: its waker until it is queued, then the queue
//   OwnedTag links   the scheduler, from spawn to release()
//   future, result   the thread that runs the task; the result later as task_state.hpp says
//   join waker       the join handle or the completer, as task_state.hpp says
#pragma once

#include <blitzio/base/check.hpp>
#include <blitzio/base/frame_pool.hpp>
#include <blitzio/base/inbox.hpp>
#include <blitzio/base/intrusive_list.hpp>
#include <blitzio/task/future.hpp>
#include <blitzio/task/join_result.hpp>
#include <blitzio/task/task_state.hpp>
#include <blitzio/task/waker.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace blitzio {

class Task;
template <class T>
class JoinHandle;

/// What runs tasks.
class Scheduler {
 public:
  /// Takes a task that has become scheduled. It is in no queue; its poll must follow.
  /// Thread   any.
  virtual void schedule(Task& task) noexcept = 0;
  /// The task is complete; its scheduler's reference goes after this call.
  /// Thread   the one that ran the task.
  virtual void release(Task& task) noexcept = 0;

 protected:
  ~Scheduler() = default;
};

/// What a Task's header does with the future behind it.
struct TaskVTable {
  /// Polls. True if the future is complete or has thrown: it is destroyed and the result stored.
  bool (*poll)(Task& task, Context& context) noexcept;
  /// Destroys the future and stores "cancelled" as the result.
  void (*cancel)(Task& task) noexcept;
  /// Moves the result into an empty optional<JoinResult<T>> and destroys it.
  void (*take_result)(Task& task, void* out) noexcept;
  void (*drop_result)(Task& task) noexcept;
  /// Frees the memory; future and result are gone.
  void (*destroy)(Task& task) noexcept;
};

struct OwnedTag;  ///< the scheduler's list of all tasks that are not complete

class Task : public InboxNode, public ListNode<OwnedTag> {
 public:
  Task(Scheduler& scheduler, const TaskVTable& vtable) noexcept
      : vtable_(&vtable), scheduler_(&scheduler) {}
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  enum class RunOutcome : std::uint8_t {
    idle,      ///< pending; may be running elsewhere or gone already: do not touch it
    again,     ///< woken during its poll: queue it again
    complete,  ///< released; do not touch it
  };
  /// Polls a scheduled task once, or drops it if it was cancelled.
  /// Thread   the scheduler's; the task is in no queue.
  RunOutcome run() noexcept;

  /// Asks for the end of the task: its future is dropped instead of polled next time. Does nothing
  /// to a complete task.   Thread: any.
  void cancel() noexcept {
    if (state_.cancel()) scheduler_->schedule(*this);
  }
  /// Whether cancel() was called: what the task's own code may ask while it runs.
  [[nodiscard]] bool cancel_requested() const noexcept { return state_.is_cancelled(); }
  [[nodiscard]] bool is_complete() const noexcept { return state_.is_complete(); }
  [[nodiscard]] const Scheduler& scheduler() const noexcept { return *scheduler_; }

 private:
  template <class>
  friend class JoinHandle;
  friend struct TaskWaker;

  void finish() noexcept;
  void release_ref() noexcept {
    if (state_.release_ref()) vtable_->destroy(*this);
  }

  TaskState state_;
  const TaskVTable* vtable_;
  Scheduler* scheduler_;  // valid until the task is complete
  Waker join_waker_;
};

static_assert(sizeof(Task) == 64);

namespace detail {

/// A task with its future.
template <Future F>
class TaskOf final : public Task {
 public:
  using Output = OutputOf<F>;

  TaskOf(F future, Scheduler& scheduler) noexcept(std::is_nothrow_move_constructible_v<F>)
      : Task(scheduler, kVTable), future_(std::move(future)) {}
  /// `make(*this)` gives the future, in its place.
  template <class Make>
  TaskOf(std::in_place_t /*tag*/, Make& make, Scheduler& scheduler)
      : Task(scheduler, kVTable), future_(make(static_cast<Task&>(*this))) {}
  // Future and result end by the vtable's functions, before the memory does.
  ~TaskOf() {}

  static void* operator new(std::size_t bytes) { return FramePool::allocate(bytes); }
  static void operator delete(void* task, std::size_t bytes) noexcept {
    FramePool::free(task, bytes);
  }
  // For futures with more than the usual alignment, which a pool does not give.
  static void* operator new(std::size_t bytes, std::align_val_t alignment) {
    return ::operator new(bytes, alignment);
  }
  static void operator delete(void* task, std::size_t /*bytes*/,
                              std::align_val_t alignment) noexcept {
    ::operator delete(task, alignment);
  }

 private:
  static TaskOf& self(Task& task) noexcept { return static_cast<TaskOf&>(task); }

  static bool poll(Task& task, Context& context) noexcept {
    TaskOf& me = self(task);
    try {
      Poll<Output> answer = me.future_.poll(context);
      if (answer.is_pending()) return false;
      if constexpr (std::is_void_v<Output>) {
        me.store(JoinResult<void>::of_value());
      } else {
        me.store(JoinResult<Output>::of_value(std::move(answer).take()));
      }
    } catch (...) {
      me.store(JoinResult<Output>::of_exception(std::current_exception()));
    }
    return true;
  }
  static void cancel_task(Task& task) noexcept {
    self(task).store(JoinResult<Output>::of_cancelled());
  }
  static void take_result(Task& task, void* out) noexcept {
    static_cast<std::optional<JoinResult<Output>>*>(out)->emplace(std::move(self(task).result_));
    std::destroy_at(&self(task).result_);
  }
  static void drop_result(Task& task) noexcept { std::destroy_at(&self(task).result_); }
  static void destroy(Task& task) noexcept { delete &self(task); }

  // The result is made before this call, so an exception from making it finds the future intact.
  void store(JoinResult<Output>&& result) noexcept {
    std::destroy_at(&future_);
    std::construct_at(&result_, std::move(result));
  }

  static constexpr TaskVTable kVTable{poll, cancel_task, take_result, drop_result, destroy};

  union {
    F future_;
    JoinResult<Output> result_;
  };
};

}  // namespace detail

/// The new task, scheduled but in no queue, and the handle that joins it.
/// Cost  one block, see base/frame_pool.hpp.
template <Future F>
std::pair<Task*, JoinHandle<OutputOf<F>>> make_task(F future, Scheduler& scheduler) {
  Task* task = new detail::TaskOf<F>(std::move(future), scheduler);
  return {task, JoinHandle<OutputOf<F>>(*task)};
}

/// The same for a future that must know its task, or cannot move: `make(Task&)` gives it.
template <class Make>
auto make_task_with(Make make, Scheduler& scheduler) {
  using F = std::invoke_result_t<Make&, Task&>;
  Task* task = new detail::TaskOf<F>(std::in_place, make, scheduler);
  return std::pair{task, JoinHandle<OutputOf<F>>(*task)};
}

}  // namespace blitzio
