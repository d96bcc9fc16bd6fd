// `ThreadPool`: the core's BlockingPool for Python callables, without a loop: for functions whose
// result a JoinHandle keeps, and for callables that are called and forgotten.
//
// Threads: any, for each method. Forking: as BlockingPool; a child's submit() refuses.
#pragma once

#include <python/support/state.hpp>

namespace blitzio::python {

/// pool.spawn(args[0], *args[1:], name=name), with at least one argument.
[[nodiscard]] PyObject* thread_pool_spawn(PyObject* pool, PyObject* const* args, Py_ssize_t nargs,
                                          PyObject* name) noexcept;

[[nodiscard]] int thread_pool_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
