#include <blitzio/net/receiver_room.hpp>
#include <python/loop/datagram_address.hpp>
#include <python/loop/fd_watch.hpp>
#include <python/loop/loop_use.hpp>
#include <python/loop/sock_attempt.hpp>
#include <python/loop/sock_operation.hpp>
#include <python/support/coroutine.hpp>
#include <python/support/error.hpp>
#include <python/support/heap_type.hpp>
#include <python/support/slots.hpp>

#include <poll.h>

namespace blitzio::python {

namespace {

using State = SockOperationObject::State;

SockOperationObject& as_operation(PyObject* self) noexcept {
  return *reinterpret_cast<SockOperationObject*>(self);
}

/// Keeps the socket open until release_socket(). Returns false with an error set.
bool hold_socket(SockOperationObject& op) noexcept {
  const ModuleState& state = *op.loop->state;
  if (op.holds_socket ||
      !PyObject_TypeCheck(op.sock, reinterpret_cast<PyTypeObject*>(state.socket_type))) {
    return true;  // Something else with a socket's methods has no such count.
  }
  const PyRef count = PyRef::steal(PyObject_GetAttr(op.sock, state.names._io_refs));
  const PyRef one = PyRef::steal(PyLong_FromLong(1));
  const PyRef more = count && one ? PyRef::steal(PyNumber_Add(count.get(), one.get())) : PyRef();
  if (!more || PyObject_SetAttr(op.sock, state.names._io_refs, more.get()) != 0) return false;
  op.holds_socket = true;
  return true;
}

/// Any state → finished: lets go of the wait, the buffer and the arguments.
void finish(SockOperationObject& op) noexcept {
  op.state = State::finished;
  if (op.wait != nullptr) op.wait->abandon();
  sock_release(op);
  if (std::exchange(op.has_view, false)) PyBuffer_Release(&op.view);
  Py_CLEAR(op.extra);
  Py_CLEAR(op.argument);
  Py_CLEAR(op.sock);
}

/// What to wait for instead of the socket; see net/receiver_room.hpp.
Result<OwnedFd> find_room(const SockOperationObject& op) noexcept {
  if (op.kind != SockKind::sendto) return OwnedFd();
  int family = 0;
  socklen_t bytes = sizeof family;
  KnownAddress to;
  if (::getsockopt(op.fd, SOL_SOCKET, SO_DOMAIN, &family, &bytes) != 0 || family != AF_UNIX ||
      !to.parse(family, op.extra)) {
    return OwnedFd();
  }
  return net::receiver_room(op.fd, to.data(), to.bytes());
}

/// running → waiting. Returns the future to yield, or null with an error set.
PyObject* suspend(SockOperationObject& op, std::uint32_t events) noexcept {
  LoopObject& loop = *op.loop;
  if (BLITZIO_UNLIKELY(op.poll_error != 0)) {
    // The fd can neither be used nor waited for.
    errno = op.poll_error;
    return PyErr_SetFromErrno(PyExc_OSError);
  }
  if (!op.is_raw) {
    if (!fd_from_object(op.sock, &op.fd)) return nullptr;
    if (op.fd < 0) {
      return PyErr_Format(PyExc_ValueError, "Invalid file descriptor: %d", op.fd);
    }
  } else if (op.kind == SockKind::connect || op.kind == SockKind::sendto) {
    // Served by the socket's methods: the fd may have changed since (detach, close).
    if (!fd_from_object(op.sock, &op.fd)) return nullptr;
  }
  if (fd_check_no_transport(loop, op.fd, nullptr) != 0) return nullptr;
  if (!hold_socket(op)) return nullptr;
  PyRef future = loop_create_future(loop);
  if (!future ||
      PyObject_SetAttr(future.get(), loop.state->names._asyncio_future_blocking, Py_True) != 0) {
    return nullptr;
  }
  // After what may run any code: fileno(), is_closing(), the socket's attributes, and get_debug(),
  // which a future asks.
  if (loop_check_closed(loop) != 0 || loop_check_owner(loop) != 0) return nullptr;
  auto room = find_room(op);
  if (!room) return raise_error(room.error(), "sendto");
  if (!SockWait::start(op, op.fd, events, PyRef::borrow(future.get()), std::move(*room))) {
    return nullptr;
  }
  op.state = State::waiting;
  return future.release();
}

/// running → finished, with the error that is set.
PySendResult fail(SockOperationObject& op) noexcept {
  PyRef error = take_exception();
  finish(op);
  restore_exception(std::move(error));
  return PYGEN_ERROR;
}

PySendResult operation_send(PyObject* self, PyObject* value, PyObject** result) {
  SockOperationObject& op = as_operation(self);
  const LoopUse use(op.loop);
  *result = nullptr;
  switch (op.state) {
    case State::created:
      if (value != Py_None) {
        PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started coroutine");
        return PYGEN_ERROR;
      }
      op.state = State::running;
      if (!sock_prepare(op)) return fail(op);
      break;
    case State::waiting:
      op.state = State::running;
      // Resumed before its time: whoever drives us may have seen the future cancelled elsewhere.
      if (BLITZIO_UNLIKELY(op.wait != nullptr)) op.wait->abandon();
      // Holding the socket does not keep it from being detached.
      if (op.is_raw && !sock_read_fd(op)) return fail(op);
      break;
    case State::running:
      raise_already_executing();
      return PYGEN_ERROR;
    case State::finished:
      raise_already_awaited();
      return PYGEN_ERROR;
  }
  PyRef outcome;
  const Attempt attempt = sock_attempt(op, &outcome);
  if (attempt == Attempt::wait_read || attempt == Attempt::wait_write) {
    *result = suspend(op, attempt == Attempt::wait_read ? POLLIN : POLLOUT);
    if (BLITZIO_LIKELY(*result != nullptr)) return PYGEN_NEXT;
  }
  if (attempt != Attempt::done) return fail(op);
  finish(op);
  *result = outcome.release();
  return PYGEN_RETURN;
}

PyObject* method_throw(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  SockOperationObject& op = as_operation(self);
  const LoopUse use(op.loop);
  if (!coroutine_may_enter(op.state == State::running, op.state == State::finished)) return nullptr;
  finish(op);
  raise_thrown(args, nargs);
  return nullptr;
}

PyObject* method_close(PyObject* self, PyObject* /*unused*/) {
  SockOperationObject& op = as_operation(self);
  const LoopUse use(op.loop);
  if (op.state == State::running) {
    raise_already_executing();
    return nullptr;
  }
  finish(op);
  Py_RETURN_NONE;
}

PyObject* get_name(PyObject* self, void* /*unused*/) {
  return PyUnicode_FromString(name(as_operation(self).kind));
}

PyObject* get_qualname(PyObject* self, void* /*unused*/) {
  return PyUnicode_FromFormat("Loop.%s", name(as_operation(self).kind));
}

PyObject* get_running(PyObject* self, void* /*unused*/) {
  return PyBool_FromLong(as_operation(self).state == State::running ? 1 : 0);
}

// ---- lifetime -----------------------------------------------------------------------------------

int operation_traverse(PyObject* self, visitproc visit, void* arg) {
  SockOperationObject& op = as_operation(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(reinterpret_cast<PyObject*>(op.loop));
  Py_VISIT(op.sock);
  Py_VISIT(op.argument);
  Py_VISIT(op.extra);
  if (op.has_view) Py_VISIT(op.view.obj);
  return 0;
}

int operation_clear(PyObject* self) {
  // The loop stays until the end: it is where the type's module state comes from.
  SockOperationObject& op = as_operation(self);
  const LoopUse use(op.loop);
  finish(op);
  return 0;
}

BLITZIO_COLD void warn_never_awaited(const SockOperationObject& op) noexcept {
  PyRef exception = take_exception();
  if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "coroutine 'Loop.%s' was never awaited",
                       name(op.kind)) != 0) {
    PyErr_WriteUnraisable(nullptr);
  }
  if (exception) restore_exception(std::move(exception));
}

void operation_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  SockOperationObject& op = as_operation(self);
  if (BLITZIO_UNLIKELY(op.state == State::created)) warn_never_awaited(op);
  PyObject* loop = reinterpret_cast<PyObject*>(op.loop);
  {
    const LoopUse use(op.loop);
    finish(op);
  }
  free_instance(self);
  Py_DECREF(loop);
}

