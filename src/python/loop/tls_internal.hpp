// What the files of the TLS layer share; see tls_protocol.hpp for who does what.
//
// Functions that return int give 0, or -1 with an error set.
#pragma once

#include <python/loop/tls_protocol.hpp>
#include <python/loop/tls_window.hpp>
#include <python/loop/transport_common.hpp>
#include <python/support/error.hpp>

#include <cstddef>

namespace blitzio::python {

[[nodiscard]] inline TlsProtocol& as_tls(PyObject* self) noexcept {
  return *reinterpret_cast<TlsProtocol*>(reinterpret_cast<std::byte*>(self) + kTlsOffset);
}

/// For methods: RuntimeError if __init__ has not run or another thread runs the loop.
[[nodiscard]] inline int tls_check_owner(const TlsProtocol& t) noexcept {
  if (BLITZIO_UNLIKELY(t.loop == nullptr)) {
    PyErr_SetString(PyExc_RuntimeError, "the protocol is not initialised");
    return -1;
  }
  return loop_check_owner(*t.loop);
}

/// Whether plaintext must wait.
[[nodiscard]] inline bool tls_is_reading_paused(const TlsProtocol& t) noexcept {
  return t.app_reading_paused || t.reading_held;
}

/// Whether a method of an instance may be called natively: nobody has put anything on it.
[[nodiscard]] inline bool has_own_attributes(PyObject* dict) noexcept {
  return dict != nullptr && PyDict_GET_SIZE(dict) != 0;
}

/// The current exception is ssl's "want read" (or its like): not an error. Clears it if so.
[[nodiscard]] inline bool tls_take_again(const TlsProtocol& t) noexcept {
  if (PyErr_ExceptionMatches(t.state->ssl_again_errors) == 0) return false;
  PyErr_Clear();  // The answer is the return value.
  return true;
}

/// object.name(), or object.name(argument), the result dropped.
[[nodiscard]] inline int tls_call(PyObject* object, PyObject* name,
                                  PyObject* argument = nullptr) noexcept {
  return protocol_call(object, name, argument) ? 0 : -1;
}

/// bio.pending; -1 with an error set.
[[nodiscard]] inline Py_ssize_t tls_pending(const TlsProtocol& t, PyObject* bio) noexcept {
  const PyRef number = PyRef::steal(PyObject_GetAttr(bio, t.state->names.pending));
  return number ? PyLong_AsSsize_t(number.get()) : -1;
}

// ---- tls_read.cpp -------------------------------------------------------------------------------

/// What a read gave.
enum class TlsRead : std::uint8_t { data, again, closed, error };
/// Decrypts into `buffer` (not empty); `count` gets the bytes of `data`.
[[nodiscard]] TlsRead tls_read_into(TlsProtocol& t, std::span<std::byte> buffer,
                                    std::size_t& count) noexcept;
/// Copies what tls_feed() still has into the incoming BIO.
[[nodiscard]] int tls_feed_rest(TlsProtocol& t) noexcept;
/// Gives the application all that can be read, unless it paused.
[[nodiscard]] int tls_do_read(PyObject* self) noexcept;
/// Pauses or resumes the lower transport by what waits to be read.
[[nodiscard]] int tls_control_lower_reading(TlsProtocol& t) noexcept;
/// Makes `protocol` the one that hears of what follows.
[[nodiscard]] int tls_set_app_protocol(TlsProtocol& t, PyObject* protocol) noexcept;

// ---- tls_write.cpp ------------------------------------------------------------------------------

/// The application's write(): `data` is bytes-like.
[[nodiscard]] int tls_write(PyObject* self, PyObject* data) noexcept;
/// Encrypts the backlog, as far as the lower transport takes it, and sends.
[[nodiscard]] int tls_do_write(PyObject* self) noexcept;
/// Hands the outgoing BIO's content to the lower transport, even a paused one if `force`.
[[nodiscard]] int tls_pump(TlsProtocol& t, bool force = false) noexcept;
/// Calls pause_writing() or resume_writing() of the application if a water mark was passed.
[[nodiscard]] int tls_control_app_writing(PyObject* self) noexcept;
/// Bytes that the lower transport has not got yet; -1 with an error set.
[[nodiscard]] Py_ssize_t tls_write_buffer_size(const TlsProtocol& t) noexcept;
/// Sends what OpenSSL has to say to the peer about the current exception, which stays, as far as
/// that works at once. Returns -1 if an interrupt took its place meanwhile.
[[nodiscard]] int tls_send_alert(TlsProtocol& t) noexcept;

// ---- tls_phases.cpp -----------------------------------------------------------------------------

[[nodiscard]] int tls_do_handshake(PyObject* self) noexcept;
[[nodiscard]] int tls_do_flush(PyObject* self) noexcept;
/// Goes on with whatever the phase is about, after an arrival or a pause.
[[nodiscard]] int tls_go_on(PyObject* self) noexcept;
/// self._fatal_error(exception, message) with the current exception, unless it must not be caught
/// here (KeyboardInterrupt and the like): -1.
[[nodiscard]] int tls_fail(PyObject* self, const char* message) noexcept;

// ---- tls_transport.cpp --------------------------------------------------------------------------

/// A TlsTransportBase's write().
PyObject* tls_transport_write(PyObject* self, PyObject* data) noexcept;
/// Whether `object` is a TlsTransportBase whose methods nobody replaced on the instance.
[[nodiscard]] bool tls_transport_is_plain(const ModuleState& state, PyObject* object) noexcept;

}  // namespace blitzio::python
