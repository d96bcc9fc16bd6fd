// What the files of the pipe transports share; see pipe_transport.hpp for who does what.
#pragma once

#include <blitzio/driver/operation.hpp>
#include <python/loop/loop.hpp>
#include <python/loop/pipe_transport.hpp>
#include <python/loop/transport_common.hpp>
#include <python/loop/write_queue.hpp>

#include <python/support/error.hpp>

#include <cstddef>
#include <cstdint>

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

/// What CPython's type machinery looks at; `extra` is the slot of asyncio.BaseTransport. The C++
/// part lies behind it in the same allocation.
struct PipeHead {
  PyObject_HEAD PyObject* extra;
  PyObject* dict;
  PyObject* weakrefs;
};

struct PipeTransport {
  explicit PipeTransport(ModuleState& module_state) noexcept : state(&module_state) {}
  PipeTransport(const PipeTransport&) = delete;
  PipeTransport& operator=(const PipeTransport&) = delete;
  virtual ~PipeTransport() = default;

  /// After connection_made() was called: begins to read, or to watch the other end.
  virtual void start() noexcept = 0;
  /// Brings the operations into line with the flags once is_lost or is_released are set.
  virtual void stop() noexcept = 0;
  /// As the method. Returns -1 with an error set.
  [[nodiscard]] virtual int close() noexcept = 0;

  ModuleState* state;
  LoopObject* loop = nullptr;    ///< strong; null before __init__
  PyObject* pipe = nullptr;      ///< null once released
  PyObject* protocol = nullptr;  ///< null once released
  PyObject* context = nullptr;   ///< in which the protocol is called
  int fd = -1;                   ///< stays for repr
  PipeKind kind = PipeKind::fifo;
  bool started = false;  ///< connection_made() has been called
  bool closing = false;
  bool is_lost = false;
  bool is_released = false;
};

struct ReadPipe final : PipeTransport {
  explicit ReadPipe(ModuleState& module_state) noexcept;
  void start() noexcept override;
  void stop() noexcept override;
  [[nodiscard]] int close() noexcept override;

  bool paused = false;
  bool drain_again = false;      ///< a turn's share was used up; go on in the next
  bool edge_said_end = false;    ///< a short read does not mean that all was read
  std::uint32_t read_bytes = 0;  ///< size of the next `bytes`
  PipeOperation read;            ///< poll_multishot
  PipeOperation resume;          ///< nop: goes on reading next turn
};

struct WritePipe final : PipeTransport {
  explicit WritePipe(ModuleState& module_state) noexcept;
  void start() noexcept override;
  void stop() noexcept override;
  [[nodiscard]] int close() noexcept override;

  bool protocol_paused = false;  ///< pause_writing() was called
  std::uint32_t lost_writes = 0;
  WaterMarks limits;
  WriteQueue queue;
  PipeFlush flush;         ///< linked: the loop will write before it waits
  PipeOperation writable;  ///< poll(POLLOUT): in flight while the pipe is full
  PipeOperation death;     ///< poll_multishot: reports that the other end is closed
};

inline constexpr std::size_t kPipeOffset = (sizeof(PipeHead) + alignof(std::max_align_t) - 1) /
                                           alignof(std::max_align_t) * alignof(std::max_align_t);
static_assert(alignof(ReadPipe) <= alignof(std::max_align_t));
static_assert(alignof(WritePipe) <= alignof(std::max_align_t));

[[nodiscard]] inline PipeTransport& as_pipe(PyObject* self) noexcept {
  return *reinterpret_cast<PipeTransport*>(reinterpret_cast<std::byte*>(self) + kPipeOffset);
}
[[nodiscard]] inline ReadPipe& as_reader(PyObject* self) noexcept {
  return static_cast<ReadPipe&>(as_pipe(self));
}
[[nodiscard]] inline WritePipe& as_writer(PyObject* self) noexcept {
  return static_cast<WritePipe&>(as_pipe(self));
}
[[nodiscard]] inline PyObject* as_object(PipeTransport& transport) noexcept {
  return reinterpret_cast<PyObject*>(reinterpret_cast<std::byte*>(&transport) - kPipeOffset);
}
[[nodiscard]] inline PipeHead& pipe_head(PyObject* self) noexcept {
  return *reinterpret_cast<PipeHead*>(self);
}

