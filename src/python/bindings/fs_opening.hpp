// `Opening`: an awaitable that is also the asynchronous context manager of its result, so that both
// `file = await open(…)` and `async with open(…) as file` do.
//
// Threads: the loop's.
#pragma once

#include <python/support/state.hpp>

namespace blitzio::python {

/// A new Opening of a native awaitable, which it takes over; null, with an error set, gives null.
[[nodiscard]] PyObject* make_opening(ModuleState& state, PyObject* awaitable) noexcept;

[[nodiscard]] int fs_opening_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
