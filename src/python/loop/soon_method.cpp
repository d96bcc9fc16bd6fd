#include <python/loop/soon_method.hpp>

#include <python/support/slots.hpp>

#include <structmember.h>

#include <cstddef>

#if BLITZIO_KEEPS_BOUND_SOON

namespace blitzio::python {

namespace {

struct SoonMethod {
  PyObject_HEAD vectorcallfunc call;
  PyObject* owner;  ///< strong: the type whose method it is
  PyMethodDef* definition;
};

SoonMethod& as_method(PyObject* self) noexcept {
  return *reinterpret_cast<SoonMethod*>(self);
}

_PyCFunctionFastWithKeywords function_of(const SoonMethod& method) noexcept {
  return reinterpret_cast<_PyCFunctionFastWithKeywords>(
      reinterpret_cast<void (*)()>(method.definition->ml_meth));
}

/// False with TypeError set.
bool check_instance(const SoonMethod& method, PyObject* object) noexcept {
  auto* owner = reinterpret_cast<PyTypeObject*>(method.owner);
  if (BLITZIO_LIKELY(PyObject_TypeCheck(object, owner))) return true;
  PyErr_Format(PyExc_TypeError, "descriptor '%s' for '%s' objects doesn't apply to a '%s' object",
               method.definition->ml_name, owner->tp_name, Py_TYPE(object)->tp_name);
  return false;
}

PyObject* call(PyObject* self, PyObject* const* args, std::size_t flags, PyObject* names) noexcept {
  const SoonMethod& method = as_method(self);
  const Py_ssize_t count = PyVectorcall_NARGS(flags);
  if (count < 1) {
    return PyErr_Format(PyExc_TypeError, "unbound method %s() needs an argument",
                        method.definition->ml_name);
  }
  if (!check_instance(method, args[0])) return nullptr;
  return function_of(method)(args[0], args + 1, count - 1, names);
}

PyObject* bind(PyObject* self, PyObject* object, PyObject* /*type*/) noexcept {
  if (object == nullptr) return Py_NewRef(self);
  const SoonMethod& method = as_method(self);
  if (!check_instance(method, object)) return nullptr;
  LoopObject& loop = *reinterpret_cast<LoopObject*>(object);
  if (BLITZIO_LIKELY(loop.bound_soon != nullptr)) return Py_NewRef(loop.bound_soon);
  PyObject* bound = PyCFunction_New(method.definition, object);
  if (bound != nullptr && loop.in_run) loop.bound_soon = Py_NewRef(bound);
  return bound;
}

PyObject* get_name(PyObject* self, void* /*unused*/) noexcept {
  return PyUnicode_FromString(as_method(self).definition->ml_name);
}
PyObject* get_qualname(PyObject* self, void* /*unused*/) noexcept {
  const SoonMethod& method = as_method(self);
  const PyRef owner = PyRef::steal(PyObject_GetAttrString(method.owner, "__qualname__"));
  return owner ? PyUnicode_FromFormat("%S.%s", owner.get(), method.definition->ml_name) : nullptr;
}
/// As a bound method words them, which takes them out of the definition's text.
template <const char* Name>
PyObject* get_text(PyObject* self, void* /*unused*/) noexcept {
  const PyRef unbound = PyRef::steal(PyCFunction_New(as_method(self).definition, Py_None));
  return unbound ? PyObject_GetAttrString(unbound.get(), Name) : nullptr;
}
constexpr char kDoc[] = "__doc__";
constexpr char kSignature[] = "__text_signature__";

PyObject* method_repr(PyObject* self) noexcept {
  const SoonMethod& method = as_method(self);
  return PyUnicode_FromFormat("<method '%s' of '%s' objects>", method.definition->ml_name,
                              reinterpret_cast<PyTypeObject*>(method.owner)->tp_name);
}

int method_traverse(PyObject* self, visitproc visit, void* arg) noexcept {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as_method(self).owner);
  return 0;
}

void method_dealloc(PyObject* self) noexcept {
  PyObject_GC_UnTrack(self);
  PyTypeObject* type = Py_TYPE(self);
  Py_CLEAR(as_method(self).owner);
  PyObject_GC_Del(self);
  Py_DECREF(type);
}

PyGetSetDef method_getset[] = {
    {"__name__", get_name, nullptr, nullptr, nullptr},
    {"__qualname__", get_qualname, nullptr, nullptr, nullptr},
    {"__doc__", get_text<kDoc>, nullptr, nullptr, nullptr},
    {"__text_signature__", get_text<kSignature>, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMemberDef method_members[] = {
    {"__objclass__", T_OBJECT, offsetof(SoonMethod, owner), READONLY, nullptr},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(SoonMethod, call), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

/// Made once per interpreter, with the one class that has such a method.
PyRef make_type() noexcept {
  PyType_Slot slots[] = {
      {Py_tp_dealloc, slot(method_dealloc)}, {Py_tp_traverse, slot(method_traverse)},
      {Py_tp_repr, slot(method_repr)},       {Py_tp_call, slot(PyVectorcall_Call)},
      {Py_tp_descr_get, slot(bind)},         {Py_tp_getset, method_getset},
      {Py_tp_members, method_members},       {0, nullptr},
  };
  PyType_Spec spec = {
      .name = "blitzio._native.SoonMethod",
      .basicsize = sizeof(SoonMethod),
      .itemsize = 0,
      .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
               Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_DISALLOW_INSTANTIATION |
               Py_TPFLAGS_IMMUTABLETYPE,
      .slots = slots,
  };
  return PyRef::steal(PyType_FromSpec(&spec));
}

}  // namespace

PyRef soon_method_new(PyTypeObject* type, PyMethodDef& definition) noexcept {
  const PyRef kind = make_type();
  if (!kind) return {};
  SoonMethod* method = PyObject_GC_New(SoonMethod, reinterpret_cast<PyTypeObject*>(kind.get()));
  if (method == nullptr) return {};
  method->call = call;
  method->owner = Py_NewRef(reinterpret_cast<PyObject*>(type));
  method->definition = &definition;
  PyObject_GC_Track(method);
  return PyRef::steal(reinterpret_cast<PyObject*>(method));
}

}  // namespace blitzio::python

#endif
