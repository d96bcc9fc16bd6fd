#include <python/bridge/foreign_loop.hpp>
#include <python/runtime/scheduler_internal.hpp>
#include <python/runtime/start_awaited.hpp>
#include <python/support/error.hpp>
#include <python/support/running_loop.hpp>

namespace blitzio::python {

namespace {

constexpr int kInRow = 64;
constexpr int kNested = 4;

struct Starts {
  int left = kInRow;
  int nested = 0;
};
thread_local Starts starts;

bool is_queued(JoinHandleObject& handle) noexcept {
  const ObjectLock lock(as_object(handle));
  return handle.phase == JoinHandleObject::Phase::queued;
}

/// The running loop, if it may run the work; else empty.
RunningLoop find_home(const JoinHandleObject& handle) noexcept {
  RunningLoop found;
  if (const WorkerObject* worker = current_worker(*handle.state)) {
    if (handle.home == worker || handle.home == worker->scheduler) {
      found.loop = PyRef::borrow(reinterpret_cast<PyObject*>(worker->loop));
      found.gate = worker->loop->gate;
    }
    return found;
  }
  found = find_running_loop(*handle.state);
  if (!found.loop) PyErr_Clear();  // Who waits finds out by itself.
  if (found.loop.get() != handle.home) found.loop.reset();
  return found;
}

/// Takes back the callback that was to start `handle`, if nothing was scheduled after it.
void forget_start(LoopObject& loop, JoinHandleObject& handle) noexcept {
  if (loop.ready.is_empty()) return;
  const HandleObject* newest = loop.ready.at(loop.ready.size() - 1);
  if (newest->callback != handle.state->start_here || newest->args[0] != as_object(handle)) return;
  Py_DECREF(reinterpret_cast<PyObject*>(loop.ready.pop_newest()));
}

#if PY_VERSION_HEX < 0x030C0000
/// What eager tasks do by themselves, from 3.12 on: the running task steps aside for another.
class TaskAside {
 public:
  TaskAside(const ModuleState& state, PyObject* loop) noexcept : state_(state), loop_(loop) {
    task_ = current_task(state, loop);
    if (!task_ || task_.get() == Py_None || !call(state.leave_task)) {
      PyErr_Clear();  // Not in a task that could step aside; an interrupt is lost with that.
      task_.reset();
    }
  }
  TaskAside(const TaskAside&) = delete;
  TaskAside& operator=(const TaskAside&) = delete;
  ~TaskAside() {
    if (task_ && !call(state_.enter_task)) PyErr_WriteUnraisable(task_.get());
  }
  explicit operator bool() const noexcept { return static_cast<bool>(task_); }

 private:
  bool call(PyObject* function) noexcept {
    PyObject* const args[] = {loop_, task_.get()};
    return static_cast<bool>(PyRef::steal(PyObject_Vectorcall(function, args, 2, nullptr)));
  }

  const ModuleState& state_;
  PyObject* loop_;
  PyRef task_;
};
#else
struct TaskAside {
  TaskAside(const ModuleState& /*state*/, PyObject* /*loop*/) noexcept {}
  explicit operator bool() const noexcept { return true; }
};
#endif

}  // namespace

void start_awaited(JoinHandleObject& handle) noexcept {
  if (handle.home == nullptr || !is_queued(handle)) return;
  if (starts.left == 0 || starts.nested == kNested) return;
  const RunningLoop running = find_home(handle);
  if (!running.loop) return;
  LoopObject* native = nullptr;
  if (loop_check(*handle.state, running.loop.get())) {
    native = reinterpret_cast<LoopObject*>(running.loop.get());
    // Debug mode measures what each callback takes.
    if (native->debug) return;
  } else if constexpr (PY_VERSION_HEX < 0x030C0000) {
    return;  // A task would be made, and not begin.
  }
  const TaskAside aside(*handle.state, running.loop.get());
  if (!aside) return;
  if (native != nullptr) forget_start(*native, handle);
  --starts.left;
  ++starts.nested;
  join_handle_start(handle, running.loop.get(), *running.gate);
  --starts.nested;
}

void allow_starting_awaited() noexcept {
  starts.left = kInRow;
}

}  // namespace blitzio::python
