// `ReadPipeTransport`, `WritePipeTransport`: native transports of one end of a pipe, FIFO, socket
// or character device, with the behaviour of asyncio's pipe transports (which differ from its
// stream transports: the end of the data closes a reader, close() of a writer is write_eof()).
//
// They are types of their own rather than modes of StreamTransport, because a pipe is no socket: no
// recv(2), no addresses, no half-close, and the object that owns the descriptor is
// whatever file object the user gave, which only its own close() can close.
//
//   pipe_transport.cpp  what both have: construction, collection, connection_lost, the types
//   pipe_read.cpp       receiving: by polls and read(2), or by reads that stay in the ring
//   pipe_write.cpp      gathering, writing, flow control, noticing that the reader is gone
//
//            start (next turn)            close(), end, error
//   made ────────────────────▶ open ──────────────────────────────▶ lost ── connection_lost() ──▶
//                                │ close(), write_eof() of a writer  ▲                   released
//                                ▼ that has something queued         │
//                             closing ── all written, error, abort() ┘
//
// open       closing == false.
// closing    closing == true, is_lost == false: writers only; the queue still goes out.
// lost       is_lost: connection_lost() is scheduled, exactly once; every operation is cancelled.
// released   the pipe is closed, protocol and pipe are gone.
//
// The descriptor is not attached to the driver: the same file may be open under other numbers in
// other transports (a terminal is), and the driver must not have to rely on its end. The pipe
// object is closed with connection_lost(), one turn after the operations were cancelled; should one
// be in flight still (connection_lost() called by hand), its completion comes later and is ignored.
//
// An operation in flight owns a reference to the transport, and so does a pending flush.
//
// Threads: the loop's, or any single one while the loop does not run; other calls raise.
#pragma once

#include <python/support/state.hpp>

namespace blitzio::python {

[[nodiscard]] int pipe_transport_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
