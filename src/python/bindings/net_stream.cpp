// The types TcpStream and UnixStream.
#include <python/bindings/net_stream.hpp>

#include <python/bindings/adopt.hpp>
#include <python/bindings/net_address.hpp>
#include <python/bindings/net_options.hpp>
#include <python/bindings/net_socket.hpp>
#include <python/bindings/stream_methods.hpp>
#include <python/bindings/stream_vectored.hpp>
#include <python/bridge/awaitable.hpp>
#include <python/support/arguments.hpp>
#include <python/support/error.hpp>
#include <python/support/ft.hpp>

#include <array>

namespace blitzio::python {

namespace {

template <class S>
PyObject* stream_peek(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  return stream_read_or_peek<S>(self, args, nargs, names, true);
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
  const ObjectLock lock(self);
  const Result<void> done = stream_of<S>(self).stream.shutdown(how);
  if (!done) return raise_error(done.error(), "shutdown");
  Py_RETURN_NONE;
}

template <class S>
PyObject* stream_finish(PyObject* self, PyObject* /*unused*/) {
  using F = net::detail::Finish;
  return awaitable_new(state_of_box(self), "finish", self,
                       OnDescriptor<F>(self, stream_of<S>(self).stream.finish()),
                       [](const Result<void>& done) noexcept { return none_or_raise(done, ""); });
}

template <class S>
PyObject* stream_connect(PyObject* type, PyObject* where) {
  ModuleState& state = state_of_type(reinterpret_cast<PyTypeObject*>(type));
  Address address;
  if (!to_address(state, where, std::is_same_v<S, net::UnixStream>, &address)) return nullptr;
  using F = typename S::Connect;
  return awaitable_new(state, "connect", nullptr, OnLoop<F>(state, S::connect(address)),
                       [&state](Result<S> stream) noexcept {
                         return stream ? make_stream(state, std::move(*stream))
                                       : raise_error(stream.error(), "connect");
                       });
}

template <class S>
PyObject* stream_from_fd(PyObject* type, PyObject* object) {
  constexpr bool kIsLocal = std::is_same_v<S, net::UnixStream>;
  static constexpr SocketKind kKind{
      .name = kIsLocal ? "a Unix stream socket that does not listen"
                       : "a TCP socket that does not listen",
      .type = SOCK_STREAM,
      .is_local = kIsLocal,
      .is_listening = false,
  };
  return socket_from_fd<S>(type, object, kKind,
                           [](ModuleState& state, PyTypeObject* own, S&& stream) noexcept {
                             return make_py_stream(state, own, std::move(stream),
                                                   kIsLocal ? StreamKind::socket : StreamKind::tcp);
                           });
}

PyObject* stream_credentials(PyObject* self, PyObject* /*unused*/) {
  const ObjectLock lock(self);
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

/// For who takes the descriptor next, which is not to be taken from halves.
template <class S>
PyObject* stream_take_ahead_of(PyObject* self, PyObject* /*unused*/) {
  PyStreamBase& stream = stream_of<S>(self);
  {
    const ObjectLock lock(self);
    if (stream.is_split) {
      PyErr_SetString(PyExc_RuntimeError, "the stream has been split: it is its halves'");
      return nullptr;
    }
  }
  return stream_take_ahead(stream);
}

template <class S>
PyObject* stream_split(PyObject* self, PyObject* /*unused*/) {
  {
    const ObjectLock lock(self);
    PyStreamBase& stream = stream_of<S>(self);
    if (stream.is_split) {
      PyErr_SetString(PyExc_RuntimeError, "the stream has been split already");
      return nullptr;
    }
    stream.is_split = true;
  }
  const PyRef module = PyRef::steal(PyImport_ImportModule("blitzio._net.split"));
  return module ? PyObject_CallMethod(module.get(), "split", "O", self) : nullptr;
}

template <class S>
const std::array kSocketStreamMethods{
    PyMethodDef{"connect", stream_connect<S>, METH_O | METH_CLASS,
                PyDoc_STR("connect($type, address, /)\n--\n\nConnect to an address.")},
    PyMethodDef{"from_fd", stream_from_fd<S>, METH_O | METH_CLASS,
                PyDoc_STR("from_fd($type, fd, /)\n--\n\nTake over a connected socket.")},
    PyMethodDef{"peek", fast(stream_peek<S>), METH_FASTCALL | METH_KEYWORDS,
                PyDoc_STR("peek($self, n=65536)\n--\n\nread() that leaves the bytes there.")},
    PyMethodDef{"try_peek", fast(stream_try_read<S, true>), METH_FASTCALL | METH_KEYWORDS,
                PyDoc_STR("try_peek($self, n=65536)\n--\n\npeek() now; None if nothing is there.")},
    PyMethodDef{"shutdown", fast(stream_shutdown<S>), METH_FASTCALL | METH_KEYWORDS,
                PyDoc_STR("shutdown($self, how='both')\n--\n\nEnd one way, or both.")},
    PyMethodDef{"finish", stream_finish<S>, METH_NOARGS,
                PyDoc_STR("finish($self)\n--\n\nTell the peer that no more will come.")},
    blocking_form<stream_finish<S>, "blocking_finish">(
        PyDoc_STR("blocking_finish($self, timeout=None)\n--\n\nfinish() for threads.")),
    PyMethodDef{"_take_ahead", stream_take_ahead_of<S>, METH_NOARGS,
                PyDoc_STR("_take_ahead($self)\n--\n\n"
                          "What was read ahead, which is the caller's then.")},
    PyMethodDef{"split", stream_split<S>, METH_NOARGS,
                PyDoc_STR("split($self)\n--\n\nTwo halves, for two tasks.")},
    blocking_form<stream_connect<S>, "blocking_connect", 1, METH_CLASS>(PyDoc_STR(
        "blocking_connect($type, address, /, *, timeout=None)\n--\n\nconnect() for threads.")),
    blocking_form<stream_peek<S>, "blocking_peek">(
        PyDoc_STR("blocking_peek($self, n=65536, *, timeout=None)\n--\n\npeek() for threads.")),
};

template <class S>
net::Socket& socket_of(PyObject* self) noexcept {
  return stream_of<S>(self).stream;
}
net::TcpStream& tcp_of(PyObject* self) noexcept {
  return stream_of<net::TcpStream>(self).stream;
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
  static auto methods =
      methods_of({kReadMethods<S>, kWriteMethods<S>, kVectoredMethods<S>, kSocketStreamMethods<S>,
                  kReadableMethods<socket_of<S>>, kWritableMethods<socket_of<S>>,
                  kDescriptorMethods<socket_of<S>>, kRawOptionMethods<socket_of<S>>,
                  kBufferMethods<socket_of<S>>, own});
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

}  // namespace

PyObject* make_stream(ModuleState& state, net::TcpStream stream) noexcept {
  // As asyncio has it: who writes in pieces does not wait for the peer's acknowledgement.
  static_cast<void>(stream.set_nodelay(true));
  return make_py_stream(state, state.tcp_stream_type, std::move(stream), StreamKind::tcp);
}

PyObject* make_stream(ModuleState& state, net::UnixStream stream) noexcept {
  return make_py_stream(state, state.unix_stream_type, std::move(stream), StreamKind::socket);
}

int net_stream_register(PyObject* module, ModuleState& state) noexcept {
  state.tcp_stream_type = register_stream<net::TcpStream>(module, "blitzio.net.TcpStream",
                                                          "A TCP connection; see blitzio.net.",
                                                          kTcpOptionMethods<tcp_of>);
  state.unix_stream_type = register_stream<net::UnixStream>(
      module, "blitzio.net.UnixStream", "A connection between processes; see blitzio.net.",
      unix_methods);
  return state.tcp_stream_type == nullptr || state.unix_stream_type == nullptr ? -1 : 0;
}

}  // namespace blitzio::python
