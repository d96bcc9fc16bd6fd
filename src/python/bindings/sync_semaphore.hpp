// `blitzio.sync.Semaphore`, `RwLock`, and the `Guard` that holds what they grant.
#pragma once

#include <python/support/state.hpp>

namespace blitzio::python {

[[nodiscard]] int semaphore_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
