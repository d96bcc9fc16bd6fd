#include <python/support/exit.hpp>
#include <python/support/py_ref.hpp>

#include <unistd.h>

#include <cstdlib>
#include <exception>

namespace blitzio::python {

namespace {

// Written once, attached, before any thread can get into the handler.
std::terminate_handler previous_handler = nullptr;

bool is_interpreter_finalizing() noexcept {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

[[noreturn]] void on_terminate() noexcept {
  // pthread_exit() unwinds without a C++ exception. Nothing of Python's may be touched here.
  if (std::current_exception() == nullptr && is_interpreter_finalizing()) {
    for (;;) ::pause();
  }
  if (previous_handler != nullptr) previous_handler();
  std::abort();
}

/// Installs the handler. Shortly before the interpreter is finalised, attached; again: nothing.
PyObject* hang_threads_at_exit(PyObject* /*self*/, PyObject* /*unused*/) {
  if (previous_handler == nullptr) previous_handler = std::set_terminate(on_terminate);
  Py_RETURN_NONE;
}

// Without the module: what is registered lives until the end.
PyMethodDef at_exit_definition = {"_hang_threads_at_exit", hang_threads_at_exit, METH_NOARGS,
                                  nullptr};

}  // namespace

int exit_register(PyObject* /*module*/, ModuleState& /*state*/) noexcept {
  const PyRef function = PyRef::steal(PyCFunction_NewEx(&at_exit_definition, nullptr, nullptr));
  const PyRef atexit = PyRef::steal(PyImport_ImportModule("atexit"));
  if (!function || !atexit) return -1;
  const PyRef done =
      PyRef::steal(PyObject_CallMethod(atexit.get(), "register", "O", function.get()));
  return done ? 0 : -1;
}

}  // namespace blitzio::python
