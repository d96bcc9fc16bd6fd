// `blitzio._native.fs`: files, paths and watching, in a module of their own inside the extension,
// for their names (open, copy, stat) are those of half the world.
#pragma once

#include <python/support/state.hpp>

#include <span>

namespace blitzio::python {

[[nodiscard]] int fs_register(PyObject* module, ModuleState& state) noexcept;

/// The functions of one file; tables without an end.
[[nodiscard]] std::span<PyMethodDef> fs_path_functions() noexcept;
[[nodiscard]] std::span<PyMethodDef> fs_whole_functions() noexcept;
[[nodiscard]] std::span<PyMethodDef> fs_open_functions() noexcept;

[[nodiscard]] int fs_file_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
