// `ready_none()`: an awaitable that gives None at once, one for all: what `__aenter__` and
// `__aexit__` return when there is nothing to wait for. Making it costs nothing.
//
// Threads: any.
#pragma once

#include <python/support/state.hpp>

namespace blitzio::python {

/// A new reference.
[[nodiscard]] inline PyObject* ready_none(const ModuleState& state) noexcept {
  return Py_NewRef(state.ready_none);
}

[[nodiscard]] int ready_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
