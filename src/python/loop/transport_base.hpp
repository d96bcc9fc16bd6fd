// `TransportBase`: the part of a native transport that all kinds have: loop, protocol, socket, how
// it ends, and who closes its descriptor. A kind (StreamTransport, DatagramTransport) derives from
// it and adds what it carries.
//
// asyncio closes the socket when connection_lost() returns. An operation may still be in flight
// then (its cancellation is handed over with the next turn), and a descriptor in use must not be
// closed: its number could be somebody else's before the kernel has let go. So the socket object
// gives the descriptor up at once, which is what Python can see, and the last completion closes it:
//
//   none ──▶ open ──────────────── release, nothing in flight ──────────▶ closed
//              │                                                             ▲
//              └── release ──▶ orphan ── last completion of the last operation ─┘
//
// Threads: the loop's, or any single one while the loop does not run.
#pragma once

#include <blitzio/driver/operation.hpp>
#include <python/loop/loop.hpp>
#include <python/loop/transport_common.hpp>
#include <python/support/state.hpp>

#include <cstddef>
#include <cstdint>

namespace blitzio::python {

/// Who still has to close the descriptor.
enum class FdState : std::uint8_t {
  none,    ///< never had one
  open,    ///< the connection is up, or connection_lost() is to come
  orphan,  ///< released; `orphan_fd` is closed with the last completion
  closed,
};

/// What CPython's type machinery looks at; `extra` is the slot of asyncio.BaseTransport. The C++
/// part lies behind it in the same allocation, but is an object of its own: constructing it must
/// not count as overwriting what tp_alloc wrote here.
struct TransportHead {
  PyObject_HEAD PyObject* extra;
  PyObject* dict;
  PyObject* weakrefs;
};

/// The first base of each kind, so that both have one address.
struct TransportBase {
  explicit TransportBase(ModuleState& module_state) noexcept : state(&module_state) {}
  TransportBase(const TransportBase&) = delete;
  TransportBase& operator=(const TransportBase&) = delete;
  ~TransportBase() = default;

