// `ChildOutputBase`: the native half of the protocol of a child's stdout or stderr
// (python/blitzio/_loop/process_transport.py): what comes reaches the process's protocol with no
// function of Python's between.
//
//    waiting ──_listener is set──▶ handing on ──_listener = None──▶ ended
//    _receive(data)                _listener.pipe_data_received(fd, data)
//                                  raised: _failed(_listener, exception, data)
//
// Threads: the loop's.
#pragma once

#include <python/support/state.hpp>

namespace blitzio::python {

[[nodiscard]] int child_output_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
