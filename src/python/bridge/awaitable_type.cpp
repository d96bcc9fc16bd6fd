// What Python sees of an awaitable: the interface of a coroutine, and that of asyncio.Future while
// it is suspended.
#include <python/bridge/awaitable_internal.hpp>
#include <python/support/arguments.hpp>
#include <python/support/coroutine.hpp>
#include <python/support/ft.hpp>
#include <python/support/heap_type.hpp>
#include <python/support/slots.hpp>

namespace blitzio::python {

namespace {

using State = AwaitableObject::State;
using Wake = AwaitableObject::Wake;

// ---- as a coroutine -----------------------------------------------------------------------------

PyObject* awaitable_await(PyObject* self) {
  const ObjectLock lock(self);
  if (BLITZIO_UNLIKELY(as_awaitable(self).phase == State::suspended)) {
    PyErr_SetString(PyExc_RuntimeError, "coroutine is being awaited already");
    return nullptr;
  }
  return Py_NewRef(self);
}

PyObject* method_close(PyObject* self, PyObject* /*unused*/) {
  const ObjectLock lock(self);
  if (awaitable_is_busy(as_awaitable(self))) {
    raise_already_executing();
    return nullptr;
  }
  awaitable_finish(as_awaitable(self));
  Py_RETURN_NONE;
}

PyObject* get_name(PyObject* self, void* /*unused*/) {
  return PyUnicode_FromString(as_awaitable(self).name);
}

PyObject* get_running(PyObject* self, void* /*unused*/) {
  return PyBool_FromLong(awaitable_is_busy(as_awaitable(self)) ? 1 : 0);
}

const char* describe(const AwaitableObject& self) noexcept {
  switch (self.phase) {
    case State::created:
      return "not started";
    case State::running:
    case State::taken:
      return "running";
    case State::suspended:
      if (self.wake == Wake::none) return "waiting";
      return self.wake == Wake::signalled ? "woken" : "cancelled";
    case State::finished:
      return "finished";
  }
  return "";
}

PyObject* awaitable_repr(PyObject* object) {
  const AwaitableObject& self = as_awaitable(object);
  return PyUnicode_FromFormat("<blitzio %s %s at %p>", self.name, describe(self), object);
}

// ---- as a future --------------------------------------------------------------------------------

PyObject* get_blocking(PyObject* object, void* /*unused*/) {
  const AwaitableObject& self = as_awaitable(object);
  // None: "not a future", says asyncio.isfuture().
  if (self.phase != State::suspended) Py_RETURN_NONE;
  return PyBool_FromLong(self.blocking ? 1 : 0);
}

int set_blocking(PyObject* object, PyObject* value, void* /*unused*/) {
  if (value == nullptr) {
    PyErr_SetString(PyExc_AttributeError, "cannot delete attribute");
    return -1;
  }
  const int truth = PyObject_IsTrue(value);
  if (truth < 0) return -1;
  as_awaitable(object).blocking = truth != 0;
  return 0;
}

PyObject* method_get_loop(PyObject* object, PyObject* /*unused*/) {
  const ObjectLock lock(object);
  const AwaitableObject& self = as_awaitable(object);
  if (self.loop == nullptr) {
    PyErr_Format(PyExc_RuntimeError, "%R waits on no loop", object);
    return nullptr;
  }
  return Py_NewRef(self.loop);
}

bool is_done(const AwaitableObject& self) noexcept {
  return self.phase == State::finished ||
         (self.phase == State::suspended && self.wake != Wake::none);
}

bool is_cancelled(const AwaitableObject& self) noexcept {
  return self.phase == State::suspended && self.wake == Wake::cancelled;
}

PyObject* method_done(PyObject* object, PyObject* /*unused*/) {
  return PyBool_FromLong(is_done(as_awaitable(object)) ? 1 : 0);
}

PyObject* method_cancelled(PyObject* object, PyObject* /*unused*/) {
  return PyBool_FromLong(is_cancelled(as_awaitable(object)) ? 1 : 0);
}

/// None, or null with CancelledError or InvalidStateError set: what it has to tell is told by the
/// next poll, not by the future.
PyObject* method_result(PyObject* object, PyObject* /*unused*/) {
  const ObjectLock lock(object);
  const AwaitableObject& self = as_awaitable(object);
  if (is_cancelled(self)) {
    if (self.cancel_message == nullptr) {
      PyErr_SetNone(self.state->cancelled_error);
    } else {
      PyErr_SetObject(self.state->cancelled_error, self.cancel_message);
    }
    return nullptr;
  }
  if (!is_done(self)) {
    PyErr_SetString(self.state->invalid_state_error, "Result is not ready.");
    return nullptr;
  }
  Py_RETURN_NONE;
}

PyObject* method_cancel(PyObject* object, PyObject* const* args, Py_ssize_t nargs,
                        PyObject* kwnames) {
  const ObjectLock lock(object);
  static constexpr std::array kParameters{"msg"};
  AwaitableObject& self = as_awaitable(object);
  Arguments arguments(args, nargs, kwnames);
  PyObject* message = nullptr;
  if (nargs != 0 || kwnames != nullptr) {
    if (!arguments.bind_all("cancel", kParameters, 0)) return nullptr;
    message = arguments[0];
  }
  if (self.phase != State::suspended || self.wake != Wake::none) Py_RETURN_FALSE;
  self.wake = Wake::cancelled;
  if (message != nullptr && message != Py_None) {
    Py_XSETREF(self.cancel_message, Py_NewRef(message));
  }
  awaitable_schedule_all(self);
  Py_RETURN_TRUE;
}

PyObject* method_add_done_callback(PyObject* object, PyObject* const* args, Py_ssize_t nargs,
                                   PyObject* kwnames) {
  const ObjectLock lock(object);
  static constexpr std::array kParameters{"fn"};
  AwaitableObject& self = as_awaitable(object);
  Arguments arguments(args, nargs, kwnames);
  if (!arguments.bind("add_done_callback", kParameters, "context", self.state->names.context)) {
    return nullptr;
  }
  PyRef context = arguments.extra() != nullptr ? PyRef::borrow(arguments.extra())
                                               : PyRef::steal(PyContext_CopyCurrent());
  if (!context) return nullptr;
  PyRef pair;  // What a second callback needs.
  PyRef list;
  if (BLITZIO_UNLIKELY(self.callback != nullptr)) {
    pair = PyRef::steal(PyTuple_Pack(2, arguments[0], context.get()));
    list = PyRef::steal(PyList_New(0));
    if (!pair || !list) return nullptr;
  }
  // Looked at now: making objects may collect garbage, and that wake or end the awaitable.
  if (self.phase != State::suspended) {
    return PyErr_Format(self.state->invalid_state_error, "%R is not waited for", object);
  }
  if (BLITZIO_UNLIKELY(self.wake != Wake::none)) {
    awaitable_schedule(self, arguments[0], context.get());
  } else if (BLITZIO_LIKELY(self.callback == nullptr)) {
    self.callback = Py_NewRef(arguments[0]);
    self.context = context.release();
  } else {
    if (self.more_callbacks == nullptr) self.more_callbacks = list.release();
    if (PyList_Append(self.more_callbacks, pair.get()) != 0) return nullptr;
  }
  Py_RETURN_NONE;
}

/// What is kept, as a list of (callback, context). Null with an error set.
PyRef kept_callbacks(const AwaitableObject& self) noexcept {
  PyRef pairs = PyRef::steal(PyList_New(0));
  if (!pairs || self.callback == nullptr) return pairs;
  // Held: making objects may collect garbage, and that end the awaitable.
  const PyRef callback = PyRef::borrow(self.callback);
  const PyRef context = PyRef::borrow(self.context);
  const PyRef more = PyRef::borrow(self.more_callbacks);
  const PyRef first = PyRef::steal(PyTuple_Pack(2, callback.get(), context.get()));
  if (!first || PyList_Append(pairs.get(), first.get()) != 0) return {};
  if (!more) return pairs;
  return PyRef::steal(PySequence_Concat(pairs.get(), more.get()));
}

/// Forgets a pair, which the caller holds, so that this runs no code. Returns whether it was kept.
bool forget_callback(AwaitableObject& self, PyObject* pair) noexcept {
  PyObject* more = self.more_callbacks;
  const Py_ssize_t count = more == nullptr ? 0 : PyList_GET_SIZE(more);
  if (self.callback == PyTuple_GET_ITEM(pair, 0) && self.context == PyTuple_GET_ITEM(pair, 1)) {
    // The list is nobody's but this awaitable's, which is locked.
    PyObject* next = count == 0 ? nullptr : PyList_GET_ITEM(more, 0);
    Py_SETREF(self.callback, next == nullptr ? nullptr : Py_NewRef(PyTuple_GET_ITEM(next, 0)));
    Py_SETREF(self.context, next == nullptr ? nullptr : Py_NewRef(PyTuple_GET_ITEM(next, 1)));
    return next == nullptr || PyList_SetSlice(more, 0, 1, nullptr) == 0;
  }
  for (Py_ssize_t i = 0; i < count; ++i) {
    // As above.
    if (PyList_GET_ITEM(more, i) == pair) return PyList_SetSlice(more, i, i + 1, nullptr) == 0;
  }
  return false;
}

PyObject* method_remove_done_callback(PyObject* object, PyObject* callback) {
  const ObjectLock lock(object);
  AwaitableObject& self = as_awaitable(object);
  const PyRef pairs = kept_callbacks(self);
  const PyRef equals = PyRef::steal(PyList_New(0));
  if (!pairs || !equals) return nullptr;
  // A comparison may fail, or run any code, even wake or end the awaitable.
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pairs.get()); ++i) {
    PyObject* pair = PyList_GET_ITEM(pairs.get(), i);
    const int equal = PyObject_RichCompareBool(PyTuple_GET_ITEM(pair, 0), callback, Py_EQ);
    if (equal < 0 || (equal > 0 && PyList_Append(equals.get(), pair) != 0)) return nullptr;
  }
  long removed = 0;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(equals.get()); ++i) {
    // Nobody else has this list.
    removed += forget_callback(self, PyList_GET_ITEM(equals.get(), i)) ? 1 : 0;
  }
  return PyLong_FromLong(removed);
}

