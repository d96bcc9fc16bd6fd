// The casts that CPython's tables of methods and slots ask for: they hold functions of every
// signature as one type, and the flags or the slot's number say how to call them. And a row that
// several of them have.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

namespace blitzio::python {

/// For a PyMethodDef: a function of any of the METH_ signatures.
template <class Function>
[[nodiscard]] PyCFunction fast(Function* function) noexcept {
  // By way of a plain function type: compilers warn of direct casts between signatures.
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

/// For a PyMethodDef with METH_VARARGS | METH_KEYWORDS.
[[nodiscard]] inline PyCFunction with_keywords(PyCFunctionWithKeywords function) noexcept {
  return fast(function);
}

/// For a PyType_Slot.
template <class Function>
[[nodiscard]] void* slot(Function* function) noexcept {
  return reinterpret_cast<void*>(function);
}

/// For the method table of a type that is generic in its stub: `Channel[int]`.
inline constexpr PyMethodDef kSubscript{"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
                                        PyDoc_STR("The type of those that hold such values.")};

}  // namespace blitzio::python
