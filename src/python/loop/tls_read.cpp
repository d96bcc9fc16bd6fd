// Arrivals, and their plaintext on its way to the application.
//
// An arrival is copied into the incoming BIO from where it was received. If a record is complete
// (tls_records.hpp), one `bytes` as large as the plaintext can be is made, OpenSSL decrypts into
// it, record after record, and data_received() gets it, shrunk. No call into the ssl module ends
// with an exception unless the peer sends something other than application data.
#include <python/loop/stream_internal.hpp>
#include <python/loop/tls_internal.hpp>

#include <algorithm>
#include <cstring>

namespace blitzio::python {

namespace {

/// If records cannot be counted: what is tried first.
constexpr std::size_t kReadBytesMin = 1024;
/// Ciphertext that is copied into the incoming BIO before it is decrypted: small enough to be in
/// the nearest caches still, and the BIO never shrinks.
constexpr std::size_t kSliceBytes = 32 * 1024;
/// What a `bytes` may be longer than it says: what a record adds to its plaintext. Giving so little
/// back to the allocator costs more than it frees.
constexpr std::size_t kSlackBytesMax = 64;

bool is_readable(const TlsProtocol& t) noexcept {
  return t.phase == TlsPhase::wrapped || t.phase == TlsPhase::flushing;
}

/// Whether the application may be given data.
bool may_read(const TlsProtocol& t) noexcept {
  return is_readable(t) && !tls_is_reading_paused(t) && !t.app_reading_over &&
         t.app_protocol != nullptr;
}

/// Copies the next `size` bytes into the incoming BIO.
int feed_slice(TlsProtocol& t, std::size_t size) noexcept {
  const std::span<const std::byte> slice = t.unfed.first(size);
  t.unfed = t.unfed.subspan(size);
  t.records.feed(slice);
  const TlsWindowScope scope(t.window, slice);
  const PyRef count = PyRef::steal(PyObject_CallOneArg(t.bio_write, t.window));
  return count ? 0 : -1;
}

/// Whether a read can give something, after copying as much as that needs: 1, 0, or -1 with an
/// error set.
int has_whole(TlsProtocol& t) noexcept {
  while (!t.records.has_whole()) {
    if (t.unfed.empty()) return 0;
    if (feed_slice(t, std::min(t.unfed.size(), kSliceBytes)) != 0) return -1;
  }
  return 1;
}

/// A read said something other than data: all that was counted is read, and some of it was no data:
/// tickets, key updates or an end, which OpenSSL may have answered. (As long as every record gives
/// data there is nothing to answer.)
void stop_counting(TlsProtocol& t) noexcept {
  t.records.all_read();
  t.may_have_answers = true;
}

/// Gives `bytes`, which nobody else has, the size `size`. Null with an error set.
int shrink(PyObject** bytes, std::size_t capacity, std::size_t size) noexcept {
  if (capacity - size <= kSlackBytesMax) {
    Py_SET_SIZE(reinterpret_cast<PyVarObject*>(*bytes), static_cast<Py_ssize_t>(size));
    PyBytes_AS_STRING(*bytes)[size] = '\0';
    return 0;
  }
  return _PyBytes_Resize(bytes, static_cast<Py_ssize_t>(size));
}

int deliver(TlsProtocol& t, PyObject* bytes) noexcept {
  const PyRef protocol = PyRef::borrow(t.app_protocol);
  if (!protocol) return 0;
  if (t.app_is_tls) {
    return tls_feed(protocol.get(), {reinterpret_cast<const std::byte*>(PyBytes_AS_STRING(bytes)),
                                     static_cast<std::size_t>(PyBytes_GET_SIZE(bytes))});
  }
  return tls_call(protocol.get(), t.state->names.data_received, bytes);
}

/// After the plaintext was delivered: what else the reads said.
int end_of_reads(PyObject* self, TlsRead last, PyRef error) noexcept {
  if (last == TlsRead::error) {
    restore_exception(std::move(error));
    return -1;
  }
  if (last == TlsRead::closed && is_readable(as_tls(self))) {
    return tls_call(self, as_tls(self).state->names._on_close_notify);
  }
  return 0;
}

int read_copied(PyObject* self) noexcept {
  TlsProtocol& t = as_tls(self);
  std::size_t capacity =
      std::max(t.records.whole_bytes() + t.records.partial_bytes() + t.unfed.size(), kReadBytesMin);
  PyObject* bytes = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(capacity));
  if (bytes == nullptr) return -1;
  std::size_t filled = 0;
  TlsRead last = TlsRead::data;
  int whole = 1;
  while (last == TlsRead::data && (whole = has_whole(t)) == 1) {
    if (BLITZIO_UNLIKELY(filled == capacity)) {  // Compression, or records that are not counted.
      capacity *= 2;
      if (_PyBytes_Resize(&bytes, static_cast<Py_ssize_t>(capacity)) != 0) return -1;
    }
    std::byte* buffer = reinterpret_cast<std::byte*>(PyBytes_AS_STRING(bytes));
    std::size_t count = 0;
    last = tls_read_into(t, {buffer + filled, capacity - filled}, count);
    filled += count;
    // A read that left room has read its record to the end.
    if (last == TlsRead::data && filled < capacity) t.records.one_read();
  }
  if (whole < 0) last = TlsRead::error;
  // What came before an error is good.
  PyRef error = last == TlsRead::error ? take_exception() : PyRef();
  if (last != TlsRead::data) stop_counting(t);
  int outcome = 0;
  if (filled != 0) {
    if (shrink(&bytes, capacity, filled) != 0) return -1;
    outcome = deliver(t, bytes);
  }
  Py_DECREF(bytes);
  return outcome == 0 ? end_of_reads(self, last, std::move(error)) : -1;
}

/// Asks the application for a buffer. Returns -1 with an error set; else `view` is to be released.
int get_app_buffer(TlsProtocol& t, Py_buffer& view) noexcept {
  const PyRef protocol = PyRef::borrow(t.app_protocol);
  const PyRef hint = PyRef::steal(PyLong_FromSize_t(t.records.whole_bytes() + t.unfed.size()));
  if (!hint) return -1;
  const PyRef buffer = PyRef::steal(
      PyObject_CallMethodOneArg(protocol.get(), t.state->names.get_buffer, hint.get()));
  if (!buffer || PyObject_GetBuffer(buffer.get(), &view, PyBUF_WRITABLE) != 0) return -1;
  if (view.len > 0) return 0;
  PyBuffer_Release(&view);
  PyErr_SetString(PyExc_RuntimeError, "get_buffer() returned an empty buffer");
  return -1;
}

/// Whether the record that filled a buffer has more to give.
int has_rest(const TlsProtocol& t) noexcept {
  const PyRef pending =
      PyRef::steal(PyObject_CallMethodNoArgs(t.ssl_object, t.state->names.pending));
  return pending ? PyObject_IsTrue(pending.get()) : -1;
}

/// One buffer of the application's.
int fill_app_buffer(PyObject* self, TlsRead& last, PyRef& error) noexcept {
  TlsProtocol& t = as_tls(self);
  Py_buffer view;
  if (get_app_buffer(t, view) != 0) return -1;
  const auto size = static_cast<std::size_t>(view.len);
  std::size_t filled = 0;
  int outcome = 0;
  while (outcome == 0 && last == TlsRead::data && filled < size) {
    const int whole = has_whole(t);
    if (whole <= 0) {
      outcome = whole;
      break;
    }
    std::size_t count = 0;
    last = tls_read_into(t, {static_cast<std::byte*>(view.buf) + filled, size - filled}, count);
    filled += count;
    if (last == TlsRead::error) error = take_exception();
    if (last != TlsRead::data) {
      stop_counting(t);
    } else if (filled < size) {
      t.records.one_read();
    } else {
      const int rest = has_rest(t);
      if (rest == 0) t.records.one_read();
      if (rest < 0) outcome = -1;
    }
  }
  PyBuffer_Release(&view);
  if (outcome != 0 || filled == 0 || t.app_protocol == nullptr) return outcome;
  const PyRef number = PyRef::steal(PyLong_FromSize_t(filled));
  return number ? tls_call(t.app_protocol, t.state->names.buffer_updated, number.get()) : -1;
}

int read_buffered(PyObject* self) noexcept {
  TlsProtocol& t = as_tls(self);
  TlsRead last = TlsRead::data;
  PyRef error;
  // The application may pause, close or change its protocol between two buffers.
  while (last == TlsRead::data && t.app_is_buffered && may_read(t)) {
    const int whole = has_whole(t);
    if (whole < 0) return -1;
    if (whole == 0) break;
    if (fill_app_buffer(self, last, error) != 0) return -1;
  }
  return end_of_reads(self, last, std::move(error));
}

int read_all(PyObject* self) noexcept {
  TlsProtocol& t = as_tls(self);
  while (may_read(t)) {
    const int whole = has_whole(t);
    if (whole <= 0) return whole;
    if ((t.app_is_buffered ? read_buffered(self) : read_copied(self)) != 0) return -1;
  }
  return 0;
}

BLITZIO_COLD TlsRead failed_read(const TlsProtocol& t) noexcept {
  if (tls_take_again(t)) return TlsRead::again;
  // The peer's close_notify, after our own; before it read() returns nothing instead.
  if (PyErr_ExceptionMatches(t.state->ssl_closed_error) == 0) return TlsRead::error;
  PyErr_Clear();
  return TlsRead::closed;
}

}  // namespace

