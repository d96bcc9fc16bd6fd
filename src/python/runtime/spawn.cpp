#include <python/bridge/foreign_loop.hpp>
#include <python/runtime/scheduler_internal.hpp>
#include <python/runtime/spawn.hpp>
#include <python/runtime/start_awaited.hpp>
#include <python/runtime/thread_pool.hpp>
#include <python/support/heap_type.hpp>
#include <python/support/running_loop.hpp>
#include <python/support/slots.hpp>

#include <atomic>

namespace blitzio::python {

namespace {

struct RuntimeObject {
  PyObject_HEAD SchedulerObject* scheduler;  ///< strong; null before _attach()
};

RuntimeObject& as_runtime(PyObject* self) noexcept {
  return *reinterpret_cast<RuntimeObject*>(self);
}

ModuleState& state_of_module(PyObject* module) noexcept {
  return *static_cast<ModuleState*>(PyModule_GetState(module));
}

// ---- on a runtime -------------------------------------------------------------------------------

PyObject* spawn_on(SchedulerObject& scheduler, PyObject* const* args, Py_ssize_t nargs,
                   PyObject* name) noexcept {
  Work work = make_work(args[0], args + 1, nargs - 1);
  if (!work) return nullptr;
  PyRef handle = join_handle_new(*scheduler.state, std::move(work), name);
  if (!handle || !scheduler_spawn(scheduler, PyRef::borrow(handle.get()))) return nullptr;
  return handle.release();
}

/// Null with RuntimeError set if the runtime is not complete.
SchedulerObject* scheduler_of(PyObject* self) noexcept {
  SchedulerObject* scheduler = as_runtime(self).scheduler;
  if (scheduler == nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "Runtime.__init__() has not been called");
  }
  return scheduler;
}

PyObject* runtime_spawn(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                        PyObject* kwnames) noexcept {
  PyObject* name = nullptr;
  if (!parse_spawn("spawn", nargs, args, kwnames, &name)) return nullptr;
  SchedulerObject* scheduler = scheduler_of(self);
  return scheduler == nullptr ? nullptr : spawn_on(*scheduler, args, nargs, name);
}

PyObject* runtime_spawn_future(PyObject* self, PyObject* awaitable) noexcept {
  SchedulerObject* scheduler = scheduler_of(self);
  return scheduler == nullptr ? nullptr : spawn_on(*scheduler, &awaitable, 1, nullptr);
}

PyObject* runtime_spawn_blocking(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                                 PyObject* kwnames) noexcept {
  PyObject* name = nullptr;
  if (!parse_spawn("spawn_blocking", nargs, args, kwnames, &name)) return nullptr;
  SchedulerObject* scheduler = scheduler_of(self);
  return scheduler == nullptr ? nullptr : thread_pool_spawn(scheduler->blocking, args, nargs, name);
}

PyObject* runtime_attach(PyObject* self, PyTypeObject* defining, PyObject* const* args,
                         Py_ssize_t nargs, PyObject* kwnames) noexcept {
  const ModuleState& state = state_of_type(defining);
  if (nargs != 1 || kwnames != nullptr || !Py_IS_TYPE(args[0], state.scheduler_type)) {
    return PyErr_Format(PyExc_TypeError, "_attach() takes a Scheduler");
  }
  if (as_runtime(self).scheduler != nullptr) {
    return PyErr_Format(PyExc_RuntimeError, "a Runtime is made once");
  }
  as_runtime(self).scheduler = reinterpret_cast<SchedulerObject*>(Py_NewRef(args[0]));
  Py_RETURN_NONE;
}

int runtime_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(reinterpret_cast<PyObject*>(as_runtime(self).scheduler));
  return 0;
}

int runtime_clear(PyObject* self) {
  PyObject* scheduler =
      reinterpret_cast<PyObject*>(std::exchange(as_runtime(self).scheduler, nullptr));
  Py_XDECREF(scheduler);
  return 0;
}

void runtime_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  runtime_clear(self);
  free_instance(self);
}

// ---- wherever the caller is ---------------------------------------------------------------------

PyObject* raise_no_handle(PyObject* object) noexcept {
  return PyErr_Format(PyExc_TypeError, "a JoinHandle was expected, got %R", object);
}

/// Scheduled on the loop that is to run it: (module, handle).
PyObject* start_here(PyObject* module, PyObject* handle) noexcept {
  ModuleState& state = state_of_module(module);
  // A loop of others has been given this function, and may call it with anything.
  if (BLITZIO_UNLIKELY(!join_handle_check(state, handle))) return raise_no_handle(handle);
  const RunningLoop running = find_running_loop(state);
  if (!running.loop) return nullptr;
  allow_starting_awaited();
  join_handle_start(as_join_handle(handle), running.loop.get(), *running.gate);
  Py_RETURN_NONE;
}

