// `start_task()`: work becomes an asyncio task of the loop that runs in this thread, with its first
// step taken at once where that can be done: nothing of the spawner runs by then, so waiting for
// another turn of the loop would be for nothing. Work that ends in its first step needs no
// done-callback either.
//
// Python 3.12 and newer have eager tasks. Before, a task schedules its first step in its
// constructor; on our loop that handle is the last of the ready queue, and is run from there.
//
// Threads: that of the loop, attached, in no task.
#pragma once

#include <python/runtime/join_handle.hpp>

namespace blitzio::python {

/// Whether `object` may be awaited, as inspect.isawaitable() has it.
[[nodiscard]] bool is_awaitable(PyObject* object) noexcept;

/// Makes the call that `work` is, claimed from `handle`, and a task of what it gives.
/// Returns  the task, done or not; a done future, of a function that failed; or null, and then
///          `*value` is what a plain function gave, or null with what it raised set.
[[nodiscard]] PyRef start_task(JoinHandleObject& handle, PyObject* loop, Work& work,
                               PyRef* value) noexcept;

/// Has join_handle_finish_from() called when `task` is done. Returns false with an error set.
[[nodiscard]] bool call_when_done(PyObject* task, PyObject* handle) noexcept;

}  // namespace blitzio::python
