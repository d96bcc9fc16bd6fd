#include <python/loop/listener.hpp>

#include <python/loop/listener_internal.hpp>
#include <python/loop/loop_use.hpp>
#include <python/support/error.hpp>
#include <python/support/heap_type.hpp>
#include <python/support/slots.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <new>
#include <utility>

namespace blitzio::python {

namespace {

/// As asyncio's ACCEPT_RETRY_DELAY, seconds.
constexpr double kRetryDelay = 1.0;

struct ListenerObject {
  PyObject_HEAD Listener* listener;  // owned; null before __init__
};

Listener* listener_of(PyObject* self) noexcept {
  return reinterpret_cast<ListenerObject*>(self)->listener;
}

LoopObject* loop_of_listener(PyObject* self) noexcept {
  const Listener* listener = listener_of(self);
  return listener == nullptr ? nullptr : listener->loop;
}
/// A listener's method as its type has it: see one_user.
template <auto Function>
constexpr auto listener_method = one_user<loop_of_listener, Function>;

/// The listener, if a method may use it here; null with an error set otherwise.
Listener* check(PyObject* self) noexcept {
  Listener* listener = listener_of(self);
  if (listener == nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "the listener is not initialised");
    return nullptr;
  }
  return loop_check_owner(*listener->loop) == 0 ? listener : nullptr;
}

// ---- the operation ------------------------------------------------------------------------------

/// Submits unless it is in flight (being cancelled: the last completion comes here again).
void update(Listener& listener) noexcept {
  if (!listener.is_wanted || listener.retry != nullptr || !listener.accept.is_idle()) return;
  listener.accept.accept_multishot(listener.fd);
  Py_INCREF(listener.self);
  listener.loop->in_flight.push_back(listener.accept_reference);
  loop_driver(*listener.loop).submit(listener.accept);
}

/// Nothing that is not cancelled may be in flight.
void detach(Listener& listener) noexcept {
  if (std::exchange(listener.is_attached, false) && listener.loop->executor != nullptr) {
    loop_driver(*listener.loop).detach(listener.fd);
  }
}

bool is_out_of_resources(int code) noexcept {
  return code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM;
}

/// accept(2) passes on errors of the new connection, or of the network; the next may do better.
bool is_passing(int code) noexcept {
  switch (code) {
    case EAGAIN:
    case EINTR:
    case ECONNABORTED:
    case ECANCELED:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM:  // A firewall's.
      return true;
    default:
      return false;
  }
}

void report(Listener& listener, int code, const char* message) noexcept {
  PyRef exception = make_os_error(code);
  const PyRef sock = listener.sock != nullptr
                         ? make_transport_socket(*listener.loop->state, listener.sock)
                         : PyRef();
  if (exception) {
    // The report goes without the socket.
    if (!drop_exception()) loop_set_fatal(*listener.loop, take_exception());
    restore_exception(std::move(exception));
  }
  loop_report_exception(*listener.loop, message,
                        {{listener.loop->state->names.socket, sock.get()}});
}

void on_failure(Listener& listener, int code) noexcept {
  if (is_passing(code) || listener.is_closed || listener.retry != nullptr) return;
  if (!is_out_of_resources(code)) {
    listener.is_wanted = false;
    report(listener, code, "Error on accepting connections; the listener stops");
    return;
  }
  report(listener, code, "socket.accept() out of system resource");
  if (listener.is_closed) return;  // The handler may do anything.
  const PyRef callback = PyRef::steal(PyObject_GetAttrString(listener.self, "_retry"));
  listener.retry = callback ? PyObject_CallMethod(reinterpret_cast<PyObject*>(listener.loop),
                                                  "call_later", "dO", kRetryDelay, callback.get())
                            : nullptr;
  if (listener.retry == nullptr) {
    listener.is_wanted = false;
    loop_report_exception(*listener.loop, "socket.accept() out of system resource");
  }
}

/// Drops what leads back to the server. What is kept, `loop` and `sock`, stays until dealloc: every
/// cycle through them has a member that goes here.
void let_go(Listener& listener) noexcept {
  Py_CLEAR(listener.factory);
  Py_CLEAR(listener.server);
  Py_CLEAR(listener.divert);
  Py_CLEAR(listener.context);
  Py_CLEAR(listener.retry);
}

void on_accept_completion(driver::Operation& operation,
                          const driver::Completion& completion) noexcept {
  Listener& listener = static_cast<AcceptOperation&>(operation).owner;
  PyRef keep;
  if (!completion.more) {
    listener.accept_reference.unlink();
    keep = PyRef::steal(listener.self);
  }
  if (completion.result >= 0) {
    listener_on_connection(listener, completion.result, completion.data);
  } else if (!listener.loop->closed) {
    on_failure(listener, completion.error_code());
  }
  if (completion.more || listener.is_closed) return;
  if (!listener.loop->closed) {
    update(listener);
  } else {
    // A server that nobody holds any more frees its address now, not with the next collection.
    let_go(listener);
  }
}

void cancel_retry(Listener& listener) noexcept {
  const PyRef retry = PyRef::steal(std::exchange(listener.retry, nullptr));
  if (!retry) return;
  const PyRef done =
      PyRef::steal(PyObject_CallMethodNoArgs(retry.get(), listener.loop->state->names.cancel));
  if (!done) PyErr_WriteUnraisable(listener.self);
}

// ---- methods ------------------------------------------------------------------------------------

/// Sets TCP_NODELAY on the listening socket: connections inherit it, which saves a call for each.
void set_nodelay(Listener& listener) noexcept {
  if (listener.family != AF_INET && listener.family != AF_INET6) return;
  const int enabled = 1;
  listener.is_nodelay =
      ::setsockopt(listener.fd, IPPROTO_TCP, TCP_NODELAY, &enabled, sizeof enabled) == 0;
}

PyObject* method_start(PyObject* self, PyObject* /*unused*/) noexcept {
  Listener* listener = check(self);
  if (listener == nullptr) return nullptr;
  PyRef context = PyRef::steal(PyContext_CopyCurrent());
  if (!context) return nullptr;
  if (listener->is_closed) {
    PyErr_SetString(PyExc_RuntimeError, "the listener is closed");
    return nullptr;
  }
  if (loop_check_closed(*listener->loop) != 0) return nullptr;
  if (listener->is_wanted) Py_RETURN_NONE;
  // Harmless where the server did it already; needed where it left that to us.
  if (::listen(listener->fd, listener->backlog) != 0) {
    return raise_error(Error::os(errno), "listen");
  }
  if (!listener->is_attached) {
    const Result<void> attached = loop_driver(*listener->loop).attach(listener->fd);
    if (!attached) return raise_error(attached.error(), "Listener.start");
    listener->is_attached = true;
    set_nodelay(*listener);
  }
  // The one before goes last: it has the program's variables, whose end may do anything.
  const PyRef old = PyRef::steal(std::exchange(listener->context, context.release()));
  listener->is_wanted = true;
  update(*listener);
  Py_RETURN_NONE;
}

PyObject* method_retry(PyObject* self, PyObject* /*unused*/) noexcept {
  Listener* listener = check(self);
  if (listener == nullptr) return nullptr;
  Py_CLEAR(listener->retry);
  if (!listener->is_closed && loop_check_closed(*listener->loop) != 0) return nullptr;
  update(*listener);
  Py_RETURN_NONE;
}

void stop(Listener& listener) noexcept {
  listener.is_wanted = false;
  cancel_retry(listener);
  if (listener.loop->executor != nullptr) loop_driver(*listener.loop).cancel(listener.accept);
}

PyObject* method_pause(PyObject* self, PyObject* /*unused*/) noexcept {
  Listener* listener = check(self);
  if (listener == nullptr) return nullptr;
  stop(*listener);
  Py_RETURN_NONE;
}

PyObject* method_close(PyObject* self, PyObject* /*unused*/) noexcept {
  Listener* listener = check(self);
  if (listener == nullptr) return nullptr;
  if (listener->is_closed) Py_RETURN_NONE;
  listener->is_closed = true;
  stop(*listener);
  // The address is free when this returns, as asyncio's is: the kernel lets go of the socket before
  // the descriptor is closed. Not by shutdown(2), which would end the listening of every process
  // that shares the socket.
  if (listener->loop->executor != nullptr) loop_driver(*listener->loop).hand_over();
  detach(*listener);
  const PyRef sock = PyRef::steal(std::exchange(listener->sock, nullptr));
  const PyRef closed =
      PyRef::steal(PyObject_CallMethodNoArgs(sock.get(), listener->loop->state->names.close));
  if (!closed) return nullptr;
  Py_RETURN_NONE;
}

PyObject* method_divert(PyObject* self, PyObject* function) noexcept {
  Listener* listener = check(self);
  if (listener == nullptr) return nullptr;
  if (function != Py_None && PyCallable_Check(function) == 0) {
    return PyErr_Format(PyExc_TypeError, "a callable or None was expected, not %R", function);
  }
  PyObject* old =
      std::exchange(listener->divert, function == Py_None ? nullptr : Py_NewRef(function));
  Py_XDECREF(old);
  Py_RETURN_NONE;
}

PyObject* method_adopt(PyObject* self, PyObject* sock) noexcept {
  Listener* listener = check(self);
  if (listener == nullptr) return nullptr;
  const bool is_open = !listener->is_closed && !listener->loop->closed;
  if (is_open && listener->context == nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "the listener has not been started");
    return nullptr;
  }
  const PyRef number =
      PyRef::steal(PyObject_CallMethodNoArgs(sock, listener->loop->state->names.detach));
  const long fd = number ? PyLong_AsLong(number.get()) : -1;
  if (fd < 0) {
    if (PyErr_Occurred() == nullptr) PyErr_SetString(PyExc_ValueError, "the socket is closed");
    return nullptr;
  }
  listener_take_connection(*listener, static_cast<int>(fd), {});
  Py_RETURN_NONE;
}

