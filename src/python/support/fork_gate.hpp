// No native thread makes its thread state while another thread forks.
//
// Without the GIL, making one may stop the world: it takes a lock of the interpreter's for it. A
// child that is forked meanwhile has that lock taken and nobody who would give it back, and waits
// for ever when it next collects garbage, in its finalization at the latest. CPython's own threads
// do not meet this: their states are made by the thread that starts them, which is not the one that
// forks.
//
// blitzio._loop.forking registers with os.register_at_fork():
//
//   _begin_fork           waits, detached, until no state is being made; from then on none is begun
//   _end_fork_in_parent   goes on
//   _end_fork_in_child    goes on, whatever the thread had begun
//
// They are functions of C's: a signal handler that raises cannot keep one from being done. A hook
// that forks itself is counted. Hooks before a fork that were registered before ours run with the
// gate held: they may not wait for a thread of a pool that has yet to start. With the GIL there is
// no such lock in the interpreter, and nothing is held.
//
// What a dict holds a child asks `_entries_in_child`. Without the GIL each object has a lock. All
// threads stand still at a fork, and none has a lock that it took; but one that waited for it may
// have been given it, by whoever gave it back last, and be about to wake: in the child it never
// does, and whoever copies, or changes, the dict waits for ever.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

namespace blitzio::python {

struct ModuleState;

/// Makes a thread state for the calling thread, which has none. Does not attach it. Detached.
/// Returns  null if there is no memory.
[[nodiscard]] PyThreadState* make_thread_state(PyInterpreterState* interpreter) noexcept;

/// Adds these functions to the module. Returns -1 with an error set.
[[nodiscard]] int fork_gate_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
