// `ConnectOperation`: what create_connection() awaits for a TCP connection to a numeric address: a
// coroutine without a Python frame, from the socket to the protocol's connection_made(). No socket
// object is made unless somebody asks the transport for it.
//
//           send(None): socket, connect          ready: factory, transport
//   created ──────────────┬────────▶ connecting ─────────────┬─▶ making ──▶ finished
//      │                  └─ over loopback: ready at once ───┘      │
//      │ throw, close, error    │ closes the descriptor             │ closes the transport
//      └────────────────────────┴───────────────────────────────────┴─────▶ finished
//
// connecting  waits until the descriptor is writable, through a SockOperation.
// making      waits for the transport's waiter, which is done after connection_made(); with TLS,
//             where the factory makes the layer between, for that layer's, after the handshake.
//
// Everything else (host names, several addresses, a local address, debug mode) goes the way of
// python/blitzio/_loop/connect.py; tests compare the two.
//
// Threads: the loop's.
#pragma once

#include <python/loop/loop_use.hpp>

namespace blitzio::python {

[[nodiscard]] int connect_operation_register(PyObject* module, ModuleState& state) noexcept;

/// _connect_numeric(protocol_factory, host, port, family, is_tls): the coroutine, or None if host
/// and port are not numbers, or a subclass overrides sock_connect(). METH_FASTCALL.
PyObject* loop_connect_numeric(PyObject* self, PyObject* const* args, Py_ssize_t nargs) noexcept;

// A row for the method table in loop.cpp.
#define BLITZIO_CONNECT_METHODS                                                           \
  {"_connect_numeric", fast(loop_method<loop_connect_numeric>), METH_FASTCALL,            \
   PyDoc_STR("_connect_numeric($self, protocol_factory, host, port, family, is_tls, /)\n" \
             "--\n\nA coroutine that gives (transport, protocol); None if host and port " \
             "need the resolver. `is_tls`: the factory makes an SSLProtocol.")}

}  // namespace blitzio::python
