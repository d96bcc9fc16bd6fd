// `find_running_loop()`: the way back to the loop that runs the caller, ours or not.
//
// Our loops have a gate of their own. For a foreign one (asyncio's, uvloop's) a `ForeignLoop` is
// made when something first waits there: an eventfd that the loop watches with add_reader(). A wake
// from another thread puts its message into an inbox and writes to the eventfd; the reader takes
// all of them on the loop's thread. So no thread that wakes needs the interpreter, and none can be
// caught by its end, as with call_soon_threadsafe().
//
// The loop's registration of the reader is what keeps the ForeignLoop: it goes when the loop is
// closed or dies, and abandons what still waits.
//
// Threads: the loop's, attached; LoopGate's own functions as it says.
#pragma once

#include <python/loop/loop_gate.hpp>
#include <python/support/state.hpp>

namespace blitzio::python {

struct RunningLoop {
  PyRef loop;
  LoopGate* gate = nullptr;  ///< the loop's: borrowed
};

/// Returns  the loop running in this thread and its gate; null with RuntimeError set if there is
///          none, or with what add_reader() raised.
[[nodiscard]] RunningLoop find_running_loop(ModuleState& state) noexcept;

/// The gate of `loop`, which runs in this thread: borrowed. Null with an error set.
[[nodiscard]] LoopGate* gate_of(ModuleState& state, PyObject* loop) noexcept;

/// Whether an event loop runs in this thread. -1 with an error set.
[[nodiscard]] int has_running_loop(ModuleState& state) noexcept;

[[nodiscard]] int foreign_loop_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
