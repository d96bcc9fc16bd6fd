// `DatagramTransport`: the native transport of a datagram socket (UDP over IPv4 and IPv6, Unix
// datagrams, and through the socket's own methods any other family), with the behaviour that
// asyncio documents for its own: event order, flow control, errors and their wording.
//
// What it costs per datagram: one `bytes`, the call of the user's method, and one system call each
// way. The address object is kept while the peer stays the same.
//
//   datagram_transport.cpp  the type: construction, collection, method table
//   datagram_info.cpp       repr, water marks, private attributes
//   datagram_receive.cpp    receiving, pausing, delivery to the protocol
//   datagram_send.cpp       sending, the queue, flow control
//   datagram_close.cpp      close, abort, errors, connection_lost
//   datagram_address.hpp    addresses in both forms
//
// Life (asyncio's own flags, kept under its names):
//
//            close()                 all sent
//   open ───────────────▶ closing ───────────────▶ lost ─── connection_lost() ──▶ released
//     │   nothing queued: straight on to lost        ▲         (next turn)
//     └──────── abort(), a fatal error ──────────────┘
//
// open       closing == false.
// closing    closing == true, conn_lost == 0: no more reading, the queue still goes out.
// lost       conn_lost > 0: connection_lost() is scheduled, exactly once.
// released   protocol and socket are gone; see transport_base.hpp for the descriptor.
//
// Errors of the kernel (a refused or oversized datagram) concern one datagram: they go to
// error_received(), and the endpoint goes on. Anything else that fails is fatal.
//
// An operation in flight owns a reference to the transport.
//
// Threads: the loop's, or any single one while the loop does not run; other calls raise.
#pragma once

#include <blitzio/base/owned_fd.hpp>
#include <blitzio/driver/operation.hpp>
#include <python/loop/datagram_address.hpp>
#include <python/loop/datagram_queue.hpp>
#include <python/loop/socket_transport.hpp>

#include <cstddef>
#include <cstdint>

namespace blitzio::python {

struct DatagramTransport;

/// An operation that knows its transport.
struct DatagramOperation : driver::Operation {
  DatagramOperation(DatagramTransport& transport, Complete on_completion) noexcept
      : Operation(on_completion), owner(transport) {}
  DatagramTransport& owner;
};

struct DatagramTransport : SocketTransport {
  explicit DatagramTransport(ModuleState& module_state) noexcept;

  bool started = false;           ///< connection_made() has been called
  bool paused = false;            ///< pause_reading() was called
  bool was_polled = false;        ///< the last event told of this very socket
  bool wants_edges = false;       ///< to be told of what arrives, not of what is there
  std::uint8_t singles = 0;       ///< events that brought one datagram, since more was looked for
  bool is_connected = false;      ///< asyncio's rule: 'peername' is true, so send() is used
  bool has_unnamed_peer = false;  ///< connected to a Unix socket without a name

  /// The only address that sendto() accepts; or null. As asyncio, not necessarily connected to it.
  PyObject* address = nullptr;
  KnownAddress sender;     ///< of the last datagram received
  KnownAddress recipient;  ///< of the last datagram sent to somebody else
  DatagramQueue queue;

  DatagramOperation read;      ///< a poll; see datagram_receive.cpp for its kinds
  DatagramOperation writable;  ///< poll(POLLOUT): in flight while the queue waits
  OwnedFd room;                ///< what that polls instead of the socket; see net/receiver_room.hpp
  DatagramOperation resume;    ///< nop: goes on receiving next turn
};

inline constexpr std::size_t kDatagramBytes = kTransportOffset + sizeof(DatagramTransport);
static_assert(kTransportFits<DatagramTransport>);

/// See transport_visit_in_flight().
[[nodiscard]] int datagram_visit_in_flight(DatagramTransport& transport, visitproc visit,
                                           void* arg) noexcept;
[[nodiscard]] int datagram_transport_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
