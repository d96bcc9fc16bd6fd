// `TlsTransportBase`: what the application writes to. What is called per message is here; closing,
// limits and extra info are the Python half's (blitzio/_loop/tls_protocol.py).
//
// It is an object of its own, apart from the protocol below it, because each is the other's public
// interface to somebody: an application must not find connection_lost() on its transport.
#include <python/loop/tls_internal.hpp>
#include <python/loop/unclosed.hpp>
#include <python/support/heap_type.hpp>
#include <python/support/slots.hpp>

#include <structmember.h>

#include <cstddef>

namespace blitzio::python {

namespace {

/// `extra` is the slot of asyncio.BaseTransport, unused: extra info is the protocol's.
struct TlsTransportObject {
  PyObject_HEAD PyObject* extra;
  PyObject* dict;
  PyObject* weakrefs;
  PyObject* protocol;  ///< strong, a TlsProtocolBase; null before __init__
  bool is_closed;      ///< close() or abort() was called, or the connection is gone
};

TlsTransportObject& as_transport(PyObject* self) noexcept {
  return *reinterpret_cast<TlsTransportObject*>(self);
}

void transport_dealloc(PyObject* self) noexcept;

/// Null with RuntimeError if __init__ has not run.
PyObject* protocol_of(PyObject* self) noexcept {
  PyObject* protocol = as_transport(self).protocol;
  if (BLITZIO_UNLIKELY(protocol == nullptr)) {
    PyErr_SetString(PyExc_RuntimeError, "the transport is not initialised");
  }
  return protocol;
}

int transport_init(PyObject* self, PyObject* args, PyObject* kwargs) noexcept {
  static const char* const keywords[] = {"ssl_protocol", nullptr};
  PyObject* protocol = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:TlsTransportBase", const_cast<char**>(keywords),
                                   &protocol)) {
    return -1;
  }
  PyTypeObject* ours = native_type(Py_TYPE(self), transport_dealloc);
  if (!tls_check(state_of_type(ours), protocol)) {
    PyErr_SetString(PyExc_TypeError, "ssl_protocol must be a TlsProtocolBase");
    return -1;
  }
  if (as_tls(protocol).loop == nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "the protocol is not initialised");
    return -1;
  }
  Py_XSETREF(as_transport(self).protocol, Py_NewRef(protocol));
  return 0;
}

