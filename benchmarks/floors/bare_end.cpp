// The least that a transport written in C can do with a descriptor: `write` makes the system call,
// `gather` and `flush` make one for several pieces, `deliver` reads and calls the protocol with a
// `bytes` of exactly that size, `fill` with one of the size that is asked for, which it reads into.
// Nobody waits for readiness; the data is known to be there, or the read blocks. What a message
// costs here no loop can save. An end that is given an epoll set asks that first, as a loop must
// that has a single connection and does not know what comes: `deliver` for the event, `look` where
// a turn of the loop finds none. `DatagramEnd` is that of UDP; `TlsEnd` does the same by way of the
// objects below ssl.SSLObject.
//
// Not a transport to use: a message is at most 64 KiB, and a write that takes less is an error.
#include "bare.hpp"

namespace {

using floors::as;
using floors::ask;
using floors::hand_over;

struct End : floors::Sender {
  int epoll;  // -1: none
};

PyObject* look(PyObject* self, PyObject* /*unused*/) {
  if (!ask(as<End>(self).epoll, 0)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* deliver(PyObject* self, PyObject* data_received) {
  if (!ask(as<End>(self).epoll, 1)) return nullptr;
  return floors::read_and_hand_over(self, data_received);
}

// One read of at most `size` bytes, straight into the `bytes`.
PyObject* read_bytes(int fd, Py_ssize_t size) {
  PyObject* bytes = PyBytes_FromStringAndSize(nullptr, size);
  if (bytes == nullptr) return nullptr;
  const ssize_t count = ::read(fd, PyBytes_AS_STRING(bytes), static_cast<std::size_t>(size));
  if (count < 0) {
    Py_DECREF(bytes);
    return PyErr_SetFromErrno(PyExc_OSError);
  }
  if (count != size) _PyBytes_Resize(&bytes, count);  // null if that fails
  return bytes;
}

PyObject* fill(PyObject* self, PyObject* args) {
  PyObject* data_received = nullptr;
  Py_ssize_t size = 0;
  if (PyArg_ParseTuple(args, "On", &data_received, &size) == 0) return nullptr;
  return hand_over(read_bytes(as<End>(self).fd, size), data_received);
}

PyObject* close_end(PyObject* self, PyObject* /*unused*/) {
  if (::close(as<End>(self).fd) != 0) return PyErr_SetFromErrno(PyExc_OSError);
  Py_RETURN_NONE;
}

PyMethodDef methods[] = {
    {"write", floors::write_now, METH_O, nullptr},
    {"gather", floors::gather, METH_O, nullptr},
    {"flush", floors::flush, METH_NOARGS, nullptr},
    {"deliver", deliver, METH_O, nullptr},
    {"look", look, METH_NOARGS, nullptr},
    {"fill", fill, METH_VARARGS, nullptr},
    {"close", close_end, METH_NOARGS, nullptr},
    // What asyncio's StreamWriter asks when it is dropped.
    {"is_closing", [](PyObject*, PyObject*) -> PyObject* { Py_RETURN_TRUE; }, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

template <class Kind>
int initialise(PyObject* self, PyObject* args, PyObject* /*kwargs*/) {
  Kind& end = as<Kind>(self);
  end.epoll = -1;
  return PyArg_ParseTuple(args, "i|i", &end.fd, &end.epoll) == 0 ? -1 : 0;
}

PyType_Slot slots[] = {
    {Py_tp_init, reinterpret_cast<void*>(initialise<End>)},
    {Py_tp_methods, methods},
    {0, nullptr},
};
PyType_Spec spec{"bare_end.End", sizeof(End), 0, Py_TPFLAGS_DEFAULT, slots};

struct DatagramEnd : floors::Datagrams {
  int epoll;  // -1: none
};

PyObject* deliver_datagram(PyObject* self, PyObject* datagram_received) {
  if (!ask(as<DatagramEnd>(self).epoll, 1)) return nullptr;
  return floors::receive_and_hand_over(self, datagram_received);
}

// An end that speaks TLS: the bound methods of _ssl's objects, so that no call looks one up.
struct TlsEnd {
  PyObject_HEAD int fd;
  // Owned: SSL_read and SSL_write, and the memory that the records pass through.
  std::array<PyObject*, 4> calls;
};
enum Call : std::size_t { decrypt, encrypt, put_record, take_record };

// Into memory; fill() and flush() send it.
PyObject* tls_write(PyObject* self, PyObject* data) {
  return PyObject_CallOneArg(as<TlsEnd>(self).calls[encrypt], data);
}

PyObject* tls_flush(PyObject* self, PyObject* /*unused*/) {
  const TlsEnd& end = as<TlsEnd>(self);
  PyObject* records = PyObject_CallNoArgs(end.calls[take_record]);
  if (records == nullptr) return nullptr;
  const Py_ssize_t size = PyBytes_GET_SIZE(records);
  PyObject* result = floors::written(
      ::write(end.fd, PyBytes_AS_STRING(records), static_cast<std::size_t>(size)), size);
  Py_DECREF(records);
  return result;
}

// One read for `size` bytes of plain text, or several if they have not come; delivers record by
// record, and sends what that has written.
PyObject* tls_fill(PyObject* self, PyObject* args) {
  constexpr Py_ssize_t kRecordBytes = 16 * 1024;
  constexpr Py_ssize_t kRecordExtraBytes = 22;  // TLS 1.3: header, tag, type
  const TlsEnd& end = as<TlsEnd>(self);
  PyObject* data_received = nullptr;
  Py_ssize_t size = 0;
  if (PyArg_ParseTuple(args, "On", &data_received, &size) == 0) return nullptr;
  const Py_ssize_t records = (size + kRecordBytes - 1) / kRecordBytes;
  for (Py_ssize_t left = size + records * kRecordExtraBytes; left != 0;) {
    PyObject* bytes = read_bytes(end.fd, left);
    if (bytes == nullptr) return nullptr;
    left -= PyBytes_GET_SIZE(bytes);
    PyObject* taken = hand_over(bytes, end.calls[put_record]);
    if (taken == nullptr) return nullptr;
    Py_DECREF(taken);
  }
  PyObject* most = PyLong_FromSsize_t(kRecordBytes);
  for (Py_ssize_t i = 0; most != nullptr && i < records; ++i) {
    PyObject* done = hand_over(PyObject_CallOneArg(end.calls[decrypt], most), data_received);
    if (done == nullptr) Py_CLEAR(most);
    Py_XDECREF(done);
  }
  if (most == nullptr) return nullptr;
  Py_DECREF(most);
  return tls_flush(self, nullptr);
}

int tls_initialise(PyObject* self, PyObject* args, PyObject* /*kwargs*/) {
  TlsEnd& end = as<TlsEnd>(self);
  auto& calls = end.calls;
  if (PyArg_ParseTuple(args, "iOOOO", &end.fd, &calls[decrypt], &calls[encrypt], &calls[put_record],
                       &calls[take_record]) == 0) {
    calls = {};
    return -1;
  }
  for (PyObject* call : calls) Py_INCREF(call);
  return 0;
}

void tls_dealloc(PyObject* self) {
  for (PyObject* call : as<TlsEnd>(self).calls) Py_XDECREF(call);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyMethodDef tls_methods[] = {
    {"write", tls_write, METH_O, nullptr},
    {"flush", tls_flush, METH_NOARGS, nullptr},
    {"fill", tls_fill, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyType_Slot tls_slots[] = {
    {Py_tp_init, reinterpret_cast<void*>(tls_initialise)},
    {Py_tp_dealloc, reinterpret_cast<void*>(tls_dealloc)},
    {Py_tp_methods, tls_methods},
    {0, nullptr},
};
PyType_Spec tls_spec{"bare_end.TlsEnd", sizeof(TlsEnd), 0, Py_TPFLAGS_DEFAULT, tls_slots};

PyModuleDef definition{
    PyModuleDef_HEAD_INIT, "bare_end", nullptr, -1, nullptr, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_bare_end() {
  PyObject* module = PyModule_Create(&definition);
  if (module != nullptr && floors::add_type(module, "End", spec) &&
      floors::add_type(module, "DatagramEnd",
                       floors::datagram_spec<deliver_datagram, initialise<DatagramEnd>>(
                           "bare_end.DatagramEnd", sizeof(DatagramEnd))) &&
      floors::add_type(module, "TlsEnd", tls_spec)) {
    return module;
  }
  Py_XDECREF(module);
  return nullptr;
}
