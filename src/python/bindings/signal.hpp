// What `blitzio.signal` is made of: `blitzio._native.SignalSet`.
#pragma once

#include <python/support/state.hpp>

namespace blitzio::python {

[[nodiscard]] int signal_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