PyObject* listener_repr(PyObject* self) noexcept {
  const Listener* listener = listener_of(self);
  if (listener == nullptr) return PyUnicode_FromString("<Listener>");
  const char* state = listener->is_closed          ? "closed"
                      : listener->retry != nullptr ? "waiting"
                      : listener->is_wanted        ? "accepting"
                                                   : "idle";
  return PyUnicode_FromFormat("<Listener %s fd=%d>", state, listener->fd);
}

// ---- lifetime -----------------------------------------------------------------------------------

/// `sock.name` as an int. False with an error set.
bool read_number(PyObject* sock, const char* name, int* value) noexcept {
  const PyRef number = PyRef::steal(PyObject_GetAttrString(sock, name));
  if (!number) return false;
  *value = static_cast<int>(PyLong_AsLong(number.get()));
  return PyErr_Occurred() == nullptr;
}

int listener_init(PyObject* self, PyObject* args, PyObject* kwargs) noexcept {
  static const char* const keywords[] = {"loop",   "sock",    "protocol_factory",
                                         "server", "backlog", nullptr};
  PyObject *loop = nullptr, *sock = nullptr, *factory = nullptr, *server = nullptr;
  int backlog = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!OOOi:Listener", const_cast<char**>(keywords),
                                   state_of_type(Py_TYPE(self)).loop_type, &loop, &sock, &factory,
                                   &server, &backlog)) {
    return -1;
  }
  int family = 0, type = 0, proto = 0;
  const int fd = PyObject_AsFileDescriptor(sock);
  if (fd < 0 || !read_number(sock, "family", &family) || !read_number(sock, "type", &type) ||
      !read_number(sock, "proto", &proto)) {
    return -1;
  }
  if (listener_of(self) != nullptr) {  // Now, for the socket's code may have done it.
    PyErr_SetString(PyExc_RuntimeError, "the listener is initialised already");
    return -1;
  }
  auto* listener = new (std::nothrow) Listener(self, on_accept_completion);
  if (listener == nullptr) {
    PyErr_NoMemory();
    return -1;
  }
  listener->loop = reinterpret_cast<LoopObject*>(Py_NewRef(loop));
  listener->sock = Py_NewRef(sock);
  listener->factory = Py_NewRef(factory);
  listener->server = Py_NewRef(server);
  listener->fd = fd;
  listener->family = family;
  listener->type = type;
  listener->proto = proto;
  listener->backlog = backlog;
  reinterpret_cast<ListenerObject*>(self)->listener = listener;
  return 0;
}

