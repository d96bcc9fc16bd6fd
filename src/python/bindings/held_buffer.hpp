// `HeldBuffer`: the memory of a bytes-like argument.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstddef>
#include <span>
#include <utility>

namespace blitzio::python {

/// A bytes-like argument, held; move-only. Attached threads.
class HeldBuffer {
 public:
  HeldBuffer() noexcept = default;
  HeldBuffer(HeldBuffer&& other) noexcept
      : view_(other.view_), is_held_(std::exchange(other.is_held_, false)) {}
  HeldBuffer(const HeldBuffer&) = delete;
  HeldBuffer& operator=(const HeldBuffer&) = delete;
  HeldBuffer& operator=(HeldBuffer&&) = delete;
  ~HeldBuffer() {
    if (is_held_) PyBuffer_Release(&view_);
  }
  /// `flags`: PyBUF_SIMPLE or PyBUF_WRITABLE. False with an error set.
  [[nodiscard]] bool hold(PyObject* object, int flags) noexcept {
    is_held_ = PyObject_GetBuffer(object, &view_, flags) == 0;
    // What cannot be written to is the wrong type to recv_into() and readinto() of Python's, too.
    if (!is_held_ && flags == PyBUF_WRITABLE && PyErr_ExceptionMatches(PyExc_BufferError) != 0) {
      PyErr_Format(PyExc_TypeError, "a writable buffer was expected, got %.50s",
                   Py_TYPE(object)->tp_name);
    }
    return is_held_;
  }
  [[nodiscard]] std::span<std::byte> bytes() const noexcept {
    return {static_cast<std::byte*>(view_.buf), static_cast<std::size_t>(view_.len)};
  }
  int traverse(visitproc visit, void* arg) noexcept {
    Py_VISIT(view_.obj);
    return 0;
  }

 private:
  Py_buffer view_{};
  bool is_held_ = false;
};

}  // namespace blitzio::python
