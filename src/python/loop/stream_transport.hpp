// `StreamTransport`: the native transport of a connected stream socket, with the behaviour that
// asyncio documents for its own (event order, flow control, half-close, errors and their wording).
//
// What it costs per packet: one `bytes` and the call of the user's method. Arrivals come from one
// multishot receive; writes of a turn are gathered and leave in one send before the loop waits.
//
//   stream_transport.cpp  the type: construction, collection, method table
//   stream_info.cpp       repr, get_extra_info, water marks, private attributes
//   stream_read.cpp       receiving, pausing
//   stream_deliver.cpp    delivery to the protocol
//   stream_write.cpp      gathering, sending, flow control, write_eof
//   stream_close.cpp      close, abort, errors, connection_lost, the end of the descriptor
//
// Life (asyncio's own flags, kept under its names):
//
//            close()                 all written
//   open ───────────────▶ closing ───────────────▶ lost ─── connection_lost() ──▶ released
//     │   nothing to write: straight on to lost      ▲         (next turn)
//     └──────── abort(), a fatal error ──────────────┘
//
// open       closing == false.
// closing    closing == true, conn_lost == 0: no more reading, writes still go out.
// lost       conn_lost > 0: connection_lost() is scheduled, exactly once; writes are counted.
// released   protocol, server and socket are gone, and the descriptor is closed (fd_state).
//
// Reading (the operation `read`; see stream_read.cpp for when it changes):
//
//            start                small reads ▶
//   off ◀────────────▶ edges ◀────────────────▶ arrivals
//          pause, close          ◀ a large one
//
// edges      poll_multishot, and recv(2) straight into the final object. Every connection begins
// so. arrivals   recv_multishot: the driver's buffer, copied into a `bytes` of the exact size. From
// off it goes on in the mode it had. Never both in flight: every change of mode waits for the last
// completion of the other.
//
// An operation in flight owns a reference to the transport, and so does a pending flush.
//
// Threads: the loop's, or any single one while the loop does not run; other calls raise.
#pragma once

#include <blitzio/driver/operation.hpp>
#include <python/loop/loop.hpp>
#include <python/loop/socket_transport.hpp>
#include <python/loop/write_queue.hpp>
#include <python/support/state.hpp>

#include <netinet/in.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace blitzio::python {

struct StreamTransport;

/// An operation that knows its transport.
struct StreamOperation : driver::Operation {
  StreamOperation(StreamTransport& transport, Complete on_completion) noexcept
      : Operation(on_completion), owner(transport) {}
  StreamTransport& owner;
};

/// An internet address as the kernel wrote it, turned into a Python object only if asked for.
struct StoredAddress {
  /// Of AF_UNSPEC, which is 0: none.
  alignas(sockaddr_in6) std::array<std::byte, sizeof(sockaddr_in6)> bytes{};

  [[nodiscard]] const sockaddr& generic() const noexcept {
    return *reinterpret_cast<const sockaddr*>(bytes.data());
  }
  [[nodiscard]] bool is_known() const noexcept { return generic().sa_family != AF_UNSPEC; }
  /// Keeps `address`, which the kernel wrote. Returns false if it is of another family.
  bool store(std::span<const std::byte> address) noexcept;
};

/// How the connection's reading came to its end; kept while paused, told after what is held.
enum class ReadEnd : std::uint8_t { none, eof, error };

/// Linked as a Flushable: the loop will send before it waits.
struct StreamTransport : SocketTransport, ListNode<PauseTag>, Flushable {
  using Pause = ListNode<PauseTag>;

  explicit StreamTransport(ModuleState& module_state) noexcept;

  PyObject* server = nullptr;        ///< or null
  PyObject* empty_waiter = nullptr;  ///< future of _make_empty_waiter(), or null
  bool eof_written = false;          ///< write_eof() was called
  bool is_buffered = false;          ///< the protocol is a BufferedProtocol
  bool is_tls = false;               ///< the protocol is our TLS layer, which is called directly

  // Reading.
  bool started = false;  ///< connection_made() has been called
  bool paused = false;
  bool wants_edges = true;     ///< wanted mode: edges rather than arrivals
  bool drain_again = false;    ///< a turn's share was used up; go on in the next
  bool edge_said_end = false;  ///< a short read does not mean that all was read
  bool is_pause_old = false;   ///< it began in an earlier turn; linked in LoopObject::pausing
  ReadEnd read_end = ReadEnd::none;
  bool read_end_told = false;
  std::uint8_t small_reads_left = 2;   ///< in a row, until the wanted mode is arrivals
  std::uint8_t turns_to_read = 2;      ///< of a broken one that has nothing unread, before it ends
  std::int16_t write_error = 0;        ///< errno of a send, told after what can be read by then
  int read_error = 0;                  ///< errno of ReadEnd::error
  std::uint32_t read_bytes = 0;        ///< size of the next `bytes` in mode edges
  std::uint32_t scheduled_turn = ~0U;  ///< LoopObject::turn_number of data that led to callbacks
  std::uint32_t last_large_write = ~0U;  ///< LoopObject::turn_number of it
  /// `bytes` that arrived while paused, oldest first; strong. Null: none, as with most connections.
  std::unique_ptr<std::vector<PyObject*>> held;

  // Writing.
  std::size_t gathered_bytes = 0;  ///< of this one in the loop's
  WriteQueue queue;

  StreamOperation read;  ///< recv_multishot or poll_multishot
  // Made when first needed, which for most connections is never.
  std::unique_ptr<StreamOperation> writable;  ///< poll(POLLOUT): the kernel's buffer is full
  std::unique_ptr<StreamOperation> resume;    ///< nop: held data or a large read go on next turn

  StoredAddress local;
  StoredAddress peer;
};

inline constexpr std::size_t kStreamBytes = kTransportOffset + sizeof(StreamTransport);
static_assert(kTransportFits<StreamTransport>);

/// See transport_visit_in_flight().
[[nodiscard]] int stream_visit_in_flight(StreamTransport& transport, visitproc visit,
                                         void* arg) noexcept;
[[nodiscard]] int stream_transport_register(PyObject* module, ModuleState& state) noexcept;

/// Ends the waiting of what has paused before this turn and, if the loop is not busy and so about
/// to wait itself, of what has paused at all. Owner only.
void stream_settle_pauses(LoopObject& loop, bool is_busy) noexcept;

/// What a transport is made of. `sock` null: `fd` is taken over (closed if this fails), of `family`
/// and `proto`.
struct StreamParts {
  PyObject* sock = nullptr;
  int fd = -1;
  int family = 0;
  int proto = 0;
  bool is_nodelay = false;  ///< TCP_NODELAY is set already (inherited from a listening socket)
  StoredAddress peer;       ///< if it is known already
  PyObject* protocol = nullptr;
  PyObject* extra = nullptr;
  PyObject* server = nullptr;
  PyObject* waiter = nullptr;
  bool call_connection_made = true;
};

/// socket.socket(family, type, proto, fileno=fd), non-blocking. Null with an error set; `fd` is
/// then open still.
[[nodiscard]] PyRef socket_from_fd(ModuleState& state, int fd, int family, int type,
                                   int proto) noexcept;

/// A new transport, registered with loop, driver and server, its connection_made() scheduled.
/// Returns null with an error set.
[[nodiscard]] PyRef stream_transport_new(LoopObject& loop, const StreamParts& parts) noexcept;

}  // namespace blitzio::python
