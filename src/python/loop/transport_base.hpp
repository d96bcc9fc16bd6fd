// `TransportBase`: the part of a native transport that all kinds have: loop, protocol, context, and
// how the protocol hears of flow control, failures and the end. A kind derives from it and adds
// what it carries: StreamTransport and DatagramTransport by way of SocketTransport, and
// PipeTransport.
//
// Threads: the loop's, or any single one while the loop does not run.
#pragma once

#include <blitzio/driver/operation.hpp>
#include <python/loop/loop_use.hpp>
#include <python/loop/transport_common.hpp>
#include <python/support/state.hpp>

#include <structmember.h>

#include <cstddef>
#include <cstdint>

namespace blitzio::python {

/// What CPython's type machinery looks at; `extra` is the slot of asyncio.BaseTransport. The C++
/// part lies behind it in the same allocation, but is an object of its own: constructing it must
/// not count as overwriting what tp_alloc wrote here.
struct TransportHead {
  PyObject_HEAD PyObject* extra;
  PyObject* dict;
  PyObject* weakrefs;
};

/// The first base of each kind, so that both have one address; for that no kind is polymorphic.
struct TransportBase {
  explicit TransportBase(ModuleState& module_state) noexcept : state(&module_state) {}
  TransportBase(const TransportBase&) = delete;
  TransportBase& operator=(const TransportBase&) = delete;
  ~TransportBase() = default;

  ModuleState* state;
  LoopObject* loop = nullptr;    ///< strong; null before __init__
  PyObject* protocol = nullptr;  ///< null once released
  PyObject* context = nullptr;   ///< in which the protocol is called
  WaterMarks marks;
  int fd = -1;                  ///< stays for repr
  std::uint32_t conn_lost = 0;  ///< writes since the end, which of a socket's counts as one
  bool closing = false;
  bool protocol_paused = false;  ///< pause_writing() was called
};

inline constexpr std::size_t kTransportOffset = sizeof(TransportHead);
/// Whether a kind can lie there.
template <class Transport>
inline constexpr bool kTransportFits = alignof(Transport) <= alignof(TransportHead);

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

/// For methods of transports.
inline LoopObject* loop_of_transport(PyObject* self) noexcept {
  return transport_of<TransportBase>(self).loop;
}
/// A transport's method as its type has it: see one_user.
template <auto Function>
inline constexpr auto transport_method = one_user<loop_of_transport, Function>;

// ---- the type -----------------------------------------------------------------------------------

/// What the types of all kinds have as members.
extern PyMemberDef transport_members[];

/// The checks of __init__ behind those of the arguments' types. Returns -1 with an error set.
[[nodiscard]] int transport_may_begin(const TransportBase& transport, LoopObject& loop,
                                      PyObject* extra) noexcept;

/// For tp_traverse and tp_clear: what all kinds refer to. `loop` is not cleared: it stays until
/// dealloc, which needs it, and every cycle through it has another member to cut.
[[nodiscard]] int transport_traverse_base(TransportBase& transport, visitproc visit,
                                          void* arg) noexcept;
void transport_clear_base(TransportBase& transport) noexcept;

PyObject* transport_method_is_closing(PyObject* self, PyObject* unused) noexcept;
PyObject* transport_method_get_protocol(PyObject* self, PyObject* unused) noexcept;
/// Of kinds that do not look at what the protocol is.
PyObject* transport_method_set_protocol(PyObject* self, PyObject* protocol) noexcept;
/// Of kinds that can pause.
template <class Transport>
PyObject* transport_method_is_reading(PyObject* self, PyObject* /*unused*/) noexcept {
  const Transport& t = transport_of<Transport>(self);
  return PyBool_FromLong(!t.closing && !t.paused ? 1 : 0);
}

// ---- the protocol -------------------------------------------------------------------------------

/// loop.call_soon(target.name[, argument]) in the transport's context. Returns -1 with an error
/// set.
[[nodiscard]] int transport_call_soon(TransportBase& transport, PyObject* target, PyObject* name,
                                      PyObject* argument = nullptr) noexcept;
/// Calls self.name() in the transport's context before the next turn looks for events. Runner only.
/// Returns -1 with an error set.
[[nodiscard]] int transport_call_before_look(TransportBase& transport, PyObject* name) noexcept;
/// Schedules self._call_connection_lost(exception). `exception` null: None. Returns -1 with an
/// error set (the loop is closed).
[[nodiscard]] int transport_schedule_call_lost(TransportBase& transport,
                                               PyObject* exception) noexcept;
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
/// Counts a write after the end, and warns of the fifth and later ones as asyncio does, in the
/// words of its kind.
void transport_count_lost_write(TransportBase& transport, const char* warning) noexcept;

// ---- private attributes -------------------------------------------------------------------------

/// A new reference to `object`, or to None in the place of null.
[[nodiscard]] inline PyObject* or_none(PyObject* object) noexcept {
  return Py_NewRef(object == nullptr ? Py_None : object);
}
PyObject* transport_get_loop(PyObject* self, void* unused) noexcept;
PyObject* transport_get_fd(PyObject* self, void* unused) noexcept;
PyObject* transport_get_protocol(PyObject* self, void* unused) noexcept;
PyObject* transport_get_closing(PyObject* self, void* unused) noexcept;
PyObject* transport_get_protocol_paused(PyObject* self, void* unused) noexcept;
PyObject* transport_get_conn_lost(PyObject* self, void* unused) noexcept;

// Rows that the tables of all kinds begin with: what suites read of asyncio's.
// clang-format off
#define BLITZIO_TRANSPORT_ATTRIBUTES                                                               \
  {"_loop", transport_get_loop, nullptr, nullptr, nullptr},                                        \
  {"_protocol", transport_method<transport_get_protocol>, nullptr, nullptr, nullptr},              \
  {"_closing", transport_get_closing, nullptr, nullptr, nullptr},                                  \
  {"_protocol_paused", transport_get_protocol_paused, nullptr, nullptr, nullptr},                  \
  {"_conn_lost", transport_get_conn_lost, nullptr, nullptr, nullptr},                              \
  {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr}
// clang-format on

}  // namespace blitzio::python
