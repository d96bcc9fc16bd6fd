#include <python/loop/connect_operation.hpp>

#include <blitzio/base/address_buffer.hpp>
#include <blitzio/base/owned_fd.hpp>
#include <python/loop/names.hpp>
#include <python/loop/sock_address.hpp>
#include <python/loop/sock_methods.hpp>
#include <python/loop/sock_operation.hpp>
#include <python/loop/stream_transport.hpp>
#include <python/loop/tls_internal.hpp>
#include <python/support/coroutine.hpp>
#include <python/support/error.hpp>
#include <python/support/heap_type.hpp>
#include <python/support/slots.hpp>

#include <sys/socket.h>

#include <cerrno>
#include <new>
#include <utility>

namespace blitzio::python {

namespace {

enum class State : std::uint8_t { created, connecting, making, finished };

struct ConnectOperation {
  PyObject_HEAD LoopObject* loop;  ///< strong
  PyObject* factory;               ///< strong; null once called, as the next three once finished
  PyObject* waits_for;             ///< an iterator that is driven: a SockOperation's or a future's
  PyObject* transport;
  PyObject* protocol;
  NumericAddress address;
  StoredAddress peer;  ///< if it is known already
  OwnedFd fd;          ///< until the transport takes it over
  State state;
  bool is_tls;  ///< the factory makes a TLS layer with the application's protocol in it
  bool is_running;
};

ConnectOperation& as_operation(PyObject* self) noexcept {
  return *reinterpret_cast<ConnectOperation*>(self);
}

/// Any state → finished. Drops what is waited for, and closes what was opened, unless that has been
/// given to the caller. Leaves an error that is set.
void finish(ConnectOperation& op) noexcept {
  op.state = State::finished;
  PyRef error = take_exception();
  Py_CLEAR(op.waits_for);
  op.fd.reset();
  const PyRef transport = PyRef::steal(std::exchange(op.transport, nullptr));
  if (transport) {
    const PyRef closed =
        PyRef::steal(PyObject_CallMethodNoArgs(transport.get(), op.loop->state->names.close));
    if (!closed) PyErr_WriteUnraisable(transport.get());
  }
  Py_CLEAR(op.protocol);
  Py_CLEAR(op.factory);
  if (error) restore_exception(std::move(error));
}

// ---- the steps: each returns false with an error set --------------------------------------------

bool os_error(int code) noexcept {
  errno = code;
  PyErr_SetFromErrno(PyExc_OSError);
  return false;
}

/// created: makes the socket and begins to connect it. `is_connected`: it is through.
bool begin(ConnectOperation& op, bool& is_connected) noexcept {
  is_connected = false;
  if (loop_check_closed(*op.loop) != 0 || loop_check_owner(*op.loop) != 0) return false;
  const NumericAddress& address = op.address;
  op.fd = OwnedFd::adopt(
      ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!op.fd) return os_error(errno);
  if (::connect(op.fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.bytes) ==
      0) {
    is_connected = true;
    return true;
  }
  if (errno != EINPROGRESS && errno != EINTR) return os_error(errno);
  // Over loopback the handshake is through by now: one cheap look saves a registration, a future
  // and a turn. Only who is connected has a peer, and whose name it is must be asked in any case.
  AddressBuffer peer;
  is_connected =
      ::getpeername(op.fd.get(), peer.generic(), &peer.length) == 0 && op.peer.store(peer.bytes());
  return true;
}

/// created → connecting.
bool wait_until_writable(ConnectOperation& op) noexcept {
  const PyRef number = PyRef::steal(PyLong_FromLong(op.fd.get()));
  if (!number) return false;
  op.waits_for =
      sock_operation_new(*op.loop, SockKind::wait_writable, number.get(), nullptr, nullptr);
  op.state = State::connecting;
  return op.waits_for != nullptr;
}

/// connecting: what became of it.
bool check_connected(ConnectOperation& op) noexcept {
  int error = 0;
  socklen_t bytes = sizeof error;
  if (::getsockopt(op.fd.get(), SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) return os_error(errno);
  if (error == 0) return true;
  const PyRef where = address_object(op.address.storage, op.address.bytes);
  const PyRef text =
      where ? PyRef::steal(PyUnicode_FromFormat("Connect call failed %S", where.get())) : PyRef();
  const PyRef args = text ? PyRef::steal(Py_BuildValue("(iO)", error, text.get())) : PyRef();
  if (args) PyErr_SetObject(PyExc_OSError, args.get());
  return false;
}

/// What connection_made() or the end of the handshake sets. Null with an error set.
PyRef make_waiter(const ConnectOperation& op, PyObject* protocol) noexcept {
  if (!op.is_tls) return loop_create_future(*op.loop);
  if (tls_check(*op.loop->state, protocol) && as_tls(protocol).app_transport != nullptr &&
      as_tls(protocol).app_protocol != nullptr) {
    return PyRef::steal(PyObject_GetAttr(protocol, op.loop->state->names._waiter));
  }
  PyErr_SetString(PyExc_TypeError, "the factory must make a TlsProtocolBase, initialised");
  return {};
}

/// created, connecting → making.
bool make_transport(ConnectOperation& op) noexcept {
  const PyRef factory = PyRef::steal(std::exchange(op.factory, nullptr));
  const PyRef protocol = PyRef::steal(PyObject_CallNoArgs(factory.get()));
  if (!protocol) return false;
  // The factory may do anything.
  if (loop_check_closed(*op.loop) != 0 || loop_check_owner(*op.loop) != 0) return false;
  const PyRef waiter = make_waiter(op, protocol.get());
  if (!waiter) return false;
  StreamParts parts;
  parts.fd = op.fd.release();
  parts.family = op.address.storage.ss_family;
  parts.proto = IPPROTO_TCP;
  parts.peer = op.peer;
  parts.protocol = protocol.get();
  if (op.is_tls) {
    op.transport = Py_NewRef(as_tls(protocol.get()).app_transport);
    op.protocol = Py_NewRef(as_tls(protocol.get()).app_protocol);
  } else {
    op.protocol = Py_NewRef(protocol.get());
    parts.waiter = waiter.get();
  }
  PyRef transport = stream_transport_new(*op.loop, parts);
  if (!transport) return false;
  if (!op.is_tls) op.transport = transport.release();
  op.waits_for = PyObject_GetIter(waiter.get());
  op.state = State::making;
  return op.waits_for != nullptr;
}

/// Goes on until there is something to wait for, or the end.
PySendResult advance(ConnectOperation& op, PyObject** result) noexcept {
  bool is_connected = false;
  if (op.state == State::created) {
    if (!begin(op, is_connected)) return PYGEN_ERROR;
    if (!(is_connected ? make_transport(op) : wait_until_writable(op))) return PYGEN_ERROR;
  }
  while (true) {
    const PySendResult outcome = PyIter_Send(op.waits_for, Py_None, result);
    if (outcome != PYGEN_RETURN) return outcome;
    Py_CLEAR(*result);
    Py_CLEAR(op.waits_for);
    if (op.state == State::making) break;
    if (!check_connected(op) || !make_transport(op)) return PYGEN_ERROR;
  }
  *result = PyTuple_Pack(2, op.transport, op.protocol);
  if (*result == nullptr) return PYGEN_ERROR;
  Py_CLEAR(op.transport);  // It is the caller's.
  return PYGEN_RETURN;
}

// ---- the coroutine ------------------------------------------------------------------------------

bool may_enter(const ConnectOperation& op) noexcept {
  return coroutine_may_enter(op.is_running, op.state == State::finished);
}

PySendResult operation_send(PyObject* self, PyObject* value, PyObject** result) noexcept {
  ConnectOperation& op = as_operation(self);
  *result = nullptr;
  if (!may_enter(op)) return PYGEN_ERROR;
  if (op.state == State::created && value != Py_None) {
    PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started coroutine");
    return PYGEN_ERROR;
  }
  op.is_running = true;
  const PySendResult outcome = advance(op, result);
  op.is_running = false;
  if (outcome != PYGEN_NEXT) finish(op);
  return outcome;
}

PyObject* method_throw(PyObject* self, PyObject* const* args, Py_ssize_t nargs) noexcept {
  ConnectOperation& op = as_operation(self);
  if (!may_enter(op)) return nullptr;
  finish(op);
  raise_thrown(args, nargs);
  return nullptr;
}

PyObject* method_close(PyObject* self, PyObject* /*unused*/) noexcept {
  ConnectOperation& op = as_operation(self);
  if (op.state != State::finished) {
    if (!may_enter(op)) return nullptr;
    finish(op);
  }
  Py_RETURN_NONE;
}

// ---- lifetime -----------------------------------------------------------------------------------

int operation_traverse(PyObject* self, visitproc visit, void* arg) noexcept {
  const ConnectOperation& op = as_operation(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(reinterpret_cast<PyObject*>(op.loop));
  Py_VISIT(op.factory);
  Py_VISIT(op.waits_for);
  Py_VISIT(op.transport);
  Py_VISIT(op.protocol);
  return 0;
}

int operation_clear(PyObject* self) noexcept {
  // The loop stays until the end: it is where the type's module state comes from.
  finish(as_operation(self));
  return 0;
}

void operation_dealloc(PyObject* self) noexcept {
  PyObject_GC_UnTrack(self);
  ConnectOperation& op = as_operation(self);
  finish(op);
  op.fd.~OwnedFd();
  PyObject* loop = reinterpret_cast<PyObject*>(op.loop);
  free_instance(self);
  Py_DECREF(loop);
}

PyMethodDef operation_methods[] = {
    {"send", coroutine_send<operation_send>, METH_O, PyDoc_STR("As coroutine.send().")},
    {"throw", fast(method_throw), METH_FASTCALL, PyDoc_STR("As coroutine.throw().")},
    {"close", method_close, METH_NOARGS, PyDoc_STR("As coroutine.close().")},
    {nullptr, nullptr, 0, nullptr},
};

/// Whether a subclass connects in its own way. -1 with an error set.
int overrides_sock_connect(PyObject* loop, const ModuleState& state) noexcept {
  const PyRef method = PyRef::steal(PyObject_GetAttr(loop, state.names.sock_connect));
  if (!method) return -1;
  return PyCFunction_CheckExact(method.get()) == 0 ||
                 PyCFunction_GET_FUNCTION(method.get()) != fast(loop_method<loop_sock_connect>)
             ? 1
             : 0;
}

}  // namespace

PyObject* loop_connect_numeric(PyObject* self, PyObject* const* args, Py_ssize_t nargs) noexcept {
  if (nargs != 5) {
    return PyErr_Format(PyExc_TypeError, "_connect_numeric() takes 5 arguments (%zd given)", nargs);
  }
  LoopObject& loop = *reinterpret_cast<LoopObject*>(self);
  const long family = PyLong_AsLong(args[3]);
  if (family == -1 && PyErr_Occurred() != nullptr) return nullptr;
  const int is_overridden = overrides_sock_connect(self, *loop.state);
  if (is_overridden < 0) return nullptr;
  if (is_overridden != 0) Py_RETURN_NONE;
  if (family != AF_UNSPEC && family != AF_INET && family != AF_INET6) Py_RETURN_NONE;
  const auto address = numeric_address_of(args[1], args[2], family);
  if (!address) Py_RETURN_NONE;
  // As socket.connect() does, for which there is no socket object yet.
  if (PySys_Audit("socket.connect", "O(OO)", Py_None, args[1], args[2]) != 0) return nullptr;
  auto* op = PyObject_GC_New(ConnectOperation, loop.state->connect_operation_type);
  if (op == nullptr) return nullptr;
  op->loop = reinterpret_cast<LoopObject*>(Py_NewRef(self));
  op->factory = Py_NewRef(args[0]);
  op->waits_for = op->transport = op->protocol = nullptr;
  op->address = *address;
  op->peer = {};
  new (&op->fd) OwnedFd();
  op->state = State::created;
  op->is_tls = args[4] == Py_True;
  op->is_running = false;
  PyObject_GC_Track(op);
  return reinterpret_cast<PyObject*>(op);
}

int connect_operation_register(PyObject* module, ModuleState& state) noexcept {
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("A coroutine that connects and makes a transport.")},
      {Py_tp_dealloc, slot(operation_dealloc)},
      {Py_tp_traverse, slot(operation_traverse)},
      {Py_tp_clear, slot(operation_clear)},
      {Py_am_await, slot(PyObject_SelfIter)},
      {Py_am_send, slot(operation_send)},
      {Py_tp_iter, slot(PyObject_SelfIter)},
      {Py_tp_iternext, slot(coroutine_next<operation_send>)},
      {Py_tp_methods, operation_methods},
      {0, nullptr},
  };
  return make_type(module, &state.connect_operation_type,
                   {.name = "blitzio._native.ConnectOperation",
                    .bytes = sizeof(ConnectOperation),
                    .flags = kInternalType,
                    .slots = slots});
}

}  // namespace blitzio::python