  ModuleState* state;
  LoopObject* loop = nullptr;    ///< strong; null before __init__
  PyObject* sock = nullptr;      ///< socket.socket; null: not made (or no longer ours)
  PyObject* protocol = nullptr;  ///< null once released
  PyObject* context = nullptr;   ///< in which the protocol is called
  int fd = -1;                   ///< stays for repr
  int orphan_fd = -1;
  FdState fd_state = FdState::none;
  bool closing = false;
  bool protocol_paused = false;  ///< pause_writing() was called
  std::uint32_t conn_lost = 0;   ///< 1: connection_lost() scheduled; more: writes since then
  WaterMarks marks;
};

inline constexpr std::size_t kTransportOffset =
    (sizeof(TransportHead) + alignof(std::max_align_t) - 1) / alignof(std::max_align_t) *
    alignof(std::max_align_t);

[[nodiscard]] inline PyObject* as_object(TransportBase& transport) noexcept {
  return reinterpret_cast<PyObject*>(reinterpret_cast<std::byte*>(&transport) - kTransportOffset);
}
[[nodiscard]] inline TransportHead& head_of(PyObject* self) noexcept {
  return *reinterpret_cast<TransportHead*>(self);
}
/// The C++ part of `self`, whose type is known.
template <class Transport>
[[nodiscard]] Transport& transport_of(PyObject* self) noexcept {
  return *reinterpret_cast<Transport*>(reinterpret_cast<std::byte*>(self) + kTransportOffset);
}

/// Whether instances of `base`, a class of asyncio, are laid out as TransportHead begins. False
/// with ImportError set.
[[nodiscard]] bool transport_fits(PyTypeObject* base) noexcept;

/// For methods: -1 with RuntimeError if __init__ has not run or another thread runs the loop.
[[nodiscard]] inline int transport_check(const TransportBase& transport) noexcept {
  if (BLITZIO_UNLIKELY(transport.loop == nullptr)) {
    PyErr_SetString(PyExc_RuntimeError, "the transport is not initialised");
    return -1;
  }
  return loop_check_owner(*transport.loop);
}

/// False during and after the loop's close: operations end, and nobody may be called.
[[nodiscard]] inline bool is_loop_alive(const TransportBase& transport) noexcept {
  return !transport.loop->closed;
}

/// Submits; the operation owns a reference until its last completion.
inline void transport_submit(TransportBase& transport, driver::Operation& operation) noexcept {
  Py_INCREF(as_object(transport));
  loop_driver(*transport.loop).submit(operation);
}
/// The reference that a last completion gives back.
[[nodiscard]] inline PyRef transport_take_self(TransportBase& transport) noexcept {
  return PyRef::steal(as_object(transport));
}

// ---- the descriptor
// -------------------------------------------------------------------------------

/// Takes the transport out of the loop's table, if its number still stands for it.
void transport_forget_in_loop(TransportBase& transport) noexcept;
/// Closes the socket: now, or if it is `in_use` by operations in flight with
/// transport_operation_ended(). Leaves no error set.
void transport_release_fd(TransportBase& transport, bool in_use) noexcept;
/// After the last completion of the last operation: closes an orphaned descriptor.
void transport_operations_ended(TransportBase& transport) noexcept;
/// Whether this thread may use the driver: the loop's thread, or any while the loop does not run.
[[nodiscard]] bool transport_may_use_driver(const TransportBase& transport) noexcept;
/// For close() and abort(), which others' finalisers (StreamWriter's) call in whatever thread drops
/// the last reference: whether another thread runs the loop and is to be asked. Debug mode raises
/// instead, as asyncio does.
[[nodiscard]] bool transport_must_ask_loop(const TransportBase& transport) noexcept;
/// loop.call_soon_threadsafe(self.name). Returns None, or null with an error set.
[[nodiscard]] PyObject* transport_ask_loop(TransportBase& transport, PyObject* name) noexcept;
/// For finalisers: has the loop's thread call self._release_socket(). Leaves no error set.
void transport_release_in_loop(TransportBase& transport) noexcept;

// ---- the protocol
// ---------------------------------------------------------------------------------

/// loop.call_soon(target.name[, argument]) in the transport's context. Returns -1 with an error
/// set.
[[nodiscard]] int transport_call_soon(TransportBase& transport, PyObject* target, PyObject* name,
                                      PyObject* argument = nullptr) noexcept;
/// Schedules self._call_connection_lost(exception). Must not be lost yet. `exception` null: None.
[[nodiscard]] int transport_schedule_lost(TransportBase& transport, PyObject* exception) noexcept;
/// The arguments of asyncio's _fatal_error(exc, message=…).
struct FatalErrorArguments {
  PyObject* exception = nullptr;  ///< borrowed
  const char* message = "Fatal error on transport";
};
/// Returns false with TypeError set if they are wrong.
[[nodiscard]] bool transport_parse_fatal_error(PyObject* args, PyObject* kwargs,
                                               FatalErrorArguments& parsed) noexcept;
/// The first half of asyncio's _fatal_error(): reports anything but an OSError, which is logged in
/// debug mode. Leaves no error set.
void transport_report_fatal(TransportBase& transport, PyObject* exception,
                            const char* message) noexcept;
/// Gives the current exception, which `what` led to, to the loop's exception handler.
void transport_report(TransportBase& transport, const char* what) noexcept;
/// Calls pause_writing() if more than the high-water mark is `queued`. Returns -1 with a fatal
/// error.
[[nodiscard]] int transport_maybe_pause_protocol(TransportBase& transport,
                                                 std::size_t queued) noexcept;
/// Calls resume_writing(). Leaves no error set.
void transport_resume_protocol(TransportBase& transport) noexcept;
/// Counts a write after the end, and warns of the fifth and later ones as asyncio does.
void transport_count_lost_write(TransportBase& transport) noexcept;

}  // namespace blitzio::python
