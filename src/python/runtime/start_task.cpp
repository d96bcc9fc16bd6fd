#include <python/bridge/awaitable.hpp>
#include <python/loop/loop.hpp>
#include <python/runtime/start_task.hpp>
#include <python/support/context.hpp>
#include <python/support/error.hpp>
#include <python/support/slots.hpp>

#include <array>

namespace blitzio::python {

namespace {

/// A generator that types.coroutine() has made one that may be awaited.
bool is_generator_coroutine(PyObject* object) noexcept {
  if (PyGen_CheckExact(object) == 0) return false;
  const PyRef code = PyRef::steal(PyObject_GetAttrString(object, "gi_code"));
  const PyRef flags = code ? PyRef::steal(PyObject_GetAttrString(code.get(), "co_flags")) : PyRef();
  const long bits = flags ? PyLong_AsLong(flags.get()) : 0;
  PyErr_Clear();  // Not one, then.
  return (bits & CO_ITERABLE_COROUTINE) != 0;
}

/// async def _wait_for(awaitable): return await awaitable
PyRef wrap(PyObject* awaitable) noexcept {
  const PyRef module = PyRef::steal(PyImport_ImportModule("blitzio._runtime.waiting"));
  if (!module) return {};
  return PyRef::steal(PyObject_CallMethod(module.get(), "wait_for", "O", awaitable));
}

LoopObject* as_native_loop(const ModuleState& state, PyObject* loop) noexcept {
  return loop_check(state, loop) ? reinterpret_cast<LoopObject*>(loop) : nullptr;
}

/// Whether tasks of `loop` are made by a factory of the user's. -1 with an error set.
int has_task_factory(const ModuleState& state, const LoopObject* native, PyObject* loop) noexcept {
  if (native != nullptr) return native->task_factory == nullptr ? 0 : 1;
  const PyRef factory = PyRef::steal(PyObject_CallMethodNoArgs(loop, state.names.get_task_factory));
  return factory ? static_cast<int>(factory.get() != Py_None) : -1;
}

#if PY_VERSION_HEX < 0x030C0000
/// Takes the step that the task which was just made has scheduled.
void take_first_step(LoopObject& loop) noexcept {
  HandleObject* step = loop.ready.pop_newest();
  const int outcome = handle_run(*step);
  Py_DECREF(reinterpret_cast<PyObject*>(step));
  // SystemExit or KeyboardInterrupt, which the task has, too.
  if (BLITZIO_UNLIKELY(outcome != 0)) loop_set_fatal(loop, take_exception());
}
#endif

/// asyncio.Task(coroutine, loop=loop, …), begun if that can be done at once.
PyRef make_task(ModuleState& state, LoopObject* native, PyObject* loop, PyObject* coroutine,
                PyObject* context, PyObject* name) noexcept {
  // In the order of the names in `spawn_kwnames`.
  std::array<PyObject*, 6> call{nullptr, coroutine, loop};
  std::size_t count = 3;
#if PY_VERSION_HEX >= 0x030B0000
  call[count++] = context;
#endif
#if PY_VERSION_HEX >= 0x030C0000
  call[count++] = Py_True;
#endif
  call[count] = name;
  PyObject* names = name == nullptr ? state.spawn_kwnames : state.spawn_named_kwnames;
  constexpr std::size_t kPositional = 1 | PY_VECTORCALL_ARGUMENTS_OFFSET;
#if PY_VERSION_HEX >= 0x030C0000
  static_cast<void>(native);
  PyRef task =
      PyRef::steal(PyObject_Vectorcall(state.asyncio_task, call.data() + 1, kPositional, names));
#if BLITZIO_FREE_THREADED && PY_VERSION_HEX >= 0x030E0000
  // CPython forgets to for eager tasks: all_tasks() finds none of another thread's.
  if (task) PyUnstable_EnableTryIncRef(task.get());
#endif
  return task;
#else
  const std::size_t queued = native == nullptr ? 0 : native->ready.size();
  const auto make = [&]() noexcept {
    return PyRef::steal(
        PyObject_Vectorcall(state.asyncio_task, call.data() + 1, kPositional, names));
  };
#if PY_VERSION_HEX >= 0x030B0000
  PyRef task = make();
#else
  PyRef task = call_in_context(context, make);
#endif
  if (task && native != nullptr && !native->debug && native->ready.size() == queued + 1) {
    take_first_step(*native);
  }
  return task;
#endif
}

/// loop.create_task(), which asks the user's factory.
PyRef create_task(ModuleState& state, PyObject* loop, PyObject* coroutine, PyObject* context,
                  PyObject* name) noexcept {
  const PyRef create = PyRef::steal(PyObject_GetAttrString(loop, "create_task"));
  const PyRef args = PyRef::steal(PyTuple_Pack(1, coroutine));
  const PyRef keywords = PyRef::steal(PyDict_New());
  if (!create || !args || !keywords) return {};
  if (PyDict_SetItem(keywords.get(), state.names.name, name == nullptr ? Py_None : name) != 0) {
    return {};
  }
#if PY_VERSION_HEX >= 0x030B0000
  if (PyDict_SetItem(keywords.get(), state.names.context, context) != 0) return {};
  return PyRef::steal(PyObject_Call(create.get(), args.get(), keywords.get()));
#else
  return call_in_context(context, [&]() noexcept {
    return PyRef::steal(PyObject_Call(create.get(), args.get(), keywords.get()));
  });
#endif
}

/// The current exception, of a plain function, in a future, which tells if nobody ever asks. Null
/// with the exception set if a future cannot hold it.
PyRef fail(ModuleState& state, PyObject* loop) noexcept {
  if (PyErr_ExceptionMatches(state.cancelled_error) != 0 ||
      PyErr_ExceptionMatches(PyExc_StopIteration) != 0) {
    return {};
  }
  PyRef exception = take_exception();
  PyRef future = PyRef::steal(PyObject_CallMethod(loop, "create_future", nullptr));
  if (!future) return {};
  const PyRef done = PyRef::steal(
      PyObject_CallMethodOneArg(future.get(), state.names.set_exception, exception.get()));
  return done ? std::move(future) : PyRef();
}

/// While it lives, the handle knows by the coroutine, which outlives it, a task that does not stand
/// in it yet: as it is made it may take its first step.
class FirstStep {
 public:
  FirstStep(JoinHandleObject& handle, PyObject* coroutine) noexcept : handle_(handle) {
    set(coroutine);
  }
  FirstStep(const FirstStep&) = delete;
  FirstStep& operator=(const FirstStep&) = delete;
  ~FirstStep() { set(nullptr); }

