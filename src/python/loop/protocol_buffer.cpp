#include <python/loop/protocol_buffer.hpp>

#include <python/support/error.hpp>

#include <poll.h>

namespace blitzio::python {

namespace {

constexpr const char* kEmptyBuffer = "get_buffer() returned an empty buffer";

/// Whether `buffer`, which cannot be written to, is at fault rather than get_buffer(). The error
/// becomes the one that asyncio's len() or recv_into() raises.
bool is_refused_by_receive(PyObject* buffer) noexcept {
  if (!drop_exception()) return false;
  const Py_ssize_t size = PyObject_Size(buffer);
  if (size < 0) return false;
  if (size == 0) {
    PyErr_SetString(PyExc_RuntimeError, kEmptyBuffer);
    return false;
  }
  PyErr_Format(PyExc_TypeError,
               "recv_into() argument 1 must be read-write bytes-like object, not %.50s",
               Py_TYPE(buffer)->tp_name);
  return true;
}

}  // namespace

bool stream_is_readable(const StreamTransport& t) noexcept {
  pollfd one{t.fd, POLLIN | POLLRDHUP, 0};
  return ::poll(&one, 1, 0) > 0;
}

bool ProtocolBuffer::get(StreamTransport& t, bool has_data) noexcept {
  const char* message = "Fatal error: protocol.get_buffer() call failed.";
  const PyRef hint = PyRef::steal(PyLong_FromLong(-1));
  const PyRef buffer = hint ? stream_call(t, t.state->names.get_buffer, hint.get()) : PyRef();
  if (buffer) {
    if (PyObject_GetBuffer(buffer.get(), &view_, PyBUF_WRITABLE) == 0) {
      if (view_.len > 0) return true;
      release();
      // An edge may tell of what the read before has taken already.
      if (!has_data && !stream_is_readable(t)) return false;
      PyErr_SetString(PyExc_RuntimeError, kEmptyBuffer);
    } else if (is_refused_by_receive(buffer.get())) {
      message = "Fatal read error on socket transport";
    }
  }
  stream_protocol_failed(t, message);
  return false;
}

}  // namespace blitzio::python
