// What `blitzio.process` is made of: the child and its pipes.
#pragma once

#include <blitzio/process/pipe.hpp>
#include <python/support/state.hpp>

namespace blitzio::python {

/// New streams of a child's pipes. Null with an error set; `fd` is closed then.
[[nodiscard]] PyObject* make_pipe_reader(ModuleState& state, OwnedFd fd) noexcept;
[[nodiscard]] PyObject* make_pipe_writer(ModuleState& state, OwnedFd fd) noexcept;

[[nodiscard]] int process_pipe_register(PyObject* module, ModuleState& state) noexcept;
[[nodiscard]] int process_child_register(PyObject* module, ModuleState& state) noexcept;
/// All of it.
[[nodiscard]] int process_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