int transport_traverse(PyObject* self, visitproc visit, void* arg) noexcept {
  TlsTransportObject& t = as_transport(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(t.extra);
  Py_VISIT(t.dict);
  Py_VISIT(t.protocol);
  return 0;
}

int transport_clear(PyObject* self) noexcept {
  TlsTransportObject& t = as_transport(self);
  Py_CLEAR(t.extra);
  Py_CLEAR(t.dict);
  Py_CLEAR(t.protocol);
  return 0;
}

// The transport below closes the socket, and warns of it by itself.
void transport_finalize(PyObject* self) noexcept {
  TlsTransportObject& t = as_transport(self);
  if (t.is_closed || t.protocol == nullptr) return;
  t.is_closed = true;
  finalize_unclosed(self, [] {});
}

void transport_dealloc(PyObject* self) noexcept {
  if (PyObject_CallFinalizerFromDealloc(self) < 0) return;
  PyObject_GC_UnTrack(self);
  if (as_transport(self).weakrefs != nullptr) PyObject_ClearWeakRefs(self);
  transport_clear(self);
  free_instance(self);
}

// ---- methods ------------------------------------------------------------------------------------

PyObject* transport_writelines(PyObject* self, PyObject* list) noexcept {
  PyObject* protocol = protocol_of(self);
  if (protocol == nullptr) return nullptr;
  // One piece makes fewer records than many.
  const PyRef empty = PyRef::steal(PyBytes_FromStringAndSize(nullptr, 0));
  const PyRef joined =
      empty ? PyRef::steal(PyObject_CallMethod(empty.get(), "join", "(O)", list)) : PyRef();
  if (!joined || tls_write(protocol, joined.get()) != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* transport_pause_reading(PyObject* self, PyObject* /*unused*/) noexcept {
  PyObject* protocol = protocol_of(self);
  if (protocol == nullptr) return nullptr;
  as_tls(protocol).app_reading_paused = true;
  Py_RETURN_NONE;
}

PyObject* transport_resume_reading(PyObject* self, PyObject* /*unused*/) noexcept {
  PyObject* protocol = protocol_of(self);
  if (protocol == nullptr) return nullptr;
  TlsProtocol& t = as_tls(protocol);
  if (!t.app_reading_paused) Py_RETURN_NONE;
  if (tls_check_owner(t) != 0) return nullptr;
  t.app_reading_paused = false;
  // Not from here: the caller does not expect data_received().
  const PyRef callback = PyRef::steal(PyObject_GetAttr(protocol, t.state->names._go_on));
  if (!callback || loop_call_soon(*t.loop, callback.get(), nullptr, 0, nullptr) != 0) {
    return nullptr;
  }
  Py_RETURN_NONE;
}

PyObject* transport_is_reading(PyObject* self, PyObject* /*unused*/) noexcept {
  PyObject* protocol = protocol_of(self);
  if (protocol == nullptr) return nullptr;
  return PyBool_FromLong(as_tls(protocol).app_reading_paused ? 0 : 1);
}

PyObject* transport_is_closing(PyObject* self, PyObject* /*unused*/) noexcept {
  return PyBool_FromLong(as_transport(self).is_closed ? 1 : 0);
}

PyObject* transport_get_protocol(PyObject* self, PyObject* /*unused*/) noexcept {
  PyObject* protocol = protocol_of(self);
  if (protocol == nullptr) return nullptr;
  PyObject* app_protocol = as_tls(protocol).app_protocol;
  return Py_NewRef(app_protocol == nullptr ? Py_None : app_protocol);
}

PyObject* transport_set_protocol(PyObject* self, PyObject* app_protocol) noexcept {
  PyObject* protocol = protocol_of(self);
  if (protocol == nullptr || tls_set_app_protocol(as_tls(protocol), app_protocol) != 0) {
    return nullptr;
  }
  Py_RETURN_NONE;
}

PyObject* transport_get_write_buffer_size(PyObject* self, PyObject* /*unused*/) noexcept {
  PyObject* protocol = protocol_of(self);
  if (protocol == nullptr) return nullptr;
  const Py_ssize_t size = tls_write_buffer_size(as_tls(protocol));
  return size < 0 ? nullptr : PyLong_FromSsize_t(size);
}

PyObject* transport_get_read_buffer_size(PyObject* self, PyObject* /*unused*/) noexcept {
  PyObject* protocol = protocol_of(self);
  if (protocol == nullptr) return nullptr;
  const Py_ssize_t size = tls_pending(as_tls(protocol), as_tls(protocol).incoming);
  return size < 0 ? nullptr : PyLong_FromSsize_t(size);
}

PyObject* transport_can_write_eof(PyObject* /*self*/, PyObject* /*unused*/) noexcept {
  Py_RETURN_FALSE;
}

PyObject* transport_append_write_backlog(PyObject* self, PyObject* data) noexcept {
  PyObject* protocol = protocol_of(self);
  if (protocol == nullptr) return nullptr;
  const PyRef bytes = PyRef::steal(PyBytes_FromObject(data));
  if (!bytes) return nullptr;
  try {
    as_tls(protocol).backlog.push(bytes.get());
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  }
  Py_RETURN_NONE;
}

PyObject* get_protocol_paused(PyObject* self, void* /*unused*/) noexcept {
  PyObject* protocol = protocol_of(self);
  if (protocol == nullptr) return nullptr;
  return PyBool_FromLong(as_tls(protocol).app_writing_paused ? 1 : 0);
}

PyMethodDef transport_methods[] = {
    {"write", tls_transport_write, METH_O,
     PyDoc_STR("write($self, data, /)\n--\n\nEncrypt and send `data`. Does not block.")},
    {"writelines", transport_writelines, METH_O,
     PyDoc_STR("writelines($self, list_of_data, /)\n--\n\nAs write() of all, joined.")},
    {"can_write_eof", transport_can_write_eof, METH_NOARGS,
     PyDoc_STR("can_write_eof($self)\n--\n\nFalse: TLS connections close both ways at once.")},
    {"pause_reading", transport_pause_reading, METH_NOARGS,
     PyDoc_STR("pause_reading($self)\n--\n\nNo data_received() until resume_reading().")},
    {"resume_reading", transport_resume_reading, METH_NOARGS,
     PyDoc_STR("resume_reading($self)\n--\n\nUndo pause_reading().")},
    {"is_reading", transport_is_reading, METH_NOARGS, PyDoc_STR("is_reading($self)\n--\n\n")},
    {"is_closing", transport_is_closing, METH_NOARGS, PyDoc_STR("is_closing($self)\n--\n\n")},
    {"get_protocol", transport_get_protocol, METH_NOARGS, PyDoc_STR("get_protocol($self)\n--\n\n")},
    {"set_protocol", transport_set_protocol, METH_O,
     PyDoc_STR("set_protocol($self, protocol, /)\n--\n\n")},
    {"get_write_buffer_size", transport_get_write_buffer_size, METH_NOARGS,
     PyDoc_STR("get_write_buffer_size($self)\n--\n\nBytes not handed to the transport below.")},
    {"get_read_buffer_size", transport_get_read_buffer_size, METH_NOARGS,
     PyDoc_STR("get_read_buffer_size($self)\n--\n\nEncrypted bytes not read yet.")},
    {"_test__append_write_backlog", transport_append_write_backlog, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef transport_getset[] = {
    {"_protocol_paused", get_protocol_paused, nullptr, nullptr, nullptr},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMemberDef transport_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(TlsTransportObject, dict), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TlsTransportObject, weakrefs), READONLY, nullptr},
    {"_ssl_protocol", T_OBJECT_EX, offsetof(TlsTransportObject, protocol), READONLY, nullptr},
    {"_closed", T_BOOL, offsetof(TlsTransportObject, is_closed), 0, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

}  // namespace

bool tls_transport_is_plain(const ModuleState& state, PyObject* object) noexcept {
  return PyObject_TypeCheck(object, state.tls_transport_type) != 0 &&
         !has_own_attributes(as_transport(object).dict);
}

PyObject* tls_transport_write(PyObject* self, PyObject* data) noexcept {
  PyObject* protocol = protocol_of(self);
  if (protocol == nullptr) return nullptr;
  if (BLITZIO_UNLIKELY(!PyBytes_Check(data) && !PyByteArray_Check(data) &&
                       !PyMemoryView_Check(data))) {
    return PyErr_Format(PyExc_TypeError, "data: expecting a bytes-like instance, got %.200s",
                        Py_TYPE(data)->tp_name);
  }
  if (tls_write(protocol, data) != 0) return nullptr;
  Py_RETURN_NONE;
}

int tls_transport_register(PyObject* module, ModuleState& state) noexcept {
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("The transport of an application over TLS.")},
      {Py_tp_init, slot(transport_init)},
      {Py_tp_dealloc, slot(transport_dealloc)},
      {Py_tp_traverse, slot(transport_traverse)},
      {Py_tp_clear, slot(transport_clear)},
      {Py_tp_finalize, slot(transport_finalize)},
      {Py_tp_methods, transport_methods},
      {Py_tp_members, transport_members},
      {Py_tp_getset, transport_getset},
      {0, nullptr},
  };
  return add_type(module, &state.tls_transport_type,
                  {.name = "blitzio._native.TlsTransportBase",
                   .bytes = sizeof(TlsTransportObject),
                   .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
                   .slots = slots,
                   .bases = {state.asyncio_transport}});
}

}  // namespace blitzio::python
