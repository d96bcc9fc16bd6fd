// What Python sees of schedulers and workers: their making, their end, their counters.
#include <blitzio/base/frame_pool.hpp>
#include <python/runtime/scheduler_internal.hpp>
#include <python/support/heap_type.hpp>
#include <python/support/slots.hpp>

#include <bit>
#include <memory>
#include <new>

namespace blitzio::python {

namespace {

constexpr std::size_t kWorkersMax = 64;

void empty(WorkQueue& queue) noexcept {
  while (const PyRef handle = queue.pop()) {
    static_cast<void>(join_handle_cancel(as_join_handle(handle.get())));
  }
}

// ---- Scheduler ----------------------------------------------------------------------------------

PyObject* scheduler_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* const keywords[] = {"is_stealing", "keeps_work", "blocking", nullptr};
  ModuleState& state = state_of_type(type);
  int is_stealing = 0;
  int keeps_work = 0;
  PyObject* blocking = nullptr;
  if (PyArg_ParseTupleAndKeywords(args, kwargs, "ppO!:Scheduler", const_cast<char**>(keywords),
                                  &is_stealing, &keeps_work, state.thread_pool_type,
                                  &blocking) == 0) {
    return nullptr;
  }
  PyObject* self = type->tp_alloc(type, 0);
  if (self == nullptr) return nullptr;
  SchedulerObject& scheduler = as_scheduler(self);
  scheduler.state = &state;
  scheduler.module = Py_NewRef(state.module);
  scheduler.blocking = Py_NewRef(blocking);
  scheduler.is_stealing = is_stealing != 0;
  scheduler.keeps_work = keeps_work != 0;
  new (&scheduler.is_stopping) Atomic<bool>(false);
  new (&scheduler.turn) Atomic<std::uint32_t>(0);
  new (&scheduler.idle) Atomic<std::uint64_t>(0);
  new (&scheduler.injected) WorkQueue();
  new (&scheduler.workers) std::vector<PyRef>();
  return self;
}

int scheduler_traverse(PyObject* self, visitproc visit, void* arg) {
  SchedulerObject& scheduler = as_scheduler(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(scheduler.module);
  Py_VISIT(scheduler.blocking);
  for (const PyRef& worker : scheduler.workers) Py_VISIT(worker.get());
  return scheduler.injected.traverse(visit, arg);
}

int scheduler_clear(PyObject* self) {
  SchedulerObject& scheduler = as_scheduler(self);
  empty(scheduler.injected);
  const std::vector<PyRef> workers = std::move(scheduler.workers);
  Py_CLEAR(scheduler.blocking);
  return 0;
}

void scheduler_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  SchedulerObject& scheduler = as_scheduler(self);
  scheduler_clear(self);
  std::destroy_at(&scheduler.injected);
  std::destroy_at(&scheduler.workers);
  PyObject* module = scheduler.module;
  free_instance(self);
  Py_DECREF(module);
}

PyObject* scheduler_stop(PyObject* self, PyObject* is_parents) {
  SchedulerObject& scheduler = as_scheduler(self);
  const int forked = PyObject_IsTrue(is_parents);
  if (forked < 0) return nullptr;
  if (forked != 0) {
    scheduler.is_parents = true;
    forget_current_worker();
  }
  // Seq_cst: before what is queued is dropped; see scheduler_spawn().
  scheduler.is_stopping.store(true, std::memory_order_seq_cst);
  Py_RETURN_NONE;
}

PyObject* scheduler_drop(PyObject* self, PyObject* /*unused*/) {
  scheduler_drop_queued(as_scheduler(self));
  Py_RETURN_NONE;
}

template <Starter kStarter>
PyObject* scheduler_schedule(PyObject* self, PyObject* handle) {
  SchedulerObject& scheduler = as_scheduler(self);
  if (!join_handle_check(*scheduler.state, handle)) {
    return PyErr_Format(PyExc_TypeError, "a JoinHandle was expected, got %R", handle);
  }
  if (as_join_handle(handle).queued.is_linked() || as_join_handle(handle).home != nullptr) {
    return PyErr_Format(PyExc_RuntimeError, "%R has been scheduled already", handle);
  }
  if (!scheduler_spawn(scheduler, PyRef::borrow(handle), kStarter)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* get_is_stopping(PyObject* self, void* /*unused*/) {
  return PyBool_FromLong(as_scheduler(self).is_stopping.load(std::memory_order_seq_cst) ? 1 : 0);
}

PyObject* get_is_parents(PyObject* self, void* /*unused*/) {
  return PyBool_FromLong(as_scheduler(self).is_parents ? 1 : 0);
}

PyObject* get_injected(PyObject* self, void* /*unused*/) {
  return PyLong_FromSize_t(as_scheduler(self).injected.size());
}

PyObject* get_sleeping(PyObject* self, void* /*unused*/) {
  // Relaxed: a snapshot.
  return PyLong_FromLong(std::popcount(as_scheduler(self).idle.load(std::memory_order_relaxed)));
}

PyMethodDef scheduler_methods[] = {
    {"stop", scheduler_stop, METH_O,
     PyDoc_STR("stop($self, is_parents, /)\n--\n\n"
               "Take no more work. is_parents: in a forked child, which has none of the threads.")},
    {"schedule", scheduler_schedule<Starter::any>, METH_O,
     PyDoc_STR("schedule($self, handle, /)\n--\n\nQueue a handle of _make_handle().")},
    {"schedule_on_another", scheduler_schedule<Starter::another>, METH_O,
     PyDoc_STR("schedule_on_another($self, handle, /)\n--\n\n"
               "schedule() for another worker than this thread is; there must be one.")},
    {"drop_queued", scheduler_drop, METH_NOARGS,
     PyDoc_STR("drop_queued($self)\n--\n\nCancel what has not started.")},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef scheduler_getset[] = {
    {"is_stopping", get_is_stopping, nullptr, PyDoc_STR("Whether it takes no more work."), nullptr},
    {"is_parents", get_is_parents, nullptr, PyDoc_STR("Whether its threads are not here."),
     nullptr},
    {"injected", get_injected, nullptr, PyDoc_STR("How much work waits for any worker."), nullptr},
    {"sleeping", get_sleeping, nullptr, PyDoc_STR("How many workers have nothing to do."), nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

// ---- Worker -------------------------------------------------------------------------------------

/// Adds the worker to its scheduler's. Returns false with an error set.
bool add_worker(SchedulerObject& scheduler, WorkerObject& worker) noexcept {
  if (scheduler.workers.size() == kWorkersMax) {
    PyErr_Format(PyExc_ValueError, "a runtime has at most %zu workers", kWorkersMax);
    return false;
  }
  worker.index = static_cast<std::uint32_t>(scheduler.workers.size());
  worker.random = worker.index + 1;
  try {
    scheduler.workers.push_back(PyRef::borrow(as_object(worker)));
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
    return false;
  }
  return true;
}

PyObject* worker_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* const keywords[] = {"scheduler", "loop", nullptr};
  ModuleState& state = state_of_type(type);
  PyObject* scheduler = nullptr;
  PyObject* loop = nullptr;
  if (PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!:Worker", const_cast<char**>(keywords),
                                  state.scheduler_type, &scheduler, state.loop_type, &loop) == 0) {
    return nullptr;
  }
  if (loop_check_closed(*reinterpret_cast<LoopObject*>(loop)) != 0) return nullptr;
  const PyRef made = PyRef::steal(type->tp_alloc(type, 0));
  if (!made) return nullptr;
  WorkerObject& worker = as_worker(made.get());
  worker.state = &state;
  worker.module = Py_NewRef(state.module);
  worker.scheduler = reinterpret_cast<SchedulerObject*>(Py_NewRef(scheduler));
  worker.loop = reinterpret_cast<LoopObject*>(Py_NewRef(loop));
  for (auto* counter : {&worker.polls, &worker.steals, &worker.parks, &worker.yields}) {
    new (counter) Atomic<std::uint64_t>(0);
  }
  new (&worker.queue) WorkQueue();
  new (&worker.wake_is_due) Atomic<bool>(false);
  new (&worker.wake_message) WakeMessage(worker);
  return add_worker(as_scheduler(scheduler), worker) ? Py_NewRef(made.get()) : nullptr;
}

int worker_traverse(PyObject* self, visitproc visit, void* arg) {
  WorkerObject& worker = as_worker(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(worker.module);
  Py_VISIT(reinterpret_cast<PyObject*>(worker.scheduler));
  Py_VISIT(reinterpret_cast<PyObject*>(worker.loop));
  Py_VISIT(worker.drain);
  Py_VISIT(worker.context);
  return worker.queue.traverse(visit, arg);
}

int worker_clear(PyObject* self) {
  WorkerObject& worker = as_worker(self);
  empty(worker.queue);
  Py_CLEAR(worker.drain);
  Py_CLEAR(worker.context);
  return 0;
}

void worker_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  WorkerObject& worker = as_worker(self);
  worker_clear(self);
  std::destroy_at(&worker.queue);
  std::destroy_at(&worker.wake_message);
  Py_XDECREF(reinterpret_cast<PyObject*>(worker.scheduler));
  Py_XDECREF(reinterpret_cast<PyObject*>(worker.loop));
  PyObject* module = worker.module;
  free_instance(self);
  Py_DECREF(module);
}

PyObject* method_enter(PyObject* self, PyObject* pools_tasks) {
  if (pools_tasks == Py_False) FramePool::disable_on_this_thread();
  if (!worker_enter(as_worker(self))) return nullptr;
  Py_RETURN_NONE;
}

PyObject* method_leave(PyObject* self, PyObject* /*unused*/) {
  if (!worker_leave(as_worker(self))) return nullptr;
  Py_RETURN_NONE;
}

PyObject* method_metrics(PyObject* self, PyObject* /*unused*/) {
  const WorkerObject& worker = as_worker(self);
  // Relaxed: a snapshot.
  const auto read = [](const Atomic<std::uint64_t>& counter) {
    return static_cast<unsigned long long>(counter.load(std::memory_order_relaxed));
  };
  return Py_BuildValue("{s:K,s:K,s:K,s:K,s:n}", "polls", read(worker.polls), "steals",
                       read(worker.steals), "parks", read(worker.parks), "yields",
                       read(worker.yields), "queued", static_cast<Py_ssize_t>(worker.queue.size()));
}

PyObject* get_scheduler(PyObject* self, void* /*unused*/) {
  return Py_NewRef(reinterpret_cast<PyObject*>(as_worker(self).scheduler));
}

PyMethodDef worker_methods[] = {
    {"enter", method_enter, METH_O,
     PyDoc_STR("enter($self, pools_tasks, /)\n--\n\n"
               "The calling thread, which runs the loop, is this worker.")},
    {"leave", method_leave, METH_NOARGS,
     PyDoc_STR("leave($self)\n--\n\nThe calling thread is nobody's worker.")},
    {"metrics", method_metrics, METH_NOARGS,
     PyDoc_STR("metrics($self)\n--\n\nCounters since the start, and how much work is queued.")},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef worker_getset[] = {
    {"scheduler", get_scheduler, nullptr, PyDoc_STR("The Scheduler that it was made for."),
     nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

constexpr unsigned long kFlags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE;

}  // namespace

int scheduler_register(PyObject* module, ModuleState& state) noexcept {
  PyType_Slot scheduler_slots[] = {
      {Py_tp_doc, const_cast<char*>("Queues of spawned work, shared by workers.")},
      {Py_tp_new, slot(scheduler_new)},
      {Py_tp_dealloc, slot(scheduler_dealloc)},
      {Py_tp_traverse, slot(scheduler_traverse)},
      {Py_tp_clear, slot(scheduler_clear)},
      {Py_tp_methods, scheduler_methods},
      {Py_tp_getset, scheduler_getset},
      {0, nullptr},
  };
  if (add_type(module, &state.scheduler_type,
               {.name = "blitzio._native.Scheduler",
                .bytes = sizeof(SchedulerObject),
                .flags = kFlags,
                .slots = scheduler_slots}) != 0) {
    return -1;
  }
  PyType_Slot worker_slots[] = {
      {Py_tp_doc, const_cast<char*>("A thread's queue of work, which becomes tasks of its loop.")},
      {Py_tp_new, slot(worker_new)},
      {Py_tp_dealloc, slot(worker_dealloc)},
      {Py_tp_traverse, slot(worker_traverse)},
      {Py_tp_clear, slot(worker_clear)},
      {Py_tp_methods, worker_methods},
      {Py_tp_getset, worker_getset},
      {0, nullptr},
  };
  return add_type(module, &state.worker_type,
                  {.name = "blitzio._native.Worker",
                   .bytes = sizeof(WorkerObject),
                   .flags = kFlags,
                   .slots = worker_slots});
}

}  // namespace blitzio::python
