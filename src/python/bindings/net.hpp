// The types of `blitzio.net`.
#pragma once

#include <python/support/state.hpp>

namespace blitzio::python {

[[nodiscard]] int net_listener_register(PyObject* module, ModuleState& state) noexcept;
[[nodiscard]] int net_datagram_register(PyObject* module, ModuleState& state) noexcept;
/// All of them.
[[nodiscard]] int net_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
