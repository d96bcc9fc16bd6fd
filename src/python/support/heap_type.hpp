// Making the extension's heap types: what PyType_FromModuleAndSpec takes, without what is the same
// for all of them.
#pragma once

#include <Python.h>

#include <array>
#include <cstddef>

namespace blitzio::python {

/// Of objects that only the extension makes, and that nobody subclasses or patches.
inline constexpr unsigned long kInternalType = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
                                               Py_TPFLAGS_DISALLOW_INSTANTIATION |
                                               Py_TPFLAGS_IMMUTABLETYPE;

struct HeapType {
  const char* name;   // with its module: "blitzio._native.Mutex"
  std::size_t bytes;  // of an instance
  unsigned long flags;
  PyType_Slot* slots;                   // ends with {0, nullptr}
  std::array<PyObject*, 2> bases = {};  // borrowed; none: object
};

/// Makes a type whose methods find the module's state, and whose objects are not copied or pickled
/// unless it has a `__reduce__` of its own. Returns 0, or -1 with an error set.
[[nodiscard]] int make_type(PyObject* module, PyTypeObject** made, const HeapType& type) noexcept;

/// As make_type(), and puts it into the module under its name.
[[nodiscard]] int add_type(PyObject* module, PyTypeObject** made, const HeapType& type) noexcept;

/// Of an object's type the one that the extension made and whose dealloc is `ours`: a subclass made
/// in Python has a dealloc of its own, and not our module's state.
[[nodiscard]] inline PyTypeObject* native_type(PyTypeObject* type, destructor ours) noexcept {
  while (type->tp_dealloc != ours) type = type->tp_base;
  return type;
}

/// The end of each dealloc: gives the memory back, and the reference to the type.
inline void free_instance(PyObject* self) noexcept {
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

}  // namespace blitzio::python
