// `blitzio.channel`: the channels of <blitzio/channel/…> for Python objects.
#pragma once

#include <python/support/state.hpp>

namespace blitzio::python {

[[nodiscard]] int channel_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
