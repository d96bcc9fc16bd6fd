#include <python/bindings/box.hpp>
#include <python/support/heap_type.hpp>

#include <vector>

namespace blitzio::python {

PyTypeObject* detail::box_register(PyObject* module, const BoxType& described, std::size_t bytes,
                                   std::size_t weakrefs, traverseproc traverse, inquiry clear,
                                   destructor dealloc) noexcept {
  PyMemberDef members[] = {
      {"__weaklistoffset__", T_PYSSIZET, static_cast<Py_ssize_t>(weakrefs), READONLY, nullptr},
      {nullptr, 0, 0, 0, nullptr},
  };
  std::vector<PyType_Slot> slots = {
      {Py_tp_doc, const_cast<char*>(described.doc)},
      {Py_tp_traverse, slot(traverse)},
      {Py_tp_clear, slot(clear)},
      {Py_tp_dealloc, slot(dealloc)},
      {Py_tp_members, members},
  };
  unsigned flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE;
  if (described.create == nullptr) {
    flags |= Py_TPFLAGS_DISALLOW_INSTANTIATION;
  } else {
    slots.push_back({Py_tp_new, slot(described.create)});
  }
  if (described.methods != nullptr) slots.push_back({Py_tp_methods, described.methods});
  if (described.attributes != nullptr) slots.push_back({Py_tp_getset, described.attributes});
  for (const PyType_Slot* each = described.more; each != nullptr && each->slot != 0; ++each) {
    slots.push_back(*each);
  }
  slots.push_back({0, nullptr});
  PyTypeObject* type = nullptr;
  if (make_type(module, &type,
                {.name = described.name, .bytes = bytes, .flags = flags, .slots = slots.data()}) !=
      0) {
    return nullptr;
  }
  if (PyModule_AddType(described.home != nullptr ? described.home : module, type) != 0) {
    Py_DECREF(reinterpret_cast<PyObject*>(type));
    return nullptr;
  }
  return type;
}

}  // namespace blitzio::python
