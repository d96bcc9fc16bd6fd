// What becomes of threads that are still in our frames when the interpreter goes: a daemon thread
// that runs a loop.
//
// Up to 3.13 CPython ends such a thread with pthread_exit(), as soon as it asks for the interpreter
// lock: in our wait, or anywhere inside a callback. That unwinds the stack, and at the first
// noexcept frame C++ calls std::terminate(), which aborts the process. From 3.14 on CPython lets
// the thread hang until the process ends; here we do the same.
//
// The terminate handler is the only place that sees all of these. It acts for such a thread alone
// and leaves everything else to the handler that was there before. It is that of the extension's
// own copy of the C++ library (BLITZIO_BUNDLE): noexcept frames of other extensions, in a callback,
// answer to theirs, as on any loop.
#pragma once

#include <python/support/state.hpp>

namespace blitzio::python {

/// Has atexit install the handler: that is called at every end of an interpreter.
[[nodiscard]] int exit_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
