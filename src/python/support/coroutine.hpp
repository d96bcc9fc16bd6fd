// What objects that behave like coroutines share: the answers of send() as an iterator gives them,
// the arguments of throw(), and the errors of misuse.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <blitzio/base/platform.hpp>

namespace blitzio::python {

/// Turns the answer of an am_send slot into the iterator protocol's: `result` itself, or null with
/// StopIteration(result) or the error set. Steals `result`.
PyObject* as_iteration(PySendResult outcome, PyObject* result) noexcept;

/// send() and __next__() of a type whose am_send slot is `Send`.
template <sendfunc Send>
PyObject* coroutine_send(PyObject* self, PyObject* value) {
  PyObject* result = nullptr;
  const PySendResult outcome = Send(self, value, &result);
  return as_iteration(outcome, result);
}
template <sendfunc Send>
PyObject* coroutine_next(PyObject* self) {
  return coroutine_send<Send>(self, Py_None);
}

/// Sets the exception that throw()'s arguments (one to three) describe, or says what is wrong with
/// them.
void raise_thrown(PyObject* const* args, Py_ssize_t nargs) noexcept;

/// Sets the error of send(), throw() or close() while the object itself runs, as coroutines word
/// it.
void raise_already_executing() noexcept;
/// Sets the error of send() or throw() after the end, as coroutines word it.
void raise_already_awaited() noexcept;
/// Whether send() or throw() may go on; false with the error of misuse set.
[[nodiscard]] inline bool coroutine_may_enter(bool is_running, bool is_finished) noexcept {
  if (BLITZIO_UNLIKELY(is_running)) {
    raise_already_executing();
  } else if (BLITZIO_UNLIKELY(is_finished)) {
    raise_already_awaited();
  }
  return !is_running && !is_finished;
}

}  // namespace blitzio::python
