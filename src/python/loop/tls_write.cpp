// Plaintext on its way from the application to the lower transport.
//
// A write is encrypted at once, by a call on the user's object, and the outgoing BIO's content goes
// down as one `bytes`; a StreamTransport gathers those of a turn into one send. Large data is cut
// into slices, so that neither BIO ever grows (and stays) larger than a slice.
//
// While the lower transport is paused, plaintext waits in `backlog`. So what can wait between the
// application and the kernel is bounded by the marks of both transports, and the application's
// pause_writing() counts what is here.
#include <python/loop/stream_internal.hpp>
#include <python/loop/tls_internal.hpp>

#include <algorithm>
#include <new>

namespace blitzio::python {

namespace {

/// Plaintext that is encrypted before ciphertext is handed down: two full records.
constexpr std::size_t kSliceBytes = 32 * 1024;
/// As asyncio's LOG_THRESHOLD_FOR_CONNLOST_WRITES.
constexpr std::uint32_t kLostWritesToWarn = 5;

bool takes_writes(const TlsProtocol& t) noexcept {
  return t.phase == TlsPhase::handshake || t.phase == TlsPhase::wrapped;
}

BLITZIO_COLD int count_lost_write(TlsProtocol& t) noexcept {
  if (t.conn_lost++ < kLostWritesToWarn) return 0;
  const PyRef logged = PyRef::steal(
      PyObject_CallMethod(t.state->logger, "warning", "s", "SSL connection is closed"));
  return logged ? 0 : -1;
}

/// Queues exact `bytes` from `offset` on.
int queue(TlsProtocol& t, PyObject* bytes, std::size_t offset) noexcept {
  try {
    t.backlog.push(bytes, offset);
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
    return -1;
  }
  return 0;
}

enum class Encrypted : std::uint8_t { done, again, error };

Encrypted take_count(const TlsProtocol& t, const PyRef& result, std::size_t& count) noexcept {
  const Py_ssize_t number = result ? PyLong_AsSsize_t(result.get()) : -1;
  if (BLITZIO_LIKELY(number >= 0)) {
    count = static_cast<std::size_t>(number);
    return Encrypted::done;
  }
  return tls_take_again(t) ? Encrypted::again : Encrypted::error;
}

/// Encrypts a part of `data`, which stays alive; `count` gets how much it was.
Encrypted encrypt(TlsProtocol& t, std::span<const std::byte> data, std::size_t& count) noexcept {
  PyRef result;
  if (t.has_windows) {
    const TlsWindowScope scope(t.window, data);
    result = PyRef::steal(PyObject_CallOneArg(t.write, t.window));
  } else {
    const PyRef copy = PyRef::steal(PyBytes_FromStringAndSize(
        reinterpret_cast<const char*>(data.data()), static_cast<Py_ssize_t>(data.size())));
    if (!copy) return Encrypted::error;
    result = PyRef::steal(PyObject_CallOneArg(t.write, copy.get()));
  }
  const Encrypted outcome = take_count(t, result, count);
  count = std::min(count, data.size());
  return outcome;
}

/// `more`: what follows comes at once.
int write_down(TlsProtocol& t, PyObject* bytes, bool more) noexcept {
  const PyRef lower = PyRef::borrow(t.lower);
  PyRef result;
  if (BLITZIO_LIKELY(Py_IS_TYPE(lower.get(), t.state->stream_transport_type) &&
                     !has_own_attributes(head_of(lower.get()).dict))) {
    return stream_write_bytes(lower.get(), bytes, more);
  }
  if (tls_transport_is_plain(*t.state, lower.get())) {
    result = PyRef::steal(tls_transport_write(lower.get(), bytes));
  } else {
    result = PyRef::steal(PyObject_CallMethodOneArg(lower.get(), t.state->names.write, bytes));
  }
  return result ? 0 : -1;
}

int pump(TlsProtocol& t, bool more) noexcept {
  if (t.lower == nullptr) return 0;
  const PyRef data = PyRef::steal(PyObject_CallNoArgs(t.bio_read));
  if (!data) return -1;
  if (BLITZIO_UNLIKELY(!PyBytes_CheckExact(data.get()))) {
    PyErr_SetString(PyExc_TypeError, "outgoing.read() must return bytes");
    return -1;
  }
  return PyBytes_GET_SIZE(data.get()) == 0 ? 0 : write_down(t, data.get(), more);
}

int write_backlog(TlsProtocol& t) noexcept {
  std::size_t unsent = 0;
  while (!t.backlog.is_empty() && !t.lower_writing_paused &&
         (t.phase == TlsPhase::wrapped || t.phase == TlsPhase::flushing)) {
    const iovec piece = t.backlog.front();
    // A callback of the SSL context may end the connection, and the backlog with it, meanwhile.
    const PyRef keep = PyRef::borrow(t.backlog.front_owner());
    std::size_t count = 0;
    const Encrypted outcome = encrypt(t,
                                      {static_cast<const std::byte*>(piece.iov_base),
                                       std::min(piece.iov_len, kSliceBytes - unsent)},
                                      count);
    if (outcome == Encrypted::error) return -1;
    if (outcome == Encrypted::again) return 0;
    t.backlog.consume(std::min(count, t.backlog.size_bytes()), t.loop->spare_bytes);
    unsent += count;
    if (unsent >= kSliceBytes) {
      if (pump(t, !t.backlog.is_empty()) != 0) return -1;
      unsent = 0;
    }
  }
  return 0;
}

BLITZIO_COLD int tell_app(PyObject* self, PyObject* name, const char* message) noexcept {
  TlsProtocol& t = as_tls(self);
  if (t.app_protocol == nullptr || tls_call(t.app_protocol, name) == 0) return 0;
  PyRef exception = take_exception();
  const bool is_fatal = is_fatal_exception(exception.get());
  restore_exception(std::move(exception));
  if (is_fatal) return -1;
  PyObject* transport = t.app_transport == nullptr ? Py_None : t.app_transport;
  loop_report_exception(*t.loop, message,
                        {{t.state->names.transport, transport}, {t.state->names.protocol, self}});
  return 0;
}

}  // namespace

int tls_pump(TlsProtocol& t, bool force) noexcept {
  return t.lower_writing_paused && !force ? 0 : pump(t, false);
}

int tls_send_alert(TlsProtocol& t) noexcept {
  PyRef exception = take_exception();
  // What the transport below makes of it does not matter: it ends anyway.
  if (tls_pump(t, true) != 0 && !drop_exception()) return -1;
  if (t.lower != nullptr && Py_IS_TYPE(t.lower, t.state->stream_transport_type)) {
    StreamTransport& stream = as_stream(t.lower);
    if (stream.conn_lost == 0) stream_flush(stream);
  }
  if (exception) restore_exception(std::move(exception));
  return 0;
}

Py_ssize_t tls_write_buffer_size(const TlsProtocol& t) noexcept {
  const Py_ssize_t pending = tls_pending(t, t.outgoing);
  return pending < 0 ? -1 : pending + static_cast<Py_ssize_t>(t.backlog.size_bytes());
}

int tls_control_app_writing(PyObject* self) noexcept {
  TlsProtocol& t = as_tls(self);
  const Py_ssize_t size = tls_write_buffer_size(t);
  if (size < 0) return -1;
  if (!t.app_writing_paused && size != 0 && size >= t.outgoing_high) {
    t.app_writing_paused = true;
    return tell_app(self, t.state->names.pause_writing, "protocol.pause_writing() failed");
  }
  if (t.app_writing_paused && size <= t.outgoing_low) {
    t.app_writing_paused = false;
    return tell_app(self, t.state->names.resume_writing, "protocol.resume_writing() failed");
  }
  return 0;
}

int tls_do_write(PyObject* self) noexcept {
  TlsProtocol& t = as_tls(self);
  if (t.phase == TlsPhase::unwrapped) return 0;
  const PyRef keep = PyRef::borrow(self);
  if (BLITZIO_UNLIKELY(!t.backlog.is_empty()) && write_backlog(t) != 0) return -1;
  if (tls_pump(t) != 0) return -1;
  // With nothing waiting here and nobody told to pause there is nothing to say.
  if (BLITZIO_LIKELY(!t.lower_writing_paused && !t.app_writing_paused && t.backlog.is_empty())) {
    return 0;
  }
  return tls_control_app_writing(self);
}

int tls_write(PyObject* self, PyObject* data) noexcept {
  TlsProtocol& t = as_tls(self);
  if (tls_check_owner(t) != 0) return -1;
  if (BLITZIO_UNLIKELY(!takes_writes(t))) return count_lost_write(t);
  const PyRef bytes = PyRef::steal(PyBytes_FromObject(data));
  if (!bytes) return -1;
  const auto size = static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.get()));
  if (size == 0) return 0;
  const PyRef keep = PyRef::borrow(self);
  std::size_t count = 0;
  if (BLITZIO_LIKELY(t.phase == TlsPhase::wrapped && t.backlog.is_empty() &&
                     !t.lower_writing_paused && size <= kSliceBytes)) {
    const PyRef result = PyRef::steal(PyObject_CallOneArg(t.write, bytes.get()));
    if (take_count(t, result, count) == Encrypted::error) {
      return tls_fail(self, "Fatal error on SSL protocol");
    }
  }
  if (BLITZIO_UNLIKELY(count < size) && queue(t, bytes.get(), count) != 0) return -1;
  if (t.phase == TlsPhase::handshake) return tls_control_app_writing(self);
  return BLITZIO_LIKELY(tls_do_write(self) == 0) ? 0
                                                 : tls_fail(self, "Fatal error on SSL protocol");
}

}  // namespace blitzio::python
