// No native thread makes its thread state while another thread forks.
//
// Without the GIL, making one may stop the world: it takes a lock of the interpreter's for it. A
// child that is forked meanwhile has that lock taken and nobody who would give it back, and waits
// for ever when it next collects garbage, in its finalization at the latest. CPython's own threads
// do not meet this: their states are made by the thread that starts them, which is not the one that
// forks.
//
//   before_fork()   waits, detached, until no state is being made; then none is begun
//   after_fork()    in the parent and in the child: goes on
//
// Both belong into os.register_at_fork(). A hook that forks itself is counted. With the GIL there
// is no such lock, and nothing is held.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

namespace blitzio::python {

/// Makes a thread state for the calling thread, which has none. Does not attach it. Detached.
/// Returns  null if there is no memory.
[[nodiscard]] PyThreadState* make_thread_state(PyInterpreterState* interpreter) noexcept;

/// Attached.
void before_fork() noexcept;
/// Attached. Without a before_fork() of the same thread it does nothing.
void after_fork() noexcept;

}  // namespace blitzio::python
