// `blitzio.sync.Notify`, `Event` and `Barrier`: waiting for something to happen.
#pragma once

#include <python/support/state.hpp>

namespace blitzio::python {

[[nodiscard]] int events_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