TlsRead tls_read_into(TlsProtocol& t, std::span<std::byte> buffer, std::size_t& count) noexcept {
  count = 0;
  PyRef result;
  if (BLITZIO_LIKELY(t.has_windows)) {
    const TlsWindowScope scope(t.window, buffer);
    result = PyRef::steal(PyObject_Call(t.read, t.read_args, nullptr));
  } else {
    result =
        PyRef::steal(PyObject_CallFunction(t.read, "n", static_cast<Py_ssize_t>(buffer.size())));
  }
  if (!result) return failed_read(t);
  if (BLITZIO_LIKELY(t.has_windows)) {
    const Py_ssize_t number = PyLong_AsSsize_t(result.get());
    if (number < 0) return TlsRead::error;
    count = std::min(static_cast<std::size_t>(number), buffer.size());
  } else {
    Py_buffer view;
    if (PyObject_GetBuffer(result.get(), &view, PyBUF_SIMPLE) != 0) return TlsRead::error;
    count = std::min(static_cast<std::size_t>(view.len), buffer.size());
    std::memcpy(buffer.data(), view.buf, count);
    PyBuffer_Release(&view);
  }
  return count == 0 ? TlsRead::closed : TlsRead::data;
}

bool tls_is_wrapped(PyObject* self) noexcept {
  return as_tls(self).phase == TlsPhase::wrapped;
}

