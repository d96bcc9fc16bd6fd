// What the files of DatagramTransport share; see datagram_transport.hpp for who does what.
#pragma once

#include <blitzio/base/address_buffer.hpp>
#include <python/loop/datagram_transport.hpp>
#include <python/support/error.hpp>

namespace blitzio::python {

[[nodiscard]] inline DatagramTransport& as_datagram(PyObject* self) noexcept {
  return transport_of<DatagramTransport>(self);
}
[[nodiscard]] inline DatagramTransport& datagram_of(driver::Operation& operation) noexcept {
  return static_cast<DatagramOperation&>(operation).owner;
}

// ---- datagram_receive.cpp -----------------------------------------------------------------------

/// Brings the read operation into line with the flags: submits or cancels it.
void datagram_update_reading(DatagramTransport& transport) noexcept;
void datagram_on_read(driver::Operation& operation, const driver::Completion& completion) noexcept;
void datagram_on_resume(driver::Operation& operation,
                        const driver::Completion& completion) noexcept;

PyObject* datagram_start_reading(PyObject* self, PyObject* unused) noexcept;
PyObject* datagram_pause_reading(PyObject* self, PyObject* unused) noexcept;
PyObject* datagram_resume_reading(PyObject* self, PyObject* unused) noexcept;

// ---- datagram_send.cpp --------------------------------------------------------------------------

void datagram_on_writable(driver::Operation& operation,
                          const driver::Completion& completion) noexcept;

PyObject* datagram_sendto(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                          PyObject* kwnames) noexcept;

// ---- datagram_close.cpp -------------------------------------------------------------------------

/// Takes what error_received() is called with. Returns -1 with the error that it raises.
[[nodiscard]] int datagram_call_error_received(DatagramTransport& transport,
                                               PyObject* exception) noexcept;
/// As asyncio's _force_close(): drops what is queued. `exception` null: None.
[[nodiscard]] int datagram_force_close(DatagramTransport& transport, PyObject* exception) noexcept;
/// As asyncio's _fatal_error(): reports anything but an OSError, and aborts. Leaves no error set.
void datagram_fatal_error(DatagramTransport& transport, PyRef exception,
                          const char* message) noexcept;
/// Closes the socket. Leaves no error set.
void datagram_release_fd(DatagramTransport& transport) noexcept;

PyObject* datagram_method_close(PyObject* self, PyObject* unused) noexcept;
PyObject* datagram_method_abort(PyObject* self, PyObject* unused) noexcept;
PyObject* datagram_method_force_close(PyObject* self, PyObject* exception) noexcept;
PyObject* datagram_method_fatal_error(PyObject* self, PyObject* args, PyObject* kwargs) noexcept;
PyObject* datagram_call_connection_lost(PyObject* self, PyObject* exception) noexcept;
PyObject* datagram_release_socket(PyObject* self, PyObject* unused) noexcept;
void datagram_finalize(PyObject* self) noexcept;

// ---- datagram_info.cpp --------------------------------------------------------------------------

/// Puts what asyncio offers there into self._extra, and learns from it how to send. `local`: what
/// the socket is bound to; looked at if the family is a plain one.
[[nodiscard]] int datagram_fill_extra(DatagramTransport& transport,
                                      const AddressBuffer& local) noexcept;

PyObject* datagram_repr(PyObject* self) noexcept;
PyObject* datagram_get_write_buffer_size(PyObject* self, PyObject* unused) noexcept;
PyObject* datagram_get_write_buffer_limits(PyObject* self, PyObject* unused) noexcept;
PyObject* datagram_set_write_buffer_limits(PyObject* self, PyObject* args,
                                           PyObject* kwargs) noexcept;
extern PyGetSetDef datagram_getset[];

}  // namespace blitzio::python
