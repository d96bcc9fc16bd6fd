#include <blitzio/task/task.hpp>

#include <new>

namespace blitzio {

// The waker of a task: its data is the task, its share one reference.
struct TaskWaker {
  static Task& task(void* data) noexcept { return *static_cast<Task*>(data); }

  static void* clone(void* data) noexcept {
    task(data).state_.add_ref();
    return data;
  }
  static void wake(void* data) noexcept {
    Task& woken = task(data);
    switch (woken.state_.schedule_and_release_ref()) {
      case TaskState::WakeOutcome::done:
        break;
      case TaskState::WakeOutcome::enqueue:
        woken.scheduler_->schedule(woken);
        break;
      case TaskState::WakeOutcome::destroy:
        woken.vtable_->destroy(woken);
        break;
    }
  }
  static void wake_by_ref(void* data) noexcept {
    Task& woken = task(data);
    if (woken.state_.schedule()) woken.scheduler_->schedule(woken);
  }
  static void drop(void* data) noexcept { task(data).release_ref(); }

  static constexpr WakerVTable kVTable{clone, wake, wake_by_ref, drop};
};

Task::RunOutcome Task::run() noexcept {
  if (BLITZIO_UNLIKELY(state_.start_running())) {
    vtable_->cancel(*this);
    finish();
    return RunOutcome::complete;
  }
  const detail::BorrowedWaker waker(this, &TaskWaker::kVTable);
  Context context(waker.get());
  if (vtable_->poll(*this, context)) {
    finish();
    return RunOutcome::complete;
  }
  return state_.finish_poll() ? RunOutcome::again : RunOutcome::idle;
}

void Task::finish() noexcept {
  const auto join = state_.complete();
  scheduler_->release(*this);
  if (join.has_waker) join_waker_.wake();
  if (!join.wants_result) vtable_->drop_result(*this);
  release_ref();
}

}  // namespace blitzio
