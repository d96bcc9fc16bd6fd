#include <python/bridge/ready.hpp>
#include <python/support/heap_type.hpp>
#include <python/support/slots.hpp>

namespace blitzio::python {

namespace {

PySendResult ready_send(PyObject* /*self*/, PyObject* /*value*/, PyObject** result) {
  *result = Py_NewRef(Py_None);
  return PYGEN_RETURN;
}

PyObject* ready_iternext(PyObject* /*self*/) {
  return nullptr;  // Without an error: StopIteration(None).
}

// Seen by the collector, for the module that keeps it is what its type keeps.
int ready_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  return 0;
}

void ready_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  free_instance(self);
}

}  // namespace

int ready_register(PyObject* module, ModuleState& state) noexcept {
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("Awaiting it gives None at once.")},
      {Py_tp_traverse, slot(ready_traverse)},
      {Py_tp_dealloc, slot(ready_dealloc)},
      {Py_am_await, slot(PyObject_SelfIter)},
      {Py_am_send, slot(ready_send)},
      {Py_tp_iter, slot(PyObject_SelfIter)},
      {Py_tp_iternext, slot(ready_iternext)},
      {0, nullptr},
  };
  if (make_type(module, &state.ready_type,
                {.name = "blitzio._native.Ready",
                 .bytes = sizeof(PyObject),
                 .flags = kInternalType,
                 .slots = slots}) != 0) {
    return -1;
  }
  state.ready_none = state.ready_type->tp_alloc(state.ready_type, 0);
  return state.ready_none == nullptr ? -1 : 0;
}

}  // namespace blitzio::python
