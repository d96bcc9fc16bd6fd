// What Python sees of handles: construction, attributes, repr, comparison, and the types
// themselves.
#include <python/loop/callback_context.hpp>
#include <python/loop/handle_internal.hpp>
#include <python/loop/loop_use.hpp>
#include <python/support/error.hpp>
#include <python/support/heap_type.hpp>
#include <python/support/slots.hpp>

#include <structmember.h>

#include <cstddef>

// offsetof of a class with C++ members is conditionally supported: GCC and Clang define it for
// every class without virtual bases.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace blitzio::python {

namespace {

LoopObject* loop_of_handle(PyObject* self) noexcept {
  return as_handle(self).loop;
}
/// A handle's method as its type has it: see one_user.
template <auto Function>
constexpr auto handle_method = one_user<loop_of_handle, Function>;

// ---- construction from Python -------------------------------------------------------------------

struct NewArgs {
  PyObject* callback = nullptr;
  PyRef args;
  PyObject* loop = nullptr;
  PyObject* context = nullptr;
};

bool check_new_args(PyTypeObject* type, NewArgs& parsed, PyObject* args) noexcept {
  PyTypeObject* loop_type = nullptr;
  for (PyTypeObject* base = type; base != nullptr && loop_type == nullptr; base = base->tp_base) {
    // The module that defines our types is found on the first base that has one.
    if ((base->tp_flags & Py_TPFLAGS_HEAPTYPE) != 0 && PyType_GetModule(base) != nullptr) {
      loop_type = state_of_type(base).loop_type;
    }
    PyErr_Clear();  // Not a type of ours: its base may be.
  }
  if (loop_type == nullptr || PyObject_TypeCheck(parsed.loop, loop_type) == 0) {
    PyErr_Format(PyExc_TypeError, "loop must be a blitzio.Loop, got %R", parsed.loop);
    return false;
  }
  parsed.args = PyRef::steal(PySequence_Tuple(args));
  if (!parsed.args) return false;
  if (parsed.context == Py_None) parsed.context = nullptr;
  return true;
}

/// A handle that Python code has made, and no loop knows. Null: an error is set.
PyObject* give_out(HandleObject* handle) noexcept {
  if (handle == nullptr) return nullptr;
  handle_track(*handle);
  return as_object(*handle);
}

PyObject* handle_new_py(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* const keywords[] = {"callback", "args", "loop", "context", nullptr};
  NewArgs parsed;
  PyObject* call_args = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO|O:Handle", const_cast<char**>(keywords),
                                   &parsed.callback, &call_args, &parsed.loop, &parsed.context) ||
      !check_new_args(type, parsed, call_args)) {
    return nullptr;
  }
  return give_out(make_handle(type, *reinterpret_cast<LoopObject*>(parsed.loop), parsed.callback,
                              &PyTuple_GET_ITEM(parsed.args.get(), 0),
                              PyTuple_GET_SIZE(parsed.args.get()), parsed.context));
}

PyObject* timer_new_py(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* const keywords[] = {"when", "callback", "args", "loop", "context", nullptr};
  NewArgs parsed;
  PyObject* call_args = nullptr;
  double when = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "dOOO|O:TimerHandle", const_cast<char**>(keywords),
                                   &when, &parsed.callback, &call_args, &parsed.loop,
                                   &parsed.context) ||
      !check_new_args(type, parsed, call_args)) {
    return nullptr;
  }
  TimerHandleObject* timer = make_timer(type, *reinterpret_cast<LoopObject*>(parsed.loop), when,
                                        parsed.callback, &PyTuple_GET_ITEM(parsed.args.get(), 0),
                                        PyTuple_GET_SIZE(parsed.args.get()), parsed.context);
  return give_out(timer == nullptr ? nullptr : &timer->handle);
}

// ---- how it looks -------------------------------------------------------------------------------

/// Appends a new reference to `list` (null: an error is set). Returns false on error.
bool append(PyObject* list, PyRef item) noexcept {
  return item && PyList_Append(list, item.get()) == 0;
}