int tls_feed(PyObject* self, std::span<const std::byte> data) noexcept {
  TlsProtocol& t = as_tls(self);
  if (t.phase == TlsPhase::unwrapped) return 0;
  const PyRef keep = PyRef::borrow(self);
  // Not empty if a transport of others delivers from within a delivery.
  if (BLITZIO_UNLIKELY(!t.unfed.empty()) && tls_feed_rest(t) != 0) return -1;
  t.unfed = data;
  // Other phases read by themselves.
  if (BLITZIO_UNLIKELY(t.phase != TlsPhase::wrapped) && tls_feed_rest(t) != 0) return -1;
  const int outcome =
      BLITZIO_LIKELY(t.phase == TlsPhase::wrapped) ? tls_do_read(self) : tls_go_on(self);
  if (BLITZIO_LIKELY(t.unfed.empty())) return outcome;
  // The application paused, or it is over. What is left must outlive `data`.
  PyRef exception = outcome == 0 ? PyRef() : take_exception();
  const int fed = t.phase == TlsPhase::unwrapped ? 0 : tls_feed_rest(t);
  t.unfed = {};
  if (exception) restore_exception(std::move(exception));
  return outcome != 0 ? outcome : fed;
}

int tls_feed_rest(TlsProtocol& t) noexcept {
  return t.unfed.empty() ? 0 : feed_slice(t, t.unfed.size());
}

int tls_do_read(PyObject* self) noexcept {
  TlsProtocol& t = as_tls(self);
  if (!is_readable(t)) return 0;
  const PyRef keep = PyRef::borrow(self);
  int outcome = read_all(self);
  if (outcome == 0 && (t.may_have_answers || !t.backlog.is_empty())) {
    t.may_have_answers = false;
    outcome = tls_do_write(self);
  }
  // Paused: what stays counts towards the marks.
  if (outcome == 0) outcome = tls_feed_rest(t);
  if (outcome == 0) outcome = tls_control_lower_reading(t);
  return BLITZIO_LIKELY(outcome == 0) ? 0 : tls_fail(self, "Fatal error on SSL protocol");
}

int tls_control_lower_reading(TlsProtocol& t) noexcept {
  // Without a pause all whole records have been read, and of a partial one more must come.
  if (BLITZIO_LIKELY(!tls_is_reading_paused(t) && !t.lower_reading_paused)) return 0;
  if (t.lower == nullptr) return 0;
  const Py_ssize_t size = tls_pending(t, t.incoming);
  if (size < 0) return -1;
  if (!t.lower_reading_paused && size != 0 && size >= t.incoming_high) {
    t.lower_reading_paused = true;
    return tls_call(t.lower, t.state->names.pause_reading);
  }
  if (t.lower_reading_paused && (!tls_is_reading_paused(t) || size <= t.incoming_low)) {
    t.lower_reading_paused = false;
    return tls_call(t.lower, t.state->names.resume_reading);
  }
  return 0;
}

int tls_set_app_protocol(TlsProtocol& t, PyObject* protocol) noexcept {
  const int is_buffered = is_buffered_protocol(*t.state, protocol);
  if (is_buffered < 0) return -1;
  t.app_is_tls = tls_check(*t.state, protocol);
  t.app_is_buffered = is_buffered != 0 && !t.app_is_tls;
  Py_XSETREF(t.app_protocol, Py_NewRef(protocol));
  return 0;
}

}  // namespace blitzio::python
