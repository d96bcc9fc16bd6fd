// `blitzio.sync`: the primitives of <blitzio/sync/…> as Python types, for tasks, threads and loops
// at once.
#pragma once

#include <python/support/state.hpp>

namespace blitzio::python {

[[nodiscard]] int sync_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
