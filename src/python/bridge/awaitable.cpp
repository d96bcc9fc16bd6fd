#include <python/bridge/awaitable_internal.hpp>
#include <python/bridge/foreign_loop.hpp>
#include <python/support/context.hpp>
#include <python/support/coroutine.hpp>
#include <python/support/ft.hpp>

#include <blitzio/base/check.hpp>
#include <blitzio/task/join_result.hpp>

#include <pybind11/pybind11.h>

#include <cstdint>
#include <exception>

namespace blitzio::python {

namespace {

using State = AwaitableObject::State;
using Wake = AwaitableObject::Wake;

void abandon(PyObject* object) noexcept {
  const ObjectLock lock(object);
  awaitable_finish(as_awaitable(object));
}

void signal(PyObject* object) noexcept {
  const ObjectLock lock(object);
  AwaitableObject& self = as_awaitable(object);
  if (self.phase != State::suspended || self.wake != Wake::none) return;
  self.wake = Wake::signalled;
  awaitable_schedule_all(self);
}

/// The node that wakers of `self` share, made if need be. Null with an error set.
WakeNode* node_of(AwaitableObject& self) noexcept {
  if (self.node != nullptr) return self.node;
  RunningLoop running = find_running_loop(*self.state);
  if (!running.loop) return nullptr;
  self.node = new (std::nothrow) WakeNode(*running.gate, signal, abandon);
  if (self.node == nullptr) {
    PyErr_NoMemory();
    return nullptr;
  }
  self.loop = running.loop.release();
  return self.node;
}

// ---- wakers -------------------------------------------------------------------------------------
//
// A poll that finds its future ready needs no waker, so the poll's own is only the awaitable with a
// mark; the node is made when it is cloned. Null: making the node failed, which the poll reports.

constexpr std::uintptr_t kPollMark = 1;

bool is_poll(void* data) noexcept {
  return (reinterpret_cast<std::uintptr_t>(data) & kPollMark) != 0;
}

AwaitableObject& polled(void* data) noexcept {
  return *reinterpret_cast<AwaitableObject*>(reinterpret_cast<std::uintptr_t>(data) & ~kPollMark);
}

void* waker_clone(void* data) noexcept {
  if (data == nullptr) return nullptr;
  WakeNode* node = nullptr;
  if (is_poll(data)) {
    node = node_of(polled(data));
    if (node == nullptr) PyErr_Clear();  // Should the poll end up pending, it tries once more.
  } else {
    node = static_cast<WakeNode*>(data);
  }
  if (node != nullptr) node->add_ref();
  return node;
}

void waker_wake_by_ref(void* data) noexcept {
  if (data == nullptr) return;
  if (is_poll(data)) {
    polled(data).woken_in_poll = true;
  } else {
    static_cast<WakeNode*>(data)->wake();
  }
}

void waker_drop(void* data) noexcept {
  if (data != nullptr && !is_poll(data)) static_cast<WakeNode*>(data)->release_ref();
}

void waker_wake(void* data) noexcept {
  waker_wake_by_ref(data);
  waker_drop(data);
}

constexpr WakerVTable kWakerVTable{waker_clone, waker_wake, waker_wake_by_ref, waker_drop};

// ---- sending ------------------------------------------------------------------------------------

/// running → suspended. Returns false with an error set.
bool suspend(AwaitableObject& self) noexcept {
  WakeNode* node = node_of(self);
  if (BLITZIO_UNLIKELY(node == nullptr)) return false;
  const bool was_woken = node->take_woken() || std::exchange(self.woken_in_poll, false);
  // First: it may wait for a lock, and who comes in meanwhile shall find nothing to end.
  node->gate().add(*node, as_object(self));
  self.phase = State::suspended;
  self.wake = was_woken ? Wake::signalled : Wake::none;
  self.blocking = true;
  return true;
}

/// suspended → running: the task has come back.
void resume(AwaitableObject& self) noexcept {
  self.phase = State::running;
  self.blocking = false;
  // The caller has a reference of its own.
  const PyRef kept = self.node->gate().remove(*self.node);
  Py_CLEAR(self.callback);  // Not called, if somebody resumed us before the wake.
  Py_CLEAR(self.context);
  Py_CLEAR(self.more_callbacks);
  Py_CLEAR(self.cancel_message);
}

bool poll(AwaitableObject& self, Context& context, PyObject** result) noexcept {
  self.woken_in_poll = false;
  return self.kind->poll(self.future, context, result);
}

/// running → finished or suspended.
PySendResult step(AwaitableObject& self, PyObject** result) noexcept {
  const Waker waker(reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(&self) | kPollMark),
                    &kWakerVTable);
  Context context(waker);
  *result = nullptr;
  if (!poll(self, context, result)) {
    if (BLITZIO_LIKELY(suspend(self))) {
      *result = Py_NewRef(as_object(self));
      return PYGEN_NEXT;
    }
  } else if (BLITZIO_UNLIKELY(self.thrown != nullptr)) {
    Py_CLEAR(*result);
    restore_exception(PyRef::steal(std::exchange(self.thrown, nullptr)));
  }
  PyRef error = *result == nullptr ? take_exception() : PyRef();
  awaitable_finish(self);
  if (!error) return PYGEN_RETURN;
  restore_exception(std::move(error));
  return PYGEN_ERROR;
}

BLITZIO_COLD void warn_never_awaited(const AwaitableObject& self) noexcept {
  PyRef exception = take_exception();
  if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "coroutine '%s' was never awaited", self.name) !=
      0) {
    PyErr_WriteUnraisable(nullptr);
  }
  if (exception) restore_exception(std::move(exception));
}

