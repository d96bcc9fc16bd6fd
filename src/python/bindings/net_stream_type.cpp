// The types TcpStream and UnixStream.
#include <python/bindings/net_address.hpp>
#include <python/bindings/net_socket.hpp>
#include <python/bindings/net_stream.hpp>
#include <python/bridge/awaitable.hpp>
#include <python/support/arguments.hpp>
#include <python/support/error.hpp>

#include <array>

namespace blitzio::python {

namespace {

constexpr std::size_t kReadBytes = 64 * 1024;

template <class S>
PyStream<S>& stream_of(PyObject* self) noexcept {
  return Box<PyStream<S>>::of(self).value;
}

template <class S, Future F>
PyObject* await_on_loop(PyObject* self, const char* name, F future) noexcept {
  ModuleState& state = *Box<PyStream<S>>::of(self).state;
  return awaitable_new(state, name, self, OnLoop<F>(state, std::move(future)), AsIs());
}

// ---- reading -----------------------------------------------------------------------------------

template <class S>
PyObject* read_or_peek(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names,
                       bool peeks) noexcept {
  static constexpr std::array kParameters{"n"};
  Arguments arguments(args, nargs, names);
  std::size_t count = kReadBytes;
  if (!arguments.bind_all(peeks ? "peek" : "read", kParameters, 0) ||
      !parse_size(arguments[0], "n", &count)) {
    return nullptr;
  }
  return await_on_loop<S>(self, peeks ? "peek" : "read",
                          StreamRead(stream_of<S>(self), count, peeks));
}
template <class S>
PyObject* stream_read(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  return read_or_peek<S>(self, args, nargs, names, false);
}
template <class S>
PyObject* stream_peek(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  return read_or_peek<S>(self, args, nargs, names, true);
}

template <class S>
PyObject* stream_read_into(PyObject* self, PyObject* object) {
  HeldBuffer buffer;
  if (!buffer.hold(object, PyBUF_WRITABLE)) return nullptr;
  return await_on_loop<S>(self, "read_into", StreamReadInto(stream_of<S>(self), std::move(buffer)));
}

using Until = StreamGather::Until;

template <class S>
PyObject* gather(PyObject* self, const char* name, Until until, std::size_t limit,
                 std::string separator = "\n") noexcept {
  return await_on_loop<S>(self, name,
                          StreamGather(stream_of<S>(self), until, limit, std::move(separator)));
}

template <class S>
PyObject* stream_read_exact(PyObject* self, PyObject* object) {
  std::size_t count = 0;
  if (!parse_size(object, "n", &count)) return nullptr;
  return gather<S>(self, "read_exact", Until::count, count);
}

template <class S>
PyObject* stream_read_until(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                            PyObject* names) {
  static constexpr std::array kParameters{"separator", "limit"};
  Arguments arguments(args, nargs, names);
  std::size_t limit = kReadBytes;
  HeldBuffer separator;
  if (!arguments.bind_all("read_until", kParameters, 1) ||
      !separator.hold(arguments[0], PyBUF_SIMPLE) || !parse_size(arguments[1], "limit", &limit)) {
    return nullptr;
  }
  const auto bytes = separator.bytes();
  if (bytes.empty()) {
    PyErr_SetString(PyExc_ValueError, "the separator must have at least one byte");
    return nullptr;
  }
  return gather<S>(self, "read_until", Until::separator, limit,
                   std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

template <class S>
PyObject* stream_read_line(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                           PyObject* names) {
  static constexpr std::array kParameters{"limit"};
  Arguments arguments(args, nargs, names);
  std::size_t limit = kReadBytes;
  if (!arguments.bind_all("read_line", kParameters, 0) ||
      !parse_size(arguments[0], "limit", &limit)) {
    return nullptr;
  }
  return gather<S>(self, "read_line", Until::line, limit);
}

template <class S>
PyObject* stream_read_to_end(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                             PyObject* names) {
  static constexpr std::array kParameters{"limit"};
  Arguments arguments(args, nargs, names);
  std::size_t limit = SIZE_MAX;
  if (!arguments.bind_all("read_to_end", kParameters, 0) ||
      !parse_size(arguments[0], "limit", &limit)) {
    return nullptr;
  }
  return gather<S>(self, "read_to_end", Until::end, limit);
}

template <class S>
PyObject* stream_anext(PyObject* self) {
  return gather<S>(self, "__anext__", Until::next_line, kReadBytes);
}

template <class S>
PyObject* stream_try_read(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                          PyObject* names) {
  static constexpr std::array kParameters{"n"};
  Arguments arguments(args, nargs, names);
  std::size_t count = kReadBytes;
  if (!arguments.bind_all("try_read", kParameters, 0) || !parse_size(arguments[0], "n", &count)) {
    return nullptr;
  }
  return stream_try_read_now(stream_of<S>(self), count);
}

// ---- writing -----------------------------------------------------------------------------------

template <class S>
PyObject* write(PyObject* self, PyObject* object, bool is_all) noexcept {
  HeldBuffer data;
  if (!data.hold(object, PyBUF_SIMPLE)) return nullptr;
  return await_on_loop<S>(self, is_all ? "write_all" : "write",
                          StreamWrite(stream_of<S>(self), std::move(data), is_all));
}
template <class S>
PyObject* stream_write(PyObject* self, PyObject* object) {
  return write<S>(self, object, false);
}
template <class S>
PyObject* stream_write_all(PyObject* self, PyObject* object) {
  return write<S>(self, object, true);
}
template <class S>
PyObject* stream_try_write(PyObject* self, PyObject* object) {
  HeldBuffer data;
  if (!data.hold(object, PyBUF_SIMPLE)) return nullptr;
  PyStream<S>& stream = stream_of<S>(self);
  // Behind those who wait.
  auto guard = stream.writing.try_lock();
  if (!guard) return PyLong_FromLong(0);
  const auto sent = stream.stream.try_write(data.bytes());
  if (!sent) return raise_error(sent.error(), "try_write");
  return PyLong_FromSize_t(sent->value_or(0));
}

template <class S>
PyObject* stream_shutdown(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                          PyObject* names) {
  static constexpr std::array kParameters{"how"};
  Arguments arguments(args, nargs, names);
  if (!arguments.bind_all("shutdown", kParameters, 0)) return nullptr;
  net::Shutdown how = net::Shutdown::both;
  if (arguments[0] != nullptr) {
    if (!PyUnicode_Check(arguments[0])) {
      return PyErr_Format(PyExc_TypeError, "how must be str, got %.200s",
                          Py_TYPE(arguments[0])->tp_name);
    }
    if (PyUnicode_CompareWithASCIIString(arguments[0], "read") == 0) {
      how = net::Shutdown::read;
    } else if (PyUnicode_CompareWithASCIIString(arguments[0], "write") == 0) {
      how = net::Shutdown::write;
    } else if (PyUnicode_CompareWithASCIIString(arguments[0], "both") != 0) {
      return PyErr_Format(PyExc_ValueError, "how must be 'read', 'write' or 'both', got %R",
                          arguments[0]);
    }
  }
  const Result<void> done = stream_of<S>(self).stream.shutdown(how);
  if (!done) return raise_error(done.error(), "shutdown");
  Py_RETURN_NONE;
}

template <class S>
PyObject* stream_connect(PyObject* type, PyObject* where) {
  ModuleState& state = state_of_type(reinterpret_cast<PyTypeObject*>(type));
  Address address;
  if (!to_address(state, where, &address)) return nullptr;
  if (address.is_local() != std::is_same_v<S, net::UnixStream>) {
    return PyErr_Format(PyExc_ValueError, "%R is of another family than the stream", where);
  }
  using F = typename S::Connect;
  return awaitable_new(state, "connect", nullptr, OnLoop<F>(state, S::connect(address)),
                       [&state](Result<S> stream) noexcept {
                         return stream ? make_stream(state, std::move(*stream))
                                       : raise_error(stream.error(), "connect");
                       });
}

PyObject* stream_credentials(PyObject* self, PyObject* /*unused*/) {
  const auto peer = stream_of<net::UnixStream>(self).stream.peer_credentials();
  if (!peer) return raise_error(peer.error(), "peer_credentials");
  return Py_BuildValue("iII", peer->process, peer->user, peer->group);
}

PyObject* stream_pair(PyObject* type, PyObject* /*unused*/) {
  auto pair = net::UnixStream::pair();
  if (!pair) return raise_error(pair.error(), "socketpair");
  ModuleState& state = state_of_type(reinterpret_cast<PyTypeObject*>(type));
  const PyRef one = PyRef::steal(make_stream(state, std::move(pair->first)));
  const PyRef other = PyRef::steal(make_stream(state, std::move(pair->second)));
  return one && other ? PyTuple_Pack(2, one.get(), other.get()) : nullptr;
}

template <class S>
const std::array kStreamMethods{
    PyMethodDef{"connect", stream_connect<S>, METH_O | METH_CLASS,
                PyDoc_STR("connect($type, address, /)\n--\n\nConnect to an address.")},
    PyMethodDef{"read", fast(stream_read<S>), METH_FASTCALL | METH_KEYWORDS,
                PyDoc_STR("read($self, n=65536)\n--\n\nRead what is there, or wait for some.")},
    PyMethodDef{"peek", fast(stream_peek<S>), METH_FASTCALL | METH_KEYWORDS,
                PyDoc_STR("peek($self, n=65536)\n--\n\nread() that leaves the bytes there.")},
    PyMethodDef{"read_into", stream_read_into<S>, METH_O,
                PyDoc_STR("read_into($self, buffer, /)\n--\n\nread() into a writable buffer.")},
    PyMethodDef{"read_exact", stream_read_exact<S>, METH_O,
                PyDoc_STR("read_exact($self, n, /)\n--\n\nRead exactly n bytes.")},
    PyMethodDef{"read_until", fast(stream_read_until<S>), METH_FASTCALL | METH_KEYWORDS,
                PyDoc_STR("read_until($self, separator, limit=65536)\n--\n\n"
                          "Read up to and with the separator.")},
    PyMethodDef{"read_line", fast(stream_read_line<S>), METH_FASTCALL | METH_KEYWORDS,
                PyDoc_STR("read_line($self, limit=65536)\n--\n\nRead a line, with its end.")},
    PyMethodDef{"read_to_end", fast(stream_read_to_end<S>), METH_FASTCALL | METH_KEYWORDS,
                PyDoc_STR("read_to_end($self, limit=...)\n--\n\nRead all that is to come.")},
    PyMethodDef{"try_read", fast(stream_try_read<S>), METH_FASTCALL | METH_KEYWORDS,
                PyDoc_STR("try_read($self, n=65536)\n--\n\nread() now; None if nothing is there.")},
    PyMethodDef{"write", stream_write<S>, METH_O,
                PyDoc_STR("write($self, data, /)\n--\n\nWrite some of data. Returns how much.")},
    PyMethodDef{"write_all", stream_write_all<S>, METH_O,
                PyDoc_STR("write_all($self, data, /)\n--\n\nWrite all of data.")},
    PyMethodDef{"try_write", stream_try_write<S>, METH_O,
                PyDoc_STR("try_write($self, data, /)\n--\n\nWrite now what there is room for.")},
    PyMethodDef{"shutdown", fast(stream_shutdown<S>), METH_FASTCALL | METH_KEYWORDS,
                PyDoc_STR("shutdown($self, how='both')\n--\n\nEnd one way, or both.")},
};

template <class S>
net::Socket& socket_of(PyObject* self) noexcept {
  return stream_of<S>(self).stream;
}

PyMethodDef unix_methods[] = {
    {"peer_credentials", stream_credentials, METH_NOARGS,
     PyDoc_STR("peer_credentials($self)\n--\n\n"
               "(process, user, group) of who is at the other end.")},
    {"pair", stream_pair, METH_NOARGS | METH_CLASS,
     PyDoc_STR("pair($type)\n--\n\nTwo streams that are connected with each other.")},
};

template <class S>
PyTypeObject* register_stream(PyObject* module, const char* name, const char* doc,
                              std::span<const PyMethodDef> own) noexcept {
  static auto methods = methods_of({kStreamMethods<S>, kSocketMethods<socket_of<S>>, own});
  static PyType_Slot slots[] = {
      {Py_tp_repr, slot(socket_repr<socket_of<S>>)},
      {Py_am_aiter, slot(PyObject_SelfIter)},
      {Py_am_anext, slot(stream_anext<S>)},
      {0, nullptr},
  };
  return box_register<PyStream<S>>(module, {.name = name,
                                            .doc = doc,
                                            .methods = methods.data(),
                                            .attributes = socket_attributes<socket_of<S>>,
                                            .more = slots});
}

template <class S>
PyObject* make(ModuleState& state, PyTypeObject* type, S stream) noexcept {
  PyObject* self = Box<PyStream<S>>::make(state, type, std::move(stream));
  if (self != nullptr) stream_of<S>(self).self = self;
  return self;
}

}  // namespace

PyObject* make_stream(ModuleState& state, net::TcpStream stream) noexcept {
  // As asyncio has it: who writes in pieces does not wait for the peer's acknowledgement.
  static_cast<void>(stream.set_nodelay(true));
  return make(state, state.tcp_stream_type, std::move(stream));
}

PyObject* make_stream(ModuleState& state, net::UnixStream stream) noexcept {
  return make(state, state.unix_stream_type, std::move(stream));
}

int net_stream_register(PyObject* module, ModuleState& state) noexcept {
  state.tcp_stream_type = register_stream<net::TcpStream>(module, "blitzio.net.TcpStream",
                                                          "A TCP connection; see blitzio.net.", {});
  state.unix_stream_type = register_stream<net::UnixStream>(
      module, "blitzio.net.UnixStream", "A connection between processes; see blitzio.net.",
      unix_methods);
  return state.tcp_stream_type == nullptr || state.unix_stream_type == nullptr ? -1 : 0;
}

}  // namespace blitzio::python
