// `ThreadPool`: the core's BlockingPool for Python callables, without a loop. A JoinHandle is what
// runs in it (blitzio._runtime): it keeps its own result, so the pool calls and forgets.
//
// Threads: any, for each method. Forking: as BlockingPool; a child's submit() refuses.
#pragma once

#include <python/support/state.hpp>

namespace blitzio::python {

[[nodiscard]] int thread_pool_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
