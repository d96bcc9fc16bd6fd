#include <python/runtime/join_handle.hpp>

#include <blitzio/executor/blocking_pool.hpp>
#include <python/runtime/start_task.hpp>
#include <python/support/context.hpp>
#include <python/support/error.hpp>
#include <python/support/running_loop.hpp>

#include <memory>
#include <new>

namespace blitzio::python {

namespace {

using Phase = JoinHandleObject::Phase;

/// Has a task cancelled by its loop's thread.
class CancelMessage final : public driver::Message {
 public:
  explicit CancelMessage(PyRef task) noexcept
      : driver::Message(on_delivery), task_(std::move(task)) {}

 private:
  static void on_delivery(driver::Message& message) noexcept {
    const std::unique_ptr<CancelMessage> self(static_cast<CancelMessage*>(&message));
    PyRef exception = take_exception();
    const PyRef done = PyRef::steal(PyObject_CallMethod(self->task_.get(), "cancel", nullptr));
    if (!done) PyErr_WriteUnraisable(self->task_.get());
    if (exception) restore_exception(std::move(exception));
  }

  PyRef task_;
};

/// Cancels `task` of the loop behind `gate`, from any thread. A closed loop has ended it.
void cancel_task(PyRef task, LoopGate& gate) noexcept {
  std::unique_ptr<CancelMessage> message(new (std::nothrow) CancelMessage(std::move(task)));
  if (message == nullptr) {
    PyErr_NoMemory();
    PyErr_WriteUnraisable(nullptr);
    return;
  }
  if (gate.is_here()) {
    message.release()->deliver();
  } else if (gate.post(*message)) {
    static_cast<void>(message.release());
  }
}

/// Ends running work early, if anything can.
void cancel_running(JoinHandleObject& handle) noexcept {
  PyRef canceller;
  PyRef task;
  LoopGate* gate = nullptr;
  {
    const ObjectLock lock(as_object(handle));
    canceller = PyRef::borrow(handle.canceller);
    if (handle.gate != nullptr) {
      task = PyRef::borrow(handle.task);
      gate = handle.gate;
      gate->add_ref();
    }
  }
  if (canceller) {
    const PyRef done = PyRef::steal(PyObject_CallNoArgs(canceller.get()));
    if (!done) PyErr_WriteUnraisable(canceller.get());
  }
  if (gate == nullptr) return;
  if (task) cancel_task(std::move(task), *gate);
  gate->release_ref();
}

PyRef cancelled_error(const ModuleState& state) noexcept {
  PyRef error = PyRef::steal(PyObject_CallNoArgs(state.cancelled_error));
  return error ? std::move(error) : take_exception();
}

/// The loop that runs the task is closed: it never ends.
void abandon(PyObject* object) noexcept {
  JoinHandleObject& handle = as_join_handle(object);
  PyRef exception = take_exception();
  join_handle_finish(handle, {}, cancelled_error(*handle.state));
  if (exception) restore_exception(std::move(exception));
}

/// As asyncio words it. Returns false.
bool refuse_own(PyObject* waiting) noexcept {
  PyErr_Format(PyExc_RuntimeError, "Task cannot await on itself: %R", waiting);
  return false;
}

enum class Settled : std::uint8_t {
  asked_for,  ///< somebody may ask for the outcome
  detached,   ///< nobody will
  before,     ///< it has ended before, and what ended it first counts
};

/// running → finished, without waking anybody. The caller has a reference of its own.
Settled settle(JoinHandleObject& handle, PyRef value, PyRef error, PyRef task) noexcept {
  PyRef old_task;
  PyRef canceller;
  PyRef helper;
  LoopGate* gate = nullptr;
  bool detached = false;
  {
    const ObjectLock lock(as_object(handle));
    // A task of the user's factory may call its callback as often as it likes.
    if (BLITZIO_UNLIKELY(handle.phase == Phase::finished)) return Settled::before;
    BLITZIO_CHECK(handle.phase == Phase::running);
    handle.phase = Phase::finished;
    handle.value = value.release();
    handle.error = error.release();
    old_task = PyRef::steal(std::exchange(handle.task, task.release()));
    canceller = PyRef::steal(std::exchange(handle.canceller, nullptr));
    helper = PyRef::steal(std::exchange(handle.helper, nullptr));
    gate = std::exchange(handle.gate, nullptr);
    detached = handle.detached;
  }
  if (gate != nullptr) {
    const PyRef kept = gate->remove(handle.kept);
    gate->release_ref();
  }
  return detached ? Settled::detached : Settled::asked_for;
}

void retrieve(JoinHandleObject& handle) noexcept {
  if (!join_handle_exception(handle)) PyErr_WriteUnraisable(as_object(handle));
}

/// running → finished. Returns false if it has ended before.
bool finish(JoinHandleObject& handle, PyRef value, PyRef error, PyRef task) noexcept {
  const PyRef keep = PyRef::borrow(as_object(handle));
  const Settled settled = settle(handle, std::move(value), std::move(error), std::move(task));
  if (BLITZIO_UNLIKELY(settled == Settled::before)) return false;
  if (settled == Settled::detached) retrieve(handle);
  handle.finished.set();
  return true;
}

}  // namespace

// ---- before it runs -----------------------------------------------------------------------------

PyRef Work::call() const noexcept {
  return call_in_context(context.get(), [this]() noexcept {
    PyObject* tuple = arguments.get();
    if (tuple == nullptr) return PyRef::steal(PyObject_CallNoArgs(target.get()));
    return PyRef::steal(PyObject_Vectorcall(target.get(), &PyTuple_GET_ITEM(tuple, 0),
                                            static_cast<std::size_t>(PyTuple_GET_SIZE(tuple)),
                                            nullptr));
  });
}

void Work::drop() noexcept {
  if (kind == Kind::coroutine && target) {
    PyRef exception = take_exception();
    const PyRef done = PyRef::steal(PyObject_CallMethod(target.get(), "close", nullptr));
    if (!done) PyErr_WriteUnraisable(target.get());
    if (exception) restore_exception(std::move(exception));
  }
  *this = Work();
}

Work make_work(PyObject* target, PyObject* const* args, Py_ssize_t arg_count) noexcept {
  Work work;
  if (PyCoro_CheckExact(target)) {
    work.kind = Work::Kind::coroutine;
  } else if (is_awaitable(target)) {
    work.kind = Work::Kind::awaitable;
  } else if (PyCallable_Check(target) == 0) {
    PyErr_Format(PyExc_TypeError, "a function or a coroutine was expected, got %R", target);
    return {};
  }
  if (arg_count != 0) {
    if (work.kind != Work::Kind::call) {
      PyErr_SetString(PyExc_TypeError,
                      work.kind == Work::Kind::coroutine
                          ? "a coroutine takes no arguments; pass the function instead"
                          : "an awaitable takes no arguments; pass a function instead");
      return {};
    }
    work.arguments = PyRef::steal(PyTuple_New(arg_count));
    if (!work.arguments) return {};
    for (Py_ssize_t i = 0; i < arg_count; ++i) {
      PyTuple_SET_ITEM(work.arguments.get(), i, Py_NewRef(args[i]));
    }
  }
  work.context = PyRef::steal(PyContext_CopyCurrent());
  if (!work.context) return {};
  work.target = PyRef::borrow(target);
  return work;
}

PyRef join_handle_new(ModuleState& state, Work work, PyObject* name) noexcept {
  auto* handle = PyObject_GC_New(JoinHandleObject, state.join_handle_type);
  if (handle == nullptr) {
    work.drop();
    return {};
  }
  handle->state = &state;
  handle->module = Py_NewRef(state.module);
  handle->weakrefs = nullptr;
  handle->name = name == Py_None ? nullptr : Py_XNewRef(name);
  handle->task = handle->value = handle->error = handle->canceller = handle->helper = nullptr;
  handle->coroutine = nullptr;
  handle->gate = nullptr;
  handle->home = nullptr;
  handle->thread = 0;
  handle->phase = work ? Phase::queued : Phase::running;
  handle->is_external = handle->cancel_requested = handle->detached = false;
  new (&handle->work) Work(std::move(work));
  new (&handle->queued) QueuedWork(*handle);
  new (&handle->kept) LoopWait(abandon);
  new (&handle->finished) sync::Event();
  PyObject_GC_Track(as_object(*handle));
  return PyRef::steal(as_object(*handle));
}

Work join_handle_claim(JoinHandleObject& handle) noexcept {
  const ObjectLock lock(as_object(handle));
  if (handle.phase != Phase::queued) return {};
  handle.phase = Phase::running;
  return std::move(handle.work);
}

// ---- running it ---------------------------------------------------------------------------------

void join_handle_start(JoinHandleObject& handle, PyObject* loop, LoopGate& gate) noexcept {
  Work work = join_handle_claim(handle);
  if (!work) return;
  PyRef value;
  PyRef task = start_task(handle, loop, work, &value);
  if (BLITZIO_UNLIKELY(!task)) {
    PyRef error = value ? PyRef() : take_exception();
    join_handle_finish(handle, std::move(value), std::move(error));
    return;
  }
  const PyRef done = PyRef::steal(PyObject_CallMethodNoArgs(task.get(), handle.state->names.done));
  if (done.get() == Py_True) {
    join_handle_finish_from(handle, std::move(task));
    return;
  }
  if (!done || !call_when_done(task.get(), as_object(handle))) {
    PyRef error = take_exception();
    if (finish(handle, {}, PyRef::borrow(error.get()), {})) return;
    // It called back first, and what it did then counts.
    restore_exception(std::move(error));
    PyErr_WriteUnraisable(task.get());
    return;
  }
  gate.add_ref();
  gate.add(handle.kept, as_object(handle));
  bool is_over = false;
  bool is_cancelled = false;
  {
    const ObjectLock lock(as_object(handle));
    // A task of the user's factory may have called back at once, or from another thread.
    is_over = handle.phase == Phase::finished;
    if (BLITZIO_LIKELY(!is_over)) {
      handle.task = task.release();
      handle.gate = &gate;
      is_cancelled = handle.cancel_requested;
    }
  }
  if (BLITZIO_UNLIKELY(is_over)) {
    const PyRef kept = gate.remove(handle.kept);
    gate.release_ref();
  } else if (is_cancelled) {
    cancel_running(handle);
  }
}

void join_handle_run_in_thread(PyRef owned) noexcept {
  JoinHandleObject& handle = as_join_handle(owned.get());
  Work work = join_handle_claim(handle);
  Waker first;
  if (work) {
    {
      const ObjectLock lock(owned.get());
      handle.thread = current_thread();
    }
    PyRef value = work.call();
    PyRef error = value ? PyRef() : take_exception();
    work = Work();
    const Settled settled = settle(handle, std::move(value), std::move(error), {});
    if (settled == Settled::detached) retrieve(handle);
    first = handle.finished.set_and_take_first();
  }
  owned.reset();
  PyEval_SaveThread();
  BlockingPool::expect_idle();
  first.wake();
}

// ---- waiting for it -----------------------------------------------------------------------------

bool join_handle_may_wait(JoinHandleObject& handle) noexcept {
  PyRef task;
  PyRef coroutine;
  bool is_call_here = false;
  {
    const ObjectLock lock(as_object(handle));
    if (handle.phase != Phase::running) return true;
    is_call_here = handle.thread == current_thread();
    if (handle.gate != nullptr && !handle.gate->is_here()) return true;
    task = PyRef::borrow(handle.task);
    coroutine = PyRef::borrow(handle.coroutine);
  }
  if (is_call_here) return refuse_own(as_object(handle));
  if (!task && !coroutine) return true;
  const PyRef loop = running_loop(*handle.state);
  if (!loop) return false;
  const PyRef current = current_task(*handle.state, loop.get());
  if (!current) return PyErr_Occurred() == nullptr;
  if (current.get() == Py_None) return true;
  if (task) return current.get() != task.get() || refuse_own(current.get());
  const PyRef own = PyRef::steal(PyObject_CallMethod(current.get(), "get_coro", nullptr));
  if (!own && !drop_exception()) return false;  // A task of others need not have it.
  return own.get() != coroutine.get() || refuse_own(current.get());
}

// ---- its end ------------------------------------------------------------------------------------

void join_handle_finish(JoinHandleObject& handle, PyRef value, PyRef error) noexcept {
  if (!value && !error) error = cancelled_error(*handle.state);
  finish(handle, std::move(value), std::move(error), {});
}

void join_handle_finish_from(JoinHandleObject& handle, PyRef task) noexcept {
  finish(handle, {}, {}, std::move(task));
}

bool join_handle_cancel(JoinHandleObject& handle) noexcept {
  Work work;
  {
    const ObjectLock lock(as_object(handle));
    if (handle.phase == Phase::finished) return false;
    handle.cancel_requested = true;
    if (handle.phase == Phase::queued) {
      handle.phase = Phase::running;
      work = std::move(handle.work);
    }
  }
  PyRef exception = take_exception();
  const bool was_queued = static_cast<bool>(work);
  if (was_queued) {
    work.drop();
    join_handle_finish(handle, {}, {});
  } else {
    cancel_running(handle);
  }
  if (exception) restore_exception(std::move(exception));
  return was_queued || !handle.finished.is_set();
}

PyObject* join_handle_outcome(JoinHandleObject& handle) noexcept {
  if (handle.value != nullptr) return Py_NewRef(handle.value);
  if (handle.task != nullptr) {
    return PyObject_CallMethodNoArgs(handle.task, handle.state->names.result);
  }
  if (BLITZIO_UNLIKELY(handle.error == nullptr)) {
    // A finaliser asks, after the collector has cleared the handle.
    PyErr_SetString(PyExc_RuntimeError, "the result has been collected");
    return nullptr;
  }
  restore_exception(PyRef::borrow(handle.error));
  return nullptr;
}

PyRef join_handle_exception(JoinHandleObject& handle) noexcept {
  if (handle.task == nullptr) {
    return PyRef::borrow(handle.error == nullptr ? Py_None : handle.error);
  }
  const PyRef cancelled =
      PyRef::steal(PyObject_CallMethodNoArgs(handle.task, handle.state->names.cancelled));
  if (!cancelled) return {};
  if (cancelled.get() == Py_True) {
    return PyRef::steal(PyObject_CallNoArgs(handle.state->cancelled_error));
  }
  return PyRef::steal(PyObject_CallMethodNoArgs(handle.task, handle.state->names.exception));
}

}  // namespace blitzio::python
