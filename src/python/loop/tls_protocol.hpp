// `TlsProtocolBase`: the record layer of TLS between an application's protocol and a transport of
// bytes.
//
//   application protocol ◀──▶ TlsTransportBase ◀──▶ TlsProtocolBase ◀──▶ StreamTransport (or any)
//
// All cryptography and every decision about trust is made by the user's own `ssl.SSLContext`: this
// drives the SSLObject that `context.wrap_bio()` gave, through its public interface, and looks into
// nothing. What is native is what happens once per record or arrival: feeding the incoming BIO,
// reading plaintext into its final object, writing, and handing the outgoing BIO's content down.
// What happens once per connection (timeouts, extra info, logging, errors) is the Python half, the
// subclass in blitzio/_loop/tls_protocol.py; edges marked (py) start there.
//
//   tls_protocol.cpp   the types' construction, collection and attributes
//   tls_read.cpp       arrivals, plaintext to the application, pausing
//   tls_write.cpp      plaintext from the application, flow control
//   tls_phases.cpp     handshake, flushing, shutdown
//   tls_transport.cpp  the application's side: TlsTransportBase
//   tls_records.hpp    counts records;  tls_window.hpp  shows memory to the ssl module
//
// Phases (CPython's SSLProtocolState under the same names):
//
//   unwrapped ──begin_handshake (py)──▶ handshake ──become_wrapped (py)──▶ wrapped
//       ▲                                                                    │ begin_flushing (py):
//       │                                                                    │ close(), EOF, or the
//       │ end (py): abort, fatal error, connection_lost                      ▼ peer's close_notify
//       ├────────────── from any ◀── shutdown ◀──begin_shutdown────────── flushing
//
// unwrapped   before the lower transport's connection_made(), and after the end. Writes are lost
//             and counted, arrivals ignored.
// handshake   writes queue up in `backlog`.
// wrapped     records flow.
// flushing    no more writes are taken; what is queued goes out, and what arrived before the peer's
//             end is still delivered, as soon as the application reads; after close() it is not.
// shutdown    close_notify is out; arrivals are thrown away until the peer's own.
//
// The application hears (AppState): init ─made─▶ made ─eof─▶ eof ─lost─▶ lost, each at most once.
//
// The lower transport is called directly if it is one of ours whose methods nobody replaced on the
// instance; a StreamTransport likewise calls tls_feed() itself. Anything else uses the names of the
// protocol interface (get_buffer/buffer_updated or data_received), so that TLS runs over any
// transport, its own included.
//
// Ownership: protocol and transport hold each other until connection_lost() cuts the tie.
// Threads: the loop's.
#pragma once

#include <python/loop/loop.hpp>
#include <python/loop/tls_records.hpp>
#include <python/loop/write_queue.hpp>
#include <python/support/state.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace blitzio::python {

enum class TlsPhase : std::uint8_t { unwrapped, handshake, wrapped, flushing, shutdown };

/// What the application's protocol has been told.
enum class AppState : std::uint8_t { init, made, eof, lost };

/// asyncio.BufferedProtocol adds nothing to an object; `__dict__` and weak references are the
/// Python half's, whose attributes CPython then finds without a look-up by name.
struct TlsHead {
  PyObject_HEAD
};

struct TlsProtocol {
  explicit TlsProtocol(ModuleState& module_state) noexcept : state(&module_state) {}
  TlsProtocol(const TlsProtocol&) = delete;
  TlsProtocol& operator=(const TlsProtocol&) = delete;
  ~TlsProtocol() = default;

  ModuleState* state;
  LoopObject* loop = nullptr;         ///< strong; null before __init__
  PyObject* lower = nullptr;          ///< the transport below; null before and after it is
  PyObject* app_protocol = nullptr;   ///< null once lost
  PyObject* app_transport = nullptr;  ///< null once lost

  // The user's TLS, all strong; the methods are bound.
  PyObject* ssl_object = nullptr;
  PyObject* incoming = nullptr;   ///< ssl.MemoryBIO: ciphertext that arrived
  PyObject* outgoing = nullptr;   ///< ssl.MemoryBIO: ciphertext to be sent
  PyObject* bio_write = nullptr;  ///< incoming.write
  PyObject* bio_read = nullptr;   ///< outgoing.read
  PyObject* read = nullptr;       ///< read(size[, buffer])
  PyObject* write = nullptr;      ///< write(data)
  PyObject* window = nullptr;     ///< TlsWindow
  PyObject* read_args = nullptr;  ///< (a size that is never the limit, window)
  /// What a transport of others receives into; made by its first get_buffer().
  PyObject* foreign_buffer = nullptr;

  RecordCounter records;
  /// Ciphertext that is not in `incoming` yet; only while tls_feed() runs.
  std::span<const std::byte> unfed;
  WriteQueue backlog;  ///< plaintext that is not encrypted yet

  // Water marks, at first those of asyncio.constants.
  Py_ssize_t incoming_high = 256 * 1024;
  Py_ssize_t incoming_low = 64 * 1024;
  Py_ssize_t outgoing_high = 512 * 1024;
  Py_ssize_t outgoing_low = 128 * 1024;
  std::uint32_t conn_lost = 0;  ///< as asyncio's: writes since the end, and the end

  TlsPhase phase = TlsPhase::unwrapped;
  AppState app_state = AppState::init;
  bool has_windows = false;  ///< read and write are _ssl's own
  bool app_is_buffered = false;
  bool app_is_tls = false;  ///< TLS in TLS: the application is a TlsProtocol too
  bool app_reading_paused = false;
  bool app_reading_over = false;  ///< close() was called: what arrives is thrown away
  bool reading_held = false;      ///< who awaits the handshake has not run yet
  bool app_writing_paused = false;
  bool lower_reading_paused = false;
  bool lower_writing_paused = false;
  bool eof_received = false;      ///< from the lower transport
  bool may_have_answers = false;  ///< a read met records that OpenSSL may have answered
};

inline constexpr std::size_t kTlsOffset =
    (sizeof(TlsHead) + alignof(TlsProtocol) - 1) / alignof(TlsProtocol) * alignof(TlsProtocol);
static_assert(alignof(TlsProtocol) <= alignof(std::max_align_t));

/// Whether `object` is a TlsProtocolBase.
[[nodiscard]] inline bool tls_check(const ModuleState& state, PyObject* object) noexcept {
  return PyObject_TypeCheck(object, state.tls_protocol_type) != 0;
}

/// Whether what arrives is the application's data, not a handshake or what comes after the end.
[[nodiscard]] bool tls_is_wrapped(PyObject* self) noexcept;

/// Ciphertext arrived: from a StreamTransport, which keeps `data` until this returns, in its
/// context. Returns -1 with an error set, which is the lower transport's to report.
[[nodiscard]] int tls_feed(PyObject* self, std::span<const std::byte> data) noexcept;

[[nodiscard]] int tls_register(PyObject* module, ModuleState& state) noexcept;
[[nodiscard]] int tls_transport_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
