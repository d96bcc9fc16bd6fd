#include <blitzio/base/adaptive_spin.hpp>
#include <python/loop/job.hpp>
#include <python/loop/loop_call.hpp>
#include <python/support/arguments.hpp>
#include <python/support/error.hpp>
#include <python/support/fork_gate.hpp>
#include <python/support/signal_look.hpp>
#include <python/support/thread_state.hpp>

#include <array>
#include <memory>
#include <new>
#include <span>
#include <vector>

namespace blitzio::python {

// Every pool that may still have threads. Members: guarded by `mutex`, save for the pools' own.
struct JobRegistry {
  Mutex mutex{LockRank::job_registry};
  IntrusiveList<JobPool, JobRegistryTag> pools BLITZIO_GUARDED_BY(mutex);
  bool interpreter_exits BLITZIO_GUARDED_BY(mutex) = false;
};

namespace {

LoopObject& as_loop(PyObject* self) noexcept {
  return *reinterpret_cast<LoopObject*>(self);
}

// ---- pool threads -------------------------------------------------------------------------------

// The pool thread's own; made and freed by the hooks below. Null if memory for it could not be had.
thread_local PyThreadState* pool_thread_state = nullptr;
thread_local bool pool_thread_is_named = false;

/// Calls a function of blitzio._loop.executor that cannot fail, save for want of memory.
void call_executor_module(const char* function, PyObject* argument) noexcept {
  const PyRef module = PyRef::steal(PyImport_ImportModule("blitzio._loop.executor"));
  const PyRef done =
      module ? PyRef::steal(PyObject_CallMethod(module.get(), function, "O", argument)) : PyRef();
  if (!done) PyErr_WriteUnraisable(nullptr);
}

void on_thread_start(void* interpreter) noexcept {
  pool_thread_state = make_thread_state(static_cast<PyInterpreterState*>(interpreter));
}

void on_thread_stop(void* /*interpreter*/) noexcept {
  PyThreadState* state = std::exchange(pool_thread_state, nullptr);
  if (state == nullptr) return;
  PyEval_RestoreThread(state);
#if PY_VERSION_HEX < 0x030D0000
  // Newer versions forget a thread that Python did not start by themselves.
  if (pool_thread_is_named) call_executor_module("_forget_thread", Py_None);
#endif
  PyThreadState_Clear(state);
  PyThreadState_DeleteCurrent();
}

// ---- the job ------------------------------------------------------------------------------------

constexpr std::size_t kInlineJobArgs = 4;

/// From submit() to deliver(). Everything it holds is dropped by a thread that is attached.
class Job : public BlockingJob, public driver::Message {
 public:
  Job(JobPool& pool, LoopObject& loop, PyObject* future, PyObject* func,
      std::span<PyObject* const> args)
      : BlockingJob(on_run, on_drop),
        driver::Message(on_delivery),
        pool_(pool),
        loop_(loop),
        future_(PyRef::borrow(future)),
        func_(PyRef::borrow(func)),
        arg_count_(args.size()),
        many_args_(args.size() > kInlineJobArgs ? new PyObject*[args.size() + 1] : nullptr) {
    PyObject** slots = this->args();
    for (std::size_t i = 0; i < args.size(); ++i) slots[i] = Py_NewRef(args[i]);
  }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  ~Job() { drop_call(); }

  /// The job that `message` is, once it is posted; null if it is none.
  static const Job* of(const driver::Message& message) noexcept {
    return message.is_delivered_by(on_delivery) ? &static_cast<const Job&>(message) : nullptr;
  }
  int traverse(visitproc visit, void* arg) const noexcept;

 private:
  static void on_run(BlockingJob& base) noexcept { static_cast<Job&>(base).run(); }
  static void on_drop(BlockingJob& base) noexcept { delete &static_cast<Job&>(base); }
  static void on_delivery(driver::Message& base) noexcept { static_cast<Job&>(base).deliver(); }

