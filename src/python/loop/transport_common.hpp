// What the transports share, whatever they carry: calling a protocol in its context, and the parts
// of asyncio's transport interface that do not depend on the descriptor.
//
// Threads: as the transport's.
#pragma once

#include <blitzio/base/platform.hpp>
#include <python/support/state.hpp>

#include <cstddef>

namespace blitzio::python {

/// Enters `context` for the scope. Entering fails only if the thread is in it already (a protocol
/// method that led here), which is as well.
class ContextScope {
 public:
  explicit ContextScope(PyObject* context) noexcept : context_(Py_NewRef(context)) {
    is_entered_ = PyContext_Enter(context_) == 0;
    if (BLITZIO_UNLIKELY(!is_entered_)) PyErr_Clear();  // Entered already, which serves as well.
  }
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;
  ~ContextScope() {
    if (BLITZIO_LIKELY(is_entered_) && PyContext_Exit(context_) != 0) {
      PyErr_WriteUnraisable(context_);
    }
    Py_DECREF(context_);
  }

 private:
  PyObject* context_;
  bool is_entered_;
};

/// protocol.name(), or protocol.name(argument), looked up each time as asyncio does (users replace
/// methods on instances). Null with an error set.
[[nodiscard]] inline PyRef protocol_call(PyObject* protocol, PyObject* name,
                                         PyObject* argument = nullptr) noexcept {
  const PyRef keep = PyRef::borrow(protocol);
  PyObject* args[3] = {nullptr, protocol, argument};
  const std::size_t count = argument == nullptr ? 1 : 2;
  return PyRef::steal(
      PyObject_VectorcallMethod(name, args + 1, count | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
}

/// Whether data goes to get_buffer() and buffer_updated(): the protocol is a BufferedProtocol, or
/// has its methods and not those of the other kind (asyncio could not use such a one at all).
/// Returns -1 with an error set.
[[nodiscard]] int is_buffered_protocol(const ModuleState& state, PyObject* protocol) noexcept;

/// When to call pause_writing() (above `high` bytes queued) and resume_writing() (at `low`).
struct WaterMarks {
  std::size_t high = 64 * 1024;
  std::size_t low = 16 * 1024;
};

/// The arguments of set_write_buffer_limits(high=None, low=None), with asyncio's defaults and
/// errors.
/// Returns  false with an error set.
[[nodiscard]] bool parse_water_marks(PyObject* args, PyObject* kwargs, WaterMarks* marks) noexcept;

/// The arguments of get_extra_info(name, default=None); borrowed.
struct ExtraInfoArguments {
  PyObject* key = nullptr;
  PyObject* fallback = nullptr;  ///< null: not given
};
/// Returns  false with TypeError set.
[[nodiscard]] bool parse_extra_info(PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames,
                                    ExtraInfoArguments* parsed) noexcept;

/// asyncio.trsock.TransportSocket(sock): what get_extra_info("socket") shows. Null with an error
/// set.
[[nodiscard]] PyRef make_transport_socket(const ModuleState& state, PyObject* sock) noexcept;

/// Sets a waiter's result to None unless it was cancelled. Returns -1 with an error set.
[[nodiscard]] int wake_waiter(const ModuleState& state, PyObject* waiter) noexcept;

/// logger.debug(format, transport[, text]), with `exception` as exc_info if it is not null. Leaves
/// no error set.
void log_transport_debug(const ModuleState& state, PyObject* transport, const char* format,
                         const char* text = nullptr, PyObject* exception = nullptr) noexcept;

/// "StreamTransport": the name of an object's type without its module.
[[nodiscard]] const char* short_type_name(PyObject* object) noexcept;

}  // namespace blitzio::python
