// `spawn()`, `spawn_blocking()` and `RuntimeBase`, which has them as methods: from the caller to a
// queue without a Python frame.
//
// Threads: any.
#pragma once

#include <python/support/state.hpp>

namespace blitzio::python {

/// Checks the arguments of spawn(work, /, *args, name=None); `*name` is borrowed, or null.
/// Returns  false with TypeError set.
[[nodiscard]] bool parse_spawn(const char* method, Py_ssize_t nargs, PyObject* const* args,
                               PyObject* kwnames, PyObject** name) noexcept;

[[nodiscard]] int spawn_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
