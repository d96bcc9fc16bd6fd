// The least that a transport written in C can do with a descriptor: `write` makes the system call,
// `gather` and `flush` make one for several pieces, `deliver` reads and calls the protocol with a
// `bytes` of exactly that size. Nobody waits for readiness; the data is known to be there, or the
// read blocks. What a message costs here no loop can save.
//
// Not a transport to use: a message is at most 64 KiB, and a write that takes less is an error.
#include <Python.h>

#include <sys/uio.h>
#include <unistd.h>
#include <array>
#include <cstddef>

namespace {

constexpr std::size_t kMessageBytes = 64 * 1024;
constexpr std::size_t kPieces = 8;

struct End {
  PyObject_HEAD int fd;
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

PyObject* deliver(PyObject* self, PyObject* data_received) {
  std::array<char, kMessageBytes> buffer;
  const ssize_t count = ::read(as_end(self).fd, buffer.data(), buffer.size());
  if (count < 0) return PyErr_SetFromErrno(PyExc_OSError);
  PyObject* bytes = PyBytes_FromStringAndSize(buffer.data(), count);
  if (bytes == nullptr) return nullptr;
  PyObject* result = PyObject_CallOneArg(data_received, bytes);
  Py_DECREF(bytes);
  return result;
}

PyMethodDef methods[] = {
    {"write", write_now, METH_O, nullptr},
    {"gather", gather, METH_O, nullptr},
    {"flush", flush, METH_NOARGS, nullptr},
    {"deliver", deliver, METH_O, nullptr},
    // What asyncio's StreamWriter asks when it is dropped.
    {"is_closing", [](PyObject*, PyObject*) -> PyObject* { Py_RETURN_TRUE; }, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

/// The descriptor stays the caller's.
int initialise(PyObject* self, PyObject* args, PyObject* /*kwargs*/) {
  return PyArg_ParseTuple(args, "i", &as_end(self).fd) == 0 ? -1 : 0;
}

PyType_Slot slots[] = {
    {Py_tp_init, reinterpret_cast<void*>(initialise)},
    {Py_tp_methods, methods},
    {0, nullptr},
};
PyType_Spec spec{"bare_end.End", sizeof(End), 0, Py_TPFLAGS_DEFAULT, slots};

PyModuleDef definition{
    PyModuleDef_HEAD_INIT, "bare_end", nullptr, -1, nullptr, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_bare_end() {
  PyObject* module = PyModule_Create(&definition);
  PyObject* type = module == nullptr ? nullptr : PyType_FromSpec(&spec);
  if (type == nullptr || PyModule_AddObject(module, "End", type) != 0) return nullptr;
  return module;
}
