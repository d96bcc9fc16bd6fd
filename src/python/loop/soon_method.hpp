// `SoonMethod`: `Loop.call_soon` as a descriptor that makes a bound method once per run, not once
// per call.
//
// Up to 3.11 asyncio's C code takes the attribute `call_soon` of the loop and calls that, at every
// step of a task: an object that the collector tracks, made and freed, a sixteenth of a switch by
// `sleep(0)`. From 3.12 on it calls the method without binding it, and this file is empty.
//
// To Python it is what CPython's own descriptor of a native method is: found in the type after the
// instance's dict, called without binding where the interpreter can, bound to any loop. Only
// while its loop runs does it keep the bound method there: it refers to the loop.
//
// Threads: under the interpreter lock.
#pragma once

#include <python/loop/loop.hpp>

namespace blitzio::python {

#if PY_VERSION_HEX < 0x030C0000
#define BLITZIO_KEEPS_BOUND_SOON 1
/// The descriptor of `definition`, which is METH_FASTCALL | METH_KEYWORDS, for `type`, a LoopBase.
/// Null with an error set.
[[nodiscard]] PyRef soon_method_new(PyTypeObject* type, PyMethodDef& definition) noexcept;
#else
#define BLITZIO_KEEPS_BOUND_SOON 0
#endif

}  // namespace blitzio::python
