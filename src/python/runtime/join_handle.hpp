// `JoinHandle`: a piece of work from the moment it is spawned to its result.
//
//             claim, by whoever runs it           finish
//    queued ──────────────────────────▶ running ─────────▶ finished
//       │                                                     ▲
//       └──────────────── claim, by cancel() ─────────────────┘
//
// queued    the call stands in the handle; who claims it takes it out, so that exactly one thread
//           runs it or drops it. Work may change threads only here. A queue that holds a handle
//           which was cancelled meanwhile drops it when its turn comes.
// running   as an asyncio task of a loop, which keeps the handle (LoopWait) until the task's end or
//           its own; or as a call in a thread of a pool; or as something else, which `canceller`
//           ends.
// finished  for ever; nothing is written any more, so any thread may read.
//
// What ends the work stands in the handle before `finished` is set, which wakes whoever waits: by
// `await` on any loop, or blocking. A cancellation that comes between the claim and the moment when
// there is something to cancel leaves `cancel_requested`.
//
// Who runs in the work may not wait for its end (join_handle_may_wait()): a task that awaited
// itself would wait for ever.
//
// Threads: any, attached. Fields are written under the handle's lock (ObjectLock) until it is
// finished, and nothing of anybody else's is called with it held.
#pragma once

#include <blitzio/base/intrusive_list.hpp>
#include <blitzio/sync/event.hpp>
#include <python/loop/loop_gate.hpp>
#include <python/support/ft.hpp>
#include <python/support/state.hpp>

#include <cstdint>

namespace blitzio::python {

struct JoinHandleObject;

/// The link of a queue of work that has not started; see work_queue.hpp.
struct QueuedWorkTag;
class QueuedWork : public ListNode<QueuedWorkTag> {
 public:
  explicit QueuedWork(JoinHandleObject& handle) noexcept : handle_(&handle) {}
  [[nodiscard]] JoinHandleObject& handle() const noexcept { return *handle_; }

 private:
  JoinHandleObject* handle_;
};

/// A call that has not been made. Empty: there is none, or somebody else has it.
struct Work {
  enum class Kind : std::uint8_t { call, coroutine, awaitable };

  PyRef target;     ///< the function, the coroutine or the awaitable
  PyRef arguments;  ///< a tuple, or null
  PyRef context;
  Kind kind = Kind::call;

  /// Makes the call; of a function only. Null with an error set.
  [[nodiscard]] PyRef call() const noexcept;
  /// Drops a call that will not be made: a coroutine is closed, not warned about. Keeps the current
  /// exception.
  void drop() noexcept;
  explicit operator bool() const noexcept { return static_cast<bool>(target); }
};

struct JoinHandleObject {
  enum class Phase : std::uint8_t { queued, running, finished };

  PyObject_HEAD ModuleState* state;
  PyObject* module;  ///< strong: it has `state`
  PyObject* weakrefs;
  PyObject* name;       ///< or null
  PyObject* task;       ///< running, finished: what has the outcome, if that is a future; or null
  PyObject* value;      ///< finished without a task: the result, or null and
  PyObject* error;      ///< what it raised
  PyObject* canceller;  ///< running work that is no task: called to end it; or null
  PyObject* helper;  ///< called by a thread that blocks, with its timeout: joins the work; or null
  PyObject* coroutine;  ///< running, before `task` is known: what its first step runs; or null
  LoopGate* gate;       ///< counted, of the loop that runs `task`; null once finished
  const void* home;  ///< who may run queued work: a scheduler, a worker, or a loop; compared only
  unsigned long thread;  ///< that makes the call which the work is, current_thread(); else 0
  Phase phase;
  bool is_external;  ///< runs by other means: of _make_external_handle()
  bool cancel_requested;
  bool detached;  ///< nobody will ask for the outcome

  // C++ members: constructed by join_handle_new(), destroyed with the object.
  Work work;
  QueuedWork queued;
  LoopWait kept;  ///< by the loop, while the task runs
  sync::Event finished;
};

[[nodiscard]] inline JoinHandleObject& as_join_handle(PyObject* self) noexcept {
  return *reinterpret_cast<JoinHandleObject*>(self);
}
[[nodiscard]] inline PyObject* as_object(JoinHandleObject& handle) noexcept {
  return reinterpret_cast<PyObject*>(&handle);
}

[[nodiscard]] int join_handle_register(PyObject* module, ModuleState& state) noexcept;

/// Whether `object` is a JoinHandle.
[[nodiscard]] bool join_handle_check(const ModuleState& state, PyObject* object) noexcept;

// ---- before it runs -----------------------------------------------------------------------------

/// What spawn(work, *args) stands for, in the caller's context. Empty with TypeError set if `work`
/// is neither a function nor an awaitable; a coroutine is left as it is.
[[nodiscard]] Work make_work(PyObject* work, PyObject* const* args, Py_ssize_t arg_count) noexcept;

/// A new handle of queued work; null with an error set, and the work dropped.
[[nodiscard]] PyRef join_handle_new(ModuleState& state, Work work, PyObject* name) noexcept;

/// queued → running. Empty if it is not queued.
[[nodiscard]] Work join_handle_claim(JoinHandleObject& handle) noexcept;

// ---- running it ---------------------------------------------------------------------------------

/// Claims the work and starts it on `loop`, which runs in this thread and whose gate that is.
/// What goes wrong is the work's outcome.
void join_handle_start(JoinHandleObject& handle, PyObject* loop, LoopGate& gate) noexcept;

/// Claims the work, a call, and makes it in this thread, of a pool. Gives up the caller's reference
/// and detaches the thread: the waiter that wakes may want the interpreter at once.
void join_handle_run_in_thread(PyRef handle) noexcept;

// ---- waiting for it -----------------------------------------------------------------------------

/// Whether the caller may wait for the end. False with RuntimeError set if it is itself what runs:
/// its task, or the call in this thread; or with what asking for these raised.
[[nodiscard]] bool join_handle_may_wait(JoinHandleObject& handle) noexcept;

// ---- its end ------------------------------------------------------------------------------------

/// running → finished. One of the two, or neither: cancelled.
void join_handle_finish(JoinHandleObject& handle, PyRef value, PyRef error) noexcept;
/// running → finished: a task or future of asyncio's, which is done, has the outcome.
void join_handle_finish_from(JoinHandleObject& handle, PyRef task) noexcept;

/// See JoinHandle.cancel(). Keeps the current exception.
/// Returns  false if it has ended already.
bool join_handle_cancel(JoinHandleObject& handle) noexcept;

/// The result, or null with what the work raised set. Of finished work.
[[nodiscard]] PyObject* join_handle_outcome(JoinHandleObject& handle) noexcept;
/// What finished work raised, CancelledError included; None. Null with an error set.
[[nodiscard]] PyRef join_handle_exception(JoinHandleObject& handle) noexcept;

}  // namespace blitzio::python
