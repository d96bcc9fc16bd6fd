// `SocketTransport`: what transports over a socket share beside TransportBase, the socket and who
// closes its descriptor.
//
// asyncio closes the socket when connection_lost() has returned, and the peer may be waited for
// from then on, in this very thread. So it is closed at that moment here, too:
//
//   none ──▶ open ──release──▶ closed
//
// An operation may still be in flight then, but a cancelled one: its last completion is to come
// with this turn or the next, and does not look at the descriptor. The driver is told to see that
// the kernel has let go of it before it is closed (Driver::hand_over()). As a rule it has: what
// closing cancelled was handed over when the loop looked for events, between close() and
// connection_lost().
//
// Threads: the loop's, or any single one while the loop does not run.
#pragma once

#include <python/loop/transport_base.hpp>
#include <python/loop/unclosed.hpp>

#include <cstdint>

namespace blitzio::python {

/// Who still has to close the descriptor.
enum class FdState : std::uint8_t {
  none,    ///< never had one
  open,    ///< the connection is up, or connection_lost() is to come
  closed,  ///< by us, or it is the caller's again
};

enum class SocketKind : std::uint8_t { stream, datagram };

struct SocketTransport : TransportBase {
  SocketTransport(ModuleState& module_state, SocketKind transport_kind) noexcept
      : TransportBase(module_state), kind(transport_kind) {}

  // These fit in what the base's last members leave of a word.
  const SocketKind kind;
  FdState fd_state = FdState::none;
  std::int16_t family = 0;
  std::int16_t proto = 0;    ///< streams only
  PyObject* sock = nullptr;  ///< socket.socket; null: not made (or no longer ours)
};

/// Puts the transport into the loop's table. Returns -1 with MemoryError set.
[[nodiscard]] int transport_enter_in_loop(SocketTransport& transport) noexcept;
/// For the loop's traversal: visits the transport once for each reference that an operation in
/// flight, or a pending flush, has to it.
[[nodiscard]] int transport_visit_in_flight(SocketTransport& transport, visitproc visit,
                                            void* arg) noexcept;
/// Schedules the start of reading, behind connection_made(). With a `waiter` (null, None: nobody)
/// it comes a little later: what had come already would be told before whoever awaits it has run,
/// while asyncio tells it right behind. Returns -1 with an error set.
[[nodiscard]] int transport_schedule_start(SocketTransport& transport, PyObject* waiter) noexcept;
/// The second half of that: sets the waiter's result unless it was cancelled, and has reading begin
/// when the next turn does, in which its callbacks run before what is received.
PyObject* transport_method_wake_waiter(PyObject* self, PyObject* waiter) noexcept;
/// Of a transport that could not be made: lets go of the socket, which stays the caller's to close.
void transport_give_socket_back(SocketTransport& transport) noexcept;
/// Takes the transport out of the loop's table, if its number still stands for it.
void transport_forget_in_loop(SocketTransport& transport) noexcept;
/// Closes the socket. `in_use`: by operations in flight, all of them cancelled. Leaves no error
/// set.
void transport_release_fd(SocketTransport& transport, bool in_use) noexcept;
/// Whether this thread may use the driver: the loop's thread, or any while the loop does not run.
[[nodiscard]] bool transport_may_use_driver(const SocketTransport& transport) noexcept;
/// For close() and abort(), which others' finalisers (StreamWriter's) call in whatever thread drops
/// the last reference: whether another thread runs the loop and is to be asked. Debug mode raises
/// instead, as asyncio does.
[[nodiscard]] bool transport_must_ask_loop(const SocketTransport& transport) noexcept;
/// loop.call_soon_threadsafe(self.name). Returns None, or null with an error set.
[[nodiscard]] PyObject* transport_ask_loop(SocketTransport& transport, PyObject* name) noexcept;
/// For finalisers: has the loop's thread call self._release_socket(). Leaves no error set.
void transport_release_in_loop(SocketTransport& transport) noexcept;
/// tp_finalize of a kind: the collector or the last reference ends a transport that nobody closed.
/// Nothing is in flight, which would own a reference. `release` loses it without a word.
template <class Transport>
void transport_finalize(Transport& transport, void (*release)(Transport&) noexcept) noexcept {
  if (transport.fd_state != FdState::open) return;
  const LoopUse use(transport.loop);
  finalize_unclosed(as_object(transport), [&] {
    if (transport_may_use_driver(transport)) {
      release(transport);
    } else {
      // The loop runs in another thread, and only that one may use the driver.
      transport_release_in_loop(transport);
    }
  });
}
/// As the general one, in the words that asyncio has for sockets.
inline void transport_count_lost_write(SocketTransport& transport) noexcept {
  transport_count_lost_write(transport, "socket.send() raised exception.");
}
/// Schedules self._call_connection_lost(exception). Must not be lost yet. `exception` null: None.
[[nodiscard]] int transport_schedule_lost(SocketTransport& transport, PyObject* exception) noexcept;

}  // namespace blitzio::python
