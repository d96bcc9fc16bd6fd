// What the finalisers of transports do about one that nobody closed.
//
// Threads: whichever drops the last reference.
#pragma once

#include <python/support/error.hpp>

#include <utility>

namespace blitzio::python {

/// ResourceWarning of `self`, then `release()`. Leaves the error that is set as it is.
template <class Release>
void finalize_unclosed(PyObject* self, Release release) noexcept {
  PyRef pending = take_exception();
  if (PyErr_ResourceWarning(self, 1, "unclosed transport %R", self) != 0) {
    PyErr_WriteUnraisable(self);  // Warnings may be errors; a finaliser has nobody to raise to.
  }
  release();
  if (pending) restore_exception(std::move(pending));
}

}  // namespace blitzio::python
