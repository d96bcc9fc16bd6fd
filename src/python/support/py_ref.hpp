// `PyRef` owns a reference; a bare `PyObject*` borrows. Owner: whoever is attached to the
// interpreter.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <utility>

namespace blitzio::python {

class PyRef {
 public:
  constexpr PyRef() noexcept = default;
  /// Takes over a new reference (null: an error is set, or nothing).
  [[nodiscard]] static PyRef steal(PyObject* object) noexcept {
    PyRef ref;
    ref.object_ = object;
    return ref;
  }
  /// Adds a reference to a borrowed one.
  [[nodiscard]] static PyRef borrow(PyObject* object) noexcept { return steal(Py_XNewRef(object)); }
  PyRef(PyRef&& other) noexcept : object_(other.release()) {}
  PyRef& operator=(PyRef&& other) noexcept {
    // The old object dies last: its finaliser may look at this reference.
    PyObject* old = std::exchange(object_, other.release());
    Py_XDECREF(old);
    return *this;
  }
  PyRef(const PyRef&) = delete;
  PyRef& operator=(const PyRef&) = delete;
  ~PyRef() { Py_XDECREF(object_); }

  [[nodiscard]] PyObject* get() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  /// Gives the reference to the caller.
  [[nodiscard]] PyObject* release() noexcept { return std::exchange(object_, nullptr); }
  void reset() noexcept { *this = PyRef(); }

 private:
  PyObject* object_ = nullptr;
};

}  // namespace blitzio::python