void free_awaitable(PyObject* object) noexcept {
  PyTypeObject* type = Py_TYPE(object);
  PyObject* module = as_awaitable(object).module;
  type->tp_free(object);
  Py_DECREF(type);
  Py_DECREF(module);
}

}  // namespace

void detail::raise_current_exception() noexcept {
  try {
    throw;
  } catch (pybind11::error_already_set& error) {
    error.restore();
  } catch (const pybind11::builtin_exception& error) {
    error.set_error();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  } catch (...) {
    PyErr_SetString(PyExc_RuntimeError, "an exception of C++ that has no message");
  }
}

PySendResult awaitable_send(PyObject* object, PyObject* value, PyObject** result) {
  const ObjectLock lock(object);
  AwaitableObject& self = as_awaitable(object);
  *result = nullptr;
  switch (self.phase) {
    case State::created:
      if (BLITZIO_UNLIKELY(value != Py_None)) {
        PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started coroutine");
        return PYGEN_ERROR;
      }
      self.phase = State::running;
      return step(self, result);
    case State::suspended:
      resume(self);
      return step(self, result);
    case State::running:
    case State::taken:
      raise_already_executing();
      return PYGEN_ERROR;
    case State::finished:
      raise_already_awaited();
      return PYGEN_ERROR;
  }
  return PYGEN_ERROR;
}

PyObject* awaitable_throw(PyObject* object, PyObject* const* args, Py_ssize_t nargs) {
  const ObjectLock lock(object);
  AwaitableObject& self = as_awaitable(object);
  const auto may_enter = [&self]() noexcept {
    return coroutine_may_enter(awaitable_is_busy(self), self.phase == State::finished);
  };
  if (!may_enter()) return nullptr;
  raise_thrown(args, nargs);
  PyRef error = take_exception();
  // Again: an exception's class may run any code, even such as has another future take this one.
  if (!may_enter()) return nullptr;
  if (self.phase == State::suspended && self.kind->unwind(self.future)) {
    resume(self);
    Py_XSETREF(self.thrown, error.release());
    PyObject* result = nullptr;
    return as_iteration(step(self, &result), result);
  }
  awaitable_finish(self);
  restore_exception(std::move(error));
  return nullptr;
}

