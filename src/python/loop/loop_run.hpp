// Running a loop: turns until stop(), and the end of everything in close().
#pragma once

#include <python/loop/loop.hpp>

namespace blitzio::python {

// METH_NOARGS, for the method table in loop.cpp.
PyObject* method_run(PyObject* self, PyObject* unused) noexcept;
PyObject* method_close(PyObject* self, PyObject* unused) noexcept;
PyObject* method_flush(PyObject* self, PyObject* unused) noexcept;
// METH_O.
PyObject* method_set_before_wait(PyObject* self, PyObject* hook) noexcept;

/// Ends everything that the loop's core still has in flight and frees the core. Idempotent.
void loop_shut_down(LoopObject& loop) noexcept;

/// Lets go of the handles that are queued; none will run. The loop is closed and nobody uses it.
void loop_drop_queued(LoopObject& loop) noexcept;

}  // namespace blitzio::python
