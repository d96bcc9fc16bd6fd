// From C and core errors to Python exceptions, and back to objects that can be stored.
#pragma once

#include <blitzio/base/result.hpp>
#include <python/support/py_ref.hpp>

namespace blitzio::python {

/// Sets OSError (its subclass by errno, as CPython picks it), socket.gaierror, ValueError or
/// RuntimeError for `error`. `what` names what was tried. Returns null for `return raise_error(…)`.
PyObject* raise_error(Error error, const char* what) noexcept;

/// An OSError instance for `code` (positive errno); null with an error set if that fails.
[[nodiscard]] PyRef make_os_error(int code) noexcept;

/// Takes the current exception as one object with its traceback set; null if none is set.
[[nodiscard]] inline PyRef take_exception() noexcept {
#if PY_VERSION_HEX >= 0x030C0000
  return PyRef::steal(PyErr_GetRaisedException());
#else
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  if (type == nullptr) return {};
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback != nullptr) PyException_SetTraceback(value, traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  return PyRef::steal(value);
#endif
}

/// The inverse: raises `exception` again.
inline void restore_exception(PyRef exception) noexcept {
#if PY_VERSION_HEX >= 0x030C0000
  PyErr_SetRaisedException(exception.release());
#else
  PyObject* value = exception.release();
  PyObject* type = Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(value)));
  PyErr_Restore(type, value, PyException_GetTraceback(value));
#endif
}

/// Drops the current exception, if there is one, as no more than an answer. One that is no
/// Exception (KeyboardInterrupt and the like) stays, for whoever runs this may have been
/// interrupted in code of others: then it returns false.
[[nodiscard]] inline bool drop_exception() noexcept {
  if (PyErr_Occurred() != nullptr && PyErr_ExceptionMatches(PyExc_Exception) == 0) return false;
  PyErr_Clear();  // The answer is the return value.
  return true;
}

/// Whether `exception` is one that ends the loop instead of going to the exception handler.
[[nodiscard]] inline bool is_fatal_exception(PyObject* exception) noexcept {
  return PyErr_GivenExceptionMatches(exception, PyExc_KeyboardInterrupt) != 0 ||
         PyErr_GivenExceptionMatches(exception, PyExc_SystemExit) != 0;
}

}  // namespace blitzio::python
