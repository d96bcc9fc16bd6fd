// How a transport ends: close, abort, errors and connection_lost. Who closes the descriptor, and
// when, is told in socket_transport.hpp.
#include <python/loop/server_base.hpp>
#include <python/loop/stream_internal.hpp>

namespace blitzio::python {

namespace {

bool has_operations(const StreamTransport& t) noexcept {
  return !t.read.is_idle() || stream_is_blocked(t);
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

}  // namespace

// ---- the descriptor -----------------------------------------------------------------------------

void stream_release_fd(StreamTransport& t) noexcept {
  transport_release_fd(t, has_operations(t));
}

namespace {

/// Calls `method` of the server that the connection belongs to: with the transport from Python 3.13
/// on, or if the server is one of ours. Returns false with an error set.
bool tell_server(StreamTransport& t, PyObject* server, PyObject* method) noexcept {
#if PY_VERSION_HEX >= 0x030D0000
  constexpr bool is_told_which = true;
#else
  // asyncio's own servers count only; asked of the type, for a test's mock has every attribute.
  const bool is_told_which =
      PyObject_HasAttrString(reinterpret_cast<PyObject*>(Py_TYPE(server)), "_tracks_clients") != 0;
#endif
  const PyRef done =
      PyRef::steal(is_told_which ? PyObject_CallMethodOneArg(server, method, as_object(t))
                                 : PyObject_CallMethodNoArgs(server, method));
  return static_cast<bool>(done);
}

}  // namespace

int stream_attach_server(StreamTransport& t, PyObject* server) noexcept {
  if (server == nullptr || server == Py_None) return 0;
  ServerBaseObject* counting = counting_server(*t.state, server);
  if (counting != nullptr) {
    ++counting->active_count;
  } else if (!tell_server(t, server, t.state->names._attach)) {
    return -1;
  }
  t.server = Py_NewRef(server);
  return 0;
}

void stream_detach_server(StreamTransport& t) noexcept {
  const PyRef server = PyRef::steal(std::exchange(t.server, nullptr));
  if (!server) return;
  ServerBaseObject* counting = counting_server(*t.state, server.get());
  const bool is_told = counting != nullptr ? server_lost_client(*t.state, *counting)
                                           : tell_server(t, server.get(), t.state->names._detach);
  if (!is_told) loop_report_exception(*t.loop, "Fatal error on transport");
}

// ---- closing ------------------------------------------------------------------------------------

namespace {

/// Nothing more is read or written.
void stop(StreamTransport& t) noexcept {
  t.queue.clear();
  if (is_loop_alive(t) && t.writable != nullptr) loop_driver(*t.loop).cancel(*t.writable);
  t.closing = true;
  stream_update_reading(t);
}

/// connection_lost() was not scheduled: nothing may reach the protocol or the socket, which are
/// about to go.
void stop_by_hand(StreamTransport& t) noexcept {
  t.conn_lost = 1;
  stop(t);
}

}  // namespace

int stream_close(StreamTransport& t) noexcept {
  if (t.closing) return 0;
  t.closing = true;
  stream_update_reading(t);
  stream_flush(t);  // What this turn wrote leaves before anybody hears of the end.
  if (!t.queue.is_empty() || t.conn_lost != 0) return 0;
  // While a file is being sent nothing is queued, and yet somebody waits for room.
  if (t.writable != nullptr && is_loop_alive(t)) loop_driver(*t.loop).cancel(*t.writable);
  return transport_schedule_lost(t, nullptr);
}

int stream_force_close(StreamTransport& t, PyObject* exception) noexcept {
  if (t.conn_lost != 0) return 0;
  stop(t);
  if (BLITZIO_UNLIKELY(exception == nullptr && t.write_error != 0)) {
    const PyRef earlier = make_os_error(t.write_error);
    return earlier ? transport_schedule_lost(t, earlier.get()) : -1;
  }
  return transport_schedule_lost(t, exception);
}

void stream_fatal_error(StreamTransport& t, PyRef exception, const char* message) noexcept {
  transport_report_fatal(t, exception.get(), message);
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
  if (t.conn_lost == 0) stream_flush(t);
  stream_fatal_error(t, std::move(exception), message);
}

// ---- methods ------------------------------------------------------------------------------------

PyObject* stream_method_close(PyObject* self, PyObject* /*unused*/) noexcept {
  StreamTransport& t = as_stream(self);
  if (BLITZIO_UNLIKELY(transport_must_ask_loop(t)))
    return transport_ask_loop(t, t.state->names.close);
  if (transport_check(t) != 0 || stream_close(t) != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* stream_method_abort(PyObject* self, PyObject* /*unused*/) noexcept {
  StreamTransport& t = as_stream(self);
  if (BLITZIO_UNLIKELY(transport_must_ask_loop(t)))
    return transport_ask_loop(t, t.state->names.abort);
  if (transport_check(t) != 0) return nullptr;
  // What is merely gathered asyncio would have sent by now. Also below and above.
  if (t.conn_lost == 0) stream_flush(t);
  if (stream_force_close(t, nullptr) != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* stream_method_force_close(PyObject* self, PyObject* exception) noexcept {
  StreamTransport& t = as_stream(self);
  if (transport_check(t) != 0) return nullptr;
  if (t.conn_lost == 0) stream_flush(t);
  if (stream_force_close(t, exception == Py_None ? nullptr : exception) != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* stream_method_fatal_error(PyObject* self, PyObject* args, PyObject* kwargs) noexcept {
  FatalErrorArguments parsed;
  if (!transport_parse_fatal_error(args, kwargs, parsed)) return nullptr;
  StreamTransport& t = as_stream(self);
  if (transport_check(t) != 0) return nullptr;
  stream_fatal_error(t, PyRef::borrow(parsed.exception), parsed.message);
  Py_RETURN_NONE;
}

PyObject* stream_call_connection_lost(PyObject* self, PyObject* exception) noexcept {
  StreamTransport& t = as_stream(self);
  if (transport_check(t) != 0) return nullptr;
  if (t.fd_state != FdState::open) Py_RETURN_NONE;
  if (BLITZIO_UNLIKELY(t.conn_lost == 0)) stop_by_hand(t);
  PyRef error;
  if (t.protocol != nullptr) {
    const PyRef result = stream_call(t, t.state->names.connection_lost, exception);
    if (!result) error = take_exception();
  }
  // A subclass's connection_lost() may have come here a second time.
  stream_release_fd(t);
  stream_drop_held(t);
  Py_CLEAR(t.protocol);
  stream_detach_server(t);
  set_extra_exception(t);
  if (error) {
    restore_exception(std::move(error));
    return nullptr;
  }
  Py_RETURN_NONE;
}

namespace {

/// Of a finaliser, which may be called by hand: the transport is lost without a word.
void release_unclosed(StreamTransport& t) noexcept {
  if (t.conn_lost == 0) stop_by_hand(t);
  stream_release_fd(t);
  stream_detach_server(t);
}

}  // namespace

PyObject* stream_release_socket(PyObject* self, PyObject* /*unused*/) noexcept {
  StreamTransport& t = as_stream(self);
  if (transport_check(t) != 0) return nullptr;
  release_unclosed(t);
  Py_RETURN_NONE;
}

void stream_finalize(PyObject* self) noexcept {
  transport_finalize(as_stream(self), release_unclosed);
}

}  // namespace blitzio::python