int listener_traverse(PyObject* self, visitproc visit, void* arg) noexcept {
  Py_VISIT(Py_TYPE(self));
  const Listener* listener = listener_of(self);
  if (listener == nullptr) return 0;
  Py_VISIT(reinterpret_cast<PyObject*>(listener->loop));
  Py_VISIT(listener->sock);
  Py_VISIT(listener->factory);
  Py_VISIT(listener->server);
  Py_VISIT(listener->divert);
  Py_VISIT(listener->context);
  Py_VISIT(listener->retry);
  return 0;
}

int listener_clear(PyObject* self) noexcept {
  Listener* listener = listener_of(self);
  if (listener != nullptr) let_go(*listener);
  return 0;
}

void listener_dealloc(PyObject* self) noexcept {
  PyObject_GC_UnTrack(self);
  Listener* listener = listener_of(self);
  if (listener != nullptr) {
    // Nothing is in flight. A foreign thread must not use the driver; it then keeps a stale
    // registration of the descriptor, which it can cope with.
    const PyRef pending = take_exception();
    {
      const LoopUse use(listener->loop);
      if (loop_may_use_driver(*listener->loop)) detach(*listener);  // Else it goes with the loop.
    }
    listener_clear(self);
    Py_CLEAR(listener->sock);
    Py_CLEAR(listener->loop);
    delete listener;
    if (pending) restore_exception(PyRef::borrow(pending.get()));
  }
  free_instance(self);
}

