// Receiving from a pipe.
//
// While data is wanted a poll is in flight, made anew after each event: it tells of what is there,
// so a read that brought less than was asked for is the last one of its turn. What is read goes
// straight into a large `bytes` that is cut, or, after a small message, into the stack, from where
// a `bytes` of its size is made. pause_reading() cancels the poll, and nothing was taken that would
// have to be held.
//
// After many small messages of an exclusive pipe a driver that can (io_uring) reads by itself:
// read_multishot stays in flight, no message costs a call, and its bytes are copied, as are those
// on the stack. The first one that is not small ends this. pause_reading() cancels it; what had
// been taken by then is held, and delivered after resume_reading() before anything is read. Where
// others may read the pipe too, what a paused reader has not asked for must stay theirs.
#include <blitzio/base/syscalls.hpp>
#include <python/loop/pipe_internal.hpp>
#include <python/loop/read_size.hpp>
#include <python/support/arguments.hpp>

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <new>
#include <utility>

namespace blitzio::python {

namespace {

/// What is read into the stack. One that fills it is bulk, and its rest is read as such.
constexpr std::uint32_t kSmallBytes = 4 * 1024;
static_assert(kSmallBytes >= PIPE_BUF, "of a packet, what a read has no room for is lost");
/// So many small ones in a row promise more of them.
constexpr std::uint8_t kSmallReadsMax = 8;
/// What one pipe may deliver in a turn before others get theirs.
constexpr std::size_t kTurnBytes = 256 * 1024;

bool wants_data(const ReadPipe& t) noexcept {
  // A protocol may fork between two reads: in the child the rest is the parent's.
  return t.started && !t.paused && !t.closing && is_loop_alive(t);
}

bool wants_kernel_reads(const ReadPipe& t) noexcept {
  return t.small_reads == kSmallReadsMax && t.may_read_ahead &&
         loop_driver(*t.loop).has_kernel_reads();
}

void update(ReadPipe& t) noexcept {
  if (!is_loop_alive(t)) return;
  if (!t.read.is_idle()) {  // What is cancelled comes here again when it ends.
    const bool is_kernel_read = t.read.kind() == driver::OpKind::read_multishot;
    if (!wants_data(t) || (is_kernel_read && !wants_kernel_reads(t))) {
      loop_driver(*t.loop).cancel(t.read);
    }
    return;
  }
  if (!wants_data(t)) return;
  constexpr std::uint32_t kEvents = POLLIN | POLLRDHUP;
  if (t.held != nullptr) {
    t.read.nop();  // Delivered in the next turn, as what is read would be.
  } else if (wants_kernel_reads(t)) {
    t.read.read_multishot(t.fd);
  } else if (t.was_polled) {
    t.read.poll_again(t.fd, kEvents);
  } else {
    t.read.poll(t.fd, kEvents);
  }
  pipe_submit(t.read);
}

/// The end of the data: the protocol hears of it and loses the connection, in this order.
void end(ReadPipe& t) noexcept {
  pipe_log_end(t);
  if (transport_call_soon(t, t.protocol, t.state->names.eof_received) != 0) {
    loop_report_exception(*t.loop, "Fatal error on pipe transport");
  }
  if (pipe_lose(t, nullptr) != 0) {
    loop_report_exception(*t.loop, "Fatal error on pipe transport");
  }
}

void fail(ReadPipe& t, int code) noexcept {
  if (code == EIO && t.kind == PipeKind::device) {
    // How a terminal says that its other side was closed.
    end(t);
    return;
  }
  PyRef exception = make_os_error(code);
  if (!exception) exception = take_exception();
  pipe_fatal_error(t, std::move(exception), "Fatal read error on pipe transport", false);
}

/// One read and its delivery.
struct Received {
  std::int32_t result;  ///< a count, 0 at the end, or a negative errno
  bool filled;          ///< there may be more
};

std::int32_t read_once(int fd, char* data, std::size_t bytes) noexcept {
  for (;;) {
    const ssize_t count = sys::read(fd, data, bytes);
    if (count >= 0) return static_cast<std::int32_t>(count);
    if (errno != EINTR) return errno == EWOULDBLOCK ? -EAGAIN : -errno;
  }
}

/// An exception of the protocol's leaves the pipe open, as asyncio does.
void deliver(ReadPipe& t, PyObject* bytes) noexcept {
  PyRef result;
  {
    const ContextScope scope(t.context);
    result = protocol_call(t.protocol, t.state->names.data_received, bytes);
  }
  if (BLITZIO_LIKELY(static_cast<bool>(result))) return;
  transport_report(t, "Exception in callback ReadPipeTransport._read_ready()");
}

void count_small(ReadPipe& t) noexcept {
  if (t.small_reads < kSmallReadsMax) ++t.small_reads;
}

Received receive_small(ReadPipe& t) noexcept {
  std::array<char, kSmallBytes> buffer;  // Not set to anything first: that would cost a message.
  const std::size_t size = faults::perhaps_fewer(buffer.size());
  const std::int32_t count = read_once(t.fd, buffer.data(), size);
  if (count <= 0) return {count, false};
  const bool filled = static_cast<std::size_t>(count) == size;
  if (filled) {
    t.small_reads = 0;
  } else {
    count_small(t);
  }
  PyObject* bytes = t.loop->spare_bytes.make(
      std::as_bytes(std::span(buffer).first(static_cast<std::size_t>(count))));
  if (bytes == nullptr) {
    pipe_fatal_error(t, take_exception(), "Fatal read error on pipe transport", false);
    return {-EAGAIN, false};
  }
  deliver(t, bytes);
  t.loop->spare_bytes.drop(bytes);
  return {count, filled};
}

Received receive_large(ReadPipe& t) noexcept {
  if (t.read_bytes == 0) t.read_bytes = kReadBytesMin;
  const auto size = static_cast<std::uint32_t>(faults::perhaps_fewer(t.read_bytes));
  PyObject* bytes = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size));
  if (bytes == nullptr) {
    pipe_fatal_error(t, take_exception(), "Fatal read error on pipe transport", false);
    return {-EAGAIN, false};
  }
  const std::int32_t count = read_once(t.fd, PyBytes_AS_STRING(bytes), size);
  if (count <= 0) {
    Py_DECREF(bytes);
    return {count, false};
  }
  const auto got = static_cast<std::uint32_t>(count);
  if (got == size) {
    t.read_bytes = next_read_bytes(t.read_bytes);
  } else {
    // Of a socket it may be a datagram, and the next one of any size.
    if (t.kind == PipeKind::fifo && got < kSmallBytes) count_small(t);
    if (got < t.read_bytes / 4) t.read_bytes = std::max(t.read_bytes / 2, kReadBytesMin);
    if (_PyBytes_Resize(&bytes, count) != 0) {
      pipe_fatal_error(t, take_exception(), "Fatal read error on pipe transport", false);
      return {-EAGAIN, false};
    }
  }
  deliver(t, bytes);
  Py_DECREF(bytes);
  return {count, got == size};
}

