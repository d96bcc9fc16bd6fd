#include <python/support/coroutine.hpp>
#include <python/support/error.hpp>

namespace blitzio::python {

PyObject* as_iteration(PySendResult outcome, PyObject* result) noexcept {
  if (outcome != PYGEN_RETURN) return result;
  const PyRef value = PyRef::steal(result);
  // StopIteration(value) made by hand: PyErr_SetObject would spread a tuple over its arguments.
  const PyRef stop = PyRef::steal(PyObject_CallOneArg(PyExc_StopIteration, value.get()));
  if (stop) PyErr_SetObject(PyExc_StopIteration, stop.get());
  return nullptr;
}

void raise_thrown(PyObject* const* args, Py_ssize_t nargs) noexcept {
  if (nargs < 1 || nargs > 3) {
    PyErr_Format(PyExc_TypeError, "throw() takes 1 to 3 arguments (%zd given)", nargs);
    return;
  }
  PyObject* type = args[0];
  PyObject* value = nargs > 1 ? args[1] : nullptr;
  PyObject* traceback = nargs > 2 ? args[2] : nullptr;
  if (PyExceptionInstance_Check(type) != 0) {
    if (value != nullptr && value != Py_None) {
      PyErr_SetString(PyExc_TypeError, "instance exception may not have a separate value");
      return;
    }
    PyErr_SetObject(PyExceptionInstance_Class(type), type);
  } else if (PyExceptionClass_Check(type) != 0) {
    PyErr_SetObject(type, value == Py_None ? nullptr : value);
  } else {
    PyErr_Format(PyExc_TypeError,
                 "exceptions must be classes or instances deriving from BaseException, not %s",
                 Py_TYPE(type)->tp_name);
    return;
  }
  if (traceback == nullptr || traceback == Py_None) return;
  PyRef exception = take_exception();
  if (PyException_SetTraceback(exception.get(), traceback) != 0) return;
  restore_exception(std::move(exception));
}

void raise_already_executing() noexcept {
  PyErr_SetString(PyExc_ValueError, "coroutine already executing");
}

void raise_already_awaited() noexcept {
  PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
}

}  // namespace blitzio::python