PyMethodDef listener_methods[] = {
    {"start", listener_method<method_start>, METH_NOARGS,
     PyDoc_STR("start($self)\n--\n\nBegin to accept.")},
    {"pause", listener_method<method_pause>, METH_NOARGS,
     PyDoc_STR("pause($self)\n--\n\nStop accepting until start().")},
    {"close", listener_method<method_close>, METH_NOARGS,
     PyDoc_STR("close($self)\n--\n\nStop accepting, for good, and close the socket.")},
    {"divert", listener_method<method_divert>, METH_O,
     PyDoc_STR("divert($self, function, /)\n--\n\n"
               "Ask function() for each connection: what it returns is called with the socket; "
               "None keeps the connection.")},
    {"adopt", listener_method<method_adopt>, METH_O,
     PyDoc_STR("adopt($self, sock, /)\n--\n\n"
               "Take over a connection that another listener accepted.")},
    {"_retry", listener_method<method_retry>, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

int listener_register(PyObject* module, ModuleState& state) noexcept {
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("Accepts the connections of one listening socket.")},
      {Py_tp_new, slot(PyType_GenericNew)},
      {Py_tp_init, slot(listener_init)},
      {Py_tp_dealloc, slot(listener_dealloc)},
      {Py_tp_traverse, slot(listener_traverse)},
      {Py_tp_clear, slot(listener_clear)},
      {Py_tp_repr, slot(listener_method<listener_repr>)},
      {Py_tp_methods, listener_methods},
      {0, nullptr},
  };
  return add_type(module, &state.listener_type,
                  {.name = "blitzio._native.Listener",
                   .bytes = sizeof(ListenerObject),
                   .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                   .slots = slots});
}

}  // namespace blitzio::python
