// `ServerBase`: the native half of `Server` (python/blitzio/_loop/server.py): how many connections
// it has, counted without a call of Python when one comes and when it goes.
//
// Which they are stands in the loop's table of open transports already. Without the interpreter
// lock a reference cannot be taken from there, since another thread may be dropping the last one:
// such builds tell the Python half, which keeps weak references.
//
// Threads: the loop's.
#pragma once

#include <python/loop/loop.hpp>

namespace blitzio::python {

struct ServerBaseObject {
  PyObject_HEAD Py_ssize_t active_count;  ///< connections
  bool is_closed;                         ///< set by the Python half: the last one is waited for
};

[[nodiscard]] int server_base_register(PyObject* module, ModuleState& state) noexcept;

/// `server` as the ServerBase that it is, if it is one and counts natively; else null.
[[nodiscard]] inline ServerBaseObject* counting_server(const ModuleState& state,
                                                       PyObject* server) noexcept {
  if (kFreeThreaded || PyObject_TypeCheck(server, state.server_base_type) == 0) return nullptr;
  return reinterpret_cast<ServerBaseObject*>(server);
}

/// A connection is gone. Calls _wakeup() after the last of a closed server. False with an error
/// set.
[[nodiscard]] bool server_lost_client(const ModuleState& state, ServerBaseObject& server) noexcept;

}  // namespace blitzio::python