PyMethodDef awaitable_methods[] = {
    {"send", coroutine_send<awaitable_send>, METH_O, PyDoc_STR("As coroutine.send().")},
    {"throw", fast(awaitable_throw), METH_FASTCALL, PyDoc_STR("As coroutine.throw().")},
    {"close", method_close, METH_NOARGS, PyDoc_STR("As coroutine.close().")},
    {"get_loop", method_get_loop, METH_NOARGS, PyDoc_STR("As Future.get_loop().")},
    {"done", method_done, METH_NOARGS, PyDoc_STR("As Future.done().")},
    {"cancelled", method_cancelled, METH_NOARGS, PyDoc_STR("As Future.cancelled().")},
    {"result", method_result, METH_NOARGS, PyDoc_STR("As Future.result(), always None.")},
    {"exception", method_result, METH_NOARGS, PyDoc_STR("As Future.exception(), always None.")},
    {"cancel", fast(method_cancel), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("cancel($self, msg=None)\n--\n\nAs Future.cancel().")},
    {"add_done_callback", fast(method_add_done_callback), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("add_done_callback($self, fn, *, context=None)\n--\n\n"
               "As Future.add_done_callback().")},
    {"remove_done_callback", method_remove_done_callback, METH_O,
     PyDoc_STR("As Future.remove_done_callback().")},
    kSubscript,
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef awaitable_getset[] = {
    {"__name__", get_name, nullptr, nullptr, nullptr},
    {"__qualname__", get_name, nullptr, nullptr, nullptr},
    {"cr_running", get_running, nullptr, nullptr, nullptr},
    {"_asyncio_future_blocking", get_blocking, set_blocking, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

}  // namespace

int awaitable_register(PyObject* module, ModuleState& state) noexcept {
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("A native future; await it once.")},
      {Py_tp_dealloc, slot(awaitable_dealloc)},
      {Py_tp_traverse, slot(awaitable_traverse)},
      {Py_tp_clear, slot(awaitable_clear)},
      {Py_tp_repr, slot(awaitable_repr)},
      {Py_am_await, slot(awaitable_await)},
      {Py_am_send, slot(awaitable_send)},
      {Py_tp_iter, slot(PyObject_SelfIter)},
      {Py_tp_iternext, slot(coroutine_next<awaitable_send>)},
      {Py_tp_methods, awaitable_methods},
      {Py_tp_getset, awaitable_getset},
      {0, nullptr},
  };
  return add_type(module, &state.awaitable_type,
                  {.name = "blitzio._native.Awaitable",
                   .bytes = sizeof(AwaitableObject),
                   .flags = kInternalType,
                   .slots = slots});
}

}  // namespace blitzio::python
