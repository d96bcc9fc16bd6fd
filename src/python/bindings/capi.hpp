// The C API for other extensions: the capsule `_C_API`, which python/blitzio/include/blitzio_capi.h
// describes. It holds functions that take the module, so it is the same in each interpreter.
#pragma once

#include <python/support/state.hpp>

namespace blitzio::python {

[[nodiscard]] int capi_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
