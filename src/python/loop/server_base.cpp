#include <python/loop/server_base.hpp>

#include <python/loop/stream_internal.hpp>
#include <python/support/heap_type.hpp>
#include <python/support/slots.hpp>

#include <structmember.h>

#include <cstddef>

namespace blitzio::python {

bool server_lost_client(const ModuleState& state, ServerBaseObject& server) noexcept {
  // Python code can write to it: what is not counted cannot be the last one either.
  if (server.active_count <= 0) return true;
  --server.active_count;
  if (server.active_count != 0 || !server.is_closed) return true;
  const PyRef done = PyRef::steal(
      PyObject_CallMethodNoArgs(reinterpret_cast<PyObject*>(&server), state.names._wakeup));
  return static_cast<bool>(done);
}

namespace {

/// The connections that are counted natively.
PyObject* method_counted_clients(PyObject* self, PyTypeObject* defining, PyObject* const* args,
                                 Py_ssize_t nargs, PyObject* /*kwnames*/) noexcept {
  const ModuleState& state = state_of_type(defining);
  if (nargs != 1 || !loop_check(state, args[0])) {
    PyErr_SetString(PyExc_TypeError, "_counted_clients() takes a Loop");
    return nullptr;
  }
  const LoopObject& loop = *reinterpret_cast<LoopObject*>(args[0]);
  if (loop_check_owner(loop) != 0) return nullptr;
  PyRef clients = PyRef::steal(PyList_New(0));
  if (!clients || counting_server(state, self) == nullptr) return clients.release();
  for (const auto& [fd, transport] : loop.transports) {
    if (transport->kind != SocketKind::stream ||
        static_cast<StreamTransport*>(transport)->server != self) {
      continue;
    }
    if (PyList_Append(clients.get(), as_object(*transport)) != 0) return nullptr;
  }
  return clients.release();
}

PyMethodDef server_methods[] = {
    {"_counted_clients", fast(method_counted_clients), METH_METHOD | METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("_counted_clients($self, loop, /)\n--\n\n"
               "The open connections that are counted natively.")},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef server_members[] = {
    {"_active_count", T_PYSSIZET, offsetof(ServerBaseObject, active_count), 0, nullptr},
    {"_is_closed", T_BOOL, offsetof(ServerBaseObject, is_closed), 0, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

}  // namespace

int server_base_register(PyObject* module, ModuleState& state) noexcept {
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("The native half of a server: it counts connections.")},
      {Py_tp_methods, server_methods},
      {Py_tp_members, server_members},
      {0, nullptr},
  };
  return add_type(module, &state.server_base_type,
                  {.name = "blitzio._native.ServerBase",
                   .bytes = sizeof(ServerBaseObject),
                   .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                   .slots = slots});
}

}  // namespace blitzio::python