 private:
  void set(PyObject* coroutine) noexcept {
    const ObjectLock lock(as_object(handle_));
    handle_.coroutine = coroutine;
  }

  JoinHandleObject& handle_;
};

/// What a task's done-callback calls: (handle, task).
PyObject* task_done(PyObject* handle, PyObject* task) noexcept {
  JoinHandleObject& join = as_join_handle(handle);
  if (join.finished.is_set()) Py_RETURN_NONE;  // Its loop was closed meanwhile.
  if (!Py_IS_TYPE(task, reinterpret_cast<PyTypeObject*>(join.state->asyncio_task))) {
    // Of a task factory: who knows where this is called.
    join_handle_finish_from(join, PyRef::borrow(task));
    Py_RETURN_NONE;
  }
  WakeInPlace wake;
  join_handle_finish_from(join, PyRef::borrow(task));
  if (!wake.run()) return nullptr;
  Py_RETURN_NONE;
}

PyMethodDef task_done_definition = {"join_handle_finish", task_done, METH_O, nullptr};

}  // namespace

bool is_awaitable(PyObject* object) noexcept {
  const PyAsyncMethods* async = Py_TYPE(object)->tp_as_async;
  return (async != nullptr && async->am_await != nullptr) || is_generator_coroutine(object);
}

PyRef start_task(JoinHandleObject& handle, PyObject* loop, Work& work, PyRef* value) noexcept {
  ModuleState& state = *handle.state;
  PyRef coroutine = std::move(work.target);
  if (work.kind == Work::Kind::call) {
    work.target = std::move(coroutine);
    coroutine = work.call();
    work.target.reset();
    work.arguments.reset();
    if (!coroutine) return fail(state, loop);
    if (!is_awaitable(coroutine.get())) {
      *value = std::move(coroutine);
      return {};
    }
  }
  if (PyCoro_CheckExact(coroutine.get()) == 0) coroutine = wrap(coroutine.get());
  if (!coroutine) return {};
  LoopObject* native = as_native_loop(state, loop);
  const int has_factory = has_task_factory(state, native, loop);
  if (has_factory < 0) return {};
  PyObject* context = work.context.get();
  const FirstStep first(handle, coroutine.get());
  if (has_factory > 0) {
    return create_task(state, loop, coroutine.get(), context, handle.name);
  }
  PyRef task = make_task(state, native, loop, coroutine.get(), context, handle.name);
  // An eager task that raises one of these in its first step has nowhere to leave it.
  if (!task && native != nullptr && PyErr_Occurred() != nullptr) {
    PyRef exception = take_exception();
    if (is_fatal_exception(exception.get())) {
      loop_set_fatal(*native, PyRef::borrow(exception.get()));
    }
    restore_exception(std::move(exception));
  }
  return task;
}

bool call_when_done(PyObject* task, PyObject* handle) noexcept {
  const PyRef callback = PyRef::steal(PyCFunction_NewEx(&task_done_definition, handle, nullptr));
  if (!callback) return false;
  const ModuleState& state = *as_join_handle(handle).state;
  return static_cast<bool>(
      PyRef::steal(PyObject_CallMethodOneArg(task, state.names.add_done_callback, callback.get())));
}

}  // namespace blitzio::python