/// Whether the next poll may be asked for what is left, and nothing may: less came than was asked
/// for. A terminal stops at lines, a socket at datagrams and at messages that carry descriptors, so
/// there more is likely; and the end that an event announced is still to be read.
bool is_drained_by(const ReadPipe& t, const Received& received) noexcept {
  return t.kind == PipeKind::fifo && !received.filled && !t.event_said_end;
}

/// Reads until the pipe is empty or this turn's share is used up; the next poll tells of the rest.
/// So it does if the protocol has paused and resumed: one is in flight then, or a read is.
void drain(ReadPipe& t) noexcept {
  std::size_t taken = 0;
  while (wants_data(t) && t.read.is_idle() && taken < kTurnBytes) {
    const Received received = t.small_reads != 0 ? receive_small(t) : receive_large(t);
    if (received.result == -EAGAIN) return;
    if (received.result == 0) {
      end(t);
      return;
    }
    if (received.result < 0) {
      fail(t, -received.result);
      return;
    }
    taken += static_cast<std::size_t>(received.result);
    if (is_drained_by(t, received)) return;
  }
}

// ---- what the driver reads ----------------------------------------------------------------------

void hold(ReadPipe& t, PyRef bytes) noexcept {
  try {
    if (t.held == nullptr) t.held = std::make_unique<std::deque<PyRef>>();
    t.held->push_back(std::move(bytes));
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
    pipe_fatal_error(t, take_exception(), "Fatal read error on pipe transport", false);
  }
}

void deliver_held(ReadPipe& t) noexcept {
  while (t.held != nullptr && wants_data(t)) {
    const PyRef bytes = std::move(t.held->front());
    t.held->pop_front();
    if (t.held->empty()) t.held = nullptr;
    deliver(t, bytes.get());
  }
}

void on_arrival(ReadPipe& t, std::span<const std::byte> data) noexcept {
  if (t.closing) return;
  if (data.size() >= kSmallBytes) {
    t.small_reads = 0;
    update(t);  // Cancels; the rest of what the driver took still comes here.
  }
  PyObject* bytes = t.loop->spare_bytes.make(data);
  if (bytes == nullptr) {
    pipe_fatal_error(t, take_exception(), "Fatal read error on pipe transport", false);
  } else if (BLITZIO_UNLIKELY(t.paused || t.held != nullptr)) {
    hold(t, PyRef::steal(bytes));
  } else {
    deliver(t, bytes);
    t.loop->spare_bytes.drop(bytes);
  }
}

// ---- the operation ------------------------------------------------------------------------------