void awaitable_finish(AwaitableObject& self) noexcept {
  if (BLITZIO_UNLIKELY(self.phase == State::finished)) return;
  self.phase = State::finished;
  self.blocking = false;
  // All is taken out before any of it goes: that may run any code, and where there is no
  // interpreter lock even waiting for a lock lets others in. The owner goes last.
  const PyRef owner = PyRef::steal(std::exchange(self.owner, nullptr));
  const PyRef loop = PyRef::steal(std::exchange(self.loop, nullptr));
  const PyRef thrown = PyRef::steal(std::exchange(self.thrown, nullptr));
  const PyRef cancel_message = PyRef::steal(std::exchange(self.cancel_message, nullptr));
  const PyRef more_callbacks = PyRef::steal(std::exchange(self.more_callbacks, nullptr));
  const PyRef context = PyRef::steal(std::exchange(self.context, nullptr));
  const PyRef callback = PyRef::steal(std::exchange(self.callback, nullptr));
  const AwaitableKind* kind = std::exchange(self.kind, nullptr);
  WakeNode* node = std::exchange(self.node, nullptr);
  // Whoever calls this has a reference of its own, so this one is not the last.
  const PyRef kept = node != nullptr ? node->gate().remove(*node) : PyRef();
  if (kind != nullptr) {
    kind->destroy(self.future);
    if (self.future != self.inline_bytes) ::operator delete(self.future);
  }
  if (node != nullptr) node->release_ref();
}

void awaitable_schedule(AwaitableObject& self, PyObject* callback, PyObject* context) noexcept {
  if (BLITZIO_UNLIKELY(self.node == nullptr)) return;  // What ran for the one before closed it.
  // A wake may come from a destructor, with an exception on its way.
  PyRef exception = take_exception();
  // And call_soon() may run any code: a finaliser's, or that of somebody else's loop.
  const PyRef loop = PyRef::borrow(self.loop);
  if (self.node->gate().call_soon(loop.get(), callback, as_object(self), context) != 0) {
    PyErr_WriteUnraisable(loop.get());
  }
  if (exception) restore_exception(std::move(exception));
}

void awaitable_schedule_all(AwaitableObject& self) noexcept {
  if (self.callback == nullptr) return;
  const PyRef callback = PyRef::steal(std::exchange(self.callback, nullptr));
  const PyRef context = PyRef::steal(std::exchange(self.context, nullptr));
  const PyRef more = PyRef::steal(std::exchange(self.more_callbacks, nullptr));
  if (!WakeInPlace::keep(callback.get(), as_object(self), context.get())) {
    awaitable_schedule(self, callback.get(), context.get());
  }
  if (BLITZIO_LIKELY(!more)) return;
  const Py_ssize_t count = PyList_Size(more.get());
  for (Py_ssize_t i = 0; i < count; ++i) {
    const PyRef pair = PyRef::steal(PySequence_GetItem(more.get(), i));
    awaitable_schedule(self, PyTuple_GET_ITEM(pair.get(), 0), PyTuple_GET_ITEM(pair.get(), 1));
  }
}

// ---- waking in place ----------------------------------------------------------------------------

thread_local WakeInPlace* WakeInPlace::current_ = nullptr;

bool WakeInPlace::keep(PyObject* callback, PyObject* argument, PyObject* context) noexcept {
  WakeInPlace* self = current_;
  if (BLITZIO_LIKELY(self == nullptr || self->callback_)) return false;
  self->callback_ = PyRef::borrow(callback);
  self->argument_ = PyRef::borrow(argument);
  self->context_ = PyRef::borrow(context);
  return true;
}

bool WakeInPlace::run() noexcept {
  current_ = outer_;
  if (!callback_) return true;
  return static_cast<bool>(call_in_context(context_.get(), [this]() noexcept {
    return PyRef::steal(PyObject_CallOneArg(callback_.get(), argument_.get()));
  }));
}

// ---- lifetime -----------------------------------------------------------------------------------

