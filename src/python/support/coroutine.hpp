// What objects that behave like coroutines share: the answers of send() as an iterator gives them,
// the arguments of throw(), and the errors of misuse.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

namespace blitzio::python {

/// Turns the answer of an am_send slot into the iterator protocol's: `result` itself, or null with
/// StopIteration(result) or the error set. Steals `result`.
PyObject* as_iteration(PySendResult outcome, PyObject* result) noexcept;

/// Sets the exception that throw()'s arguments (one to three) describe, or says what is wrong with
/// them.
void raise_thrown(PyObject* const* args, Py_ssize_t nargs) noexcept;

/// Sets the error of send(), throw() or close() while the object itself runs, as coroutines word
/// it.
void raise_already_executing() noexcept;
/// Sets the error of send() or throw() after the end, as coroutines word it.
void raise_already_awaited() noexcept;

}  // namespace blitzio::python
