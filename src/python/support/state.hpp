// `ModuleState`: everything the extension keeps per interpreter: its types, interned names, objects
// of asyncio that hot paths call, and free lists. Nothing lives in globals, so each sub-interpreter
// has its own. Objects keep a plain pointer to it. What keeps the module alive for them is their
// loop, which they keep until they die themselves: a type lets its module go when the collector
// clears it, and that may be before its instances are gone.
#pragma once

#include <python/support/free_list.hpp>
#include <python/support/py_ref.hpp>

namespace blitzio::python {

// Interned strings: `state.names.call_soon`.
#define BLITZIO_NAMES(X)       \
  X(__name__)                  \
  X(__self__)                  \
  X(_accept_connection)        \
  X(_asyncio_future_blocking)  \
  X(_attach)                   \
  X(_call_connection_lost)     \
  X(_call_eof_received)        \
  X(_create_task_with_factory) \
  X(_decref_socketios)         \
  X(_detach)                   \
  X(_go_on)                    \
  X(_io_refs)                  \
  X(_job_exception)            \
  X(_on_close_notify)          \
  X(_on_handshake_complete)    \
  X(_on_shutdown_complete)     \
  X(_run_in_python_executor)   \
  X(_sock_connect_unresolved)  \
  X(_source_traceback)         \
  X(_start)                    \
  X(_start_reading)            \
  X(_wake_waiter)              \
  X(abort)                     \
  X(accept)                    \
  X(add_done_callback)         \
  X(buffer_updated)            \
  X(call_exception_handler)    \
  X(cancel)                    \
  X(cancelled)                 \
  X(close)                     \
  X(connect)                   \
  X(connect_ex)                \
  X(connection_lost)           \
  X(connection_made)           \
  X(context)                   \
  X(data_received)             \
  X(datagram_received)         \
  X(detach)                    \
  X(do_handshake)              \
  X(done)                      \
  X(eof_received)              \
  X(error_received)            \
  X(exception)                 \
  X(family)                    \
  X(fileno)                    \
  X(future)                    \
  X(get_buffer)                \
  X(gettimeout)                \
  X(handle)                    \
  X(is_closing)                \
  X(loop)                      \
  X(message)                   \
  X(name)                      \
  X(pause_reading)             \
  X(pause_writing)             \
  X(peername)                  \
  X(pending)                   \
  X(pipe)                      \
  X(proto)                     \
  X(protocol)                  \
  X(recv)                      \
  X(recv_into)                 \
  X(recvfrom)                  \
  X(recvfrom_into)             \
  X(resume_reading)            \
  X(resume_writing)            \
  X(send)                      \
  X(sendto)                    \
  X(set_exception)             \
  X(set_result)                \
  X(setblocking)               \
  X(socket)                    \
  X(sockname)                  \
  X(source_traceback)          \
  X(transport)                 \
  X(unwrap)                    \
  X(write)

struct Names {
#define BLITZIO_NAME_MEMBER(n) PyObject* n = nullptr;
  BLITZIO_NAMES(BLITZIO_NAME_MEMBER)
#undef BLITZIO_NAME_MEMBER
};

struct JobRegistry;

struct ModuleState {
  PyTypeObject* loop_type = nullptr;
  PyTypeObject* handle_type = nullptr;
  PyTypeObject* timer_handle_type = nullptr;
  PyTypeObject* stream_transport_type = nullptr;
  PyTypeObject* datagram_transport_type = nullptr;
  PyTypeObject* listener_type = nullptr;
  PyTypeObject* sock_operation_type = nullptr;
  PyTypeObject* tls_protocol_type = nullptr;
  PyTypeObject* tls_transport_type = nullptr;
  PyTypeObject* tls_window_type = nullptr;
  PyTypeObject* thread_pool_type = nullptr;

  // From asyncio and the standard library, looked up once at import.
  PyObject* asyncio_future = nullptr;          // asyncio.Future
  PyObject* asyncio_task = nullptr;            // asyncio.Task
  PyObject* asyncio_transport = nullptr;       // asyncio.Transport
  PyObject* asyncio_datagram = nullptr;        // asyncio.DatagramTransport
  PyObject* buffered_protocol = nullptr;       // asyncio.BufferedProtocol
  PyObject* cancelled_error = nullptr;         // asyncio.CancelledError
  PyObject* invalid_state_error = nullptr;     // asyncio.InvalidStateError
  PyObject* extract_stack = nullptr;           // asyncio.format_helpers.extract_stack
  PyObject* format_callback_source = nullptr;  // asyncio.format_helpers._format_callback_source
  PyObject* socket_type = nullptr;             // socket.socket
  PyObject* logger = nullptr;                  // logging.getLogger("asyncio")

  PyObject* socket_numbers =
      nullptr;  // socket's (AF_INET, AF_INET6, SOCK_STREAM, SOCK_DGRAM, SOCK_RAW)

  JobRegistry* job_registry = nullptr;  // job.cpp

  PyObject* ssl_error = nullptr;         // ssl.SSLError; with the next two when first needed
  PyObject* ssl_closed_error = nullptr;  // ssl.SSLZeroReturnError
  PyObject* ssl_again_errors = nullptr;  // (ssl.SSLWantReadError, ssl.SSLSyscallError)

  PyObject* future_kwnames = nullptr;  // ("loop",)
  PyObject* task_kwnames = nullptr;    // ("loop", "name")
  Names names;

  FreeList<256> handles;
  FreeList<256> timer_handles;
};

/// The state of the module that defines `type` (exactly that type, no subclass of it).
[[nodiscard]] inline ModuleState& state_of_type(PyTypeObject* type) noexcept {
  return *static_cast<ModuleState*>(PyType_GetModuleState(type));
}

}  // namespace blitzio::python
