#include <python/loop/transport_base.hpp>

#include <python/support/error.hpp>

#include <unistd.h>

namespace blitzio::python {

namespace {

/// As asyncio's LOG_THRESHOLD_FOR_CONNLOST_WRITES.
constexpr std::uint32_t kLostWritesToWarn = 5;

void detach_from_driver(TransportBase& t) noexcept {
  // Another transport under this number: ours was closed behind our back and the number reused.
  if (t.loop->executor == nullptr || t.loop->transports.contains(t.fd)) return;
  loop_driver(*t.loop).detach(t.fd);
}

}  // namespace

bool transport_fits(PyTypeObject* base) noexcept {
  if (base->tp_basicsize == offsetof(TransportHead, dict)) return true;
  PyErr_Format(
      PyExc_ImportError,
      "%s has instances of %zd bytes where %zu are expected (one slot, _extra): this build "
      "of blitzio does not fit this Python",
      base->tp_name, base->tp_basicsize, offsetof(TransportHead, dict));
  return false;
}

// ---- the descriptor
// -------------------------------------------------------------------------------

void transport_forget_in_loop(TransportBase& t) noexcept {
  const auto found = t.loop->transports.find(t.fd);
  if (found != t.loop->transports.end() && found->second.object == as_object(t)) {
    t.loop->transports.erase(found);
  }
}

void transport_release_fd(TransportBase& t, bool in_use) noexcept {
  if (t.fd_state != FdState::open) return;
  transport_forget_in_loop(t);
  const PyRef sock = PyRef::steal(std::exchange(t.sock, nullptr));
  if (!in_use) {
    t.fd_state = FdState::closed;
    detach_from_driver(t);
    if (!sock) {
      ::close(t.fd);
      return;
    }
    const PyRef closed = PyRef::steal(PyObject_CallMethodNoArgs(sock.get(), t.state->names.close));
    if (!closed) loop_report_exception(*t.loop, "Fatal error on transport");
    return;
  }
  t.fd_state = FdState::orphan;
  t.orphan_fd = t.fd;
  if (!sock) return;
  const PyRef number = PyRef::steal(PyObject_CallMethodNoArgs(sock.get(), t.state->names.detach));
  // -1 if somebody closed the socket behind our back: then there is nothing left to close.
  t.orphan_fd = number ? static_cast<int>(PyLong_AsLong(number.get())) : -1;
  if (PyErr_Occurred() != nullptr) loop_report_exception(*t.loop, "Fatal error on transport");
}

void transport_operations_ended(TransportBase& t) noexcept {
  if (t.fd_state != FdState::orphan) return;
  t.fd_state = FdState::closed;
  detach_from_driver(t);
  if (t.orphan_fd >= 0) ::close(std::exchange(t.orphan_fd, -1));
}

bool transport_may_use_driver(const TransportBase& t) noexcept {
  return loop_may_use_driver(*t.loop);
}

bool transport_must_ask_loop(const TransportBase& t) noexcept {
  if (t.loop == nullptr || t.loop->debug || t.loop->forked) return false;
  // Relaxed: a thread compares with its own number, which no other thread ever stores.
  const unsigned long runner = t.loop->thread.load(std::memory_order_relaxed);
  return runner != 0 && runner != current_thread();
}

PyObject* transport_ask_loop(TransportBase& t, PyObject* name) noexcept {
  const PyRef method = PyRef::steal(PyObject_GetAttr(as_object(t), name));
  const PyRef handle =
      method ? PyRef::steal(PyObject_CallMethod(reinterpret_cast<PyObject*>(t.loop),
                                                "call_soon_threadsafe", "O", method.get()))
             : PyRef();
  if (!handle) return nullptr;
  Py_RETURN_NONE;
}

void transport_release_in_loop(TransportBase& t) noexcept {
  PyObject* self = as_object(t);
  const PyRef release = PyRef::steal(PyObject_GetAttrString(self, "_release_socket"));
  const PyRef handle =
      release ? PyRef::steal(PyObject_CallMethod(reinterpret_cast<PyObject*>(t.loop),
                                                 "call_soon_threadsafe", "O", release.get()))
              : PyRef();
  if (!handle) PyErr_WriteUnraisable(self);
}

// ---- the protocol
// ---------------------------------------------------------------------------------

int transport_call_soon(TransportBase& t, PyObject* target, PyObject* name,
                        PyObject* argument) noexcept {
  const PyRef callback = PyRef::steal(PyObject_GetAttr(target, name));
  if (!callback) return -1;
  PyObject* const args[] = {argument};
  return loop_call_soon(*t.loop, callback.get(), args, argument == nullptr ? 0 : 1, t.context);
}

int transport_schedule_lost(TransportBase& t, PyObject* exception) noexcept {
  BLITZIO_CHECK(t.conn_lost == 0, t.conn_lost);
  t.conn_lost = 1;
  if (loop_check_closed(*t.loop) != 0) return -1;
  return transport_call_soon(t, as_object(t), t.state->names._call_connection_lost,
                             exception == nullptr ? Py_None : exception);
}

void transport_report(TransportBase& t, const char* what) noexcept {
  const PyRef protocol = PyRef::borrow(t.protocol == nullptr ? Py_None : t.protocol);
  loop_report_exception(
      *t.loop, what,
      {{t.state->names.transport, as_object(t)}, {t.state->names.protocol, protocol.get()}});
}

bool transport_parse_fatal_error(PyObject* args, PyObject* kwargs,
                                 FatalErrorArguments& parsed) noexcept {
  static const char* const keywords[] = {"exc", "message", nullptr};
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|s:_fatal_error", const_cast<char**>(keywords),
                                   &parsed.exception, &parsed.message)) {
    return false;
  }
  if (!PyExceptionInstance_Check(parsed.exception)) {
    PyErr_SetString(PyExc_TypeError, "exc must be an exception");
    return false;
  }
  return true;
}

void transport_report_fatal(TransportBase& t, PyObject* exception, const char* message) noexcept {
  if (PyErr_GivenExceptionMatches(exception, PyExc_OSError) == 0) {
    restore_exception(PyRef::borrow(exception));
    transport_report(t, message);
  } else if (t.loop->debug) {
    log_transport_debug(*t.state, as_object(t), "%r: %s", message, exception);
  }
}

int transport_maybe_pause_protocol(TransportBase& t, std::size_t queued) noexcept {
  if (queued <= t.marks.high || t.protocol_paused || t.protocol == nullptr) return 0;
  t.protocol_paused = true;
  const PyRef result = protocol_call(t.protocol, t.state->names.pause_writing);
  if (result) return 0;
  PyRef exception = take_exception();
  const bool is_fatal = is_fatal_exception(exception.get());
  restore_exception(std::move(exception));
  if (is_fatal) return -1;
  transport_report(t, "protocol.pause_writing() failed");
  return 0;
}

BLITZIO_COLD void transport_resume_protocol(TransportBase& t) noexcept {
  t.protocol_paused = false;
  if (t.protocol == nullptr) return;
  const ContextScope scope(t.context);
  const PyRef result = protocol_call(t.protocol, t.state->names.resume_writing);
  if (!result) transport_report(t, "protocol.resume_writing() failed");
}

BLITZIO_COLD void transport_count_lost_write(TransportBase& t) noexcept {
  if (t.conn_lost >= kLostWritesToWarn) {
    const PyRef logged = PyRef::steal(
        PyObject_CallMethod(t.state->logger, "warning", "s", "socket.send() raised exception."));
    if (!logged) PyErr_WriteUnraisable(as_object(t));
  }
  ++t.conn_lost;
}

}  // namespace blitzio::python
