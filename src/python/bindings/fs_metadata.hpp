// `blitzio.fs.Metadata`: what stat(2) tells, under the core's names and those of os.stat_result.
#pragma once

#include <blitzio/fs/metadata.hpp>
#include <python/support/state.hpp>

namespace blitzio::python {

/// A new Metadata. Null with an error set.
[[nodiscard]] PyObject* make_metadata(ModuleState& state, const fs::Metadata& metadata) noexcept;

[[nodiscard]] int fs_metadata_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