PyMethodDef start_here_definition = {"start", start_here, METH_O, nullptr};

/// Has `loop`, which runs in this thread, start what the handle stands for. Returns false with an
/// error set.
bool start_soon(ModuleState& state, PyObject* loop, PyObject* handle) noexcept {
  as_join_handle(handle).home = loop;
  if (loop_check(state, loop)) {
    LoopObject& native = *reinterpret_cast<LoopObject*>(loop);
    return loop_check_closed(native) == 0 &&
           loop_call_soon(native, state.start_here, &handle, 1, nullptr) == 0;
  }
#if PY_VERSION_HEX < 0x030C0000
  // A task of its own begins in the loop's next turn, which that turn need not wait for.
  if (as_join_handle(handle).work.kind == Work::Kind::coroutine) {
    LoopGate* gate = gate_of(state, loop);
    if (gate == nullptr) return false;
    join_handle_start(as_join_handle(handle), loop, *gate);
    return true;
  }
#endif
  PyObject* const call[] = {loop, state.start_here, handle};
  return static_cast<bool>(PyRef::steal(PyObject_VectorcallMethod(
      state.names.call_soon, call, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr)));
}

/// On the asyncio loop that runs in this thread.
PyObject* spawn_here(ModuleState& state, PyObject* const* args, Py_ssize_t nargs,
                     PyObject* name) noexcept {
  Work work = make_work(args[0], args + 1, nargs - 1);
  if (!work) return nullptr;
  const PyRef loop = running_loop(state);
  if (!loop || loop.get() == Py_None) {
    work.drop();
    if (loop) {
      PyErr_SetString(PyExc_RuntimeError, "spawn() needs a Runtime, or a running event loop");
    }
    return nullptr;
  }
  PyRef handle = join_handle_new(state, std::move(work), name);
  if (!handle) return nullptr;
  if (start_soon(state, loop.get(), handle.get())) return handle.release();
  static_cast<void>(join_handle_cancel(as_join_handle(handle.get())));
  return nullptr;
}

