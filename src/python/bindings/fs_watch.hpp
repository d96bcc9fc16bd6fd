// `blitzio.fs.Watcher`: events of files and directories; the core's fs::Watcher in Python.
#pragma once

#include <python/support/state.hpp>

#include <span>

namespace blitzio::python {

[[nodiscard]] std::span<PyMethodDef> fs_watch_functions() noexcept;
[[nodiscard]] int fs_watch_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
