// The scheduling methods of LoopBase: call_soon, call_later, call_at, call_soon_threadsafe, time,
// create_future and create_task. Native throughout: no Python frame between the caller and the
// queue.
#pragma once

#include <python/loop/loop.hpp>

namespace blitzio::python {

// METH_FASTCALL | METH_KEYWORDS, for the method table in loop.cpp.
PyObject* method_call_soon(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                           PyObject* kwnames) noexcept;
PyObject* method_call_soon_threadsafe(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                                      PyObject* kwnames) noexcept;
PyObject* method_call_later(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                            PyObject* kwnames) noexcept;
PyObject* method_call_at(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                         PyObject* kwnames) noexcept;
PyObject* method_create_task(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                             PyObject* kwnames) noexcept;
// METH_NOARGS.
PyObject* method_time(PyObject* self, PyObject* unused) noexcept;
PyObject* method_create_future(PyObject* self, PyObject* unused) noexcept;

/// Debug mode's check of a callable that `method` was given: no coroutine, no coroutine function,
/// callable. Returns false with TypeError set.
[[nodiscard]] bool loop_check_callback(const LoopObject& loop, const char* method,
                                       PyObject* callback) noexcept;

#if BLITZIO_FREE_THREADED
/// Moves what other threads scheduled to the ready queue. By the loop, once per turn.
void loop_take_inbox(LoopObject& loop) noexcept;
#endif

}  // namespace blitzio::python