PyMethodDef operation_methods[] = {
    {"send", coroutine_send<operation_send>, METH_O, PyDoc_STR("As coroutine.send().")},
    {"throw", fast(method_throw), METH_FASTCALL, PyDoc_STR("As coroutine.throw().")},
    {"close", method_close, METH_NOARGS, PyDoc_STR("As coroutine.close().")},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef operation_getset[] = {
    {"__name__", get_name, nullptr, nullptr, nullptr},
    {"__qualname__", get_qualname, nullptr, nullptr, nullptr},
    {"cr_running", get_running, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

}  // namespace

const char* name(SockKind kind) noexcept {
  switch (kind) {
    case SockKind::recv:
      return "sock_recv";
    case SockKind::recv_into:
      return "sock_recv_into";
    case SockKind::recvfrom:
      return "sock_recvfrom";
    case SockKind::recvfrom_into:
      return "sock_recvfrom_into";
    case SockKind::sendall:
      return "sock_sendall";
    case SockKind::sendto:
      return "sock_sendto";
    case SockKind::accept:
      return "sock_accept";
    case SockKind::connect:
      return "sock_connect";
    case SockKind::wait_writable:
      return "_sock_wait_writable";
  }
  return "sock_unknown";
}

void sock_release(SockOperationObject& op) noexcept {
  if (!std::exchange(op.holds_socket, false)) return;
  PyRef exception = take_exception();
  const PyRef sock = PyRef::borrow(op.sock);
  // May close the socket, for whoever wanted to meanwhile, and run any code: the operation may be
  // gone then.
  const PyRef done =
      PyRef::steal(PyObject_CallMethodNoArgs(sock.get(), op.loop->state->names._decref_socketios));
  if (!done) PyErr_WriteUnraisable(sock.get());
  if (exception) restore_exception(std::move(exception));
}

PyObject* sock_operation_new(LoopObject& loop, SockKind kind, PyObject* sock, PyObject* argument,
                             PyObject* extra) noexcept {
  auto* op = PyObject_GC_New(SockOperationObject, loop.state->sock_operation_type);
  if (op == nullptr) return nullptr;
  op->loop = &loop;
  Py_INCREF(reinterpret_cast<PyObject*>(&loop));
  op->sock = Py_NewRef(sock);
  op->argument = Py_XNewRef(argument);
  op->extra = Py_XNewRef(extra);
  op->wait = nullptr;
  op->count = 0;
  op->fd = -1;
  op->poll_error = 0;
  op->kind = kind;
  op->state = State::created;
  op->is_raw = false;
  op->has_view = false;
  op->holds_socket = false;
  op->is_connecting = false;
  op->wait_first = false;
  PyObject_GC_Track(op);
  return reinterpret_cast<PyObject*>(op);
}

int sock_register(PyObject* module, ModuleState& state) noexcept {
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("A coroutine that performs one socket operation.")},
      {Py_tp_dealloc, slot(operation_dealloc)},
      {Py_tp_traverse, slot(operation_traverse)},
      {Py_tp_clear, slot(operation_clear)},
      {Py_am_await, slot(PyObject_SelfIter)},
      {Py_am_send, slot(operation_send)},
      {Py_tp_iter, slot(PyObject_SelfIter)},
      {Py_tp_iternext, slot(coroutine_next<operation_send>)},
      {Py_tp_methods, operation_methods},
      {Py_tp_getset, operation_getset},
      {0, nullptr},
  };
  return add_type(module, &state.sock_operation_type,
                  {.name = "blitzio._native.SockOperation",
                   .bytes = sizeof(SockOperationObject),
                   .flags = kInternalType,
                   .slots = slots});
}

}  // namespace blitzio::python