inline PipeOperation::PipeOperation(PipeTransport& transport, Complete on_completion) noexcept
    : Operation(on_completion), owner(transport), reference(as_object(transport)) {}

/// False during and after the loop's close: operations end, and nobody may be called.
[[nodiscard]] inline bool is_loop_alive(const PipeTransport& transport) noexcept {
  return !transport.loop->closed;
}

/// For methods: -1 with RuntimeError if __init__ has not run or another thread runs the loop.
[[nodiscard]] int pipe_check(const PipeTransport& transport) noexcept;

/// Submits; the operation owns a reference until its last completion.
void pipe_submit(PipeOperation& operation) noexcept;
/// The reference that a last completion gives back.
[[nodiscard]] PyRef pipe_take_self(PipeOperation& operation) noexcept;
/// Cancels, unless the loop's close has done so.
void pipe_cancel(PipeOperation& operation) noexcept;

/// Schedules connection_lost(exception) (null: None) unless it is already; closes for good.
/// Returns -1 with an error set (the loop is closed).
[[nodiscard]] int pipe_lose(PipeTransport& transport, PyObject* exception) noexcept;
/// As asyncio's _fatal_error(): reports `exception` unless it is the ordinary end of a pipe
/// (`is_quiet`: then only debug mode tells), and pipe_lose(). Leaves no error set.
void pipe_fatal_error(PipeTransport& transport, PyRef exception, const char* message,
                      bool is_quiet) noexcept;
/// logger.LEVEL(format, self, text). Leaves no error set.
void pipe_log(PipeTransport& transport, const char* level, const char* format,
              const char* text = nullptr) noexcept;

extern PyMethodDef read_pipe_methods[];
extern PyMethodDef write_pipe_methods[];
PyObject* read_pipe_repr(PyObject* self) noexcept;
PyObject* write_pipe_repr(PyObject* self) noexcept;

// Rows that both method tables begin with.
PyObject* pipe_method_close(PyObject* self, PyObject* unused) noexcept;
PyObject* pipe_method_is_closing(PyObject* self, PyObject* unused) noexcept;
PyObject* pipe_method_get_protocol(PyObject* self, PyObject* unused) noexcept;
PyObject* pipe_method_set_protocol(PyObject* self, PyObject* protocol) noexcept;
PyObject* pipe_method_start(PyObject* self, PyObject* unused) noexcept;
PyObject* pipe_method_wake_waiter(PyObject* self, PyObject* waiter) noexcept;
PyObject* pipe_method_call_connection_lost(PyObject* self, PyObject* exception) noexcept;

template <class Function>
PyCFunction pipe_general(Function* function) noexcept {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

// clang-format off
#define BLITZIO_PIPE_METHODS(close_doc)                                                            \
  {"close", pipe_method_close, METH_NOARGS, PyDoc_STR("close($self)\n--\n\n" close_doc)},          \
  {"is_closing", pipe_method_is_closing, METH_NOARGS, PyDoc_STR("is_closing($self)\n--\n\n")},     \
  {"get_protocol", pipe_method_get_protocol, METH_NOARGS,                                          \
   PyDoc_STR("get_protocol($self)\n--\n\n")},                                                      \
  {"set_protocol",                                                                                 \
   pipe_general(one_argument<pipe_method_set_protocol, "set_protocol", "protocol">),               \
   METH_FASTCALL | METH_KEYWORDS, PyDoc_STR("set_protocol($self, protocol)\n--\n\n")},             \
  {"_start", pipe_method_start, METH_NOARGS, nullptr},                                             \
  {"_wake_waiter", pipe_method_wake_waiter, METH_O, nullptr},                                      \
  {"_call_connection_lost", pipe_method_call_connection_lost, METH_O, nullptr}
// clang-format on

}  // namespace blitzio::python