bool is_failure(std::int32_t result) noexcept {
  return result < 0 && result != -ECANCELED && result != -EINTR;
}

/// The last completion of `read`.
void on_last(ReadPipe& t, std::int32_t result) noexcept {
  const driver::OpKind kind = t.read.kind();
  if (kind == driver::OpKind::poll) {
    t.was_polled = result > 0;
    if (result > 0) {
      t.event_said_end = (result & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
      drain(t);
      return;
    }
  } else {
    deliver_held(t);
  }
  if (!wants_data(t)) return;  // Whoever looks next, once that has changed, meets it anew.
  if (kind == driver::OpKind::read_multishot) {
    if (result == 0) end(t);
    if (is_failure(result)) t.may_read_ahead = false;  // Of memory, say. read(2) meets what stays.
  } else if (is_failure(result)) {
    fail(t, -result);
  }
}

void on_read(driver::Operation& operation, const driver::Completion& completion) noexcept {
  auto& read = static_cast<PipeOperation&>(operation);
  auto& t = static_cast<ReadPipe&>(read.owner);
  if (completion.more) {
    if (is_loop_alive(t)) on_arrival(t, completion.data);
    return;
  }
  const PyRef keep = pipe_take_self(read);
  if (!is_loop_alive(t)) return;
  on_last(t, completion.result);
  update(t);
}

// ---- methods ------------------------------------------------------------------------------------

PyObject* method_pause_reading(PyObject* self, PyObject* /*unused*/) noexcept {
  ReadPipe& t = as_reader(self);
  if (transport_check(t) != 0) return nullptr;
  if (t.closing || t.paused) Py_RETURN_NONE;
  t.paused = true;
  update(t);
  if (BLITZIO_UNLIKELY(t.loop->debug)) {
    log_transport_debug(*t.state, self, "%r pauses reading");
  }
  Py_RETURN_NONE;
}

PyObject* method_resume_reading(PyObject* self, PyObject* /*unused*/) noexcept {
  ReadPipe& t = as_reader(self);
  if (transport_check(t) != 0) return nullptr;
  if (t.closing || !t.paused) Py_RETURN_NONE;
  t.paused = false;
  update(t);
  if (BLITZIO_UNLIKELY(t.loop->debug)) {
    log_transport_debug(*t.state, self, "%r resumes reading");
  }
  Py_RETURN_NONE;
}

PyObject* method_set_exclusive(PyObject* self, PyObject* /*unused*/) noexcept {
  as_reader(self).may_read_ahead = true;
  Py_RETURN_NONE;
}

PyObject* get_paused(PyObject* self, void* /*unused*/) noexcept {
  return PyBool_FromLong(as_reader(self).paused ? 1 : 0);
}

void start(PipeTransport& t) noexcept {
  update(static_cast<ReadPipe&>(t));
}

bool stop(PipeTransport& t) noexcept {
  return pipe_cancel(static_cast<ReadPipe&>(t).read);
}

int close(PipeTransport& t) noexcept {
  return pipe_lose(t, nullptr);
}

constexpr PipeBehaviour kBehaviour{.start = start, .stop = stop, .close = close};

}  // namespace

ReadPipe::ReadPipe(ModuleState& module_state) noexcept
    : PipeTransport(module_state, kBehaviour), read(*this, on_read) {}

PyObject* read_pipe_repr(PyObject* self) noexcept {
  const ReadPipe& t = as_reader(self);
  const char* name = "ReadPipeTransport";
  if (t.pipe == nullptr) return PyUnicode_FromFormat("<%s closed fd=%d closed>", name, t.fd);
  return PyUnicode_FromFormat("<%s%s fd=%d %s>", name, t.closing ? " closing" : "", t.fd,
                              wants_data(t) ? "polling" : "idle");
}

PyGetSetDef read_pipe_attributes[] = {
    BLITZIO_PIPE_ATTRIBUTES,
    {"_paused", get_paused, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMethodDef read_pipe_methods[] = {
    BLITZIO_PIPE_METHODS("Stop reading and close the pipe."),
    {"is_reading", transport_method<transport_method_is_reading<ReadPipe>>, METH_NOARGS,
     PyDoc_STR("is_reading($self)\n--\n\n")},
    {"pause_reading", transport_method<method_pause_reading>, METH_NOARGS,
     PyDoc_STR("pause_reading($self)\n--\n\nNo data_received() until resume_reading().")},
    {"resume_reading", transport_method<method_resume_reading>, METH_NOARGS,
     PyDoc_STR("resume_reading($self)\n--\n\nUndo pause_reading().")},
    {"_set_exclusive", transport_method<method_set_exclusive>, METH_NOARGS,
     PyDoc_STR("_set_exclusive($self)\n--\n\n"
               "Nobody else reads the pipe, so it may be read ahead of resume_reading().")},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace blitzio::python
