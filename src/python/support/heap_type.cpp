#include <python/support/heap_type.hpp>
#include <python/support/py_ref.hpp>

namespace blitzio::python {

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
  return *made == nullptr ? -1 : 0;
}

int add_type(PyObject* module, PyTypeObject** made, const HeapType& type) noexcept {
  return make_type(module, made, type) == 0 ? PyModule_AddType(module, *made) : -1;
}

}  // namespace blitzio::python