PyObject* detail::awaitable_allocate(ModuleState& state, const char* name, PyObject* owner,
                                     std::size_t bytes, void** storage) noexcept {
  auto* self = PyObject_GC_New(AwaitableObject, state.awaitable_type);
  if (BLITZIO_UNLIKELY(self == nullptr)) return nullptr;
  self->state = &state;
  self->module = Py_NewRef(state.module);
  self->owner = Py_XNewRef(owner);
  self->kind = nullptr;
  self->future = self->inline_bytes;
  self->name = name;
  self->node = nullptr;
  self->loop = self->callback = self->context = self->more_callbacks = nullptr;
  self->cancel_message = self->thrown = nullptr;
  self->phase = State::created;
  self->wake = Wake::none;
  self->blocking = false;
  self->woken_in_poll = false;
  if (bytes > kAwaitableInlineBytes) {
    self->future = ::operator new(bytes, std::nothrow);
    if (self->future == nullptr) {
      self->phase = State::running;  // Neither awaited by anybody nor finished yet.
      Py_DECREF(reinterpret_cast<PyObject*>(self));
      return PyErr_NoMemory();
    }
  }
  *storage = self->future;
  return reinterpret_cast<PyObject*>(self);
}

void detail::awaitable_arm(PyObject* awaitable, const AwaitableKind& kind) noexcept {
  as_awaitable(awaitable).kind = &kind;
  PyObject_GC_Track(awaitable);
}

int awaitable_traverse(PyObject* object, visitproc visit, void* arg) {
  AwaitableObject& self = as_awaitable(object);
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self.module);
  Py_VISIT(self.owner);
  Py_VISIT(self.loop);
  Py_VISIT(self.callback);
  Py_VISIT(self.context);
  Py_VISIT(self.more_callbacks);
  Py_VISIT(self.cancel_message);
  Py_VISIT(self.thrown);
  return self.kind == nullptr ? 0 : self.kind->traverse(self.future, visit, arg);
}

int awaitable_clear(PyObject* object) {
  PyRef exception = take_exception();
  awaitable_finish(as_awaitable(object));
  if (exception) restore_exception(std::move(exception));
  return 0;
}

void awaitable_dealloc(PyObject* object) {
  AwaitableObject& self = as_awaitable(object);
  if (PyObject_GC_IsTracked(object) != 0) PyObject_GC_UnTrack(object);
  if (BLITZIO_UNLIKELY(self.phase != State::finished)) {
    // What is sent may be an awaitable that sends one, and so on.
    Py_TRASHCAN_BEGIN(object, awaitable_dealloc);
    if (self.phase == State::created) warn_never_awaited(self);
    awaitable_clear(object);
    free_awaitable(object);
    Py_TRASHCAN_END;
  } else {
    free_awaitable(object);
  }
}

// ---- for native futures made of others ----------------------------------------------------------

bool awaitable_check(const ModuleState& state, PyObject* object) noexcept {
  return Py_IS_TYPE(object, state.awaitable_type);
}

bool awaitable_take(PyObject* awaitable, bool has_rivals) noexcept {
  const ObjectLock lock(awaitable);
  AwaitableObject& self = as_awaitable(awaitable);
  if (self.phase != State::created) {
    raise_already_awaited();
    return false;
  }
  self.phase = State::taken;
  if (has_rivals) self.kind->join_rivals(self.future);
  return true;
}

bool awaitable_poll(PyObject* awaitable, Context& context, PyObject** result) noexcept {
  const ObjectLock lock(awaitable);
  AwaitableObject& self = as_awaitable(awaitable);
  BLITZIO_CHECK(self.phase == State::taken);
  *result = nullptr;
  self.phase = State::running;
  if (!poll(self, context, result)) {
    self.phase = State::taken;
    return false;
  }
  PyRef error = *result == nullptr ? take_exception() : PyRef();
  awaitable_finish(self);
  if (error) restore_exception(std::move(error));
  return true;
}

void awaitable_close(PyObject* awaitable, bool is_taken) noexcept {
  const ObjectLock lock(awaitable);
  if (is_taken || as_awaitable(awaitable).phase == State::created) awaitable_clear(awaitable);
}

}  // namespace blitzio::python