/// asyncio's Handle._repr_info(): the words of the repr. New list, or null.
PyRef repr_words(HandleObject& handle) noexcept {
  PyRef words = PyRef::steal(PyList_New(0));
  if (!words) return {};
  PyObject* type = reinterpret_cast<PyObject*>(Py_TYPE(as_object(handle)));
  ModuleState& state = *handle.loop->state;
  if (!append(words.get(), PyRef::steal(PyObject_GetAttr(type, state.names.__name__)))) return {};
  if (is_cancelled(handle) &&
      !append(words.get(), PyRef::steal(PyUnicode_FromString("cancelled")))) {
    return {};
  }
  if (handle.is_timer) {
    const PyRef when = PyRef::steal(PyFloat_FromDouble(as_timer(as_object(handle)).when));
    if (!when || !append(words.get(), PyRef::steal(PyUnicode_FromFormat("when=%S", when.get())))) {
      return {};
    }
  }
  const PyRef callback = held_callback(handle);
  if (callback && !append(words.get(), callback_source(handle, callback.get()))) return {};
  if (handle.source_traceback != nullptr) {
    const PyRef frame = PyRef::steal(PySequence_GetItem(handle.source_traceback, -1));
    if (!frame) {
      PyErr_Clear();  // An empty traceback: nothing to show.
      return words;
    }
    const PyRef file = PyRef::steal(PySequence_GetItem(frame.get(), 0));
    const PyRef line = PyRef::steal(PySequence_GetItem(frame.get(), 1));
    if (!file || !line ||
        !append(words.get(),
                PyRef::steal(PyUnicode_FromFormat("created at %S:%S", file.get(), line.get())))) {
      return {};
    }
  }
  return words;
}

}  // namespace

PyObject* handle_repr(PyObject* self) {
  HandleObject& handle = as_handle(self);
  if (handle.repr_info != nullptr) return Py_NewRef(handle.repr_info);
  const PyRef words = repr_words(handle);
  if (!words) return nullptr;
  const PyRef space = PyRef::steal(PyUnicode_FromString(" "));
  if (!space) return nullptr;
  const PyRef text = PyRef::steal(PyUnicode_Join(space.get(), words.get()));
  return text ? PyUnicode_FromFormat("<%U>", text.get()) : nullptr;
}

