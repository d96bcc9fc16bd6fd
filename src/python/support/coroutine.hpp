// What objects that behave like coroutines share: the answers of send() as an iterator gives them,
// and the arguments of throw().
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

}  // namespace blitzio::python
