#include <python/support/exit.hpp>

#define PY_SSIZE_T_CLEAN
#include <Python.h>

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

}  // namespace

void hang_threads_at_exit() noexcept {
  if (previous_handler != nullptr) return;
  previous_handler = std::set_terminate(on_terminate);
}

}  // namespace blitzio::python
