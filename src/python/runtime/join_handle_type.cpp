// What Python sees of a JoinHandle.
#include <python/bridge/awaitable.hpp>
#include <python/bridge/blocking.hpp>
#include <python/runtime/join_handle.hpp>
#include <python/runtime/start_awaited.hpp>
#include <python/runtime/start_task.hpp>
#include <python/support/arguments.hpp>
#include <python/support/heap_type.hpp>
#include <python/support/slots.hpp>

#include <structmember.h>

#include <cstddef>
#include <memory>

// offsetof of a class with C++ members is conditionally supported: GCC and Clang define it for
// every class without virtual bases.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace blitzio::python {

namespace {

using Phase = JoinHandleObject::Phase;

// ---- waiting ------------------------------------------------------------------------------------

PyObject* wait_for_outcome(PyObject* self, const char* name) noexcept {
  JoinHandleObject& handle = as_join_handle(self);
  return awaitable_new(*handle.state, name, self, JoinFuture(handle),
                       [&handle](bool has_ended) noexcept {
                         return has_ended ? join_handle_outcome(handle) : nullptr;
                       });
}

PyObject* handle_await(PyObject* self) {
  return wait_for_outcome(self, "JoinHandle.__await__");
}

PyObject* method_join(PyObject* self, PyObject* /*unused*/) {
  return wait_for_outcome(self, "JoinHandle.join");
}

PyObject* method_ended(PyObject* self, PyObject* /*unused*/) {
  JoinHandleObject& handle = as_join_handle(self);
  return awaitable_new(*handle.state, "JoinHandle._ended", self, handle.finished.wait());
}

/// Has the caller do its part of the work, if there is one. Returns false with an error set.
bool help(JoinHandleObject& handle, const TimeLimit& limit) noexcept {
  PyRef helper;
  {
    const ObjectLock lock(as_object(handle));
    helper = PyRef::borrow(handle.helper);
  }
  if (!helper) return true;
  const PyRef timeout = limit.deadline == Instant::max()
                            ? PyRef::borrow(Py_None)
                            : PyRef::steal(PyFloat_FromDouble(limit.seconds));
  return timeout && PyRef::steal(PyObject_CallOneArg(helper.get(), timeout.get()));
}

/// Blocks until the work has ended; None, or null with an error set.
PyObject* wait_here(PyObject* self, const char* call, PyObject* timeout) noexcept {
  JoinHandleObject& handle = as_join_handle(self);
  const BlockingName name(call, self);
  TimeLimit limit;
  // Refused also where it need not wait: whether it must is often a matter of luck.
  if (!may_block(*handle.state, name) || !parse_timeout(timeout, &limit)) return nullptr;
  if (handle.finished.is_set()) Py_RETURN_NONE;
  if (!join_handle_may_wait(handle)) return nullptr;
  if (!help(handle, limit)) return nullptr;
  return wait_blocking(*handle.state, name, handle.finished.wait(), limit);
}

bool parse_wait(const char* method, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames,
                PyObject** timeout) noexcept {
  static constexpr std::array kParameters{"timeout"};
  *timeout = Py_None;
  if (nargs == 0 && kwnames == nullptr) return true;
  Arguments arguments(args, nargs, kwnames);
  if (!arguments.bind_all(method, kParameters, 0)) return false;
  if (arguments[0] != nullptr) *timeout = arguments[0];
  return true;
}

PyObject* method_blocking_join(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                               PyObject* kwnames) {
  PyObject* timeout = nullptr;
  if (!parse_wait("blocking_join", args, nargs, kwnames, &timeout)) return nullptr;
  const PyRef done = PyRef::steal(wait_here(self, "JoinHandle.blocking_join", timeout));
  return done ? join_handle_outcome(as_join_handle(self)) : nullptr;
}

PyObject* method_block(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  PyObject* timeout = nullptr;
  if (!parse_wait("_block", args, nargs, kwnames, &timeout)) return nullptr;
  return wait_here(self, "JoinHandle._block", timeout);
}

PyObject* method_try_join(PyObject* self, PyObject* /*unused*/) {
  JoinHandleObject& handle = as_join_handle(self);
  if (!handle.finished.is_set()) Py_RETURN_NONE;
  return join_handle_outcome(handle);
}

// ---- asking and ending --------------------------------------------------------------------------

PyObject* method_is_finished(PyObject* self, PyObject* /*unused*/) {
  return PyBool_FromLong(as_join_handle(self).finished.is_set() ? 1 : 0);
}

/// Not counted as asking for the outcome. -1 with an error set.
int is_cancelled(JoinHandleObject& handle) noexcept {
  if (!handle.finished.is_set()) return 0;
  if (handle.task == nullptr) {
    return handle.error == nullptr
               ? 0
               : PyObject_IsInstance(handle.error, handle.state->cancelled_error);
  }
  const PyRef cancelled =
      PyRef::steal(PyObject_CallMethodNoArgs(handle.task, handle.state->names.cancelled));
  return cancelled ? static_cast<int>(cancelled.get() == Py_True) : -1;
}

PyObject* method_cancelled(PyObject* self, PyObject* /*unused*/) {
  const int cancelled = is_cancelled(as_join_handle(self));
  return cancelled < 0 ? nullptr : PyBool_FromLong(cancelled);
}

PyObject* method_cancel(PyObject* self, PyObject* /*unused*/) {
  return PyBool_FromLong(join_handle_cancel(as_join_handle(self)) ? 1 : 0);
}

PyObject* method_detach(PyObject* self, PyObject* /*unused*/) {
  JoinHandleObject& handle = as_join_handle(self);
  bool is_finished = false;
  {
    const ObjectLock lock(self);
    handle.detached = true;
    is_finished = handle.phase == Phase::finished;
  }
  if (is_finished && !join_handle_exception(handle)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* method_exception(PyObject* self, PyObject* /*unused*/) {
  JoinHandleObject& handle = as_join_handle(self);
  if (!handle.finished.is_set()) {
    return PyErr_Format(handle.state->invalid_state_error, "%R has not ended", self);
  }
  return join_handle_exception(handle).release();
}

PyObject* get_name(PyObject* self, void* /*unused*/) {
  PyObject* name = as_join_handle(self).name;
  return Py_NewRef(name == nullptr ? Py_None : name);
}

PyObject* handle_repr(PyObject* self) {
  JoinHandleObject& handle = as_join_handle(self);
  const char* state = "running";
  if (handle.finished.is_set()) {
    const int cancelled = is_cancelled(handle);
    if (cancelled < 0) return nullptr;
    state = cancelled != 0 ? "cancelled" : "finished";
  } else {
    const ObjectLock lock(self);
    if (handle.phase == Phase::queued) state = "queued";
  }
  return handle.name == nullptr
             ? PyUnicode_FromFormat("<JoinHandle %s>", state)
             : PyUnicode_FromFormat("<JoinHandle name=%R %s>", handle.name, state);
}

// ---- work of others -----------------------------------------------------------------------------

bool check_open(PyObject* self) noexcept {
  JoinHandleObject& handle = as_join_handle(self);
  const ObjectLock lock(self);
  if (handle.is_external && handle.phase == Phase::running) return true;
  PyErr_Format(handle.state->invalid_state_error, "%R is not the caller's to end", self);
  return false;
}

PyObject* method_finish(PyObject* self, PyObject* value) {
  if (!check_open(self)) return nullptr;
  join_handle_finish(as_join_handle(self), PyRef::borrow(value), {});
  Py_RETURN_NONE;
}

PyObject* method_fail(PyObject* self, PyObject* error) {
  if (!check_open(self)) return nullptr;
  if (PyExceptionInstance_Check(error) == 0) {
    return PyErr_Format(PyExc_TypeError, "an exception was expected, got %R", error);
  }
  join_handle_finish(as_join_handle(self), {}, PyRef::borrow(error));
  Py_RETURN_NONE;
}

// ---- work that others run -----------------------------------------------------------------------

/// _make_handle(work, args, name): queued, for whoever starts or claims it.
PyObject* make_handle(PyObject* module, PyObject* args) {
  auto& state = *static_cast<ModuleState*>(PyModule_GetState(module));
  PyObject* target = nullptr;
  PyObject* arguments = nullptr;
  PyObject* name = nullptr;
  if (PyArg_ParseTuple(args, "OO!O:_make_handle", &target, &PyTuple_Type, &arguments, &name) == 0) {
    return nullptr;
  }
  const Py_ssize_t count = PyTuple_GET_SIZE(arguments);
  Work work = make_work(target, count == 0 ? nullptr : &PyTuple_GET_ITEM(arguments, 0), count);
  return work ? join_handle_new(state, std::move(work), name).release() : nullptr;
}

PyObject* method_claim(PyObject* self, PyObject* /*unused*/) {
  JoinHandleObject& handle = as_join_handle(self);
  const Work work = join_handle_claim(handle);
  if (!work) Py_RETURN_NONE;
  {
    const ObjectLock lock(self);
    handle.is_external = true;
    handle.thread = current_thread();
  }
  const PyRef arguments =
      work.arguments ? PyRef::borrow(work.arguments.get()) : PyRef::steal(PyTuple_New(0));
  if (!arguments) return nullptr;
  return Py_BuildValue("(OOOi)", work.target.get(), arguments.get(), work.context.get(),
                       work.kind == Work::Kind::call ? 1 : 0);
}

PyObject* method_put_back(PyObject* self, PyObject* args) {
  JoinHandleObject& handle = as_join_handle(self);
  PyObject* awaitable = nullptr;
  PyObject* context = nullptr;
  if (PyArg_ParseTuple(args, "OO:_put_back", &awaitable, &context) == 0) return nullptr;
  if (!PyContext_CheckExact(context) || !is_awaitable(awaitable)) {
    return PyErr_Format(PyExc_TypeError, "an awaitable and a Context were expected");
  }
  Work work;
  work.kind = PyCoro_CheckExact(awaitable) ? Work::Kind::coroutine : Work::Kind::awaitable;
  work.target = PyRef::borrow(awaitable);
  work.context = PyRef::borrow(context);
  if (!check_open(self)) return nullptr;
  const ObjectLock lock(self);
  handle.work = std::move(work);
  handle.is_external = false;
  handle.thread = 0;
  handle.phase = Phase::queued;
  Py_RETURN_NONE;
}

PyObject* get_cancel_requested(PyObject* self, void* /*unused*/) {
  const ObjectLock lock(self);
  return PyBool_FromLong(as_join_handle(self).cancel_requested ? 1 : 0);
}

PyObject* get_context(PyObject* self, void* /*unused*/) {
  const ObjectLock lock(self);
  PyObject* context = as_join_handle(self).work.context.get();
  return Py_NewRef(context == nullptr ? Py_None : context);
}

PyObject* get_task(PyObject* self, void* /*unused*/) {
  const ObjectLock lock(self);
  PyObject* task = as_join_handle(self).task;
  return Py_NewRef(task == nullptr ? Py_None : task);
}

PyObject* make_external_handle(PyObject* module, PyObject* args) {
  auto& state = *static_cast<ModuleState*>(PyModule_GetState(module));
  PyObject* cancel = nullptr;
  PyObject* helper = nullptr;
  if (PyArg_ParseTuple(args, "OO:_make_external_handle", &cancel, &helper) == 0) return nullptr;
  PyRef handle = join_handle_new(state, Work(), nullptr);
  if (!handle) return nullptr;
  as_join_handle(handle.get()).is_external = true;
  as_join_handle(handle.get()).canceller = cancel == Py_None ? nullptr : Py_NewRef(cancel);
  as_join_handle(handle.get()).helper = helper == Py_None ? nullptr : Py_NewRef(helper);
  return handle.release();
}

// ---- life ---------------------------------------------------------------------------------------

int handle_traverse(PyObject* self, visitproc visit, void* arg) {
  JoinHandleObject& handle = as_join_handle(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(handle.module);
  Py_VISIT(handle.name);
  Py_VISIT(handle.task);
  Py_VISIT(handle.value);
  Py_VISIT(handle.error);
  Py_VISIT(handle.canceller);
  Py_VISIT(handle.helper);
  Py_VISIT(handle.work.target.get());
  Py_VISIT(handle.work.arguments.get());
  Py_VISIT(handle.work.context.get());
  return 0;
}

int handle_clear(PyObject* self) {
  JoinHandleObject& handle = as_join_handle(self);
  Py_CLEAR(handle.name);
  Py_CLEAR(handle.task);
  Py_CLEAR(handle.value);
  Py_CLEAR(handle.error);
  Py_CLEAR(handle.canceller);
  Py_CLEAR(handle.helper);
  handle.work = Work();
  return 0;
}

void handle_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  // The result may be another handle, and so on.
  Py_TRASHCAN_BEGIN(self, handle_dealloc);
  JoinHandleObject& handle = as_join_handle(self);
  if (handle.weakrefs != nullptr) PyObject_ClearWeakRefs(self);
  handle_clear(self);
  if (handle.gate != nullptr) handle.gate->release_ref();
  std::destroy_at(&handle.work);
  std::destroy_at(&handle.queued);
  std::destroy_at(&handle.kept);
  std::destroy_at(&handle.finished);
  PyObject* module = handle.module;
  free_instance(self);
  Py_DECREF(module);
  Py_TRASHCAN_END;
}

PyMethodDef handle_methods[] = {
    {"join", method_join, METH_NOARGS,
     PyDoc_STR("join($self)\n--\n\nWait for the work to end; as awaiting the handle.")},
    {"blocking_join", fast(method_blocking_join), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("blocking_join($self, timeout=None)\n--\n\n"
               "Wait for the work to end, blocking the calling thread.")},
    {"try_join", method_try_join, METH_NOARGS,
     PyDoc_STR("try_join($self)\n--\n\nThe result if the work has ended, else None.")},
    {"is_finished", method_is_finished, METH_NOARGS,
     PyDoc_STR("is_finished($self)\n--\n\nWhether the work has ended, however.")},
    {"cancelled", method_cancelled, METH_NOARGS,
     PyDoc_STR("cancelled($self)\n--\n\nWhether the work has ended by cancellation.")},
    {"cancel", method_cancel, METH_NOARGS,
     PyDoc_STR("cancel($self)\n--\n\nAsk for the end of the work, and return at once.")},
    {"detach", method_detach, METH_NOARGS,
     PyDoc_STR("detach($self)\n--\n\nSay that nobody will ask for the result.")},
    {"_ended", method_ended, METH_NOARGS,
     PyDoc_STR("_ended($self)\n--\n\nWait for the end of the work, whatever it is.")},
    {"_block", fast(method_block), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("_block($self, timeout=None)\n--\n\n"
               "Wait for the end of the work, whatever it is, blocking the calling thread.")},
    {"_exception", method_exception, METH_NOARGS,
     PyDoc_STR("_exception($self)\n--\n\nWhat the work raised, or None. It has ended.")},
    {"_claim", method_claim, METH_NOARGS,
     PyDoc_STR("_claim($self)\n--\n\n"
               "Take the work to run it by other means: (function, args, context, True), or "
               "(awaitable, (), context, False); None: somebody else has it.")},
    {"_put_back", method_put_back, METH_VARARGS,
     PyDoc_STR("_put_back($self, awaitable, context, /)\n--\n\n"
               "What is left of claimed work: to be started, or claimed again.")},
    {"_finish", method_finish, METH_O,
     PyDoc_STR("_finish($self, value, /)\n--\n\nEnd of work that is claimed, or external.")},
    {"_fail", method_fail, METH_O,
     PyDoc_STR("_fail($self, error, /)\n--\n\nEnd of work that is claimed, or external.")},
    kSubscript,
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef handle_getset[] = {
    {"name", get_name, nullptr, PyDoc_STR("As given to spawn(), or None."), nullptr},
    {"_cancel_requested", get_cancel_requested, nullptr,
     PyDoc_STR("Whether cancel() was called before the end."), nullptr},
    {"_task", get_task, nullptr, PyDoc_STR("The task that runs it, or has run it; else None."),
     nullptr},
    {"_context", get_context, nullptr, PyDoc_STR("Of queued work, else None."), nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMemberDef handle_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(JoinHandleObject, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyMethodDef functions[] = {
    {"_make_handle", make_handle, METH_VARARGS,
     PyDoc_STR("_make_handle(work, args, name, /)\n--\n\n"
               "A JoinHandle of work that nobody has queued.")},
    {"_make_external_handle", make_external_handle, METH_VARARGS,
     PyDoc_STR("_make_external_handle(cancel, helper, /)\n--\n\n"
               "A JoinHandle of work that runs by other means.")},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool join_handle_check(const ModuleState& state, PyObject* object) noexcept {
  return Py_IS_TYPE(object, state.join_handle_type);
}

int join_handle_register(PyObject* module, ModuleState& state) noexcept {
  PyType_Slot slots[] = {
      {Py_tp_doc,
       const_cast<char*>(
           "The spawner's end of a piece of work: waits for its result, or cancels it.\n\n"
           "Dropping the handle detaches the work, which runs on. A handle may be awaited in any\n"
           "task of any asyncio loop, by several at once, and again; blocking_join() is for\n"
           "threads.")},
      {Py_tp_dealloc, slot(handle_dealloc)},
      {Py_tp_traverse, slot(handle_traverse)},
      {Py_tp_clear, slot(handle_clear)},
      {Py_tp_repr, slot(handle_repr)},
      {Py_am_await, slot(handle_await)},
      {Py_tp_methods, handle_methods},
      {Py_tp_getset, handle_getset},
      {Py_tp_members, handle_members},
      {0, nullptr},
  };
  if (make_type(module, &state.join_handle_type,
                {.name = "blitzio._native.JoinHandle",
                 .bytes = sizeof(JoinHandleObject),
                 .flags = kInternalType,
                 .slots = slots}) != 0) {
    return -1;
  }
  if (PyModule_AddFunctions(module, functions) != 0) return -1;
  return PyModule_AddType(module, state.join_handle_type);
}

}  // namespace blitzio::python
