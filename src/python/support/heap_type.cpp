#include <python/support/heap_type.hpp>
#include <python/support/py_ref.hpp>

namespace blitzio::python {

namespace {

PyObject* refuse_to_reduce(PyObject* self, PyObject* /*unused*/) noexcept {
  return PyErr_Format(PyExc_TypeError, "cannot pickle '%.200s' object", Py_TYPE(self)->tp_name);
}

PyMethodDef reduce_method{"__reduce__", refuse_to_reduce, METH_NOARGS,
                          PyDoc_STR("Refuses to be copied or pickled.")};

/// Has copy and pickle refuse the type's objects, unless it says itself how they are made again.
/// CPython does that by itself, but for the oldest protocols of types that nobody may instantiate.
int refuse_copies(PyTypeObject* type) noexcept {
  const PyRef method = PyRef::steal(PyDescr_NewMethod(type, &reduce_method));
  const PyRef name = PyRef::steal(PyUnicode_InternFromString(reduce_method.ml_name));
  if (!method || !name || PyDict_SetDefault(type->tp_dict, name.get(), method.get()) == nullptr) {
    return -1;
  }
  PyType_Modified(type);
  return 0;
}

}  // namespace

int make_type(PyObject* module, PyTypeObject** made, const HeapType& type) noexcept {
  PyType_Spec spec = {
      .name = type.name,
      .basicsize = static_cast<int>(type.bytes),
      .itemsize = 0,
      .flags = static_cast<unsigned int>(type.flags),
      .slots = type.slots,
  };
  PyRef bases;
  if (type.bases[0] != nullptr) {
    const Py_ssize_t count = type.bases[1] == nullptr ? 1 : 2;
    bases = PyRef::steal(PyTuple_Pack(count, type.bases[0], type.bases[1]));
    if (!bases) return -1;
  }
  *made = reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &spec, bases.get()));
  return *made == nullptr ? -1 : refuse_copies(*made);
}

int add_type(PyObject* module, PyTypeObject** made, const HeapType& type) noexcept {
  return make_type(module, made, type) == 0 ? PyModule_AddType(module, *made) : -1;
}

}  // namespace blitzio::python
