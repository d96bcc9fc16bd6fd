// `ModuleState`: everything the extension keeps per interpreter: its types, interned names, objects
// of asyncio that hot paths call, and free lists. Nothing lives in globals, so each sub-interpreter
// has its own. Objects keep a plain pointer to it. What keeps the module alive for them is their
// loop, which they keep until they die themselves: a type lets its module go when the collector
// clears it, and that may be before its instances are gone.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <python/support/free_list.hpp>
#include <python/support/py_ref.hpp>

#include <mutex>

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
  X(_failed)                   \
  X(_go_on)                    \
  X(_io_refs)                  \
  X(_job_exception)            \
  X(_on_close_notify)          \
  X(_on_handshake_complete)    \
  X(_on_shutdown_complete)     \
  X(_receive)                  \
  X(_run_in_python_executor)   \
  X(_sock_connect_unresolved)  \
  X(_source_traceback)         \
  X(_start)                    \
  X(_start_reading)            \
  X(_waiter)                   \
  X(_wake_waiter)              \
  X(_wakeup)                   \
  X(abort)                     \
  X(accept)                    \
  X(add_done_callback)         \
  X(buffer_updated)            \
  X(call_exception_handler)    \
  X(call_soon)                 \
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
  X(get_task_factory)          \
  X(result)                    \
  X(eager_start)               \
  X(eof_received)              \
  X(error_received)            \
  X(exception)                 \
  X(family)                    \
  X(fileno)                    \
  X(future)                    \
  X(get)                       \
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
  X(pipe_data_received)        \
  X(proto)                     \
  X(protocol)                  \
  X(read)                      \
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
  X(sock_connect)              \
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

// The types of this module: `state.loop_type`. Null until they are registered.
#define BLITZIO_TYPES(X)     \
  X(loop_type)               \
  X(handle_type)             \
  X(timer_handle_type)       \
  X(shared_context_type)     \
  X(stream_transport_type)   \
  X(datagram_transport_type) \
  X(listener_type)           \
  X(server_base_type)        \
  X(child_output_type)       \
  X(sock_operation_type)     \
  X(connect_operation_type)  \
  X(tls_protocol_type)       \
  X(tls_transport_type)      \
  X(tls_window_type)         \
  X(thread_pool_type)        \
  X(join_handle_type)        \
  X(scheduler_type)          \
  X(worker_type)             \
  X(foreign_loop_type)       \
  X(awaitable_type)          \
  X(ready_type)              \
  X(mutex_type)              \
  X(sync_guard_type)         \
  X(broadcast_receiver_type) \
  X(watch_receiver_type)     \
  X(foreign_driver_type)     \
  X(address_type)            \
  X(tcp_stream_type)         \
  X(unix_stream_type)        \
  X(tcp_listener_type)       \
  X(unix_listener_type)      \
  X(udp_socket_type)         \
  X(unix_datagram_type)      \
  X(pipe_reader_type)        \
  X(pipe_writer_type)        \
  X(child_process_type)      \
  X(signal_set_type)         \
  X(metadata_type)           \
  X(file_type)               \
  X(text_file_type)          \
  X(opening_type)            \
  X(watcher_type)            \
  X(loop_holder_type) /* asyncio's, or null: support/running_loop.hpp */