/// _start_soon(handle): on the loop that runs in this thread.
PyObject* start_soon_here(PyObject* module, PyObject* handle) noexcept {
  ModuleState& state = state_of_module(module);
  if (!join_handle_check(state, handle)) return raise_no_handle(handle);
  const RunningLoop running = find_running_loop(state);
  if (!running.loop || !start_soon(state, running.loop.get(), handle)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* spawn(PyObject* module, PyObject* const* args, Py_ssize_t nargs,
                PyObject* kwnames) noexcept {
  PyObject* name = nullptr;
  if (!parse_spawn("spawn", nargs, args, kwnames, &name)) return nullptr;
  ModuleState& state = state_of_module(module);
  WorkerObject* worker = current_worker(state);
  return worker != nullptr ? spawn_on(*worker->scheduler, args, nargs, name)
                           : spawn_here(state, args, nargs, name);
}

PyObject* spawn_future(PyObject* module, PyObject* awaitable) noexcept {
  return spawn(module, &awaitable, 1, nullptr);
}

constexpr int kProcessThreadsMax = 512;
constexpr double kProcessKeepAlive = 10.0;

/// The process's own pool, which the first call makes. Without a lock: a child, which begins with
/// none of the parent's (loop/job.cpp), may find one given to a thread that it does not have. Null
/// with an error set.
PyRef process_pool(ModuleState& state) noexcept {
  const std::atomic_ref<PyObject*> kept(state.process_pool);
  // Acquire: pairs with the exchange below of whoever made it.
  PyObject* pool = kept.load(std::memory_order_acquire);
  if (BLITZIO_LIKELY(pool != nullptr)) return PyRef::borrow(pool);
  PyRef made = PyRef::steal(
      PyObject_CallFunction(reinterpret_cast<PyObject*>(state.thread_pool_type), "ids",
                            kProcessThreadsMax, kProcessKeepAlive, "blitzio-blocking"));
  if (!made) return {};
  // Acquire, release: publishes the pool, or finds the one of a thread that was faster.
  if (!kept.compare_exchange_strong(pool, made.get(), std::memory_order_acq_rel)) {
    return PyRef::borrow(pool);
  }
  return PyRef::borrow(made.release());
}

PyObject* spawn_blocking(PyObject* module, PyObject* const* args, Py_ssize_t nargs,
                         PyObject* kwnames) noexcept {
  PyObject* name = nullptr;
  if (!parse_spawn("spawn_blocking", nargs, args, kwnames, &name)) return nullptr;
  ModuleState& state = state_of_module(module);
  if (const WorkerObject* worker = current_worker(state)) {
    return thread_pool_spawn(worker->scheduler->blocking, args, nargs, name);
  }
  const PyRef pool = process_pool(state);
  return pool ? thread_pool_spawn(pool.get(), args, nargs, name) : nullptr;
}

PyObject* get_current_worker(PyObject* module, PyObject* /*unused*/) noexcept {
  WorkerObject* worker = current_worker(state_of_module(module));
  return Py_NewRef(worker == nullptr ? Py_None : as_object(*worker));
}

#define BLITZIO_SPAWN_DOC                           \
  "spawn($self, work, /, *args, name=None)\n--\n\n" \
  "Start a coroutine, or call a function, on a worker. Returns a JoinHandle."
#define BLITZIO_SPAWN_BLOCKING_DOC                               \
  "spawn_blocking($self, function, /, *args, name=None)\n--\n\n" \
  "Call function(*args) in a thread where it may block. Returns a JoinHandle."
#define BLITZIO_SPAWN_FUTURE_DOC \
  "spawn_future($self, awaitable, /)\n--\n\nAs spawn(), for any awaitable."

PyMethodDef runtime_methods[] = {
    {"spawn", fast(runtime_spawn), METH_FASTCALL | METH_KEYWORDS, PyDoc_STR(BLITZIO_SPAWN_DOC)},
    {"spawn_future", runtime_spawn_future, METH_O, PyDoc_STR(BLITZIO_SPAWN_FUTURE_DOC)},
    {"spawn_blocking", fast(runtime_spawn_blocking), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR(BLITZIO_SPAWN_BLOCKING_DOC)},
    {"_attach", fast(runtime_attach), METH_METHOD | METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("_attach($self, scheduler, /)\n--\n\nSpawn on the workers of this Scheduler.")},
    {nullptr, nullptr, 0, nullptr},
};

PyMethodDef functions[] = {
    {"spawn", fast(spawn), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("spawn(work, /, *args, name=None)\n--\n\n"
               "Runtime.spawn() of the current runtime; on another running loop, a task of it.")},
    {"spawn_future", spawn_future, METH_O,
     PyDoc_STR("spawn_future(awaitable, /)\n--\n\nAs spawn(), for any awaitable.")},
    {"spawn_blocking", fast(spawn_blocking), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("spawn_blocking(function, /, *args, name=None)\n--\n\n"
               "Runtime.spawn_blocking() of the current runtime; elsewhere, on threads of the "
               "process.")},
    {"_start_soon", start_soon_here, METH_O,
     PyDoc_STR("_start_soon(handle, /)\n--\n\n"
               "Start what a handle of _make_handle() stands for, on the running loop.")},
    {"_current_worker", get_current_worker, METH_NOARGS,
     PyDoc_STR("_current_worker()\n--\n\nThe Worker that the calling thread is, or None.")},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool parse_spawn(const char* method, Py_ssize_t nargs, PyObject* const* args, PyObject* kwnames,
                 PyObject** name) noexcept {
  if (BLITZIO_UNLIKELY(nargs == 0)) {
    PyErr_Format(PyExc_TypeError, "%s() missing 1 required positional argument", method);
    return false;
  }
  if (BLITZIO_LIKELY(kwnames == nullptr)) return true;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(kwnames); ++i) {
    PyObject* keyword = PyTuple_GET_ITEM(kwnames, i);
    if (PyUnicode_CompareWithASCIIString(keyword, "name") != 0) {
      PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", method,
                   keyword);
      return false;
    }
    *name = args[nargs + i];
  }
  return true;
}

int spawn_register(PyObject* module, ModuleState& state) noexcept {
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("The native half of blitzio.Runtime.")},
      {Py_tp_dealloc, slot(runtime_dealloc)},
      {Py_tp_traverse, slot(runtime_traverse)},
      {Py_tp_clear, slot(runtime_clear)},
      {Py_tp_methods, runtime_methods},
      {0, nullptr},
  };
  // First: who finds the type may spawn.
  if (state.start_here == nullptr) {
    state.start_here = PyCFunction_NewEx(&start_here_definition, module, nullptr);
    if (state.start_here == nullptr) return -1;
  }
  PyTypeObject* type = nullptr;
  const int added = add_type(module, &type,
                             {.name = "blitzio._native.RuntimeBase",
                              .bytes = sizeof(RuntimeObject),
                              .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
                                       Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
                              .slots = slots});
  Py_XDECREF(reinterpret_cast<PyObject*>(type));  // the module's from here on
  if (added != 0) return -1;
  return PyModule_AddFunctions(module, functions);
}

}  // namespace blitzio::python
