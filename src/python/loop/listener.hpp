// `Listener`: accepts the connections of one listening socket and makes their transports.
//
// One multishot accept stays in flight; per connection there is no Python call but the protocol
// factory, and not even a socket object until somebody asks the transport for it. With TLS the
// factory makes the layer between (ListenMixin._accept_tls). With divert() the listener of another
// loop may get a connection, by adopt().
//
//            start                 close
//   idle ◀────────▶ accepting ─────────────▶ closed
//     ▲    pause        │ EMFILE, ENOMEM…
//     │                 ▼
//     └── 1 s later ─ waiting
//
// The listener owns the socket from start() on: close() cancels the accept, has the driver tell the
// kernel so, and closes the socket at once. What was accepted and not delivered by then is closed
// when it is. The operation in flight owns a reference to the listener. When the loop closes under
// it, the listener lets go of its server: they refer to each other.
//
// Threads: the loop's, or any single one while the loop does not run; other calls raise.
#pragma once

#include <python/support/state.hpp>

namespace blitzio::python {

[[nodiscard]] int listener_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