// Other objects that it keeps.
#define BLITZIO_OBJECTS(X)                                                         \
  /* From asyncio and the standard library, looked up once at import. */           \
  X(asyncio_future)         /* asyncio.Future */                                   \
  X(asyncio_task)           /* asyncio.Task */                                     \
  X(asyncio_transport)      /* asyncio.Transport */                                \
  X(asyncio_datagram)       /* asyncio.DatagramTransport */                        \
  X(asyncio_protocol)       /* asyncio.Protocol */                                 \
  X(buffered_protocol)      /* asyncio.BufferedProtocol */                         \
  X(cancelled_error)        /* asyncio.CancelledError */                           \
  X(invalid_state_error)    /* asyncio.InvalidStateError */                        \
  X(extract_stack)          /* asyncio.format_helpers.extract_stack */             \
  X(format_callback_source) /* asyncio.format_helpers._format_callback_source */   \
  X(get_running_loop)       /* asyncio._get_running_loop */                        \
  X(current_task)           /* asyncio.current_task; before 3.12 its dict */       \
  X(socket_type)            /* socket.socket */                                    \
  X(transport_socket)       /* asyncio.trsock.TransportSocket */                   \
  X(logger)                 /* logging.getLogger("asyncio") */                     \
  X(socket_numbers)         /* (AF_INET, AF_INET6, SOCK_STREAM, …_DGRAM, …_RAW) */ \
  /* When first needed. */                                                         \
  X(ssl_error)             /* ssl.SSLError */                                      \
  X(ssl_closed_error)      /* ssl.SSLZeroReturnError */                            \
  X(ssl_again_errors)      /* (ssl.SSLWantReadError, ssl.SSLSyscallError) */       \
  X(unsupported_operation) /* io.UnsupportedOperation */                           \
  X(newline_decoder)       /* io.IncrementalNewlineDecoder */                      \
  X(process_pool)          /* ThreadPool, by atomic_ref: runtime/spawn.cpp */      \
  /* Our own. */                                                                   \
  X(foreign_loops)   /* id → ForeignLoop, weakly: bridge/foreign_loop.hpp */       \
  X(foreign_drivers) /* id → ForeignDriver, weakly: bridge/io_context.hpp */       \
  X(closed_error)    /* blitzio.channel.Closed, and its siblings */                \
  X(full_error)                                                                    \
  X(empty_error)                                                                   \
  X(lagged_error)                                                                  \
  X(fs_module)  /* blitzio._native.fs */                                           \
  X(ready_none) /* awaiting it gives None: bridge/ready.hpp */                     \
  X(loop_holder_key)                                                               \
  X(leave_task) /* asyncio's, before 3.12 */                                       \
  X(enter_task)                                                                    \
  X(start_here) /* starts a JoinHandle on the running loop: runtime/spawn.cpp */

struct JobRegistry;

/// What is not made at import: second_half.hpp.
struct SecondHalf {
  std::mutex mutex;                // of whoever makes it, or waits for that
  Atomic<unsigned long> maker{0};  // its thread; 0: it is not being made
  std::size_t steps_done = 0;      // under the mutex; what fails is tried again from there on
  Atomic<bool> is_made{false};
};

struct ModuleState {
  PyObject* module = nullptr;  ///< borrowed: whose state this is

#define BLITZIO_TYPE_MEMBER(n) PyTypeObject* n = nullptr;
  BLITZIO_TYPES(BLITZIO_TYPE_MEMBER)
#undef BLITZIO_TYPE_MEMBER
#define BLITZIO_OBJECT_MEMBER(n) PyObject* n = nullptr;
  BLITZIO_OBJECTS(BLITZIO_OBJECT_MEMBER)
#undef BLITZIO_OBJECT_MEMBER

  SecondHalf second_half;
  JobRegistry* job_registry = nullptr;  // job.cpp

  PyObject* task_kwnames = nullptr;     // ("loop", "name")
  PyObject* context_kwnames = nullptr;  // ("context",)
  // Of asyncio.Task for what is spawned: ("loop", "context", "eager_start"), as far as it has them.
  PyObject* spawn_kwnames = nullptr;
  PyObject* spawn_named_kwnames = nullptr;  // that, and "name"
  Names names;

  // callback_context.cpp
  PyObject* latest_context = nullptr;  // borrowed: the newest SharedContext that can be shared
  PyObject* spare_context = nullptr;   // a dead one, to be revived
  bool shares_contexts = false;

  FreeList<256> handles;
  FreeList<256> timer_handles;
};

/// The state of the module that defines `type` (exactly that type, no subclass of it).
[[nodiscard]] inline ModuleState& state_of_type(PyTypeObject* type) noexcept {
  return *static_cast<ModuleState*>(PyType_GetModuleState(type));
}

}  // namespace blitzio::python
