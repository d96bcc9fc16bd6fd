// `detect()` and `build_info()`: what this machine offers and how the extension was built, for
// `python -m blitzio info` and for bug reports.
#pragma once

#include <python/support/state.hpp>

namespace blitzio::python {

[[nodiscard]] int info_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