namespace {

PyObject* method_repr_info(PyObject* self, PyObject* /*unused*/) {
  return repr_words(as_handle(self)).release();
}

// ---- methods ------------------------------------------------------------------------------------

PyObject* method_cancel(PyObject* self, PyObject* /*unused*/) {
  handle_cancel(as_handle(self));
  Py_RETURN_NONE;
}

PyObject* method_cancelled(PyObject* self, PyObject* /*unused*/) {
  return PyBool_FromLong(is_cancelled(as_handle(self)) ? 1 : 0);
}

PyObject* method_get_context(PyObject* self, PyObject* /*unused*/) {
  HandleObject& handle = as_handle(self);
  if (handle.context == nullptr) Py_RETURN_NONE;
  return Py_XNewRef(
      callback_context_own(*handle.loop->state, handle.context, handle.run == HandleRun::called));
}

PyObject* method_run(PyObject* self, PyObject* /*unused*/) {
  HandleObject& handle = as_handle(self);
  // Where no lock keeps two threads from running it at once.
  if (kFreeThreaded && loop_check_owner(*handle.loop) != 0) return nullptr;
  if (handle_run(handle) != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* method_when(PyObject* self, PyObject* /*unused*/) {
  return PyFloat_FromDouble(as_timer(self).when);
}

PyObject* get_context(PyObject* self, void* /*unused*/) {
  return method_get_context(self, nullptr);
}

PyObject* get_cancelled(PyObject* self, void* /*unused*/) {
  return PyBool_FromLong(is_cancelled(as_handle(self)) ? 1 : 0);
}

PyObject* get_callback(PyObject* self, void* /*unused*/) {
  PyRef callback = held_callback(as_handle(self));
  return callback ? callback.release() : Py_NewRef(Py_None);
}

PyObject* get_args(PyObject* self, void* /*unused*/) {
  return args_tuple(as_handle(self)).release();
}

PyObject* get_loop(PyObject* self, void* /*unused*/) {
  return Py_NewRef(reinterpret_cast<PyObject*>(as_handle(self).loop));
}

PyObject* get_repr(PyObject* self, void* /*unused*/) {
  PyObject* text = as_handle(self).repr_info;
  return Py_NewRef(text == nullptr ? Py_None : text);
}

PyObject* get_source_traceback(PyObject* self, void* /*unused*/) {
  PyObject* traceback = as_handle(self).source_traceback;
  return Py_NewRef(traceback == nullptr ? Py_None : traceback);
}

PyObject* get_scheduled(PyObject* self, void* /*unused*/) {
  return PyBool_FromLong(as_timer(self).timer.is_armed() ? 1 : 0);
}

Py_hash_t timer_hash(PyObject* self) {
  return _Py_HashDouble(self, as_timer(self).when);
}

int same_call(HandleObject& a, HandleObject& b) noexcept {
  if (is_cancelled(a) != is_cancelled(b)) return 0;
  // Held: a comparison may run any code, such as cancel().
  const PyRef callback = held_callback(a);
  const PyRef other = held_callback(b);
  if (!callback || !other) return callback.get() == other.get() ? 1 : 0;
  const int equal = PyObject_RichCompareBool(callback.get(), other.get(), Py_EQ);
  if (equal != 1) return equal;
  const PyRef left = args_tuple(a);
  const PyRef right = args_tuple(b);
  if (!left || !right) return -1;
  return PyObject_RichCompareBool(left.get(), right.get(), Py_EQ);
}

PyObject* timer_compare(PyObject* self, PyObject* other, int op) {
  if (PyObject_TypeCheck(other, as_handle(self).loop->state->timer_handle_type) == 0) {
    Py_RETURN_NOTIMPLEMENTED;
  }
  TimerHandleObject& a = as_timer(self);
  TimerHandleObject& b = as_timer(other);
  if (op == Py_EQ || op == Py_NE) {
    const int equal = a.when == b.when ? same_call(a.handle, b.handle) : 0;
    if (equal < 0) return nullptr;
    return PyBool_FromLong((equal != 0) == (op == Py_EQ) ? 1 : 0);
  }
  Py_RETURN_RICHCOMPARE(a.when, b.when, op);
}

PyMethodDef handle_methods[] = {
    {"cancel", handle_method<method_cancel>, METH_NOARGS,
     PyDoc_STR("Drop the callback; it will not run.")},
    {"cancelled", method_cancelled, METH_NOARGS, PyDoc_STR("Whether cancel() was called.")},
    {"get_context", handle_method<method_get_context>, METH_NOARGS,
     PyDoc_STR("The contextvars.Context in which the callback runs.")},
    {"_run", handle_method<method_run>, METH_NOARGS,
     PyDoc_STR("Run the callback now, as the loop does.")},
    {"_repr_info", handle_method<method_repr_info>, METH_NOARGS,
     PyDoc_STR("The words of repr(), as a list.")},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef handle_getset[] = {
    {"_cancelled", get_cancelled, nullptr, nullptr, nullptr},
    {"_context", handle_method<get_context>, nullptr, nullptr, nullptr},
    {"_callback", handle_method<get_callback>, nullptr, nullptr, nullptr},
    {"_args", handle_method<get_args>, nullptr, nullptr, nullptr},
    {"_loop", get_loop, nullptr, nullptr, nullptr},
    {"_source_traceback", get_source_traceback, nullptr, nullptr, nullptr},
    {"_repr", handle_method<get_repr>, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMemberDef handle_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(HandleObject, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyMethodDef timer_methods[] = {
    // Again: CPython calls a method in line only if the object's very type defines it.
    {"cancel", handle_method<method_cancel>, METH_NOARGS,
     PyDoc_STR("Drop the callback; it will not run.")},
    {"when", method_when, METH_NOARGS,
     PyDoc_STR("When it is due, in seconds on loop.time()'s clock.")},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef timer_getset[] = {
    {"_scheduled", get_scheduled, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMemberDef timer_members[] = {
    {"_when", T_DOUBLE, offsetof(TimerHandleObject, when), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

}  // namespace

int handle_register(PyObject* module, ModuleState& state) noexcept {
  if (callback_context_register(module, state) != 0) return -1;
  PyType_Slot handle_slots[] = {
      {Py_tp_doc, const_cast<char*>("Handle(callback, args, loop, context=None)\n--\n\n"
                                    "A scheduled callback; the interface of asyncio.Handle.")},
      {Py_tp_new, slot(handle_new_py)},
      {Py_tp_dealloc, slot(handle_dealloc)},
      {Py_tp_traverse, slot(handle_traverse)},
      {Py_tp_clear, slot(handle_clear)},
      {Py_tp_repr, slot(handle_method<handle_repr>)},
      {Py_tp_methods, handle_methods},
      {Py_tp_getset, handle_getset},
      {Py_tp_members, handle_members},
      {0, nullptr},
  };
  if (add_type(module, &state.handle_type,
               {.name = "blitzio.Handle",
                .bytes = sizeof(HandleObject),
                .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
                .slots = handle_slots}) != 0) {
    return -1;
  }
  PyType_Slot timer_slots[] = {
      {Py_tp_doc,
       const_cast<char*>("TimerHandle(when, callback, args, loop, context=None)\n--\n\n"
                         "A callback scheduled for a time; the interface of asyncio.TimerHandle.")},
      {Py_tp_new, slot(timer_new_py)},
      {Py_tp_dealloc, slot(timer_dealloc)},
      {Py_tp_traverse, slot(handle_traverse)},
      {Py_tp_clear, slot(handle_clear)},
      {Py_tp_hash, slot(timer_hash)},
      {Py_tp_richcompare, slot(handle_method<timer_compare>)},
      {Py_tp_methods, timer_methods},
      {Py_tp_getset, timer_getset},
      {Py_tp_members, timer_members},
      {0, nullptr},
  };
  return add_type(module, &state.timer_handle_type,
                  {.name = "blitzio.TimerHandle",
                   .bytes = sizeof(TimerHandleObject),
                   .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
                   .slots = timer_slots,
                   .bases = {reinterpret_cast<PyObject*>(state.handle_type)}});
}

}  // namespace blitzio::python
