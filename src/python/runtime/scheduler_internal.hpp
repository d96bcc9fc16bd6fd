// What scheduler.cpp (what happens) and scheduler_type.cpp (what Python sees) share.
#pragma once

#include <python/runtime/scheduler.hpp>

#include <cstddef>

namespace blitzio::python {

inline WorkerObject& as_worker(PyObject* self) noexcept {
  return *reinterpret_cast<WorkerObject*>(self);
}
inline PyObject* as_object(WorkerObject& worker) noexcept {
  return reinterpret_cast<PyObject*>(&worker);
}
inline SchedulerObject& as_scheduler(PyObject* self) noexcept {
  return *reinterpret_cast<SchedulerObject*>(self);
}

/// Ends what has not started: its joiners see that it was cancelled.
void scheduler_drop_queued(SchedulerObject& scheduler) noexcept;

/// The calling thread is `worker` until worker_leave(). Both return false with an error set.
[[nodiscard]] bool worker_enter(WorkerObject& worker) noexcept;
[[nodiscard]] bool worker_leave(WorkerObject& worker) noexcept;
/// In a forked child: the thread that forked is nobody's worker.
void forget_current_worker() noexcept;

}  // namespace blitzio::python
