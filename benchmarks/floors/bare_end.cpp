// The least that a transport written in C can do with a descriptor: `write` makes the system call,
// `gather` and `flush` make one for several pieces, `deliver` reads and calls the protocol with a
// `bytes` of exactly that size, `fill` with one of the size that is asked for, which it reads into.
// Nobody waits for readiness; the data is known to be there, or the read blocks. What a message
// costs here no loop can save. An end that is given an epoll set asks that first, as a loop must
// that has a single connection and does not know what comes: `deliver` for the event, `look` where
// a turn of the loop finds none. `TlsEnd` does the same by way of the objects below ssl.SSLObject.
//
// Not a transport to use: a message is at most 64 KiB, and a write that takes less is an error.
#include <Python.h>

#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>
#include <array>
#include <cstddef>

namespace {

constexpr std::size_t kMessageBytes = 64 * 1024;
constexpr std::size_t kPieces = 8;

struct End {
  PyObject_HEAD int fd;
  int epoll;  // -1: none
  std::size_t count;
  std::array<PyObject*, kPieces> pieces;  // owned: `bytes`
};

End& as_end(PyObject* self) {
  return *reinterpret_cast<End*>(self);
}

PyObject* written(ssize_t taken, Py_ssize_t size) {
  if (taken == size) Py_RETURN_NONE;
  if (taken < 0) return PyErr_SetFromErrno(PyExc_OSError);
  return PyErr_Format(PyExc_RuntimeError, "more than the bare end can take");
}

bool is_bytes(PyObject* data) {
  if (PyBytes_Check(data)) return true;
  PyErr_SetString(PyExc_TypeError, "bytes were expected");
  return false;
}

PyObject* write_now(PyObject* self, PyObject* data) {
  if (!is_bytes(data)) return nullptr;
  const Py_ssize_t size = PyBytes_GET_SIZE(data);
  return written(::write(as_end(self).fd, PyBytes_AS_STRING(data), static_cast<std::size_t>(size)),
                 size);
}

PyObject* gather(PyObject* self, PyObject* data) {
  End& end = as_end(self);
  if (!is_bytes(data)) return nullptr;
  if (end.count == kPieces) {
    return PyErr_Format(PyExc_RuntimeError, "more than the bare end can take");
  }
  end.pieces[end.count++] = Py_NewRef(data);
  Py_RETURN_NONE;
}

PyObject* flush(PyObject* self, PyObject* /*unused*/) {
  End& end = as_end(self);
  std::array<iovec, kPieces> vectors;
  Py_ssize_t size = 0;
  for (std::size_t i = 0; i < end.count; ++i) {
    const Py_ssize_t bytes = PyBytes_GET_SIZE(end.pieces[i]);
    vectors[i] = {PyBytes_AS_STRING(end.pieces[i]), static_cast<std::size_t>(bytes)};
    size += bytes;
  }
  const ssize_t taken = ::writev(end.fd, vectors.data(), static_cast<int>(end.count));
  while (end.count != 0) Py_DECREF(end.pieces[--end.count]);
  return written(taken, size);
}

// Calls the protocol with what a descriptor's read gave, or with what decrypting it did.
PyObject* hand_over(PyObject* bytes, PyObject* data_received) {
  if (bytes == nullptr) return nullptr;
  PyObject* result = PyObject_CallOneArg(data_received, bytes);
  Py_DECREF(bytes);
  return result;
}

// Takes what the set has to tell, and waits for it if something is `expected`. Returns false with
// an error set if it tells of more or less.
bool ask(const End& end, int expected) {
  std::array<epoll_event, 64> events;
  if (end.epoll < 0) return true;
  const int patience = expected == 0 ? 0 : -1;
  const int count =
      ::epoll_wait(end.epoll, events.data(), static_cast<int>(events.size()), patience);
  if (count == expected) return true;
  PyErr_Format(PyExc_RuntimeError, "%d events instead of %d", count, expected);
  return false;
}

PyObject* look(PyObject* self, PyObject* /*unused*/) {
  if (!ask(as_end(self), 0)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* deliver(PyObject* self, PyObject* data_received) {
  std::array<char, kMessageBytes> buffer;
  if (!ask(as_end(self), 1)) return nullptr;
  const ssize_t count = ::read(as_end(self).fd, buffer.data(), buffer.size());
  if (count < 0) return PyErr_SetFromErrno(PyExc_OSError);
  return hand_over(PyBytes_FromStringAndSize(buffer.data(), count), data_received);
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
  return hand_over(read_bytes(as_end(self).fd, size), data_received);
}

PyMethodDef methods[] = {
    {"write", write_now, METH_O, nullptr},
    {"gather", gather, METH_O, nullptr},
    {"flush", flush, METH_NOARGS, nullptr},
    {"deliver", deliver, METH_O, nullptr},
    {"look", look, METH_NOARGS, nullptr},
    {"fill", fill, METH_VARARGS, nullptr},
    // What asyncio's StreamWriter asks when it is dropped.
    {"is_closing", [](PyObject*, PyObject*) -> PyObject* { Py_RETURN_TRUE; }, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

/// The descriptors stay the caller's.
int initialise(PyObject* self, PyObject* args, PyObject* /*kwargs*/) {
  End& end = as_end(self);
  end.epoll = -1;
  return PyArg_ParseTuple(args, "i|i", &end.fd, &end.epoll) == 0 ? -1 : 0;
}

PyType_Slot slots[] = {
    {Py_tp_init, reinterpret_cast<void*>(initialise)},
    {Py_tp_methods, methods},
    {0, nullptr},
};
PyType_Spec spec{"bare_end.End", sizeof(End), 0, Py_TPFLAGS_DEFAULT, slots};

// An end that speaks TLS: the bound methods of _ssl's objects, so that no call looks one up.
struct TlsEnd {
  PyObject_HEAD int fd;
  // Owned: SSL_read and SSL_write, and the memory that the records pass through.
  std::array<PyObject*, 4> calls;
};
enum Call : std::size_t { decrypt, encrypt, put_record, take_record };

TlsEnd& as_tls_end(PyObject* self) {
  return *reinterpret_cast<TlsEnd*>(self);
}

// Into memory; fill() and flush() send it.
PyObject* tls_write(PyObject* self, PyObject* data) {
  return PyObject_CallOneArg(as_tls_end(self).calls[encrypt], data);
}

PyObject* tls_flush(PyObject* self, PyObject* /*unused*/) {
  const TlsEnd& end = as_tls_end(self);
  PyObject* records = PyObject_CallNoArgs(end.calls[take_record]);
  if (records == nullptr) return nullptr;
  const Py_ssize_t size = PyBytes_GET_SIZE(records);
  PyObject* result =
      written(::write(end.fd, PyBytes_AS_STRING(records), static_cast<std::size_t>(size)), size);
  Py_DECREF(records);
  return result;
}

// One read for `size` bytes of plain text, or several if they have not come; delivers record by
// record, and sends what that has written.
PyObject* tls_fill(PyObject* self, PyObject* args) {
  constexpr Py_ssize_t kRecordBytes = 16 * 1024;
  constexpr Py_ssize_t kRecordExtraBytes = 22;  // TLS 1.3: header, tag, type
  const TlsEnd& end = as_tls_end(self);
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
  TlsEnd& end = as_tls_end(self);
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
  for (PyObject* call : as_tls_end(self).calls) Py_XDECREF(call);
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

bool add_type(PyObject* module, const char* name, PyType_Spec& type_spec) {
  PyObject* type = PyType_FromSpec(&type_spec);
  if (type == nullptr) return false;
  if (PyModule_AddObject(module, name, type) == 0) return true;
  Py_DECREF(type);
  return false;
}

PyModuleDef definition{
    PyModuleDef_HEAD_INIT, "bare_end", nullptr, -1, nullptr, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_bare_end() {
  PyObject* module = PyModule_Create(&definition);
  if (module != nullptr && add_type(module, "End", spec) && add_type(module, "TlsEnd", tls_spec)) {
    return module;
  }
  Py_XDECREF(module);
  return nullptr;
}
