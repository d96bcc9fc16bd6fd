#include <python/bindings/thread_pool.hpp>
#include <python/loop/job.hpp>
#include <python/support/slots.hpp>

#include <memory>
#include <new>
#include <string>

namespace blitzio::python {

namespace {

struct ThreadPoolObject {
  PyObject_HEAD ModuleState* state;
  PyObject* module;  ///< strong: it has `state`
  JobPool* pool;     ///< the registry's; null before __init__
};

ThreadPoolObject& as_pool(PyObject* self) noexcept {
  return *reinterpret_cast<ThreadPoolObject*>(self);
}

/// One callable on its way through a pool.
class Call final : public BlockingJob {
 public:
  Call(JobPool& pool, PyObject* callable) noexcept
      : BlockingJob(run, drop), pool_(pool), callable_(PyRef::borrow(callable)) {}

  /// Takes one that shutdown() dropped on this thread; null if there is none.
  [[nodiscard]] static std::unique_ptr<Call> take_dropped() noexcept {
    BlockingJob* job = dropped_;
    if (job != nullptr) dropped_ = job->next;
    return std::unique_ptr<Call>(static_cast<Call*>(job));
  }
  [[nodiscard]] PyObject* callable() const noexcept { return callable_.get(); }

 private:
  static void run(BlockingJob& base) noexcept {
    auto& self = static_cast<Call&>(base);
    if (!self.pool_.attach_thread()) {
      // Nothing of Python's can be touched, not even to drop the callable: no memory.
      return;
    }
    PyRef callable = std::move(self.callable_);
    delete &self;
    const PyRef done = PyRef::steal(PyObject_CallNoArgs(callable.get()));
    if (!done) PyErr_WriteUnraisable(callable.get());
    callable.reset();
    PyEval_SaveThread();
  }
  // By shutdown() on its own thread, which is detached: it takes them when it is attached again.
  static void drop(BlockingJob& base) noexcept { base.next = std::exchange(dropped_, &base); }

  static thread_local BlockingJob* dropped_;

  JobPool& pool_;
  PyRef callable_;
};

thread_local BlockingJob* Call::dropped_ = nullptr;

PyObject* pool_submit(PyObject* self, PyObject* callable) noexcept {
  ThreadPoolObject& object = as_pool(self);
  if (PyCallable_Check(callable) == 0) {
    return PyErr_Format(PyExc_TypeError, "a callable was expected, not %R", callable);
  }
  if (object.pool == nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "cannot run in a pool that has shut down");
    return nullptr;
  }
  auto* call = new (std::nothrow) Call(*object.pool, callable);
  if (call == nullptr) return PyErr_NoMemory();
  const Result<void> submitted = object.pool->threads().submit(*call);
  if (submitted) Py_RETURN_NONE;
  delete call;
  if (submitted.error().is(RuntimeErrc::shut_down)) {
    PyErr_SetString(PyExc_RuntimeError,
                    object.pool->in_child()
                        ? "the threads of this pool belong to the parent process"
                        : "cannot run in a pool that has shut down");
    return nullptr;
  }
  return PyErr_Format(PyExc_RuntimeError, "can't start new thread");
}

PyObject* pool_shutdown(PyObject* self, PyObject* args, PyObject* kwargs) noexcept {
  static const char* const keywords[] = {"wait", "cancel_pending", nullptr};
  int wait = 1;
  int cancel_pending = 0;
  if (PyArg_ParseTupleAndKeywords(args, kwargs, "|pp:shutdown", const_cast<char**>(keywords), &wait,
                                  &cancel_pending) == 0) {
    return nullptr;
  }
  PyRef dropped = PyRef::steal(PyList_New(0));
  if (!dropped) return nullptr;
  if (JobPool* pool = as_pool(self).pool) {
    PyThreadState* detached = PyEval_SaveThread();
    pool->threads().shutdown(wait != 0, cancel_pending != 0);
    PyEval_RestoreThread(detached);
  }
  bool is_complete = true;
  while (const std::unique_ptr<Call> call = Call::take_dropped()) {
    is_complete = is_complete && PyList_Append(dropped.get(), call->callable()) == 0;
  }
  return is_complete ? dropped.release() : nullptr;
}

PyObject* pool_metrics(PyObject* self, PyObject* /*unused*/) noexcept {
  const JobPool* pool = as_pool(self).pool;
  const BlockingPool::Metrics metrics =
      pool == nullptr ? BlockingPool::Metrics() : const_cast<JobPool*>(pool)->threads().metrics();
  return Py_BuildValue("{s:n,s:n,s:n}", "threads", static_cast<Py_ssize_t>(metrics.threads), "idle",
                       static_cast<Py_ssize_t>(metrics.idle), "queued",
                       static_cast<Py_ssize_t>(metrics.queued));
}

int pool_init(PyObject* self, PyObject* args, PyObject* kwargs) noexcept {
  static const char* const keywords[] = {"threads_max", "keep_alive", "thread_name", nullptr};
  ThreadPoolObject& object = as_pool(self);
  Py_ssize_t threads_max = 0;
  double keep_alive = 0;
  const char* thread_name = nullptr;
  if (PyArg_ParseTupleAndKeywords(args, kwargs, "nds:ThreadPool", const_cast<char**>(keywords),
                                  &threads_max, &keep_alive, &thread_name) == 0) {
    return -1;
  }
  if (object.pool != nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "a ThreadPool is made once");
    return -1;
  }
  if (threads_max < 1) {
    PyErr_SetString(PyExc_ValueError, "threads_max must be at least 1");
    return -1;
  }
  job_registry_reap(*object.state);
  std::unique_ptr<JobPool> pool(new (std::nothrow)
                                    JobPool(nullptr, PyInterpreterState_Get(),
                                            {.threads_max = static_cast<std::size_t>(threads_max),
                                             .keep_alive = Duration::from_secs_f64(keep_alive),
                                             .thread_name = thread_name}));
  if (pool == nullptr) {
    PyErr_NoMemory();
    return -1;
  }
  JobPool* added = pool.get();
  if (!job_registry_add(*object.state, std::move(pool))) return -1;
  object.pool = added;
  return 0;
}

