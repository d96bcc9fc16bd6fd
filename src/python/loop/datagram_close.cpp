// How a datagram transport ends: close, abort, errors and connection_lost.
#include <python/loop/datagram_internal.hpp>

namespace blitzio::python {

namespace {

bool has_operations(const DatagramTransport& t) noexcept {
  return !t.read.is_idle() || !t.writable.is_idle();
}

int close(DatagramTransport& t) noexcept {
  if (t.closing) return 0;
  t.closing = true;
  datagram_update_reading(t);
  if (!t.queue.is_empty() || t.conn_lost != 0) return 0;
  if (is_loop_alive(t)) loop_driver(*t.loop).cancel(t.writable);
  return transport_schedule_lost(t, nullptr);
}

/// What force_close() and a connection_lost() by hand have in common.
void stop(DatagramTransport& t) noexcept {
  t.queue.clear();
  if (is_loop_alive(t)) loop_driver(*t.loop).cancel(t.writable);
  t.closing = true;
  datagram_update_reading(t);
}

/// connection_lost() was not scheduled: nothing may reach the protocol or the socket, which are
/// about to go.
void stop_by_hand(DatagramTransport& t) noexcept {
  t.conn_lost = 1;
  stop(t);
}

}  // namespace

void datagram_release_fd(DatagramTransport& t) noexcept {
  transport_release_fd(t, has_operations(t));
}

int datagram_force_close(DatagramTransport& t, PyObject* exception) noexcept {
  if (t.conn_lost != 0) return 0;
  stop(t);
  // Dropping the queue may have run code that came here before us.
  if (t.conn_lost != 0) return 0;
  return transport_schedule_lost(t, exception);
}

int datagram_call_error_received(DatagramTransport& t, PyObject* exception) noexcept {
  if (t.protocol == nullptr) return 0;
  const PyRef result = protocol_call(t.protocol, t.state->names.error_received, exception);
  return result ? 0 : -1;
}

void datagram_fatal_error(DatagramTransport& t, PyRef exception, const char* message) noexcept {
  transport_report_fatal(t, exception.get(), message);
  if (datagram_force_close(t, exception.get()) != 0) {
    loop_report_exception(*t.loop, "Fatal error on transport");
  }
}

// ---- methods ------------------------------------------------------------------------------------

PyObject* datagram_method_close(PyObject* self, PyObject* /*unused*/) noexcept {
  DatagramTransport& t = as_datagram(self);
  if (transport_check(t) != 0 || close(t) != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* datagram_method_abort(PyObject* self, PyObject* /*unused*/) noexcept {
  DatagramTransport& t = as_datagram(self);
  if (transport_check(t) != 0 || datagram_force_close(t, nullptr) != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* datagram_method_force_close(PyObject* self, PyObject* exception) noexcept {
  DatagramTransport& t = as_datagram(self);
  if (transport_check(t) != 0) return nullptr;
  if (datagram_force_close(t, exception == Py_None ? nullptr : exception) != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* datagram_method_fatal_error(PyObject* self, PyObject* args, PyObject* kwargs) noexcept {
  FatalErrorArguments parsed;
  if (!transport_parse_fatal_error(args, kwargs, parsed)) return nullptr;
  DatagramTransport& t = as_datagram(self);
  if (transport_check(t) != 0) return nullptr;
  datagram_fatal_error(t, PyRef::borrow(parsed.exception), parsed.message);
  Py_RETURN_NONE;
}

PyObject* datagram_call_connection_lost(PyObject* self, PyObject* exception) noexcept {
  DatagramTransport& t = as_datagram(self);
  if (transport_check(t) != 0) return nullptr;
  if (t.fd_state != FdState::open) Py_RETURN_NONE;
  if (BLITZIO_UNLIKELY(t.conn_lost == 0)) stop_by_hand(t);
  PyRef error;
  if (t.protocol != nullptr) {
    const PyRef result = protocol_call(t.protocol, t.state->names.connection_lost, exception);
    if (!result) error = take_exception();
  }
  // A subclass's connection_lost() may have come here a second time.
  datagram_release_fd(t);
  Py_CLEAR(t.protocol);
  t.queue.clear();
  if (error) {
    restore_exception(std::move(error));
    return nullptr;
  }
  Py_RETURN_NONE;
}

namespace {

/// Of a finaliser, which may be called by hand: the transport is lost without a word.
void release_unclosed(DatagramTransport& t) noexcept {
  if (t.conn_lost == 0) stop_by_hand(t);
  datagram_release_fd(t);
}

}  // namespace

PyObject* datagram_release_socket(PyObject* self, PyObject* /*unused*/) noexcept {
  DatagramTransport& t = as_datagram(self);
  if (transport_check(t) != 0) return nullptr;
  release_unclosed(t);
  Py_RETURN_NONE;
}

void datagram_finalize(PyObject* self) noexcept {
  transport_finalize(as_datagram(self), release_unclosed);
}

}  // namespace blitzio::python
