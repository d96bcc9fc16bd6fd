// `blitzio.net.Address` in C++.
#pragma once

#include <blitzio/base/address.hpp>
#include <python/bindings/box.hpp>

namespace blitzio::python {

/// A new Address; None for none. Null with an error set.
[[nodiscard]] PyObject* make_address(ModuleState& state, const Address& address) noexcept;
/// Reads an Address, or text that Address.parse() reads.
/// Returns  false with TypeError or ValueError set.
[[nodiscard]] bool to_address(ModuleState& state, PyObject* object, Address* address) noexcept;
/// The same, for a socket of one kind: between processes of this machine, or of the Internet.
[[nodiscard]] bool to_address(ModuleState& state, PyObject* object, bool is_local,
                              Address* address) noexcept;

[[nodiscard]] int address_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
