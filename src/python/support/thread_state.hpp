// Whether the calling thread holds the interpreter, and giving it up for a while.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

namespace blitzio::python {

/// The calling thread's state if it is attached to an interpreter, else null. Any thread.
[[nodiscard]] inline PyThreadState* attached_thread_state() noexcept {
#if PY_VERSION_HEX >= 0x030D0000
  return PyThreadState_GetUnchecked();
#elif PY_VERSION_HEX >= 0x030C0000
  return _PyThreadState_UncheckedGet();
#else
  // Before 3.12 the current state is one for all threads: whose lock holder is it?
  PyThreadState* mine = PyGILState_GetThisThreadState();
  return mine != nullptr && mine == _PyThreadState_UncheckedGet() ? mine : nullptr;
#endif
}

/// Gives the interpreter lock up for a scope.
class Detached {
 public:
  Detached() noexcept : state_(PyEval_SaveThread()) {}
  Detached(const Detached&) = delete;
  Detached& operator=(const Detached&) = delete;
  ~Detached() { PyEval_RestoreThread(state_); }

 private:
  PyThreadState* state_;
};

}  // namespace blitzio::python
