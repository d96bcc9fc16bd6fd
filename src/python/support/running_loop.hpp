// `running_loop()`: the event loop that runs in this thread, as asyncio._get_running_loop() has it.
//
// Up to Python 3.11 that function asks the kernel for the process's number each time, lest a forked
// child take its parent's loop for its own: 190 ns where the rest takes 20. There the loop is read
// from where asyncio keeps it (the thread state's dict), unless the process has been forked since
// the import. That it is kept so is tried out at import; if not, the function is called. And the
// task that a loop runs is looked up in asyncio's dict, for which it has a function of Python's.
//
// Threads: any, attached.
#pragma once

#include <python/support/state.hpp>

namespace blitzio::python {

/// The running loop, or None. Null with an error set.
[[nodiscard]] PyRef running_loop(const ModuleState& state) noexcept;

/// The task that `loop` runs. Null or None if it runs none; null with an error set if asking was
/// interrupted.
[[nodiscard]] PyRef current_task(const ModuleState& state, PyObject* loop) noexcept;

/// Finds out where asyncio keeps it. Returns false with an error set.
[[nodiscard]] bool running_loop_probe(ModuleState& state) noexcept;

}  // namespace blitzio::python
