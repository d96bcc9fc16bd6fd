// What a transport tells about itself: repr, extra info, water marks, and the private attributes
// that asyncio's own TLS and sendfile code reads from a transport.
#include <blitzio/base/address_buffer.hpp>
#include <python/loop/sock_address.hpp>
#include <python/loop/stream_internal.hpp>

#include <sys/socket.h>

#include <cstddef>
#include <cstring>

namespace blitzio::python {

namespace {

PyRef object_of(const StoredAddress& address) noexcept {
  return address.generic().sa_family == AF_INET
             ? inet_address_object(*reinterpret_cast<const sockaddr_in*>(address.bytes.data()))
             : inet6_address_object(*reinterpret_cast<const sockaddr_in6*>(address.bytes.data()));
}

using AskKernel = int (*)(int, sockaddr*, socklen_t*);

/// Keeps an internet address as it is. False: another family, or none.
bool store(StoredAddress& address, int fd, AskKernel ask, int* family) noexcept {
  AddressBuffer told{};
  if (ask(fd, told.generic(), &told.length) != 0) return false;
  *family = told.storage.ss_family;
  return address.store(told.bytes());
}

PyRef known_extra(PyObject* self) noexcept {
  const ObjectLock lock(self);
  return PyRef::borrow(head_of(self).extra);
}

/// What get_extra_info() was given and has found out: a dict, made when there is something to put
/// into it, for most connections are never asked. Null with an error set.
PyRef extra_of(StreamTransport& t) noexcept {
  const ObjectLock lock(as_object(t));
  PyObject*& extra = head_of(as_object(t)).extra;
  if (extra == nullptr) extra = PyDict_New();
  return PyRef::borrow(extra);
}

int put_extra(StreamTransport& t, PyObject* key, PyObject* value) noexcept {
  const PyRef extra = extra_of(t);
  return extra ? PyDict_SetItem(extra.get(), key, value) : -1;
}

/// Lets the socket object word the address of another family; None if there is none.
int ask_socket(StreamTransport& t, PyObject* key, const char* method) noexcept {
  const PyRef sock = PyRef::borrow(stream_socket(t));
  if (!sock) {
    if (PyErr_Occurred() == nullptr) {
      PyErr_SetString(PyExc_RuntimeError, "the transport was ended while it was made");
    }
    return -1;
  }
  PyRef value = PyRef::steal(PyObject_CallMethod(sock.get(), method, nullptr));
  if (!value) {
    if (PyErr_ExceptionMatches(PyExc_OSError) == 0) return -1;
    PyErr_Clear();  // asyncio has None for it then.
    value = PyRef::borrow(Py_None);
  }
  return put_extra(t, key, value.get());
}

bool is_inet(int family) noexcept {
  return family == AF_INET || family == AF_INET6;
}

/// For who first asks when the descriptor is gone: asyncio then has the object that was closed.
/// Null without an error: there can be none now.
PyRef closed_socket(StreamTransport& t) noexcept {
  PyRef sock = PyRef::steal(
      PyObject_CallFunction(t.state->socket_type, "iii", t.family, SOCK_STREAM, t.proto));
  const PyRef closed =
      sock ? PyRef::steal(PyObject_CallMethodNoArgs(sock.get(), t.state->names.close)) : PyRef();
  if (closed) return sock;
  if (PyErr_ExceptionMatches(PyExc_OSError) != 0) {
    PyErr_Clear();  // No descriptor is left, say. It is for its attributes only.
  }
  return {};
}

/// What get_extra_info() knows without the dict; put there when first asked for. Null without an
/// error: nothing.
PyRef make_extra(StreamTransport& t, PyObject* key) noexcept {
  const Names& names = t.state->names;
  PyRef value;
  if (PyUnicode_Compare(key, names.socket) == 0) {
    PyRef sock = PyRef::borrow(stream_socket(t));
    if (!sock && PyErr_Occurred() == nullptr) sock = closed_socket(t);
    if (sock) value = make_transport_socket(*t.state, sock.get());
  } else if (PyUnicode_Compare(key, names.peername) == 0) {
    value = t.peer.is_known() ? object_of(t.peer) : PyRef::borrow(Py_None);
  } else if (PyUnicode_Compare(key, names.sockname) == 0) {
    value = t.local.is_known() ? object_of(t.local) : PyRef::borrow(Py_None);
  }
  if (value && put_extra(t, key, value.get()) != 0) return {};
  return value;
}

}  // namespace

bool StoredAddress::store(std::span<const std::byte> address) noexcept {
  sa_family_t address_family = AF_UNSPEC;
  static_assert(offsetof(sockaddr, sa_family) == 0);
  if (address.size() < sizeof address_family || address.size() > sizeof bytes) return false;
  std::memcpy(&address_family, address.data(), sizeof address_family);
  if (!is_inet(address_family)) return false;
  std::memcpy(bytes.data(), address.data(), address.size());
  return true;
}

PyRef socket_from_fd(ModuleState& state, int fd, int family, int type, int proto) noexcept {
  PyRef sock =
      PyRef::steal(PyObject_CallFunction(state.socket_type, "iiii", family, type, proto, fd));
  if (!sock) return sock;
  // The descriptor is non-blocking; the object must know it as well.
  const PyRef done = PyRef::steal(PyObject_CallMethod(sock.get(), "setblocking", "i", 0));
  if (done) return sock;
  PyRef exception = take_exception();
  const PyRef number = PyRef::steal(PyObject_CallMethodNoArgs(sock.get(), state.names.detach));
  if (!number) PyErr_WriteUnraisable(sock.get());
  restore_exception(std::move(exception));
  return {};
}

int stream_store_addresses(StreamTransport& t, const StoredAddress& peer) noexcept {
  PyObject* extra = head_of(as_object(t)).extra;
  const Names& names = t.state->names;
  int family = t.family;
  if (!store(t.local, t.fd, ::getsockname, &family) && !is_inet(family)) {
    if (ask_socket(t, names.sockname, "getsockname") != 0) return -1;
  }
  t.family = static_cast<std::int16_t>(family);
  t.peer = peer;
  if (peer.is_known()) return 0;
  const int has_peer = extra == nullptr ? 0 : PyDict_Contains(extra, names.peername);
  if (has_peer != 0) return has_peer < 0 ? -1 : 0;
  if (!store(t.peer, t.fd, ::getpeername, &family) && !is_inet(family)) {
    return ask_socket(t, names.peername, "getpeername");
  }
  return 0;
}

PyObject* stream_socket(StreamTransport& t) noexcept {
  if (t.sock != nullptr || t.fd_state != FdState::open) return t.sock;
  PyRef made = socket_from_fd(*t.state, t.fd, t.family, SOCK_STREAM, t.proto);
  if (!made) return nullptr;
  if (BLITZIO_UNLIKELY(t.sock != nullptr || t.fd_state != FdState::open)) {
    // Making it ran code that was here first, or ended the transport: the number is not this one's.
    const PyRef number = PyRef::steal(PyObject_CallMethodNoArgs(made.get(), t.state->names.detach));
    return number ? t.sock : nullptr;
  }
  // From here on the object owns the descriptor.
  t.sock = made.release();
  return t.sock;
}

PyObject* stream_repr(PyObject* self) noexcept {
  StreamTransport& t = as_stream(self);
  const char* name = short_type_name(self);
  const bool is_open = t.fd_state == FdState::open;
  const char* state = !is_open ? " closed" : t.closing ? " closing" : "";
  if (!is_open || t.loop->closed) return PyUnicode_FromFormat("<%s%s fd=%d>", name, state, t.fd);
  const bool reads = t.started && !t.paused && !t.closing && t.read_end == ReadEnd::none;
  return PyUnicode_FromFormat("<%s%s fd=%d read=%s write=<%s, bufsize=%zu>>", name, state, t.fd,
                              reads ? "polling" : "idle", stream_is_blocked(t) ? "polling" : "idle",
                              t.queue.size_bytes());
}

PyObject* stream_get_extra_info(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                                PyObject* kwnames) noexcept {
  ExtraInfoArguments given;
  if (!parse_extra_info(args, nargs, kwnames, &given)) return nullptr;
  StreamTransport& t = as_stream(self);
  const PyRef extra = known_extra(self);
  if (extra) {
    // The key's comparisons may run any code, even such as sets another dict.
    PyObject* known = PyDict_GetItemWithError(extra.get(), given.key);
    if (known != nullptr) return Py_NewRef(known);
    if (PyErr_Occurred() != nullptr) return nullptr;
  }
  if (t.loop != nullptr && PyUnicode_Check(given.key)) {
    PyRef made = make_extra(t, given.key);
    if (made) return made.release();
    if (PyErr_Occurred() != nullptr) return nullptr;
  }
  return Py_NewRef(given.fallback == nullptr ? Py_None : given.fallback);
}

PyObject* stream_get_write_buffer_size(PyObject* self, PyObject* /*unused*/) noexcept {
  StreamTransport& t = as_stream(self);
  if (transport_check(t) != 0) return nullptr;
  // What is merely gathered asyncio would have sent by now, and have paused for what was refused.
  if (t.conn_lost == 0) stream_flush(t);
  if (stream_pause_if_refused(t) != 0) return nullptr;
  return PyLong_FromSize_t(t.queue.size_bytes());
}

PyObject* stream_get_write_buffer_limits(PyObject* self, PyObject* /*unused*/) noexcept {
  const StreamTransport& t = as_stream(self);
  return Py_BuildValue("(nn)", static_cast<Py_ssize_t>(t.marks.low),
                       static_cast<Py_ssize_t>(t.marks.high));
}

PyObject* stream_set_write_buffer_limits(PyObject* self, PyObject* args,
                                         PyObject* kwargs) noexcept {
  StreamTransport& t = as_stream(self);
  if (transport_check(t) != 0 || !parse_water_marks(args, kwargs, &t.marks)) return nullptr;
  if (t.conn_lost == 0) stream_flush(t);
  if (transport_maybe_pause_protocol(t, t.queue.size_bytes()) != 0) return nullptr;
  Py_RETURN_NONE;
}

// ---- private attributes -------------------------------------------------------------------------

namespace {

PyObject* get_extra(PyObject* self, void* /*unused*/) noexcept {
  return extra_of(as_stream(self)).release();
}
int set_extra(PyObject* self, PyObject* value, void* /*unused*/) noexcept {
  if (value == nullptr || !PyDict_Check(value)) {
    PyErr_SetString(PyExc_TypeError, "_extra must be a dict");
    return -1;
  }
  const ObjectLock lock(self);
  Py_XSETREF(head_of(self).extra, Py_NewRef(value));
  return 0;
}
PyObject* get_sock(PyObject* self, void* /*unused*/) noexcept {
  PyObject* sock = stream_socket(as_stream(self));
  return sock == nullptr && PyErr_Occurred() != nullptr ? nullptr : or_none(sock);
}
PyObject* get_server(PyObject* self, void* /*unused*/) noexcept {
  return or_none(as_stream(self).server);
}
PyObject* get_paused(PyObject* self, void* /*unused*/) noexcept {
  return PyBool_FromLong(as_stream(self).paused ? 1 : 0);
}
PyObject* get_eof(PyObject* self, void* /*unused*/) noexcept {
  return PyBool_FromLong(as_stream(self).eof_written ? 1 : 0);
}
PyObject* get_empty_waiter(PyObject* self, void* /*unused*/) noexcept {
  return or_none(as_stream(self).empty_waiter);
}

}  // namespace

PyGetSetDef stream_getset[] = {
    BLITZIO_TRANSPORT_ATTRIBUTES,
    {"_extra", get_extra, set_extra, nullptr, nullptr},
    {"_sock", transport_method<get_sock>, nullptr, nullptr, nullptr},
    {"_sock_fd", transport_get_fd, nullptr, nullptr, nullptr},
    {"_server", transport_method<get_server>, nullptr, nullptr, nullptr},
    {"_paused", get_paused, nullptr, nullptr, nullptr},
    {"_eof", get_eof, nullptr, nullptr, nullptr},
    {"_empty_waiter", transport_method<get_empty_waiter>, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

}  // namespace blitzio::python
