// Everything that differs between builds with the interpreter lock and free-threaded ones.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#ifdef Py_GIL_DISABLED
#define BLITZIO_FREE_THREADED 1
#else
#define BLITZIO_FREE_THREADED 0
#endif

namespace blitzio::python {

inline constexpr bool kFreeThreaded = BLITZIO_FREE_THREADED != 0;

/// Locks `object` for the scope on free-threaded builds; the interpreter lock does it elsewhere.
class ObjectLock {
 public:
#if BLITZIO_FREE_THREADED
  explicit ObjectLock(PyObject* object) noexcept { PyCriticalSection_Begin(&section_, object); }
  ~ObjectLock() { PyCriticalSection_End(&section_); }
#else
  explicit ObjectLock(PyObject* /*object*/) noexcept {}
#endif
  ObjectLock(const ObjectLock&) = delete;
  ObjectLock& operator=(const ObjectLock&) = delete;

 private:
#if BLITZIO_FREE_THREADED
  PyCriticalSection section_{};
#endif
};

/// A number that names the calling thread, never 0.
[[nodiscard]] inline unsigned long current_thread() noexcept {
  return PyThread_get_thread_ident();
}

}  // namespace blitzio::python
