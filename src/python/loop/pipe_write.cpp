// Sending into a pipe.
//
// As a stream transport, write() only queues: the loop calls back before it waits, and one writev
// takes all that the turn produced. It goes out at once if the loop does not run, or if more is
// queued than a flush should hold back. When the pipe takes a part only, `writable` (a one-shot
// poll) is in flight and nothing is tried until it completes.
//
// `death` notices that nobody reads any more while nothing is being written: the kernel reports it
// as an error of a pipe's writing end and as a hang-up of a socket. Devices have no such thing.
#include <blitzio/base/syscalls.hpp>
#include <python/loop/pipe_internal.hpp>
#include <python/support/arguments.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <new>

namespace blitzio::python {

namespace {

/// Gathered bytes beyond which a flush does not wait for the turn's end; see stream_write.cpp.
constexpr std::size_t kGatherBytesMax = 16 * 1024;
constexpr std::size_t kVectorsMax = 64;

bool is_blocked(const WritePipe& t) noexcept {
  return !t.writable.is_idle();
}

/// write(2) or writev(2), of a socket sendmsg(2), which raises no SIGPIPE. A count or a negative
/// errno.
std::int64_t write_vectors(const WritePipe& t, std::span<iovec> vectors) noexcept {
  for (;;) {
    ssize_t written = 0;
    if (t.kind == PipeKind::socket) {
      msghdr message{};
      message.msg_iov = vectors.data();
      message.msg_iovlen = vectors.size();
      written = sys::sendmsg(t.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } else {
      written = sys::writev(t.fd, vectors.data(), static_cast<int>(vectors.size()));
    }
    if (written >= 0) return written;
    if (errno != EINTR) return errno == EWOULDBLOCK ? -EAGAIN : -errno;
  }
}

void wait_until_writable(WritePipe& t) noexcept {
  t.writable.poll(t.fd, POLLOUT);
  pipe_submit(t.writable);
}

void lose(WritePipe& t, PyObject* exception) noexcept {
  if (pipe_lose(t, exception) != 0) {
    loop_report_exception(*t.loop, "Fatal error on pipe transport");
  }
}

/// Writes the queue unless the pipe is known to be full. Leaves no error set.
void flush(WritePipe& t) noexcept {
  if (t.is_lost || is_blocked(t) || !is_loop_alive(t)) return;
  while (!t.queue.is_empty()) {
    std::array<iovec, kVectorsMax> vectors;
    const std::size_t count = t.queue.fill(vectors);
    std::size_t total = 0;
    for (std::size_t i = 0; i < count; ++i) total += vectors[i].iov_len;
    const std::int64_t result = write_vectors(t, {vectors.data(), count});
    if (result < 0 && result != -EAGAIN) {
      ++t.conn_lost;
      PyRef exception = make_os_error(static_cast<int>(-result));
      if (!exception) exception = take_exception();
      pipe_fatal_error(t, std::move(exception), "Fatal write error on pipe transport", true);
      return;
    }
    const std::size_t written = result < 0 ? 0 : static_cast<std::size_t>(result);
    t.queue.consume(written, t.loop->spare_bytes);
    if (written < total) {
      wait_until_writable(t);
      return;
    }
  }
  if (!t.closing) return;
  if (t.protocol_paused) {
    transport_resume_protocol(t);  // As asyncio has it, before the end. May abort.
    if (t.is_lost) return;
  }
  lose(t, nullptr);
}

void on_flush(Flushable& flushable) noexcept {
  auto& pending = static_cast<PipeFlush&>(flushable);
  auto& t = static_cast<WritePipe&>(pending.owner);
  pending.reference.unlink();
  const PyRef keep = PyRef::steal(as_object(t));
  flush(t);
}

void on_writable(driver::Operation& operation, const driver::Completion& /*completion*/) noexcept {
  auto& poll = static_cast<PipeOperation&>(operation);
  auto& t = static_cast<WritePipe&>(poll.owner);
  const PyRef keep = pipe_take_self(poll);
  // Whatever the poll said, an error included, the write knows better.
  if (!is_loop_alive(t)) return;
  flush(t);
  if (t.protocol_paused && !t.is_lost && t.queue.size_bytes() <= t.marks.low) {
    transport_resume_protocol(t);
  }
}

void watch_for_death(WritePipe& t) noexcept {
  if (t.kind == PipeKind::device || t.is_lost || !t.death.is_idle() || !is_loop_alive(t)) return;
  t.death.poll_multishot(t.fd, t.kind == PipeKind::socket ? POLLRDHUP : 0);
  pipe_submit(t.death);
}

void on_death(driver::Operation& operation, const driver::Completion& completion) noexcept {
  auto& poll = static_cast<PipeOperation&>(operation);
  auto& t = static_cast<WritePipe&>(poll.owner);
  PyRef keep = PyRef::borrow(as_object(t));
  if (!completion.more) keep = pipe_take_self(poll);
  if (!is_loop_alive(t) || t.is_lost) return;
  if (completion.result > 0 && (completion.result & (POLLERR | POLLHUP | POLLRDHUP)) != 0) {
    pipe_log_end(t);
    PyRef exception;
    if (!t.queue.is_empty()) {
      exception = PyRef::steal(PyObject_CallNoArgs(PyExc_BrokenPipeError));
      if (!exception) exception = take_exception();
    }
    lose(t, exception.get());
  } else if (!completion.more && completion.result == -EINTR) {
    watch_for_death(t);
  }
  // Other failures to watch are found out by the next write.
}

/// Keeps the bytes of `data` until they are written. Returns -1 with an error set.
int queue_data(WritePipe& t, PyObject* data) noexcept {
  const PyRef bytes =
      PyBytes_CheckExact(data) ? PyRef::borrow(data) : PyRef::steal(PyBytes_FromObject(data));
  if (!bytes) return -1;
  try {
    t.queue.push(bytes.get());
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
    return -1;
  }
  return 0;
}

/// After something was queued: writes now, or sees to it that the turn's end does.
void request_flush(WritePipe& t) noexcept {
  if (is_blocked(t)) return;
  // Another pipe may lead to the same file, as stdout and stderr often do: what that was given
  // before leaves before.
  if (!t.flush.is_linked()) loop_flush(*t.loop);
  if (t.is_lost || t.queue.is_empty() || is_blocked(t)) return;
  // Relaxed: the caller is the running thread or the only user; see loop_check_owner().
  const bool is_loop_running = t.loop->thread.load(std::memory_order_relaxed) != 0;
  if (!is_loop_running || t.queue.size_bytes() > kGatherBytesMax ||
      t.queue.size_bytes() > t.marks.high || t.queue.pieces() >= kVectorsMax) {
    flush(t);
    return;
  }
  if (t.flush.is_linked()) return;
  Py_INCREF(as_object(t));
  t.loop->in_flight.push_back(t.flush.reference);
  loop_request_flush(*t.loop, t.flush);
}

// ---- methods ------------------------------------------------------------------------------------

PyObject* method_write(PyObject* self, PyObject* data) noexcept {
  WritePipe& t = as_writer(self);
  if (!PyBytes_Check(data) && !PyByteArray_Check(data) && !PyMemoryView_Check(data)) {
    return PyErr_Format(PyExc_TypeError, "data argument must be a bytes-like object, not '%.200s'",
                        short_type_name(data));
  }
  if (transport_check(t) != 0) return nullptr;
  const Py_ssize_t size = PyObject_Size(data);
  if (size < 0) return nullptr;
  if (size == 0) Py_RETURN_NONE;
  if (t.closing) {
    transport_count_lost_write(t, "pipe closed by peer or os.write(pipe, data) raised exception.");
    Py_RETURN_NONE;
  }
  if (loop_check_closed(*t.loop) != 0 || queue_data(t, data) != 0) return nullptr;
  request_flush(t);
  if (transport_maybe_pause_protocol(t, t.queue.size_bytes()) != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* method_can_write_eof(PyObject* /*self*/, PyObject* /*unused*/) noexcept {
  Py_RETURN_TRUE;
}

PyObject* method_abort(PyObject* self, PyObject* /*unused*/) noexcept {
  WritePipe& t = as_writer(self);
  if (transport_check(t) != 0) return nullptr;
  flush(t);  // What is merely gathered asyncio would have written by now.
  if (pipe_lose(t, nullptr) != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* method_get_write_buffer_size(PyObject* self, PyObject* /*unused*/) noexcept {
  WritePipe& t = as_writer(self);
  if (transport_check(t) != 0) return nullptr;
  flush(t);  // What is merely gathered asyncio would have written by now.
  return PyLong_FromSize_t(t.queue.size_bytes());
}

PyObject* method_get_write_buffer_limits(PyObject* self, PyObject* /*unused*/) noexcept {
  const WaterMarks& marks = as_writer(self).marks;
  return Py_BuildValue("(nn)", static_cast<Py_ssize_t>(marks.low),
                       static_cast<Py_ssize_t>(marks.high));
}

PyObject* method_set_write_buffer_limits(PyObject* self, PyObject* args,
                                         PyObject* kwargs) noexcept {
  WritePipe& t = as_writer(self);
  if (transport_check(t) != 0 || !parse_water_marks(args, kwargs, &t.marks)) return nullptr;
  flush(t);
  if (transport_maybe_pause_protocol(t, t.queue.size_bytes()) != 0) return nullptr;
  Py_RETURN_NONE;
}

// ---- behaviour ----------------------------------------------------------------------------------

void start(PipeTransport& t) noexcept {
  watch_for_death(static_cast<WritePipe&>(t));
}

bool stop(PipeTransport& transport) noexcept {
  auto& t = static_cast<WritePipe&>(transport);
  t.queue.clear();
  const bool was_blocked = pipe_cancel(t.writable);
  return pipe_cancel(t.death) || was_blocked;
}

int close(PipeTransport& transport) noexcept {
  auto& t = static_cast<WritePipe&>(transport);
  t.closing = true;
  flush(t);  // What this turn wrote leaves before anybody hears of the end.
  if (t.is_lost || !t.queue.is_empty()) return 0;
  return pipe_lose(t, nullptr);
}

constexpr PipeBehaviour kBehaviour{.start = start, .stop = stop, .close = close};

}  // namespace

PipeFlush::PipeFlush(PipeTransport& transport) noexcept
    : Flushable(on_flush), owner(transport), reference(as_object(transport)) {}

WritePipe::WritePipe(ModuleState& module_state) noexcept
    : PipeTransport(module_state, kBehaviour),
      flush(*this),
      writable(*this, on_writable),
      death(*this, on_death) {}

PyObject* write_pipe_repr(PyObject* self) noexcept {
  WritePipe& t = as_writer(self);
  const char* name = "WritePipeTransport";
  if (t.pipe == nullptr) return PyUnicode_FromFormat("<%s closed fd=%d closed>", name, t.fd);
  return PyUnicode_FromFormat("<%s%s fd=%d %s bufsize=%zu>", name, t.closing ? " closing" : "",
                              t.fd, is_blocked(t) ? "polling" : "idle", t.queue.size_bytes());
}

PyGetSetDef write_pipe_attributes[] = {
    BLITZIO_PIPE_ATTRIBUTES,
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMethodDef write_pipe_methods[] = {
    BLITZIO_PIPE_METHODS("Close the pipe after what is buffered was written."),
    {"write", fast(transport_method<one_argument<method_write, "write", "data">>),
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("write($self, data)\n--\n\nWrite `data`, later if need be. Does not block.")},
    {"write_eof", transport_method<pipe_method_close>, METH_NOARGS,
     PyDoc_STR("write_eof($self)\n--\n\nAs close(): the end of a pipe is told by closing it.")},
    {"can_write_eof", method_can_write_eof, METH_NOARGS,
     PyDoc_STR("can_write_eof($self)\n--\n\nTrue.")},
    {"abort", transport_method<method_abort>, METH_NOARGS,
     PyDoc_STR("abort($self)\n--\n\nClose now; what is buffered is lost.")},
    {"get_write_buffer_size", transport_method<method_get_write_buffer_size>, METH_NOARGS,
     PyDoc_STR("get_write_buffer_size($self)\n--\n\nBytes that the pipe has not taken yet.")},
    {"get_write_buffer_limits", transport_method<method_get_write_buffer_limits>, METH_NOARGS,
     PyDoc_STR("get_write_buffer_limits($self)\n--\n\n(low, high) in bytes.")},
    {"set_write_buffer_limits", fast(transport_method<method_set_write_buffer_limits>),
     METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("set_write_buffer_limits($self, high=None, low=None)\n--\n\n"
               "When to call pause_writing() and resume_writing(), in bytes.")},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace blitzio::python
