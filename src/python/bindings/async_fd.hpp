// The type blitzio.AsyncFd.
#pragma once

#include <python/support/state.hpp>

namespace blitzio::python {

[[nodiscard]] int async_fd_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
