#include <python/loop/job.hpp>
#include <python/runtime/join_handle.hpp>
#include <python/runtime/scheduler.hpp>
#include <python/runtime/spawn.hpp>
#include <python/runtime/thread_pool.hpp>
#include <python/support/heap_type.hpp>
#include <python/support/running_loop.hpp>
#include <python/support/slots.hpp>

#include <chrono>
#include <memory>
#include <new>
#include <string>
#include <thread>

namespace blitzio::python {

namespace {

constexpr auto kThreadsMax = static_cast<Py_ssize_t>(BlockingPool::kThreadsMax);

struct ThreadPoolObject {
  PyObject_HEAD ModuleState* state;
  PyObject* module;  ///< strong: it has `state`
  JobPool* pool;     ///< the registry's; null before __init__
};

ThreadPoolObject& as_pool(PyObject* self) noexcept {
  return *reinterpret_cast<ThreadPoolObject*>(self);
}

/// One callable, or one JoinHandle of a function, on its way through a pool.
class Call final : public BlockingJob {
 public:
  Call(const ModuleState& state, JobPool& pool, PyObject* callable, NativeGate* submitter) noexcept
      : BlockingJob(run, drop),
        state_(state),
        pool_(pool),
        callable_(PyRef::borrow(callable)),
        submitter_(submitter) {
    if (submitter_ != nullptr) submitter_->add_ref();
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() {
    if (submitter_ != nullptr) submitter_->release_ref();
  }

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
    if (self.submitter_ != nullptr) let_loop_wait(*self.submitter_);
    // Without memory for a thread state nothing of Python's can be touched, not even to say so to
    // whoever waits for the outcome.
    while (!self.pool_.attach_thread()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    PyRef callable = std::move(self.callable_);
    const ModuleState& state = self.state_;
    delete &self;
    if (join_handle_check(state, callable.get())) {
      join_handle_run_in_thread(std::move(callable));
      return;
    }
    PyRef done = PyRef::steal(PyObject_CallNoArgs(callable.get()));
    if (!done) PyErr_WriteUnraisable(callable.get());
    done.reset();  // While the thread is attached, as `callable`.
    callable.reset();
    PyEval_SaveThread();
  }
  // By shutdown() on its own thread, which is detached: it takes them when it is attached again.
  static void drop(BlockingJob& base) noexcept { base.next = std::exchange(dropped_, &base); }

  static thread_local BlockingJob* dropped_;

  const ModuleState& state_;  // the callable's module keeps it, or the pool's threads do not run
  JobPool& pool_;
  PyRef callable_;
  NativeGate* submitter_;  // counted, of our loop that runs in the submitting thread; or null
};

thread_local BlockingJob* Call::dropped_ = nullptr;

/// The gate of our loop that runs in this thread, or null.
NativeGate* running_gate(const ModuleState& state) noexcept {
  if (const WorkerObject* worker = current_worker(state)) return worker->loop->gate;
  const PyRef loop = running_loop(state);
  if (!loop) PyErr_Clear();  // Then there is none to be polite to.
  return loop && loop_check(state, loop.get()) ? reinterpret_cast<LoopObject*>(loop.get())->gate
                                               : nullptr;
}

/// Returns false with an error set.
bool submit(ThreadPoolObject& object, PyObject* callable) noexcept {
  if (object.pool == nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "cannot run in a pool that has shut down");
    return false;
  }
  auto* call =
      new (std::nothrow) Call(*object.state, *object.pool, callable, running_gate(*object.state));
  if (call == nullptr) {
    PyErr_NoMemory();
    return false;
  }
  const Result<void> submitted = object.pool->threads().submit(*call);
  if (submitted) return true;
  delete call;
  if (submitted.error().is(RuntimeErrc::shut_down)) {
    PyErr_SetString(PyExc_RuntimeError,
                    object.pool->in_child()
                        ? "the threads of this pool belong to the parent process"
                        : "cannot run in a pool that has shut down");
  } else {
    PyErr_SetString(PyExc_RuntimeError, "can't start new thread");
  }
  return false;
}

PyObject* pool_submit(PyObject* self, PyObject* callable) noexcept {
  ThreadPoolObject& object = as_pool(self);
  if (PyCallable_Check(callable) == 0) {
    return PyErr_Format(PyExc_TypeError, "a callable was expected, not %R", callable);
  }
  if (!submit(object, callable)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* pool_spawn(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                     PyObject* kwnames) noexcept {
  PyObject* name = nullptr;
  if (!parse_spawn("spawn", nargs, args, kwnames, &name)) return nullptr;
  return thread_pool_spawn(self, args, nargs, name);
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
  JobPool* pool = as_pool(self).pool;
  if (pool == nullptr) return dropped.release();
  pool->threads().shutdown(false, cancel_pending != 0);
  bool is_complete = true;
  while (const std::unique_ptr<Call> call = Call::take_dropped()) {
    is_complete = is_complete && PyList_Append(dropped.get(), call->callable()) == 0;
  }
  if (!is_complete || (wait != 0 && !pool->join())) return nullptr;
  return dropped.release();
}

PyObject* pool_is_own_thread(PyObject* self, PyObject* /*unused*/) noexcept {
  JobPool* pool = as_pool(self).pool;
  return PyBool_FromLong(pool != nullptr && pool->threads().is_own_thread() ? 1 : 0);
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
  if (threads_max < 1 || threads_max > kThreadsMax) {
    PyErr_Format(PyExc_ValueError, "threads_max must be from 1 to %zd, got %zd", kThreadsMax,
                 threads_max);
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

// Seen by the collector, for the module that keeps the process's pool is what that keeps.
int pool_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as_pool(self).module);
  return 0;
}

void pool_dealloc(PyObject* self) noexcept {
  PyObject_GC_UnTrack(self);
  ThreadPoolObject& object = as_pool(self);
  if (object.pool != nullptr && !object.pool->in_child()) {
    object.pool->give_up();
    job_registry_reap(*object.state);
  }
  PyObject* module = object.module;
  free_instance(self);
  Py_XDECREF(module);
}

PyMethodDef pool_methods[] = {
    {"submit", pool_submit, METH_O,
     PyDoc_STR("submit($self, callable, /)\n--\n\n"
               "Have callable() run in a thread. What it raises is written as unraisable.")},
    {"spawn", fast(pool_spawn), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("spawn($self, function, /, *args, name=None)\n--\n\n"
               "Have function(*args) run in a thread. Returns a JoinHandle.")},
    {"shutdown", fast(pool_shutdown), METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("shutdown($self, wait=True, cancel_pending=False)\n--\n\n"
               "Take no more; with `wait`, return when all threads have ended. Returns the "
               "callables and the JoinHandles that will not run, because of `cancel_pending`.")},
    {"is_own_thread", pool_is_own_thread, METH_NOARGS,
     PyDoc_STR("is_own_thread($self)\n--\n\n"
               "Whether the calling thread is one of these, which cannot wait for itself.")},
    {"metrics", pool_metrics, METH_NOARGS,
     PyDoc_STR("metrics($self)\n--\n\nHow many threads there are, how many of them idle, and how "
               "many callables wait.")},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

PyObject* thread_pool_spawn(PyObject* pool, PyObject* const* args, Py_ssize_t nargs,
                            PyObject* name) noexcept {
  if (PyCallable_Check(args[0]) == 0) {
    return PyErr_Format(PyExc_TypeError, "a function was expected, got %R", args[0]);
  }
  ThreadPoolObject& object = as_pool(pool);
  Work work = make_work(args[0], args + 1, nargs - 1);
  if (!work) return nullptr;
  PyRef handle = join_handle_new(*object.state, std::move(work), name);
  if (!handle) return nullptr;
  if (submit(object, handle.get())) return handle.release();
  static_cast<void>(join_handle_cancel(as_join_handle(handle.get())));
  return nullptr;
}

int thread_pool_register(PyObject* module, ModuleState& state) noexcept {
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("Threads that call Python functions.")},
      {Py_tp_new, slot(pool_new)},
      {Py_tp_init, slot(pool_init)},
      {Py_tp_traverse, slot(pool_traverse)},
      {Py_tp_dealloc, slot(pool_dealloc)},
      {Py_tp_methods, pool_methods},
      {0, nullptr},
  };
  return add_type(module, &state.thread_pool_type,
                  {.name = "blitzio._native.ThreadPool",
                   .bytes = sizeof(ThreadPoolObject),
                   .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                   .slots = slots});
}

}  // namespace blitzio::python