  /// Behind a free slot, which vectorcall may borrow.
  PyObject** args() noexcept {
    return (many_args_ != nullptr ? many_args_.get() : inline_args_.data()) + 1;
  }
  PyObject* const* args() const noexcept {
    return (many_args_ != nullptr ? many_args_.get() : inline_args_.data()) + 1;
  }
  void drop_call() noexcept {
    for (; arg_count_ != 0; --arg_count_) Py_CLEAR(args()[arg_count_ - 1]);
    func_.reset();
  }

  void run() noexcept;
  void call() noexcept;
  void deliver() noexcept;
  void keep_exception() noexcept;

  JobPool& pool_;     // freed after its last thread, so after run()
  LoopObject& loop_;  // the future keeps it
  PyRef future_;
  PyRef func_;
  PyRef result_;     // of func, or
  PyRef exception_;  // what it raised, or neither: cancelled before it started
  std::size_t arg_count_;
  std::unique_ptr<PyObject*[]> many_args_;
  std::array<PyObject*, kInlineJobArgs + 1> inline_args_;
};

/// Takes the current exception as a future of asyncio's may hold it.
void Job::keep_exception() noexcept {
  const PyRef raised = take_exception();
  exception_ = PyRef::steal(PyObject_CallMethodOneArg(
      reinterpret_cast<PyObject*>(&loop_), loop_.state->names._job_exception, raised.get()));
  if (!exception_) exception_ = take_exception();
}

void Job::call() noexcept {
  const ModuleState& state = *loop_.state;
  const PyRef answer =
      PyRef::steal(PyObject_CallMethodNoArgs(future_.get(), state.names.cancelled));
  const int is_cancelled = answer ? PyObject_IsTrue(answer.get()) : -1;
  if (is_cancelled > 0) return;
  if (is_cancelled == 0) {
    result_ = PyRef::steal(PyObject_Vectorcall(
        func_.get(), args(), arg_count_ | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
  }
  if (!result_) keep_exception();
}

void Job::run() noexcept {
  PyThreadState* state = pool_thread_state;
  // Without a thread state nothing of Python's can be touched; deliver() reports it.
  if (BLITZIO_LIKELY(state != nullptr)) {
    let_loop_wait(*loop_.gate);
    static_cast<void>(pool_.attach_thread());
    call();
    // Here rather than on the loop's thread, which has other things to do.
    drop_call();
    if (BLITZIO_UNLIKELY(pool_.in_child())) {
      // The job forked, and the loop that waits for it is the parent's.
      delete this;
      PyEval_SaveThread();
      return;
    }
    PyEval_SaveThread();
  }
  BlockingPool::expect_idle();
  if (pool_.post(*this)) return;
  // The loop was closed meanwhile: nobody waits for the outcome.
  if (state == nullptr) return;
  PyEval_RestoreThread(state);
  delete this;
  PyEval_SaveThread();
}

int Job::traverse(visitproc visit, void* arg) const noexcept {
  Py_VISIT(future_.get());
  Py_VISIT(func_.get());
  Py_VISIT(result_.get());
  Py_VISIT(exception_.get());
  for (std::size_t i = 0; i < arg_count_; ++i) Py_VISIT(args()[i]);
  return 0;
}

void Job::deliver() noexcept {
  const std::unique_ptr<Job> self(this);
  if (loop_.closed) return;
  const Names& names = loop_.state->names;
  if (!result_ && !exception_ && func_) {
    PyErr_NoMemory();  // The pool thread has no thread state.
    exception_ = take_exception();
  }
  PyRef done;
  if (result_) {
    done = PyRef::steal(PyObject_CallMethodOneArg(future_.get(), names.set_result, result_.get()));
  } else if (exception_) {
    done = PyRef::steal(
        PyObject_CallMethodOneArg(future_.get(), names.set_exception, exception_.get()));
  } else {
    return;
  }
  if (BLITZIO_LIKELY(static_cast<bool>(done))) return;
  if (PyErr_ExceptionMatches(loop_.state->invalid_state_error) != 0) {
    PyErr_Clear();  // Cancelled while the job ran.
    return;
  }
  // Keeps the loop: the future that does is dropped with this job.
  const PyRef keep = PyRef::borrow(reinterpret_cast<PyObject*>(&loop_));
  loop_report_exception(loop_, "The outcome of run_in_executor() could not be delivered",
                        {{names.future, future_.get()}});
}

// ---- pools and their registry -------------------------------------------------------------------

/// Frees what is given up and has no thread left. Attached, or at the end.
void reap(JobRegistry& registry, bool is_at_end) noexcept {
  std::vector<std::unique_ptr<JobPool>> dead;
  {
    const MutexLock lock(registry.mutex);
    if (registry.interpreter_exits && !is_at_end) return;  // join_all_pools() has them.
    registry.pools.for_each([&](JobPool& pool) {
      if (!pool.is_given_up() || pool.threads().metrics().threads != 0) return;
      static_cast<ListNode<JobRegistryTag>&>(pool).unlink();
      dead.emplace_back(&pool);
    });
  }
}

PyObject* raise_exiting() noexcept {
  return PyErr_Format(PyExc_RuntimeError, "cannot schedule new futures after interpreter shutdown");
}

/// The loop's pool, made if need be; null with an error set.
JobPool* pool_of(LoopObject& loop) noexcept {
  const ObjectLock lock(reinterpret_cast<PyObject*>(&loop));
  if (BLITZIO_LIKELY(loop.pool != nullptr)) return loop.pool;
  job_registry_reap(*loop.state);
  std::unique_ptr<JobPool> pool(new (std::nothrow)
                                    JobPool(loop.gate, PyInterpreterState_Get(), {}));
  if (pool == nullptr) {
    PyErr_NoMemory();
    return nullptr;
  }
  JobPool* added = pool.get();
  if (!job_registry_add(*loop.state, std::move(pool))) return nullptr;
  loop.pool = added;
  return added;
}

/// Before the interpreter is finalised: joins every thread, as concurrent.futures does, and leaves
/// it, as that does, when a signal handler raises.
PyObject* join_all_pools(PyObject* module, PyObject* /*unused*/) {
  JobRegistry& registry = *static_cast<ModuleState*>(PyModule_GetState(module))->job_registry;
  std::vector<JobPool*> pools;
  {
    const MutexLock lock(registry.mutex);
    registry.interpreter_exits = true;  // From now on the list is as it is.
    registry.pools.for_each([&](JobPool& pool) { pools.push_back(&pool); });
  }
  for (JobPool* pool : pools) pool->threads().shutdown(false);
  for (JobPool* pool : pools) {
    if (!pool->join()) return nullptr;
  }
  Py_RETURN_NONE;
}

PyMethodDef join_all_pools_definition = {"_join_all_pools", join_all_pools, METH_NOARGS, nullptr};

PyObject* after_fork(PyObject* module, PyObject* /*unused*/) {
  ModuleState& state = *static_cast<ModuleState*>(PyModule_GetState(module));
  job_registry_disown(state);
  Py_CLEAR(state.process_pool);
  Py_RETURN_NONE;
}

PyMethodDef module_functions[] = {
    {"_after_fork", after_fork, METH_NOARGS,
     PyDoc_STR("_after_fork()\n--\n\nIn a forked child: forget the threads of the parent.")},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void let_loop_wait(const NativeGate& gate) noexcept {
  if constexpr (kFreeThreaded) return;
  static thread_local constinit AdaptiveSpin spin;
  static_cast<void>(spin.until_yielding([&] { return gate.is_waiting(); }));
}

JobPool::JobPool(LoopGate* gate, PyInterpreterState* interpreter, Options options) noexcept
    : gate_(gate),
      interpreter_(interpreter),
      thread_name_(std::move(options.thread_name)),
      threads_({.threads_max = options.threads_max,
                .keep_alive = options.keep_alive,
                .on_thread_start = on_thread_start,
                .on_thread_stop = on_thread_stop,
                .hook_data = interpreter}) {
  if (gate_ != nullptr) gate_->add_ref();
}

JobPool::~JobPool() {
  if (gate_ != nullptr) gate_->release_ref();
}

bool JobPool::attach_thread() noexcept {
  if (BLITZIO_UNLIKELY(pool_thread_state == nullptr)) {
    pool_thread_state = make_thread_state(interpreter_);
    if (pool_thread_state == nullptr) return false;
  }
  PyEval_RestoreThread(pool_thread_state);
  if (BLITZIO_UNLIKELY(!pool_thread_is_named)) name_thread();
  return true;
}

void JobPool::name_thread() noexcept {
  pool_thread_is_named = true;
  // Relaxed: a number, nothing is published through it.
  const PyRef name = PyRef::steal(PyUnicode_FromFormat(
      "%s_%u", thread_name_.c_str(), threads_named_.fetch_add(1, std::memory_order_relaxed)));
  if (name) call_executor_module("_name_thread", name.get());
  PyErr_Clear();  // A thread without a name works as well.
}

bool JobPool::join() noexcept {
  while (true) {
    bool has_ended = false;
    {
      const Detached detached;
      has_ended = threads_.wait_until_ended(until_next_look(Instant::max()));
    }
    if (has_ended) return true;
    if (PyErr_CheckSignals() != 0) return false;
  }
}

void JobPool::give_up() noexcept {
  threads_.shutdown(false);
  // Release: what the loop did with the pool comes before whoever frees it; pairs with the acquire
  // in is_given_up().
  is_given_up_.store(true, std::memory_order_release);
}

bool JobPool::is_given_up() const noexcept {
  // Acquire: pairs with the release in give_up().
  return is_given_up_.load(std::memory_order_acquire);
}

bool job_registry_add(ModuleState& state, std::unique_ptr<JobPool> pool) noexcept {
  JobRegistry& registry = *state.job_registry;
  {
    const MutexLock lock(registry.mutex);
    if (!registry.interpreter_exits) {
      registry.pools.push_back(*pool.release());
      return true;
    }
  }
  raise_exiting();
  return false;
}

void job_registry_reap(ModuleState& state) noexcept {
  reap(*state.job_registry, false);
}

int job_traverse(const LoopObject& loop, visitproc visit, void* arg) noexcept {
  if (loop.executor == nullptr) return 0;
  int outcome = 0;
  loop.executor->driver().for_each_message([&](const driver::Message& message) {
    const Job* job = outcome == 0 ? Job::of(message) : nullptr;
    if (job != nullptr) outcome = job->traverse(visit, arg);
  });
  return outcome;
}

void job_pool_release(LoopObject& loop) noexcept {
  JobPool* pool = std::exchange(loop.pool, nullptr);
  if (pool == nullptr) return;
  pool->give_up();
  job_registry_reap(*loop.state);
}

void job_pool_disown(LoopObject& loop) noexcept {
  loop.pool = nullptr;
}

void job_registry_disown(ModuleState& state) noexcept {
  // Of the old one not even the lock can be used.
  auto* fresh = new (std::nothrow) JobRegistry;
  if (fresh != nullptr) state.job_registry = fresh;
}

BlockingPool::Metrics job_pool_metrics(const LoopObject& loop) noexcept {
  return loop.pool == nullptr ? BlockingPool::Metrics() : loop.pool->threads().metrics();
}

// ---- the loop's methods -------------------------------------------------------------------------

namespace {

PyObject* run_in_python_executor(PyObject* self, std::span<PyObject* const> args) noexcept {
  try {
    // args[-1] is not ours to borrow (METH_FASTCALL does not say so): copy the call.
    std::vector<PyObject*> call{self};
    call.insert(call.end(), args.begin(), args.end());
    return PyObject_VectorcallMethod(as_loop(self).state->names._run_in_python_executor,
                                     call.data(), call.size(), nullptr);
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  }
}

PyObject* submit(LoopObject& loop, PyObject* func, std::span<PyObject* const> args) noexcept {
  PyRef future = loop_create_future(loop);
  // A future asks get_debug(), which may be the user's, and close the loop.
  if (!future || loop_check_closed(loop) != 0) return nullptr;
  JobPool* pool = pool_of(loop);
  if (pool == nullptr) return nullptr;
  auto* job = new (std::nothrow) Job(*pool, loop, future.get(), func, args);
  if (job == nullptr) return PyErr_NoMemory();
  const Result<void> submitted = pool->threads().submit(*job);
  if (BLITZIO_LIKELY(submitted.has_value())) return future.release();
  delete job;
  // Only the end of the interpreter shuts a pool down behind the loop's back.
  if (submitted.error().is(RuntimeErrc::shut_down)) return raise_exiting();
  return PyErr_Format(PyExc_RuntimeError, "can't start new thread");
}

}  // namespace

PyObject* loop_run_in_executor(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                               PyObject* kwnames) noexcept {
  static constexpr std::array kParameters{"executor", "func"};
  LoopObject& loop = as_loop(self);
  Arguments arguments(args, nargs, kwnames);
  if (!arguments.bind("run_in_executor", kParameters)) return nullptr;
  if (loop_check_closed(loop) != 0) return nullptr;
  if (BLITZIO_UNLIKELY(loop.debug) && !loop_check_callback(loop, "run_in_executor", arguments[1])) {
    return nullptr;
  }
  if (arguments[0] != Py_None || loop.default_executor != nullptr) {
    return run_in_python_executor(self, arguments.from(0));
  }
  if (loop.executor_shut_down) {
    PyErr_SetString(PyExc_RuntimeError, "Executor shutdown has been called");
    return nullptr;
  }
  return submit(loop, arguments[1], arguments.from(2));
}

PyObject* loop_shutdown_blocking_pool(PyObject* self, PyObject* wait) noexcept {
  LoopObject& loop = as_loop(self);
  const int waits = PyObject_IsTrue(wait);
  if (waits < 0) return nullptr;
  loop.executor_shut_down = true;
  JobPool* pool = loop.pool;
  if (pool == nullptr) Py_RETURN_TRUE;
  const PyRef keep = PyRef::borrow(self);  // and with it the pool
  // Threads that only wait for work end at once: waiting for them here costs less than the thread
  // that the caller would need to wait elsewhere.
  const BlockingPool::Metrics before = pool->threads().metrics();
  const bool was_idle = before.queued == 0 && before.idle == before.threads;
  pool->threads().shutdown(false);
  if ((waits != 0 || was_idle) && !pool->join()) return nullptr;
  return PyBool_FromLong(was_idle || waits != 0 ? 1 : 0);
}

PyObject* loop_set_default_executor_object(PyObject* self, PyObject* executor) noexcept {
  LoopObject& loop = as_loop(self);
  PyObject* old =
      std::exchange(loop.default_executor, executor == Py_None ? nullptr : Py_NewRef(executor));
  Py_XDECREF(old);
  Py_RETURN_NONE;
}

int job_register(PyObject* module, ModuleState& state) noexcept {
  state.job_registry = new (std::nothrow) JobRegistry;
  if (state.job_registry == nullptr) {
    PyErr_NoMemory();
    return -1;
  }
  if (PyModule_AddFunctions(module, module_functions) != 0) return -1;
  const PyRef join = PyRef::steal(PyCFunction_NewEx(&join_all_pools_definition, module, nullptr));
  const PyRef threading = PyRef::steal(PyImport_ImportModule("threading"));
  if (!join || !threading) return -1;
  // Runs before non-daemon threads are joined, and so before any atexit callback: what
  // concurrent.futures uses. atexit serves where it is missing or comes too late.
  PyRef done =
      PyRef::steal(PyObject_CallMethod(threading.get(), "_register_atexit", "O", join.get()));
  if (done) return 0;
  if (!drop_exception()) return -1;
  const PyRef atexit = PyRef::steal(PyImport_ImportModule("atexit"));
  if (!atexit) return -1;
  done = PyRef::steal(PyObject_CallMethod(atexit.get(), "register", "O", join.get()));
  return done ? 0 : -1;
}

void job_registry_free(ModuleState& state) noexcept {
  if (state.job_registry == nullptr) return;
  reap(*state.job_registry, true);
  // What is left belongs to a loop that outlives the module by mistake: its threads may still run,
  // so it is not freed.
  {
    const MutexLock lock(state.job_registry->mutex);
    while (state.job_registry->pools.pop_front() != nullptr) {
    }
  }
  delete std::exchange(state.job_registry, nullptr);
}

}  // namespace blitzio::python
