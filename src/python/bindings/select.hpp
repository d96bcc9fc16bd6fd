// `select()` of awaitables: waits until one of several is ready, and takes that one's value alone.
//
// Awaitables of the bridge are polled natively, one after the other, and left as they are until one
// is ready; the others are closed, so nothing that they were granted is lost: of two channels that
// have a message at the same moment one is received from. What is an asyncio future is looked at in
// the same order; it wakes the whole by a done-callback.
//
// Threads: as bridge/awaitable.hpp.
#pragma once

#include <python/support/state.hpp>

namespace blitzio::python {

/// Adds the function select_first() to the module.
[[nodiscard]] int select_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
