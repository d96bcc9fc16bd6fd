// `Handle` and `TimerHandle`: a scheduled callback, with the interface of asyncio's.
//
// A handle is made and dropped once per callback, so it is our own type: up to four arguments lie
// in it, the callback is called by vectorcall inside its context, and dead handles go to a free
// list.
//
// The collector is told of a handle only when the loop has let go of one that others hold; until
// then the loop's traversal visits what it keeps alive (docs/design/handles.md):
//
//   pending ──── ran, was cancelled, or the loop closed ───▶ ended; tracked if others hold it
//
// What Python code made itself, or is of a subclass, is tracked from the beginning. A timer that
// was cancelled while the loop runs is told of a moment later, when the next one is cancelled or
// the turn ends: nearly all are dropped at once, and those that are then gone cost the collector
// nothing (LoopObject::doubtful).
//
// A chain of handles (each the argument of the next) is freed without recursion, however long:
// below kNestedDropsMax deallocations on one stack the dead handle waits for the outermost of them.
// CPython's trashcan would do the same for objects that the collector tracks, which few handles
// are.
//
// Threads: made and cancelled by whoever is attached; run by the loop's thread.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/time/wheel.hpp>
#include <python/support/state.hpp>

#include <cstddef>
#include <cstdint>

namespace blitzio::python {

struct LoopObject;

inline constexpr Py_ssize_t kInlineArgs = 4;

/// Where a run of a handle is.
enum class HandleRun : std::uint8_t {
  none,
  called,  ///< its arguments are on loan to the callback: they are cleared afterwards
  ending,  ///< what came of it is told, which may run any code
};

struct HandleObject {
  PyObject_HEAD LoopObject* loop;  ///< strong
  PyObject* callback;              ///< null once cancelled or cleared
  PyObject* context;               ///< see callback_context.hpp
  PyObject* scratch;               ///< argument slot -1, which vectorcall may borrow; not owned
  PyObject* args[kInlineArgs];     ///< or args[0] alone: a tuple, if arg_count is above kInlineArgs
  PyObject* source_traceback;      ///< debug mode: list of frames, else null
  PyObject* repr_info;             ///< debug mode, cancelled: how it looked before, else null
  PyObject* weakrefs;
#if BLITZIO_FREE_THREADED
  HandleObject* inbox_next;  ///< link of the loop's inbox
#endif
  std::uint8_t arg_count;  ///< above kInlineArgs: the tuple knows how many
  bool tracked;            ///< the collector knows it
  Atomic<bool> cancelled;  ///< by cancel(), any thread; read by the loop
  bool is_timer;           ///< a TimerHandleObject; known also when the module forgets its types
  bool repeats;            ///< a reader's or writer's: keeps its callback after a run
  HandleRun run;
};

struct TimerHandleObject;

/// The wheel's entry of a timer handle; while armed, the wheel holds a reference to the handle.
class HandleTimer : public time::TimerEntry {
 public:
  HandleTimer(TimerHandleObject& object, LoopObject& loop) noexcept;
  [[nodiscard]] TimerHandleObject& owner() noexcept;
  /// The handle's, known here as well: who fires many need not have read the handle for that.
  [[nodiscard]] LoopObject& loop() const noexcept { return *loop_; }

 private:
  LoopObject* loop_;
};

/// The handle that an entry of the wheel belongs to; null if it is not one of ours.
[[nodiscard]] TimerHandleObject* timer_handle_of(time::TimerEntry& entry) noexcept;

/// `handle` as the timer handle that it is; null if it is none.
[[nodiscard]] TimerHandleObject* handle_as_timer(HandleObject& handle) noexcept;

struct TimerHandleObject {
  HandleObject handle;
  double when;        ///< loop.time() seconds, as the caller gave it
  HandleTimer timer;  ///< constructed with the object, destroyed before it is freed
};

inline TimerHandleObject& HandleTimer::owner() noexcept {
  constexpr std::size_t kOffset = sizeof(TimerHandleObject) - sizeof(HandleTimer);  // It is last.
  return *reinterpret_cast<TimerHandleObject*>(reinterpret_cast<std::byte*>(this) - kOffset);
}

[[nodiscard]] int handle_register(PyObject* module, ModuleState& state) noexcept;

/// A new handle for `callback(*args)`. `context` null: a copy of the current one, perhaps shared,
/// so not for handles that run more than once. Returns null with an error set.
[[nodiscard]] HandleObject* handle_new(LoopObject& loop, PyObject* callback, PyObject* const* args,
                                       Py_ssize_t arg_count, PyObject* context) noexcept;
[[nodiscard]] TimerHandleObject* timer_handle_new(LoopObject& loop, double when, PyObject* callback,
                                                  PyObject* const* args, Py_ssize_t arg_count,
                                                  PyObject* context) noexcept;

/// Runs the callback in its context and, unless it repeats, drops it. An exception goes to the
/// loop's exception handler. Returns  0, or -1 with KeyboardInterrupt or SystemExit set.
[[nodiscard]] int handle_run(HandleObject& handle) noexcept;

/// As Handle.cancel(): drops callback and arguments at once; a timer leaves the wheel.
void handle_cancel(HandleObject& handle) noexcept;

/// Lets go of the callback and its arguments: the handle will not run. Its loop is closing.
void handle_drop_call(HandleObject& handle) noexcept;

/// Tells the collector of `loop.doubtful`, which is still alive.
void handle_settle_doubt(LoopObject& loop) noexcept;

/// Visits a handle that is tracked, as the loop's own; of another what it keeps alive, if only the
/// loop refers to it, with `references`, as if that were the loop's. One that others hold too is
/// theirs: visiting would count its references twice.
[[nodiscard]] int handle_visit_held(HandleObject& handle, Py_ssize_t references, visitproc visit,
                                    void* arg) noexcept;
/// That, for a handle in the ready queue. A reader's that fired is its watch's, too, and visited
/// here alone.
[[nodiscard]] int handle_visit_ready(HandleObject& handle, visitproc visit, void* arg) noexcept;

}  // namespace blitzio::python
