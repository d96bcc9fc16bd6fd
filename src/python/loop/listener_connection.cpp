// What becomes of a connection that a listener has accepted.
#include <python/loop/listener_internal.hpp>

#include <python/support/error.hpp>

#include <unistd.h>

namespace blitzio::python {

namespace {

PyRef make_socket(Listener& listener, int fd) noexcept {
  PyRef sock =
      socket_from_fd(*listener.loop->state, fd, listener.family, listener.type, listener.proto);
  if (!sock) ::close(fd);
  return sock;
}

void make_transport(Listener& listener, int fd, const StoredAddress& peer) noexcept {
  constexpr const char* kMessage = "Error on transport creation for incoming connection";
  const Names& names = listener.loop->state->names;
  const PyRef factory = PyRef::borrow(listener.factory);
  const PyRef protocol = PyRef::steal(PyObject_CallNoArgs(factory.get()));
  if (!protocol) {
    ::close(fd);
    loop_report_exception(*listener.loop, kMessage);
    return;
  }
  StreamParts parts;
  parts.fd = fd;
  parts.family = listener.family;
  parts.proto = listener.proto;
  parts.is_nodelay = listener.is_nodelay;
  parts.peer = peer;
  parts.protocol = protocol.get();
  parts.server = listener.server;
  const PyRef transport = stream_transport_new(*listener.loop, parts);
  if (!transport) {
    loop_report_exception(*listener.loop, kMessage, {{names.protocol, protocol.get()}});
  }
}

/// Asks `divert` who is to have the connection. Returns whether somebody else has it now.
bool divert_connection(Listener& listener, int fd) noexcept {
  const PyRef divert = PyRef::borrow(listener.divert);
  const PyRef taker = PyRef::steal(PyObject_CallNoArgs(divert.get()));
  if (!taker) loop_report_exception(*listener.loop, "Error on choosing who takes a connection");
  if (!taker || taker.get() == Py_None) return false;
  const PyRef sock = make_socket(listener, fd);
  const PyRef taken = sock ? PyRef::steal(PyObject_CallOneArg(taker.get(), sock.get())) : PyRef();
  if (!taken) loop_report_exception(*listener.loop, "Error on handing a connection over");
  return true;
}

}  // namespace

void listener_take_connection(Listener& listener, int fd, const StoredAddress& peer) noexcept {
  if (listener.is_closed || listener.loop->closed) {
    ::close(fd);
    return;
  }
  const PyRef context = PyRef::steal(PyContext_Copy(listener.context));
  if (!context || PyContext_Enter(context.get()) != 0) {
    ::close(fd);
    loop_report_exception(*listener.loop, "Error on transport creation for incoming connection");
    return;
  }
  make_transport(listener, fd, peer);
  if (PyContext_Exit(context.get()) != 0) PyErr_WriteUnraisable(context.get());
}

void listener_on_connection(Listener& listener, int fd, std::span<const std::byte> from) noexcept {
  const bool is_open = !listener.is_closed && !listener.loop->closed;
  if (is_open && listener.divert != nullptr && divert_connection(listener, fd)) return;
  StoredAddress peer;
  static_cast<void>(peer.store(from));  // Of another family, or not told: found out later.
  listener_take_connection(listener, fd, peer);
}

}  // namespace blitzio::python
