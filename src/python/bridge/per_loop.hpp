// One object for each foreign loop, found by the loop's identity and held weakly: what keeps it is
// the loop, which has it as a reader, so one that is found belongs to a living loop.
//
// Threads: the loop's, attached.
#pragma once

#include <python/support/state.hpp>

namespace blitzio::python {

/// The object of `loop` in `objects`, a WeakValueDictionary, made by make(state, loop) if need be;
/// null with an error set.
template <class Make>
[[nodiscard]] PyRef per_loop(ModuleState& state, PyObject* objects, PyObject* loop,
                             Make make) noexcept {
  const PyRef key = PyRef::steal(PyLong_FromVoidPtr(loop));
  if (!key) return {};
  PyRef found = PyRef::steal(PyObject_CallMethodOneArg(objects, state.names.get, key.get()));
  if (!found || found.get() != Py_None) return found;
  found = make(state, loop);
  if (!found || PyObject_SetItem(objects, key.get(), found.get()) != 0) return {};
  return found;
}

/// A new WeakValueDictionary; null with an error set.
[[nodiscard]] inline PyObject* new_weak_values() noexcept {
  const PyRef weakref = PyRef::steal(PyImport_ImportModule("weakref"));
  return weakref ? PyObject_CallMethod(weakref.get(), "WeakValueDictionary", nullptr) : nullptr;
}

}  // namespace blitzio::python
