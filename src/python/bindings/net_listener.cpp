// The types TcpListener and UnixListener.
#include <blitzio/net/tcp.hpp>
#include <blitzio/net/unix.hpp>
#include <python/bindings/adopt.hpp>
#include <python/bindings/net.hpp>
#include <python/bindings/net_options.hpp>
#include <python/bindings/net_socket.hpp>
#include <python/bindings/net_stream.hpp>

namespace blitzio::python {

namespace {

template <class L>
L& listener_of(PyObject* self) noexcept {
  return Box<L>::of(self).value;
}
template <class L>
net::Socket& socket_of(PyObject* self) noexcept {
  return listener_of<L>(self);
}

/// accept() and what makes objects of its answer; `kPeers`: (stream, peer) instead of the stream.
template <class L, bool kPeers>
PyObject* accept(PyObject* self, const char* name) noexcept {
  ModuleState& state = state_of_box(self);
  using F = typename L::Accept;
  return awaitable_new(state, name, self, OnDescriptor<F>(self, listener_of<L>(self).accept()),
                       [&state](typename F::Output accepted) noexcept -> PyObject* {
                         if (!accepted) return raise_io_error(accepted.error(), "accept");
                         PyRef stream =
                             PyRef::steal(make_stream(state, std::move(accepted->stream)));
                         if (!stream || !kPeers) return stream.release();
                         const PyRef peer = PyRef::steal(make_address(state, accepted->peer));
                         return peer ? PyTuple_Pack(2, stream.get(), peer.get()) : nullptr;
                       });
}
template <class L>
PyObject* listener_accept(PyObject* self, PyObject* /*unused*/) {
  return accept<L, true>(self, "accept");
}
template <class L>
PyObject* listener_anext(PyObject* self) {
  return accept<L, false>(self, "__anext__");
}
template <class L>
PyObject* listener_try_accept(PyObject* self, PyObject* /*unused*/) {
  ModuleState& state = state_of_box(self);
  auto accepted = [self] {
    const ObjectLock lock(self);
    return listener_of<L>(self).try_accept();
  }();
  if (!accepted) return raise_io_error(accepted.error(), "accept");
  if (!*accepted) Py_RETURN_NONE;
  const PyRef stream = PyRef::steal(make_stream(state, std::move((*accepted)->stream)));
  const PyRef peer = PyRef::steal(make_address(state, (*accepted)->peer));
  return stream && peer ? PyTuple_Pack(2, stream.get(), peer.get()) : nullptr;
}

PyObject* tcp_bind(PyObject* type, PyObject* args, PyObject* kwargs) {
  static const char* const keywords[] = {"address",    "backlog", "reuse_address",
                                         "reuse_port", "v6_only", nullptr};
  ModuleState& state = state_of_type(reinterpret_cast<PyTypeObject*>(type));
  PyObject* where = nullptr;
  net::ListenOptions options;
  int reuse_address = 1;
  int reuse_port = 0;
  int v6_only = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$ippp:bind", const_cast<char**>(keywords),
                                   &where, &options.backlog, &reuse_address, &reuse_port,
                                   &v6_only)) {
    return nullptr;
  }
  Address address;
  if (!to_address(state, where, false, &address)) return nullptr;
  options.reuse_address = reuse_address != 0;
  options.reuse_port = reuse_port != 0;
  options.v6_only = v6_only != 0;
  auto listener = net::TcpListener::bind(address, options);
  if (!listener) return raise_error(listener.error(), "bind");
  return Box<net::TcpListener>::make(state, state.tcp_listener_type, std::move(*listener));
}

PyObject* unix_bind(PyObject* type, PyObject* args, PyObject* kwargs) {
  static const char* const keywords[] = {"address", "backlog", nullptr};
  ModuleState& state = state_of_type(reinterpret_cast<PyTypeObject*>(type));
  PyObject* where = nullptr;
  int backlog = 1'024;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$i:bind", const_cast<char**>(keywords), &where,
                                   &backlog)) {
    return nullptr;
  }
  Address address;
  if (!to_address(state, where, true, &address)) return nullptr;
  auto listener = net::UnixListener::bind(address, backlog);
  if (!listener) return raise_error(listener.error(), "bind");
  return Box<net::UnixListener>::make(state, state.unix_listener_type, std::move(*listener));
}

template <class L>
PyObject* listener_from_fd(PyObject* type, PyObject* object) {
  constexpr bool kIsLocal = std::is_same_v<L, net::UnixListener>;
  static constexpr SocketKind kKind{
      .name = kIsLocal ? "a Unix stream socket that listens" : "a TCP socket that listens",
      .type = SOCK_STREAM,
      .is_local = kIsLocal,
      .is_listening = true,
  };
  return socket_from_fd<L>(type, object, kKind, Box<L>::template make<L>);
}

template <class L>
const std::array kAcceptMethods{
    PyMethodDef{"from_fd", listener_from_fd<L>, METH_O | METH_CLASS,
                PyDoc_STR("from_fd($type, fd, /)\n--\n\nTake over a listening socket.")},
    PyMethodDef{"accept", listener_accept<L>, METH_NOARGS,
                PyDoc_STR("accept($self)\n--\n\nWait for a connection. Gives (stream, peer).")},
    PyMethodDef{"try_accept", listener_try_accept<L>, METH_NOARGS,
                PyDoc_STR("try_accept($self)\n--\n\naccept() now; None if there is none.")},
    blocking_form<listener_accept<L>, "blocking_accept">(
        PyDoc_STR("blocking_accept($self, timeout=None)\n--\n\naccept() for threads.")),
};

template <class L>
PyTypeObject* register_listener(PyObject* module, const char* name, const char* doc,
                                PyCFunctionWithKeywords bind) noexcept {
  static const PyMethodDef bind_method[] = {{"bind", with_keywords(bind),
                                             METH_VARARGS | METH_KEYWORDS | METH_CLASS,
                                             PyDoc_STR("Listen at an address.")}};
  static auto methods =
      methods_of({kAcceptMethods<L>, kReadableMethods<socket_of<L>>, kWritableMethods<socket_of<L>>,
                  kDescriptorMethods<listener_of<L>>, kRawOptionMethods<socket_of<L>>,
                  kBufferMethods<socket_of<L>>, bind_method});
  static PyType_Slot slots[] = {
      {Py_tp_repr, slot(socket_repr<socket_of<L>>)},
      {Py_am_aiter, slot(PyObject_SelfIter)},
      {Py_am_anext, slot(listener_anext<L>)},
      {0, nullptr},
  };
  return box_register<L>(module, {.name = name,
                                  .doc = doc,
                                  .methods = methods.data(),
                                  .attributes = socket_attributes<socket_of<L>>,
                                  .more = slots});
}

}  // namespace

int net_listener_register(PyObject* module, ModuleState& state) noexcept {
  state.tcp_listener_type = register_listener<net::TcpListener>(
      module, "blitzio.net.TcpListener", "Accepts TCP connections; see blitzio.net.", tcp_bind);
  state.unix_listener_type = register_listener<net::UnixListener>(
      module, "blitzio.net.UnixListener", "Accepts Unix connections; see blitzio.net.", unix_bind);
  return state.tcp_listener_type == nullptr || state.unix_listener_type == nullptr ? -1 : 0;
}

}  // namespace blitzio::python
