#include <python/loop/child_output.hpp>

#include <python/support/error.hpp>
#include <python/support/ft.hpp>
#include <python/support/heap_type.hpp>
#include <python/support/slots.hpp>

#include <structmember.h>

#include <array>
#include <cstddef>
#include <utility>

namespace blitzio::python {
namespace {

struct ChildOutput {
  PyObject_HEAD PyObject* fd;  ///< the child's number of it; owned, as the next
  PyObject* listener;          ///< the process's protocol, once it may hear; else null or None
};

ChildOutput& as_output(PyObject* self) noexcept {
  return *reinterpret_cast<ChildOutput*>(self);
}

int output_traverse(PyObject* self, visitproc visit, void* arg) noexcept {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as_output(self).fd);
  Py_VISIT(as_output(self).listener);
  return 0;
}

int output_clear(PyObject* self) noexcept {
  Py_CLEAR(as_output(self).fd);
  Py_CLEAR(as_output(self).listener);
  return 0;
}

void output_dealloc(PyObject* self) noexcept {
  PyObject_GC_UnTrack(self);
  output_clear(self);
  free_instance(self);
}

PyObject* method_data_received(PyObject* self, PyTypeObject* defining, PyObject* const* args,
                               Py_ssize_t nargs, PyObject* kwnames) noexcept {
  const Names& names = state_of_type(defining).names;
  if (nargs != 1 || kwnames != nullptr) {
    PyErr_SetString(PyExc_TypeError, "data_received() takes data");
    return nullptr;
  }
  PyObject* data = args[0];
  PyRef fd, listener;
  {
    const ObjectLock lock(self);
    fd = PyRef::borrow(as_output(self).fd);
    listener = PyRef::borrow(as_output(self).listener);
  }
  if (!fd || !listener || listener.get() == Py_None) {
    return PyObject_CallMethodOneArg(self, names._receive, data);
  }
  std::array<PyObject*, 4> call{nullptr, listener.get(), fd.get(), data};
  const PyRef result = PyRef::steal(PyObject_VectorcallMethod(
      names.pipe_data_received, call.data() + 1, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
  if (result) Py_RETURN_NONE;
  PyRef exception = take_exception();
  if (is_fatal_exception(exception.get())) {
    restore_exception(std::move(exception));
    return nullptr;
  }
  return PyObject_CallMethodObjArgs(self, names._failed, listener.get(), exception.get(), data,
                                    nullptr);
}

PyMethodDef output_methods[] = {
    {"data_received", fast(method_data_received), METH_METHOD | METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("data_received($self, data, /)\n--\n\n"
               "For the listener, once there is one; until then _receive() gets it.")},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef output_members[] = {
    {"fd", T_OBJECT, offsetof(ChildOutput, fd), 0, nullptr},
    {"_listener", T_OBJECT, offsetof(ChildOutput, listener), 0, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

}  // namespace

int child_output_register(PyObject* module, ModuleState& state) noexcept {
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("The native half of the protocol of a child's output.")},
      {Py_tp_dealloc, slot(output_dealloc)},
      {Py_tp_traverse, slot(output_traverse)},
      {Py_tp_clear, slot(output_clear)},
      {Py_tp_methods, output_methods},
      {Py_tp_members, output_members},
      {0, nullptr},
  };
  return add_type(module, &state.child_output_type,
                  {.name = "blitzio._native.ChildOutputBase",
                   .bytes = sizeof(ChildOutput),
                   .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
                   .slots = slots});
}

}  // namespace blitzio::python
