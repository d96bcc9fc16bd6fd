// The types TcpStream and UnixStream of blitzio.net.
#pragma once

#include <blitzio/net/tcp.hpp>
#include <blitzio/net/unix.hpp>
#include <python/support/state.hpp>

namespace blitzio::python {

/// A new TcpStream or UnixStream. Null with an error set.
[[nodiscard]] PyObject* make_stream(ModuleState& state, net::TcpStream stream) noexcept;
[[nodiscard]] PyObject* make_stream(ModuleState& state, net::UnixStream stream) noexcept;

[[nodiscard]] int net_stream_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
