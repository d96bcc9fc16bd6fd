// run_in_executor(None, …): a `Job` runs a Python callable on a native pool thread and brings its
// outcome back to the loop.
//
//   loop thread: submit ─▶ pool thread: attach, func(*args), detach ─▶ post ─▶ loop thread: deliver
//
// No concurrent.futures.Future, no callback chain, no handle: one block per job that is a node of
// the pool and then a message to the loop's driver. Each pool thread keeps one thread state for
// life. A future that is cancelled before its job starts keeps the job from running.
//
// A loop's `JobPool` may outlive the loop (close() does not wait for running jobs). The registry of
// the module knows every pool and joins their threads before the interpreter is finalised: a thread
// that finalisation caught while it attaches would be killed in the middle of noexcept frames.
//
// Forking: a forked child forgets pools and registry (job_pool_disown()). If a job itself forks,
// its thread is all there is of the child, and ends with the job as any Python thread would.
//
// Threads: each function says its own.
#pragma once

#include <blitzio/base/fork_guard.hpp>
#include <blitzio/base/mutex.hpp>
#include <python/loop/loop_gate.hpp>
#include <python/loop/loop_use.hpp>

#include <cstddef>
#include <memory>
#include <string>

namespace blitzio::python {

struct JobRegistryTag;

/// Threads that run Python: those of one loop, with the way back to it, or somebody else's.
class JobPool : public ListNode<JobRegistryTag> {
 public:
  struct Options {
    std::size_t threads_max = 512;
    Duration keep_alive = Duration::from_secs(10);
    std::string thread_name = "asyncio";  ///< with "_" and a number behind it
  };
  /// `gate` is the loop's, or null.
  JobPool(LoopGate* gate, PyInterpreterState* interpreter, Options options) noexcept;
  JobPool(const JobPool&) = delete;
  JobPool& operator=(const JobPool&) = delete;
  ~JobPool();

  [[nodiscard]] BlockingPool& threads() noexcept { return threads_; }
  /// Delivers `message` on the loop's thread. Any thread.
  /// Returns  false if the loop is closed; the message is untouched.
  [[nodiscard]] bool post(driver::Message& message) noexcept {
    return gate_ != nullptr && gate_->post(message);
  }
  /// Attaches the calling pool thread, and gives it the name that logs show. Detach it with
  /// PyEval_SaveThread().
  /// Returns  false if there is no memory for a thread state, which was wanting when the thread
  ///          began, too: nothing of Python's may be touched.
  [[nodiscard]] bool attach_thread() noexcept;
  /// Waits until all threads have ended, after shutdown() of them. Attached.
  /// Returns  false with an error set if a signal handler raised it: then they may run on.
  [[nodiscard]] bool join() noexcept;
  /// The loop does not need it any more: no new jobs, freed by the registry after the last thread.
  void give_up() noexcept;
  [[nodiscard]] bool is_given_up() const noexcept;
  /// In a forked child, which has the pool but not its threads. Any thread.
  [[nodiscard]] bool in_child() const noexcept { return fork_guard_.in_child(); }

 private:
  void name_thread() noexcept;

  LoopGate* gate_;  // counted, or null
  PyInterpreterState* const interpreter_;
  const ForkGuard fork_guard_;
  const std::string thread_name_;
  Atomic<unsigned> threads_named_{0};
  Atomic<bool> is_given_up_{false};  // by the loop; read by whoever reaps
  BlockingPool threads_;
};

/// For a pool thread that has got a job from the thread which runs the loop behind `gate`. That one
/// holds the interpreter lock and, as a rule, is on its way to give it up and wait. Meeting it on
/// the lock costs both a futex call and a switch: lets it go by, for no longer than that would
/// cost. Detached.
void let_loop_wait(const NativeGate& gate) noexcept;

[[nodiscard]] int job_register(PyObject* module, ModuleState& state) noexcept;
/// Frees the registry. When the module's state goes.
void job_registry_free(ModuleState& state) noexcept;

/// Puts a pool into the registry, which owns it from then on.
/// Returns  false with RuntimeError set if the interpreter exits; the pool is gone.
[[nodiscard]] bool job_registry_add(ModuleState& state, std::unique_ptr<JobPool> pool) noexcept;
/// Frees the pools that are given up and have no thread left. Attached.
void job_registry_reap(ModuleState& state) noexcept;

/// Visits what the outcomes hold that wait to be delivered: nobody but the loop has them, and each
/// refers to the loop. For the collector.
[[nodiscard]] int job_traverse(const LoopObject& loop, visitproc visit, void* arg) noexcept;
/// Gives the pool up without waiting: what runs, runs on. Attached.
void job_pool_release(LoopObject& loop) noexcept;
/// In a forked child: its threads and whoever held its locks are not here, so it is forgotten.
void job_pool_disown(LoopObject& loop) noexcept;
/// In a forked child: as above, for the list of all pools.
void job_registry_disown(ModuleState& state) noexcept;
/// Zeros if no pool was ever needed.
[[nodiscard]] BlockingPool::Metrics job_pool_metrics(const LoopObject& loop) noexcept;

// METH_FASTCALL.
PyObject* loop_run_in_executor(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                               PyObject* kwnames) noexcept;
// METH_O.
PyObject* loop_shutdown_blocking_pool(PyObject* self, PyObject* wait) noexcept;
PyObject* loop_set_default_executor_object(PyObject* self, PyObject* executor) noexcept;

// Rows for the method table in loop.cpp.
#define BLITZIO_JOB_METHODS                                                                        \
  {"run_in_executor", fast(loop_method<loop_run_in_executor>), METH_FASTCALL | METH_KEYWORDS,      \
   PyDoc_STR("run_in_executor($self, executor, func, *args)\n--\n\n"                               \
             "Run func(*args) in a thread; returns an asyncio.Future. executor None: the default " \
             "executor, which is a native pool unless set_default_executor() was called.")},       \
      {"_shutdown_blocking_pool", loop_shutdown_blocking_pool, METH_O,                             \
       PyDoc_STR("_shutdown_blocking_pool($self, wait, /)\n--\n\n"                                 \
                 "Take no more jobs. Returns whether no thread is left.")},                        \
  {                                                                                                \
    "_set_default_executor_object", loop_set_default_executor_object, METH_O,                      \
        PyDoc_STR(                                                                                 \
            "_set_default_executor_object($self, executor, /)\n--\n\n"                             \
            "What run_in_executor(None, …) uses; None: the native pool.")                          \
  }

}  // namespace blitzio::python
