// What the files of StreamTransport share; see stream_transport.hpp for who does what.
#pragma once

#include <python/loop/stream_transport.hpp>
#include <python/support/error.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace blitzio::python {

[[nodiscard]] inline StreamTransport& as_stream(PyObject* self) noexcept {
  return transport_of<StreamTransport>(self);
}
[[nodiscard]] inline StreamTransport& owner_of(driver::Operation& operation) noexcept {
  return static_cast<StreamOperation&>(operation).owner;
}

/// Whether the kernel takes no more: `writable` is in flight.
[[nodiscard]] inline bool stream_is_blocked(const StreamTransport& transport) noexcept {
  return transport.writable != nullptr && !transport.writable->is_idle();
}

/// A method of the transport's protocol; see protocol_call().
[[nodiscard]] inline PyRef stream_call(StreamTransport& transport, PyObject* name,
                                       PyObject* argument = nullptr) noexcept {
  return protocol_call(transport.protocol, name, argument);
}

// ---- stream_read.cpp ----------------------------------------------------------------------------

/// Brings the read operation into line with the flags: submits or cancels it.
void stream_update_reading(StreamTransport& transport) noexcept;
void stream_on_read(driver::Operation& operation, const driver::Completion& completion) noexcept;
void stream_on_resume(driver::Operation& operation, const driver::Completion& completion) noexcept;

/// Drops what arrived while paused.
inline void stream_drop_held(StreamTransport& transport) noexcept {
  const auto held = std::exchange(transport.held, nullptr);
  if (held == nullptr) return;
  for (PyObject* bytes : *held) Py_DECREF(bytes);
}

PyObject* stream_pause_reading(PyObject* self, PyObject* unused) noexcept;
PyObject* stream_resume_reading(PyObject* self, PyObject* unused) noexcept;
PyObject* stream_start_reading(PyObject* self, PyObject* unused) noexcept;

// ---- stream_deliver.cpp -------------------------------------------------------------------------

/// Calls data_received() with `bytes`. The transport may be in any state afterwards.
void stream_deliver_bytes(StreamTransport& transport, PyObject* bytes) noexcept;
/// Calls buffer_updated(); as stream_deliver_bytes().
void stream_tell_buffer_updated(StreamTransport& transport, std::size_t count) noexcept;
/// Hands ciphertext to our TLS layer, which copies what it needs later.
void stream_deliver_to_tls(StreamTransport& transport, std::span<const std::byte> data) noexcept;
/// Delivers `data` piece by piece, whichever protocol the transport has by then. What cannot be
/// delivered is held, in front of what is held already. Returns false if that has its turn later.
bool stream_deliver(StreamTransport& transport, std::span<const std::byte> data) noexcept;
/// Keeps `data` until reading goes on. Out of memory is an error of the connection.
void stream_hold(StreamTransport& transport, std::span<const std::byte> data,
                 bool in_front) noexcept;
/// Delivers what is held, and the end if that has come.
void stream_deliver_held(StreamTransport& transport) noexcept;
/// Notes the end, and tells it behind the data: `result` is 0 or a negative errno.
void stream_end_reading(StreamTransport& transport, std::int32_t result) noexcept;
/// Has `resume` come. Returns false if there was no memory: the connection has failed.
bool stream_ask_for_next_turn(StreamTransport& transport) noexcept;

// ---- stream_write.cpp ---------------------------------------------------------------------------

/// Sends what is queued unless the kernel's buffer is known to be full. Leaves no error set.
void stream_flush(StreamTransport& transport) noexcept;
void stream_on_flush(Flushable& flushable) noexcept;
void stream_on_writable(driver::Operation& operation,
                        const driver::Completion& completion) noexcept;

/// Asks the protocol to pause if the kernel has refused more than the high-water mark allows.
/// Returns -1 with a fatal error of pause_writing().
[[nodiscard]] int stream_pause_if_refused(StreamTransport& transport) noexcept;

/// As write() of exact `bytes`. `more`: what follows comes at once, and may leave with it.
[[nodiscard]] int stream_write_bytes(PyObject* self, PyObject* bytes, bool more) noexcept;

PyObject* stream_write(PyObject* self, PyObject* data) noexcept;
PyObject* stream_writelines(PyObject* self, PyObject* list) noexcept;
PyObject* stream_write_eof(PyObject* self, PyObject* unused) noexcept;
PyObject* stream_make_empty_waiter(PyObject* self, PyObject* unused) noexcept;
/// For sendfile(), between _make_empty_waiter() and _reset_empty_waiter(): a future that is done
/// when the socket takes more, and fails when the connection is lost.
PyObject* stream_make_writable_waiter(PyObject* self, PyObject* unused) noexcept;
PyObject* stream_reset_empty_waiter(PyObject* self, PyObject* unused) noexcept;

// ---- stream_close.cpp ---------------------------------------------------------------------------

/// As close(). Returns -1 with an error set (the loop is closed).
[[nodiscard]] int stream_close(StreamTransport& transport) noexcept;
/// As asyncio's _force_close(): drops what is queued. `exception` null: None.
[[nodiscard]] int stream_force_close(StreamTransport& transport, PyObject* exception) noexcept;
/// As asyncio's _fatal_error(): reports anything but an OSError, and aborts. Leaves no error set.
void stream_fatal_error(StreamTransport& transport, PyRef exception, const char* message) noexcept;
/// stream_fatal_error() with the current exception; a KeyboardInterrupt or SystemExit ends the run
/// instead.
void stream_protocol_failed(StreamTransport& transport, const char* message) noexcept;
/// Closes the socket. Leaves no error set.
void stream_release_fd(StreamTransport& transport) noexcept;
/// Tells the server (null, None: nobody) that it has this connection, and keeps it. Returns -1 with
/// an error set.
[[nodiscard]] int stream_attach_server(StreamTransport& transport, PyObject* server) noexcept;
/// Tells and forgets the server.
void stream_detach_server(StreamTransport& transport) noexcept;

PyObject* stream_method_close(PyObject* self, PyObject* unused) noexcept;
PyObject* stream_method_abort(PyObject* self, PyObject* unused) noexcept;
PyObject* stream_method_force_close(PyObject* self, PyObject* exception) noexcept;
PyObject* stream_method_fatal_error(PyObject* self, PyObject* args, PyObject* kwargs) noexcept;
PyObject* stream_call_connection_lost(PyObject* self, PyObject* exception) noexcept;
PyObject* stream_release_socket(PyObject* self, PyObject* unused) noexcept;
void stream_finalize(PyObject* self) noexcept;

// ---- stream_info.cpp ----------------------------------------------------------------------------

/// Asks the kernel for both addresses, while it still knows the peer's, unless `peer` tells that.
[[nodiscard]] int stream_store_addresses(StreamTransport& transport,
                                         const StoredAddress& peer) noexcept;
/// The socket object, made now if there is none yet. Borrowed; null with or without an error set.
[[nodiscard]] PyObject* stream_socket(StreamTransport& transport) noexcept;

PyObject* stream_repr(PyObject* self) noexcept;
PyObject* stream_get_extra_info(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                                PyObject* kwnames) noexcept;
PyObject* stream_get_write_buffer_size(PyObject* self, PyObject* unused) noexcept;
PyObject* stream_get_write_buffer_limits(PyObject* self, PyObject* unused) noexcept;
PyObject* stream_set_write_buffer_limits(PyObject* self, PyObject* args, PyObject* kwargs) noexcept;
extern PyGetSetDef stream_getset[];

}  // namespace blitzio::python
