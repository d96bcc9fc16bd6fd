// How a transport ends: close, abort, errors, connection_lost and the descriptor.
//
// asyncio closes the socket when connection_lost() returns. An operation may still be in flight
// then (its cancellation is handed over with the next turn), and a descriptor in use must not be
// closed: its number could be somebody else's before the kernel has let go. So the socket object
// gives the descriptor up at once, which is what Python can see, and the last completion closes it.
#include <python/loop/stream_internal.hpp>

#include <unistd.h>

namespace blitzio::python {

namespace {

bool has_operations(const StreamTransport& t) noexcept {
  return !t.read.is_idle() || !t.writable.is_idle();
}

void detach_from_driver(StreamTransport& t) noexcept {
  // Another transport under this number: ours was closed behind our back and the number reused.
  if (t.loop->executor == nullptr || t.loop->transports.contains(t.fd)) return;
  loop_driver(*t.loop).detach(t.fd);
}

void set_extra_exception(StreamTransport& t) noexcept {
  if (t.empty_waiter == nullptr) return;
  const PyRef waiter = PyRef::steal(std::exchange(t.empty_waiter, nullptr));
  const Names& names = t.state->names;
  const PyRef done = PyRef::steal(PyObject_CallMethodNoArgs(waiter.get(), names.done));
  const int is_done = done ? PyObject_IsTrue(done.get()) : -1;
  if (is_done > 0) return;
  const PyRef exception = is_done == 0
                              ? PyRef::steal(PyObject_CallFunction(PyExc_ConnectionError, "s",
                                                                   "Connection is closed by peer"))
                              : PyRef();
  const PyRef settled = exception ? PyRef::steal(PyObject_CallMethodOneArg(
                                        waiter.get(), names.set_exception, exception.get()))
                                  : PyRef();
  if (!settled) loop_report_exception(*t.loop, "Fatal error on transport");
}

/// Whether this thread may use the driver: the loop's thread, or any while the loop does not run.
bool may_use_driver(const StreamTransport& t) noexcept {
  if (loop_check_owner(*t.loop) == 0) return true;
  PyErr_Clear();  // The answer is the return value.
  return false;
}

}  // namespace

// ---- the descriptor
// -------------------------------------------------------------------------------

void stream_forget_in_loop(StreamTransport& t) noexcept {
  const auto found = t.loop->transports.find(t.fd);
  if (found != t.loop->transports.end() && found->second.object == as_object(t)) {
    t.loop->transports.erase(found);
  }
}

void stream_release_fd(StreamTransport& t) noexcept {
  if (t.fd_state != FdState::open) return;
  stream_forget_in_loop(t);
  const PyRef sock = PyRef::steal(std::exchange(t.sock, nullptr));
  if (!has_operations(t)) {
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

void stream_operation_ended(StreamTransport& t) noexcept {
  if (t.fd_state != FdState::orphan || has_operations(t)) return;
  t.fd_state = FdState::closed;
  detach_from_driver(t);
  if (t.orphan_fd >= 0) ::close(std::exchange(t.orphan_fd, -1));
}

void stream_detach_server(StreamTransport& t) noexcept {
  const PyRef server = PyRef::steal(std::exchange(t.server, nullptr));
  if (!server) return;
#if PY_VERSION_HEX >= 0x030D0000
  const PyRef done =
      PyRef::steal(PyObject_CallMethodOneArg(server.get(), t.state->names._detach, as_object(t)));
#else
  const PyRef done = PyRef::steal(PyObject_CallMethodNoArgs(server.get(), t.state->names._detach));
#endif
  if (!done) loop_report_exception(*t.loop, "Fatal error on transport");
}

// ---- closing
// --------------------------------------------------------------------------------------

int stream_schedule_lost(StreamTransport& t, PyObject* exception) noexcept {
  BLITZIO_CHECK(t.conn_lost == 0, t.conn_lost);
  t.conn_lost = 1;
  if (loop_check_closed(*t.loop) != 0) return -1;
  const PyRef callback =
      PyRef::steal(PyObject_GetAttr(as_object(t), t.state->names._call_connection_lost));
  if (!callback) return -1;
  PyObject* const args[] = {exception == nullptr ? Py_None : exception};
  return loop_call_soon(*t.loop, callback.get(), args, 1, t.context);
}

int stream_close(StreamTransport& t) noexcept {
  if (t.closing) return 0;
  t.closing = true;
  stream_update_reading(t);
  stream_flush(t);  // What this turn wrote leaves before anybody hears of the end.
  if (!t.queue.is_empty() || t.conn_lost != 0) return 0;
  return stream_schedule_lost(t, nullptr);
}

int stream_force_close(StreamTransport& t, PyObject* exception) noexcept {
  if (t.conn_lost != 0) return 0;
  t.queue.clear();
  if (is_loop_alive(t)) loop_driver(*t.loop).cancel(t.writable);
  if (!t.closing) {
    t.closing = true;
    stream_update_reading(t);
  }
  return stream_schedule_lost(t, exception);
}

void stream_fatal_error(StreamTransport& t, PyRef exception, const char* message) noexcept {
  if (PyErr_GivenExceptionMatches(exception.get(), PyExc_OSError) != 0) {
    if (t.loop->debug)
      log_transport_debug(*t.state, as_object(t), "%r: %s", message, exception.get());
  } else {
    restore_exception(PyRef::borrow(exception.get()));
    const PyRef protocol = PyRef::borrow(t.protocol == nullptr ? Py_None : t.protocol);
    loop_report_exception(
        *t.loop, message,
        {{t.state->names.transport, as_object(t)}, {t.state->names.protocol, protocol.get()}});
  }
  if (stream_force_close(t, exception.get()) != 0) {
    loop_report_exception(*t.loop, "Fatal error on transport");
  }
}

void stream_protocol_failed(StreamTransport& t, const char* message) noexcept {
  PyRef exception = take_exception();
  if (is_fatal_exception(exception.get())) {
    loop_set_fatal(*t.loop, std::move(exception));
    return;
  }
  stream_fatal_error(t, std::move(exception), message);
}

// ---- methods
// --------------------------------------------------------------------------------------

PyObject* stream_method_close(PyObject* self, PyObject* /*unused*/) noexcept {
  StreamTransport& t = as_stream(self);
  if (stream_check(t) != 0 || stream_close(t) != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* stream_method_abort(PyObject* self, PyObject* /*unused*/) noexcept {
  StreamTransport& t = as_stream(self);
  if (stream_check(t) != 0 || stream_force_close(t, nullptr) != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* stream_method_force_close(PyObject* self, PyObject* exception) noexcept {
  StreamTransport& t = as_stream(self);
  if (stream_check(t) != 0) return nullptr;
  if (stream_force_close(t, exception == Py_None ? nullptr : exception) != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* stream_method_fatal_error(PyObject* self, PyObject* args, PyObject* kwargs) noexcept {
  static const char* const keywords[] = {"exc", "message", nullptr};
  PyObject* exception = nullptr;
  const char* message = "Fatal error on transport";
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|s:_fatal_error", const_cast<char**>(keywords),
                                   &exception, &message)) {
    return nullptr;
  }
  if (!PyExceptionInstance_Check(exception)) {
    PyErr_SetString(PyExc_TypeError, "exc must be an exception");
    return nullptr;
  }
  StreamTransport& t = as_stream(self);
  if (stream_check(t) != 0) return nullptr;
  stream_fatal_error(t, PyRef::borrow(exception), message);
  Py_RETURN_NONE;
}

PyObject* stream_call_connection_lost(PyObject* self, PyObject* exception) noexcept {
  StreamTransport& t = as_stream(self);
  if (stream_check(t) != 0) return nullptr;
  if (t.fd_state != FdState::open) Py_RETURN_NONE;
  if (BLITZIO_UNLIKELY(t.conn_lost == 0)) {
    // Called by hand: nothing may reach the protocol that is about to go.
    t.conn_lost = 1;
    t.closing = true;
    t.queue.clear();
    if (is_loop_alive(t)) loop_driver(*t.loop).cancel(t.writable);
    stream_update_reading(t);
  }
  PyRef error;
  if (t.protocol != nullptr) {
    const PyRef result = stream_call(t, t.state->names.connection_lost, exception);
    if (!result) error = take_exception();
  }
  // A subclass's connection_lost() may have come here a second time.
  stream_release_fd(t);
  for (PyObject* bytes : std::exchange(t.held, {})) Py_DECREF(bytes);
  Py_CLEAR(t.protocol);
  stream_detach_server(t);
  set_extra_exception(t);
  if (error) {
    restore_exception(std::move(error));
    return nullptr;
  }
  Py_RETURN_NONE;
}

PyObject* stream_release_socket(PyObject* self, PyObject* /*unused*/) noexcept {
  StreamTransport& t = as_stream(self);
  if (stream_check(t) != 0) return nullptr;
  stream_release_fd(t);
  stream_detach_server(t);
  Py_RETURN_NONE;
}

// The collector or the last reference ends a transport that nobody closed. Nothing is in flight:
// that would own a reference.
void stream_finalize(PyObject* self) noexcept {
  StreamTransport& t = as_stream(self);
  if (t.fd_state != FdState::open) return;
  PyRef pending = take_exception();
  if (PyErr_ResourceWarning(self, 1, "unclosed transport %R", self) != 0) {
    PyErr_WriteUnraisable(self);  // Warnings may be errors; a finaliser has nobody to raise to.
  }
  if (may_use_driver(t)) {
    stream_release_fd(t);
    stream_detach_server(t);
  } else {
    // The loop runs in another thread, and only that one may use the driver.
    const PyRef release = PyRef::steal(PyObject_GetAttrString(self, "_release_socket"));
    const PyRef handle =
        release ? PyRef::steal(PyObject_CallMethod(reinterpret_cast<PyObject*>(t.loop),
                                                   "call_soon_threadsafe", "O", release.get()))
                : PyRef();
    if (!handle) PyErr_WriteUnraisable(self);
  }
  if (pending) restore_exception(std::move(pending));
}

}  // namespace blitzio::python
