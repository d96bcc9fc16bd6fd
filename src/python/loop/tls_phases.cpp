// Handshake, flushing and shutdown: the phases in which the ssl module's own exchange goes on.
#include <python/loop/tls_internal.hpp>

#include <array>

namespace blitzio::python {

namespace {

/// self.name(exception), with None for the current exception if there is none.
int call_with_exception(PyObject* self, PyObject* name) noexcept {
  const PyRef exception = take_exception();
  return tls_call(self, name, exception ? exception.get() : Py_None);
}

bool is_ssl_error(const TlsProtocol& t) noexcept {
  return PyErr_ExceptionMatches(t.state->ssl_error) != 0;
}

/// Throws away what the peer sent before it heard of our end. unwrap() would call it an error.
/// Gives what the last read said: `again` if there was nothing to read.
TlsRead discard_plaintext(TlsProtocol& t) noexcept {
  if (tls_feed_rest(t) != 0) return TlsRead::error;
  std::array<std::byte, 4096> scratch;
  TlsRead last = TlsRead::again;
  while (t.records.has_whole()) {
    std::size_t count = 0;
    last = tls_read_into(t, scratch, count);
    if (last == TlsRead::error) return last;
    if (last != TlsRead::data) t.records.all_read();
  }
  // An application that paused and left must not keep the peer's answer out.
  if (!t.lower_reading_paused || t.lower == nullptr) return last;
  t.lower_reading_paused = false;
  return tls_call(t.lower, t.state->names.resume_reading) == 0 ? last : TlsRead::error;
}

/// shutdown: both have said that they send no more, or the transport below has ended.
int end_shutdown(PyObject* self) noexcept {
  TlsProtocol& t = as_tls(self);
  const Names& names = t.state->names;
  // What a paused transport below did not get yet is lost if it is not handed over now.
  if (tls_pump(t, true) != 0) return -1;
  if (t.app_state == AppState::made && tls_call(self, names._call_eof_received) != 0) return -1;
  return t.phase == TlsPhase::shutdown ? tls_call(self, names._on_shutdown_complete, Py_None) : 0;
}

/// shutdown: says that we send no more, and later, after an arrival, takes note of the peer's end.
int do_shutdown(PyObject* self, bool is_first) noexcept {
  TlsProtocol& t = as_tls(self);
  const PyRef keep = PyRef::borrow(self);
  const Names& names = t.state->names;
  if (t.eof_received) return end_shutdown(self);
  const TlsRead last = discard_plaintext(t);
  if (last != TlsRead::error) {
    // Until the end has come there is nothing to ask: "want read" is an exception object.
    if (!is_first && last != TlsRead::closed) return tls_do_write(self);
    if (tls_call(t.ssl_object, names.unwrap) == 0) return end_shutdown(self);
  }
  if (tls_take_again(t)) return tls_do_write(self);
  return is_ssl_error(t) ? call_with_exception(self, names._on_shutdown_complete) : -1;
}

}  // namespace

int tls_do_handshake(PyObject* self) noexcept {
  TlsProtocol& t = as_tls(self);
  const PyRef keep = PyRef::borrow(self);
  const Names& names = t.state->names;
  if (tls_call(t.ssl_object, names.do_handshake) == 0) {
    if (t.phase != TlsPhase::handshake) return 0;  // Ended by a callback of the context.
    // The last flight; the application's first data may be long in coming.
    return tls_pump(t) == 0 ? call_with_exception(self, names._on_handshake_complete) : -1;
  }
  if (tls_take_again(t)) return tls_do_write(self);
  if (!is_ssl_error(t)) return -1;
  if (tls_send_alert(t) != 0) return -1;
  return call_with_exception(self, names._on_handshake_complete);
}

int tls_do_flush(PyObject* self) noexcept {
  TlsProtocol& t = as_tls(self);
  const PyRef keep = PyRef::borrow(self);
  if (tls_do_read(self) != 0) return -1;
  if (t.phase != TlsPhase::flushing) return 0;
  if (t.app_reading_over && discard_plaintext(t) == TlsRead::error) {
    return tls_fail(self, "Fatal error on SSL protocol");
  }
  if (tls_do_write(self) != 0) return tls_fail(self, "Fatal error on SSL protocol");
  // close_notify goes behind all data; resume_writing() leads here again.
  if (t.phase != TlsPhase::flushing || !t.backlog.is_empty()) return 0;
  t.phase = TlsPhase::shutdown;
  return do_shutdown(self, true);
}

int tls_go_on(PyObject* self) noexcept {
  switch (as_tls(self).phase) {
    case TlsPhase::unwrapped:
      return 0;
    case TlsPhase::handshake:
      return tls_do_handshake(self);
    case TlsPhase::wrapped:
      return tls_do_read(self);
    case TlsPhase::flushing:
      return tls_do_flush(self);
    case TlsPhase::shutdown:
      return do_shutdown(self, false);
  }
  return 0;
}

int tls_fail(PyObject* self, const char* message) noexcept {
  if (PyErr_ExceptionMatches(PyExc_Exception) == 0) return -1;
  TlsProtocol& t = as_tls(self);
  if (is_ssl_error(t) && tls_send_alert(t) != 0) return -1;
  const PyRef exception = take_exception();
  const PyRef result =
      PyRef::steal(PyObject_CallMethod(self, "_fatal_error", "Os", exception.get(), message));
  return result ? 0 : -1;
}

}  // namespace blitzio::python
