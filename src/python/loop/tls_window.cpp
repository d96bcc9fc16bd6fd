#include <python/loop/tls_window.hpp>
#include <python/support/heap_type.hpp>
#include <python/support/slots.hpp>

namespace blitzio::python {

namespace {

int get_buffer(PyObject* self, Py_buffer* view, int flags) noexcept {
  const auto& window = *reinterpret_cast<TlsWindowObject*>(self);
  if (window.data == nullptr) {
    view->obj = nullptr;
    PyErr_SetString(PyExc_BufferError, "the window is closed");
    return -1;
  }
  return PyBuffer_FillInfo(view, self, window.data, window.size, window.is_readonly ? 1 : 0, flags);
}

void dealloc(PyObject* self) noexcept {
  free_instance(self);
}

}  // namespace

int tls_window_register(PyObject* module, ModuleState& state) noexcept {
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("Shows native memory to the ssl module during a call.")},
      {Py_bf_getbuffer, slot(get_buffer)},
      {Py_tp_dealloc, slot(dealloc)},
      {0, nullptr},
  };
  return make_type(module, &state.tls_window_type,
                   {.name = "blitzio._native.TlsWindow",
                    .bytes = sizeof(TlsWindowObject),
                    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                    .slots = slots});
}

PyRef tls_window_new(ModuleState& state) noexcept {
  return PyRef::steal(state.tls_window_type->tp_alloc(state.tls_window_type, 0));
}

}  // namespace blitzio::python