PyObject* pool_new(PyTypeObject* type, PyObject* /*args*/, PyObject* /*kwargs*/) noexcept {
  PyObject* self = type->tp_alloc(type, 0);
  if (self == nullptr) return nullptr;
  ThreadPoolObject& object = as_pool(self);
  object.state = &state_of_type(type);
  object.module = Py_NewRef(PyType_GetModule(type));
  return self;
}

void pool_dealloc(PyObject* self) noexcept {
  ThreadPoolObject& object = as_pool(self);
  PyTypeObject* type = Py_TYPE(self);
  if (object.pool != nullptr && !object.pool->in_child()) {
    object.pool->give_up();
    job_registry_reap(*object.state);
  }
  PyObject* module = object.module;
  type->tp_free(self);
  Py_DECREF(type);
  Py_XDECREF(module);
}

PyMethodDef pool_methods[] = {
    {"submit", pool_submit, METH_O,
     PyDoc_STR("submit($self, callable, /)\n--\n\n"
               "Have callable() run in a thread. What it raises is written as unraisable.")},
    {"shutdown", fast(pool_shutdown), METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("shutdown($self, wait=True, cancel_pending=False)\n--\n\n"
               "Take no more; with `wait`, return when all threads have ended. Returns the "
               "callables that will not run, because of `cancel_pending`.")},
    {"metrics", pool_metrics, METH_NOARGS,
     PyDoc_STR("metrics($self)\n--\n\nHow many threads there are, how many of them idle, and how "
               "many callables wait.")},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

int thread_pool_register(PyObject* module, ModuleState& state) noexcept {
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("Threads that call Python functions.")},
      {Py_tp_new, slot(pool_new)},
      {Py_tp_init, slot(pool_init)},
      {Py_tp_dealloc, slot(pool_dealloc)},
      {Py_tp_methods, pool_methods},
      {0, nullptr},
  };
  PyType_Spec spec = {
      .name = "blitzio._native.ThreadPool",
      .basicsize = sizeof(ThreadPoolObject),
      .itemsize = 0,
      .flags = Py_TPFLAGS_DEFAULT,
      .slots = slots,
  };
  PyObject* type = PyType_FromModuleAndSpec(module, &spec, nullptr);
  if (type == nullptr) return -1;
  state.thread_pool_type = reinterpret_cast<PyTypeObject*>(type);
  return PyModule_AddObjectRef(module, "ThreadPool", type);
}

}  // namespace blitzio::python
