// What the extension has beyond the loop: the bridge, the runtime, the bindings. It is made when
// the first of its names is asked for, as a program that wants a faster asyncio asks for none of
// them: three quarters of the types and of their methods, 0.2 MB of objects and the pages of code
// that make them (docs/performance.md).
//
//              a name that is not there, dir()
//     absent ─────────────────────────────────▶ being made ───▶ made
//        ▲                                          │
//        └──── an error, or in a child that is ─────┘
//              forked by another thread meanwhile
//
// Names appear one by one, each after what its objects need: who finds one meanwhile can use it.
// Who does not find one waits until all are there.
//
// Threads: any. One makes it; a finalizer that runs in that thread meanwhile, and asks for a name
// that is not there yet, gets AttributeError, as from a module that is being imported.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

namespace blitzio::python {

/// The module's `__getattr__`. A new reference; null with AttributeError set, or what making the
/// half raised: MemoryError, or ImportError when the interpreter ends.
[[nodiscard]] PyObject* second_half_getattr(PyObject* module, PyObject* name) noexcept;

/// The module's `_forget_maker`, which a forked child calls before it has other threads. None.
[[nodiscard]] PyObject* second_half_forget_maker(PyObject* module, PyObject* unused) noexcept;

/// The module's `__dir__`. A new reference; null with an error set.
[[nodiscard]] PyObject* second_half_dir(PyObject* module, PyObject* unused) noexcept;

}  // namespace blitzio::python
