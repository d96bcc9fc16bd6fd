// `Box<T>`: a Python object that holds a C++ value and nothing else: how the primitives of sync and
// channel are bound. Raw C-API rather than pybind11, for these are called once per lock or message:
// a method costs 25 ns instead of 120.
//
// A type is not subclassed: its methods are reached without looking them up, and none is virtual.
//
// T may have `int traverse(visitproc, void*)` and `void clear()` for Python objects that it holds.
//
// Threads: as T.
#pragma once

#include <python/support/error.hpp>
#include <python/support/slots.hpp>
#include <python/support/state.hpp>

#include <structmember.h>

#include <cstddef>
#include <utility>

namespace blitzio::python {

template <class T>
struct Box {
  PyObject_HEAD ModuleState* state;  ///< `module`'s
  PyObject* module;                  ///< strong
  PyObject* weakrefs;
  T value;

  [[nodiscard]] static Box& of(PyObject* self) noexcept { return *reinterpret_cast<Box*>(self); }

  /// A new object of `type`, which is this box's; null with an error set.
  template <class... Args>
  [[nodiscard]] static PyObject* make(ModuleState& state, PyTypeObject* type, Args&&... args) {
    PyObject* self = type->tp_alloc(type, 0);
    if (self == nullptr) return nullptr;
    Box& box = of(self);
    box.state = &state;
    try {
      new (&box.value) T(std::forward<Args>(args)...);
    } catch (...) {
      Py_DECREF(self);
      throw;
    }
    box.module = Py_NewRef(state.module);
    return self;
  }

  static int traverse(PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(of(self).module);
    if constexpr (requires(T& held) { held.traverse(visit, arg); }) {
      // Null: being made, or not to be had.
      return of(self).module == nullptr ? 0 : of(self).value.traverse(visit, arg);
    }
    return 0;
  }
  static int clear(PyObject* self) {
    if constexpr (requires(T& held) { held.clear(); }) of(self).value.clear();
    return 0;
  }
  static void dealloc(PyObject* self) {
    // Without a module it has no value: its constructor has thrown.
    if (of(self).module != nullptr && Py_TYPE(self)->tp_finalize != nullptr &&
        PyObject_CallFinalizerFromDealloc(self) < 0) {
      return;
    }
    PyObject_GC_UnTrack(self);
    if constexpr (requires(T& held) { held.traverse(nullptr, nullptr); }) {
      // A channel may be in a channel, and so on.
      Py_TRASHCAN_BEGIN(self, dealloc);
      end(self);
      Py_TRASHCAN_END;
    } else {
      end(self);
    }
  }

 private:
  static void end(PyObject* self) noexcept {
    Box& box = of(self);
    if (box.weakrefs != nullptr) PyObject_ClearWeakRefs(self);
    PyTypeObject* type = Py_TYPE(self);
    PyObject* module = box.module;
    if (module != nullptr) box.value.~T();
    type->tp_free(self);
    Py_DECREF(type);
    Py_XDECREF(module);  // The state may go with it.
  }
};

/// What a type is made of. `create` null: Python code cannot make one.
struct BoxType {
  const char* name;  ///< with its module, "blitzio.sync.Mutex"
  const char* doc;
  newfunc create = nullptr;
  PyMethodDef* methods = nullptr;
  PyGetSetDef* attributes = nullptr;
  PyType_Slot* more = nullptr;  ///< further slots, ended by {0, nullptr}
  PyObject* home = nullptr;     ///< the module it is added to, if not the one that defines it
};

namespace detail {

PyTypeObject* box_register(PyObject* module, const BoxType& described, std::size_t bytes,
                           std::size_t weakrefs, traverseproc traverse, inquiry clear,
                           destructor dealloc) noexcept;

}  // namespace detail

/// Makes the type and adds it to the module. Null with an error set.
template <class T>
[[nodiscard]] PyTypeObject* box_register(PyObject* module, const BoxType& described) noexcept {
  using B = Box<T>;
#pragma GCC diagnostic push
// Conditionally supported for classes with C++ members; GCC and Clang define it without virtual
// bases.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
  constexpr std::size_t weakrefs = offsetof(B, weakrefs);
#pragma GCC diagnostic pop
  return detail::box_register(module, described, sizeof(B), weakrefs, B::traverse, B::clear,
                              B::dealloc);
}

/// A tp_new without parameters.
template <class T>
PyObject* box_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  if (PyTuple_GET_SIZE(args) != 0 || (kwargs != nullptr && PyDict_GET_SIZE(kwargs) != 0)) {
    return PyErr_Format(PyExc_TypeError, "%s() takes no arguments", type->tp_name);
  }
  return Box<T>::make(state_of_type(type), type);
}

}  // namespace blitzio::python
