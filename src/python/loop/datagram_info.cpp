// What a datagram transport tells about itself: repr, extra info, water marks, and the private
// attributes that asyncio's own transport has.
#include <python/loop/datagram_internal.hpp>

#include <sys/socket.h>

namespace blitzio::python {

namespace {

/// What `sock.method()` words, or None if that is an OSError.
PyRef ask_socket(const DatagramTransport& t, const char* method) noexcept {
  PyRef address = PyRef::steal(PyObject_CallMethod(t.sock, method, nullptr));
  if (address || PyErr_ExceptionMatches(PyExc_OSError) == 0) return address;
  PyErr_Clear();  // Not bound, or not connected.
  return PyRef::borrow(Py_None);
}

PyRef local_address(const DatagramTransport& t, const AddressBuffer& local) noexcept {
  if (!is_plain_family(t.family)) return ask_socket(t, "getsockname");
  return address_object(local.storage, local.length);
}

/// Most endpoints are not connected: to learn that from the socket's method costs an exception.
PyRef peer_address(const DatagramTransport& t) noexcept {
  if (!is_plain_family(t.family)) return ask_socket(t, "getpeername");
  AddressBuffer peer{};
  if (::getpeername(t.fd, peer.generic(), &peer.length) != 0) return PyRef::borrow(Py_None);
  return address_object(peer.storage, peer.length);
}

int put(PyObject* extra, PyObject* key, const PyRef& value) noexcept {
  return value ? PyDict_SetItem(extra, key, value.get()) : -1;
}

}  // namespace

int datagram_fill_extra(DatagramTransport& t, const AddressBuffer& local) noexcept {
  const Names& names = t.state->names;
  PyObject* extra = head_of(as_object(t)).extra;
  if (put(extra, names.socket, make_transport_socket(*t.state, t.sock)) != 0 ||
      put(extra, names.sockname, local_address(t, local)) != 0) {
    return -1;
  }
  const int has_peer = PyDict_Contains(extra, names.peername);
  if (has_peer < 0 || (has_peer == 0 && put(extra, names.peername, peer_address(t)) != 0)) {
    return -1;
  }
  PyObject* peer = PyDict_GetItemWithError(extra, names.peername);
  if (peer == nullptr) return -1;
  const int is_connected = PyObject_IsTrue(peer);
  if (is_connected < 0) return -1;
  t.is_connected = is_connected != 0;
  // asyncio takes this one for not connected, and cannot send to it.
  t.has_unnamed_peer = !t.is_connected && peer != Py_None;
  return 0;
}

PyObject* datagram_repr(PyObject* self) noexcept {
  DatagramTransport& t = as_datagram(self);
  const char* name = short_type_name(self);
  const bool is_open = t.fd_state == FdState::open;
  const char* state = !is_open ? " closed" : t.closing ? " closing" : "";
  if (!is_open || t.loop->closed) return PyUnicode_FromFormat("<%s%s fd=%d>", name, state, t.fd);
  return PyUnicode_FromFormat("<%s%s fd=%d read=%s write=<%s, bufsize=%zu>>", name, state, t.fd,
                              t.started && !t.paused && !t.closing ? "polling" : "idle",
                              t.queue.is_empty() ? "idle" : "polling", t.queue.size_bytes());
}

PyObject* datagram_get_write_buffer_size(PyObject* self, PyObject* /*unused*/) noexcept {
  const DatagramTransport& t = as_datagram(self);
  if (transport_check(t) != 0) return nullptr;
  return PyLong_FromSize_t(t.queue.size_bytes());
}

PyObject* datagram_get_write_buffer_limits(PyObject* self, PyObject* /*unused*/) noexcept {
  const DatagramTransport& t = as_datagram(self);
  return Py_BuildValue("(nn)", static_cast<Py_ssize_t>(t.marks.low),
                       static_cast<Py_ssize_t>(t.marks.high));
}

PyObject* datagram_set_write_buffer_limits(PyObject* self, PyObject* args,
                                           PyObject* kwargs) noexcept {
  DatagramTransport& t = as_datagram(self);
  if (transport_check(t) != 0 || !parse_water_marks(args, kwargs, &t.marks) ||
      transport_maybe_pause_protocol(t, t.queue.size_bytes()) != 0) {
    return nullptr;
  }
  Py_RETURN_NONE;
}

// ---- private attributes -------------------------------------------------------------------------

namespace {

PyObject* get_sock(PyObject* self, void* /*unused*/) noexcept {
  return or_none(as_datagram(self).sock);
}
PyObject* get_address(PyObject* self, void* /*unused*/) noexcept {
  return or_none(as_datagram(self).address);
}
PyObject* get_paused(PyObject* self, void* /*unused*/) noexcept {
  return PyBool_FromLong(as_datagram(self).paused ? 1 : 0);
}

}  // namespace

PyGetSetDef datagram_getset[] = {
    BLITZIO_TRANSPORT_ATTRIBUTES,
    {"_sock", transport_method<get_sock>, nullptr, nullptr, nullptr},
    {"_sock_fd", transport_get_fd, nullptr, nullptr, nullptr},
    {"_address", transport_method<get_address>, nullptr, nullptr, nullptr},
    {"_paused", get_paused, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

}  // namespace blitzio::python
