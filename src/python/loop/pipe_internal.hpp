// What the files of the pipe transports share; see pipe_transport.hpp for who does what.
#pragma once

#include <blitzio/driver/operation.hpp>
#include <python/loop/loop.hpp>
#include <python/loop/pipe_transport.hpp>
#include <python/loop/transport_base.hpp>
#include <python/loop/write_queue.hpp>
#include <python/support/error.hpp>
#include <python/support/slots.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

namespace blitzio::python {

struct PipeTransport;

/// An operation that knows its transport.
struct PipeOperation : driver::Operation {
  PipeOperation(PipeTransport& transport, Complete on_completion) noexcept;
  PipeTransport& owner;
  InFlight reference;  ///< linked while in flight
};

/// A pending flush that knows its transport.
struct PipeFlush : Flushable {
  explicit PipeFlush(PipeTransport& transport) noexcept;
  PipeTransport& owner;
  InFlight reference;  ///< linked while pending
};

enum class PipeKind : std::uint8_t { fifo, socket, device };

/// What the two kinds do differently, beside their methods.
struct PipeBehaviour {
  /// After connection_made() was called: begins to read, or to watch the other end.
  void (*start)(PipeTransport&) noexcept;
  /// Cancels what is in flight, once is_lost is set. Returns whether anything was.
  bool (*stop)(PipeTransport&) noexcept;
  /// As the method. Returns -1 with an error set.
  int (*close)(PipeTransport&) noexcept;
};

struct PipeTransport : TransportBase {
  PipeTransport(ModuleState& module_state, const PipeBehaviour& its_behaviour) noexcept
      : TransportBase(module_state), behaviour(its_behaviour) {}

  const PipeBehaviour& behaviour;
  PyObject* pipe = nullptr;  ///< the file object; null once released
  PipeKind kind = PipeKind::fifo;
  bool started = false;  ///< connection_made() has been called
  bool is_lost = false;
  bool is_released = false;
};

struct ReadPipe final : PipeTransport {
  explicit ReadPipe(ModuleState& module_state) noexcept;

  bool paused = false;
  bool was_polled = false;       ///< the last poll told of this very pipe
  bool event_said_end = false;   ///< a short read does not mean that all was read
  bool may_read_ahead = false;   ///< nobody else reads this pipe, and the driver can
  std::uint8_t small_reads = 0;  ///< so many messages were small, so the next may be
  std::uint32_t read_bytes = 0;  ///< size of the next `bytes`
  /// What the driver had read when reading was paused, oldest first; null: nothing.
  std::unique_ptr<std::deque<PyRef>> held;
  /// In flight while data is wanted: poll; read_multishot; nop, if something is held.
  PipeOperation read;
};

struct WritePipe final : PipeTransport {
  explicit WritePipe(ModuleState& module_state) noexcept;

  WriteQueue queue;
  PipeFlush flush;         ///< linked: the loop will write before it waits
  PipeOperation writable;  ///< poll(POLLOUT): in flight while the pipe is full
  PipeOperation death;     ///< poll_multishot: reports that the other end is closed
};

static_assert(kTransportFits<ReadPipe>);
static_assert(kTransportFits<WritePipe>);

[[nodiscard]] inline PipeTransport& as_pipe(PyObject* self) noexcept {
  return transport_of<PipeTransport>(self);
}
[[nodiscard]] inline ReadPipe& as_reader(PyObject* self) noexcept {
  return transport_of<ReadPipe>(self);
}
[[nodiscard]] inline WritePipe& as_writer(PyObject* self) noexcept {
  return transport_of<WritePipe>(self);
}

inline PipeOperation::PipeOperation(PipeTransport& transport, Complete on_completion) noexcept
    : Operation(on_completion), owner(transport), reference(as_object(transport)) {}

/// Submits; the operation owns a reference until its last completion.
void pipe_submit(PipeOperation& operation) noexcept;
/// The reference that a last completion gives back.
[[nodiscard]] PyRef pipe_take_self(PipeOperation& operation) noexcept;
/// Cancels what is in flight, unless the loop's close has done so. Returns whether it did.
bool pipe_cancel(PipeOperation& operation) noexcept;

/// Schedules connection_lost(exception) (null: None) unless it is already; closes for good.
/// Returns -1 with an error set (the loop is closed).
[[nodiscard]] int pipe_lose(PipeTransport& transport, PyObject* exception) noexcept;
/// As asyncio's _fatal_error(): reports `exception` unless it is the ordinary end of a pipe
/// (`is_quiet`: then only debug mode tells), and pipe_lose(). Leaves no error set.
void pipe_fatal_error(PipeTransport& transport, PyRef exception, const char* message,
                      bool is_quiet) noexcept;
/// Debug mode: logger.info() of the end that the other side brought. Leaves no error set.
void pipe_log_end(PipeTransport& transport) noexcept;

extern PyMethodDef read_pipe_methods[];
extern PyMethodDef write_pipe_methods[];
extern PyGetSetDef read_pipe_attributes[];
extern PyGetSetDef write_pipe_attributes[];
PyObject* read_pipe_repr(PyObject* self) noexcept;
PyObject* write_pipe_repr(PyObject* self) noexcept;

// Rows that both method tables begin with.
PyObject* pipe_method_close(PyObject* self, PyObject* unused) noexcept;
PyObject* pipe_method_start(PyObject* self, PyObject* unused) noexcept;
PyObject* pipe_method_wake_waiter(PyObject* self, PyObject* waiter) noexcept;
PyObject* pipe_method_call_connection_lost(PyObject* self, PyObject* exception) noexcept;

PyObject* pipe_get_pipe(PyObject* self, void* unused) noexcept;

// clang-format off
#define BLITZIO_PIPE_METHODS(close_doc)                                                            \
  {"close", transport_method<pipe_method_close>, METH_NOARGS,                                      \
   PyDoc_STR("close($self)\n--\n\n" close_doc)},                                                   \
  {"is_closing", transport_method<transport_method_is_closing>, METH_NOARGS,                       \
   PyDoc_STR("is_closing($self)\n--\n\n")},                                                        \
  {"get_protocol", transport_method<transport_method_get_protocol>, METH_NOARGS,                   \
   PyDoc_STR("get_protocol($self)\n--\n\n")},                                                      \
  {"set_protocol",                                                                                 \
   fast(transport_method<one_argument<transport_method_set_protocol, "set_protocol", "protocol">>),\
   METH_FASTCALL | METH_KEYWORDS, PyDoc_STR("set_protocol($self, protocol)\n--\n\n")},             \
  {"_start", transport_method<pipe_method_start>, METH_NOARGS, nullptr},                           \
  {"_wake_waiter", transport_method<pipe_method_wake_waiter>, METH_O, nullptr},                    \
  {"_call_connection_lost", transport_method<pipe_method_call_connection_lost>, METH_O, nullptr}

// Rows that both tables of attributes begin with.
#define BLITZIO_PIPE_ATTRIBUTES                                                                    \
  BLITZIO_TRANSPORT_ATTRIBUTES,                                                                    \
  {"_pipe", transport_method<pipe_get_pipe>, nullptr, nullptr, nullptr},                           \
  {"_fileno", transport_get_fd, nullptr, nullptr, nullptr}
// clang-format on

}  // namespace blitzio::python
