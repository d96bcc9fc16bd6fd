// Sending.
//
// write() only queues: the loop calls back before it waits, and one send or sendmsg takes all that
// the turn produced. It goes out at once if the loop does not run, or if more is queued than a
// flush should hold back: the first large write of a turn, and whenever those after it are many.
// When the kernel takes a part only, `writable` (a one-shot poll) is in flight and nothing is tried
// until it completes:
//
//   queue empty ──write──▶ gathered ──flush──▶ sent: queue empty
//                             ▲                │ kernel's buffer full
//                             └── writable ◀───┘
//
// pause_writing() is called only for what the kernel refused, never for what is merely gathered.
//
// A connection that the peer has closed or reset may have something to read still, perhaps why. As
// the end of a transport is the end of its reading, a send that fails then is told of only after a
// turn or two (reads_before_the_end()); until then the queue waits as if the kernel's buffer were
// full.
#include <blitzio/base/syscalls.hpp>
#include <python/loop/stream_internal.hpp>

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <new>
#include <utility>

namespace blitzio::python {

namespace {

/// Gathered bytes beyond which a flush does not wait for the turn's end. Small: sparing a call is
/// worth less than the caches that large payloads wash out while they wait (ten connections that
/// echo 64 KiB took 62 µs each instead of 32).
constexpr std::size_t kGatherBytesMax = 16 * 1024;
constexpr std::size_t kVectorsMax = IOV_MAX;
/// The same behind a large write of the same turn: what writes on is bulk, and in one call so much
/// of it takes a quarter less than in three (docs/design/writes.md).
constexpr std::size_t kGatherBulkBytesMax = 192 * 1024;
/// The same for data that comes in pieces at once.
constexpr std::size_t kGatherMoreBytesMax = 256 * 1024;
/// The same for all connections of a loop together: fifty that each answer with 10 KiB would keep
/// half a megabyte from the turn's begin to its end.
constexpr std::size_t kLoopGatherBytesMax = 256 * 1024;
/// Objects other than `bytes` must be copied to be kept; from this size on they are sent at once,
/// so that only what the kernel refuses is copied.
constexpr std::size_t kCopyBytesMax = 16 * 1024;
/// Pieces that are no more than this together are copied into one: that takes less time than the
/// kernel does to read where each one lies.
constexpr std::size_t kJoinBytesMax = 4 * 1024;
/// What write() takes, as asyncio words it.
#if PY_VERSION_HEX >= 0x030E0000
constexpr const char* kBytesLike = "bytes, bytearray, or memoryview";
#else
constexpr const char* kBytesLike = "bytes-like";
#endif

/// Copies what `vectors` refer to into `into`, which has room for it.
void join(std::span<const iovec> vectors, std::byte* into) noexcept {
  for (const iovec& vector : vectors) {
    std::memcpy(into, vector.iov_base, vector.iov_len);
    into += vector.iov_len;
  }
}

/// send(2) or sendmsg(2) of `vectors`, of `total` bytes. Returns a count or a negative errno.
std::int64_t send_vectors(int fd, std::span<iovec> vectors, std::size_t total) noexcept {
  std::array<std::byte, kJoinBytesMax> joined;
  iovec whole{joined.data(), total};
  if (vectors.size() > 1 && total <= kJoinBytesMax) {
    join(vectors, joined.data());
    vectors = {&whole, 1};
  }
  for (;;) {
    ssize_t sent = 0;
    if (vectors.size() == 1) {
      sent = sys::send(fd, vectors[0].iov_base, vectors[0].iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    } else {
      msghdr message{};
      message.msg_iov = vectors.data();
      message.msg_iovlen = vectors.size();
      sent = sys::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    if (sent >= 0) return sent;
    if (errno != EINTR) return errno == EWOULDBLOCK ? -EAGAIN : -errno;
  }
}

/// Ends the future of _make_empty_waiter(), if there is one and it is not done. `exception` null: a
/// result.
void settle_empty_waiter(StreamTransport& t, PyObject* exception) noexcept {
  if (t.empty_waiter == nullptr) return;
  const PyRef waiter = PyRef::borrow(t.empty_waiter);
  const Names& names = t.state->names;
  const PyRef done = PyRef::steal(PyObject_CallMethodNoArgs(waiter.get(), names.done));
  const int is_done = done ? PyObject_IsTrue(done.get()) : -1;
  if (is_done > 0) return;
  const PyRef settled =
      is_done < 0 ? PyRef()
      : exception == nullptr
          ? PyRef::steal(PyObject_CallMethodOneArg(waiter.get(), names.set_result, Py_None))
          : PyRef::steal(PyObject_CallMethodOneArg(waiter.get(), names.set_exception, exception));
  if (!settled) loop_report_exception(*t.loop, "Fatal error on transport");
}

void fail_write(StreamTransport& t, int code) noexcept {
  if (t.write_error != 0) code = t.write_error;
  // What reading has met, and tells a turn later than the data before it, is why.
  if (t.read_end == ReadEnd::error && !t.read_end_told) code = t.read_error;
  t.queue.clear();
  PyRef exception = make_os_error(code);
  if (!exception) exception = take_exception();
  const PyRef keep = PyRef::borrow(exception.get());
  stream_fatal_error(t, std::move(exception), "Fatal write error on socket transport");
  settle_empty_waiter(t, keep.get());
}

/// Whether there is `writable`. Without memory the connection has failed.
bool has_writable(StreamTransport& t) noexcept {
  if (BLITZIO_LIKELY(t.writable != nullptr)) return true;
  t.writable.reset(new (std::nothrow) StreamOperation(t, stream_on_writable));
  if (BLITZIO_LIKELY(t.writable != nullptr)) return true;
  fail_write(t, ENOMEM);
  return false;
}

void wait_until_writable(StreamTransport& t) noexcept {
  if (!has_writable(t)) return;
  t.writable->poll(t.fd, POLLOUT);
  transport_submit(t, *t.writable);
}

/// Whether something has come that was not read. Of a connection that is broken that has an end.
BLITZIO_COLD bool has_unread(const StreamTransport& t) noexcept {
  int bytes = 0;
  return t.started && ::ioctl(t.fd, FIONREAD, &bytes) == 0 && bytes > 0;
}

/// Lets a broken connection read for another turn, or finds that it has failed. Returns false if it
/// reads nothing, or no longer.
BLITZIO_COLD bool reads_before_the_end(StreamTransport& t) noexcept {
  const bool may_read = !t.paused && !t.closing && t.read_end == ReadEnd::none;
  if (!may_read || t.turns_to_read == 0) return false;
  if (!has_writable(t)) return true;
  t.writable->nop();
  transport_submit(t, *t.writable);
  return true;
}

/// A send of what is queued failed.
BLITZIO_COLD void on_failed_send(StreamTransport& t, int code) noexcept {
  if (code == EPIPE || code == ECONNRESET) {
    if (t.write_error == 0) t.write_error = static_cast<std::int16_t>(code);
    if (reads_before_the_end(t)) return;
  }
  fail_write(t, code);
}

/// shutdown(SHUT_WR). Returns 0 or an errno.
int shut_down_writing(StreamTransport& t) noexcept {
  return ::shutdown(t.fd, SHUT_WR) == 0 ? 0 : errno;
}

/// All was taken by the kernel: goes on with what waited for that.
BLITZIO_COLD void finish_after_drain(StreamTransport& t) noexcept {
  settle_empty_waiter(t, nullptr);
  if (t.conn_lost != 0 || !t.queue.is_empty()) return;
  if (t.closing) {
    if (t.protocol_paused) {
      // Who waits for that hears of it before the end, as with asyncio, and may write or abort.
      transport_resume_protocol(t);
      if (t.conn_lost != 0 || !t.queue.is_empty()) return;
    }
    if (transport_schedule_lost(t, nullptr) != 0) {
      loop_report_exception(*t.loop, "Fatal error on transport");
    }
  } else if (t.eof_written) {
    if (const int code = shut_down_writing(t); code != 0) {
      PyRef exception = make_os_error(code);
      if (!exception) exception = take_exception();
      stream_fatal_error(t, std::move(exception), "Fatal write error on socket transport");
    }
  }
}

void after_drain(StreamTransport& t) noexcept {
  // Below the low-water mark only here: the protocol is paused only while `writable` is in flight.
  if (BLITZIO_UNLIKELY(t.closing || t.eof_written || t.empty_waiter != nullptr)) {
    finish_after_drain(t);
  }
}

/// What is queued waits for the end of the turn no longer.
void uncount_gathered(StreamTransport& t) noexcept {
  t.loop->gathered_bytes -= std::exchange(t.gathered_bytes, 0);
}

/// Sends the queue and then `tail`, which is not queued. Returns how much of `tail` went out.
std::size_t send_queue(StreamTransport& t, std::span<const std::byte> tail) noexcept {
  uncount_gathered(t);
  std::size_t tail_sent = 0;
  while (!t.queue.is_empty() || tail_sent < tail.size()) {
    std::array<iovec, kVectorsMax> vectors;
    std::size_t count = t.queue.fill(vectors);
    std::size_t queued = 0;
    for (std::size_t i = 0; i < count; ++i) queued += vectors[i].iov_len;
    std::size_t total = queued;
    if (tail_sent < tail.size() && queued == t.queue.size_bytes() && count < vectors.size()) {
      const auto rest = tail.subspan(tail_sent);
      vectors[count++] = {const_cast<std::byte*>(rest.data()), rest.size()};
      total += rest.size();
    }
    const std::int64_t result = send_vectors(t.fd, {vectors.data(), count}, total);
    if (result < 0) {
      if (result == -EAGAIN) {
        wait_until_writable(t);
      } else {
        on_failed_send(t, static_cast<int>(-result));
      }
      return tail_sent;
    }
    const auto sent = static_cast<std::size_t>(result);
    t.queue.consume(std::min(sent, queued), t.loop->spare_bytes);
    if (sent > queued) tail_sent += sent - queued;
    if (sent < total) {
      wait_until_writable(t);
      return tail_sent;
    }
  }
  return tail_sent;
}

bool is_loop_running(const StreamTransport& t) noexcept {
  // Relaxed: the caller is the running thread or the only user; see loop_check_owner().
  return t.loop->thread.load(std::memory_order_relaxed) != 0;
}

void request_flush_later(StreamTransport& t) noexcept {
  const std::size_t counted = std::exchange(t.gathered_bytes, t.queue.size_bytes());
  t.loop->gathered_bytes += t.gathered_bytes - counted;
  if (t.Flushable::is_linked()) return;
  Py_INCREF(as_object(t));
  loop_request_flush(*t.loop, t);
}

/// Whether what is queued waits for the turn's end.
bool may_gather(StreamTransport& t) noexcept {
  if (!is_loop_running(t) || t.queue.pieces() >= kVectorsMax) return false;
  const std::size_t queued = t.queue.size_bytes();
  if (BLITZIO_LIKELY(queued <= kGatherBytesMax && queued <= t.marks.high)) return true;
  // Who has set a low mark wants nothing to wait.
  if (t.marks.high < kGatherBytesMax) return false;
  const std::uint32_t turn = t.loop->turn_number;
  return std::exchange(t.last_large_write, turn) == turn && queued < kGatherBulkBytesMax;
}

/// After something was queued: sends now, or sees to it that the turn's end does.
void request_flush(StreamTransport& t) noexcept {
  if (stream_is_blocked(t)) return;
  if (BLITZIO_LIKELY(may_gather(t))) {
    request_flush_later(t);
    if (BLITZIO_UNLIKELY(t.loop->gathered_bytes > kLoopGatherBytesMax)) loop_flush(*t.loop);
    return;
  }
  stream_flush(t);
}

/// Keeps exact `bytes`. Returns -1 with an error set.
int queue_bytes(StreamTransport& t, PyObject* bytes, std::size_t offset) noexcept {
  try {
    t.queue.push(bytes, offset);
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
    return -1;
  }
  return 0;
}

/// Queues what `object` holds, or sends it if it is large. Returns -1 with an error set.
int queue_buffer(StreamTransport& t, PyObject* object) noexcept {
  Py_buffer view;
  if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) != 0) return -1;
  const std::span<const std::byte> data{static_cast<const std::byte*>(view.buf),
                                        static_cast<std::size_t>(view.len)};
  std::size_t sent = 0;
  // Giving the buffer may have run code that aborted the transport.
  if (data.size() > kCopyBytesMax && t.conn_lost == 0 && !stream_is_blocked(t) &&
      is_loop_alive(t)) {
    sent = send_queue(t, data);
  }
  int outcome = 0;
  if (sent < data.size() && t.conn_lost == 0) {
    const PyRef copy =
        PyRef::steal(PyBytes_FromStringAndSize(reinterpret_cast<const char*>(data.data() + sent),
                                               static_cast<Py_ssize_t>(data.size() - sent)));
    outcome = copy ? queue_bytes(t, copy.get(), 0) : -1;
  }
  PyBuffer_Release(&view);
  return outcome;
}

/// What comes after something was queued. Returns -1 with a fatal error of pause_writing().
int after_queueing(StreamTransport& t) noexcept {
  if (t.conn_lost != 0 || t.queue.is_empty()) return 0;
  if (loop_check_closed(*t.loop) != 0) return -1;
  request_flush(t);
  return stream_pause_if_refused(t);
}

/// Whether the buffer that `object` has gives its bytes; else false with the error set.
bool has_bytes(PyObject* object) noexcept {
  if (BLITZIO_LIKELY(PyBytes_CheckExact(object))) return true;
  Py_buffer view;
  if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) != 0) return false;
  PyBuffer_Release(&view);
  return true;
}

bool is_writable_type(PyObject* data) noexcept {
  return PyBytes_Check(data) || PyByteArray_Check(data) || PyMemoryView_Check(data);
}

}  // namespace

// ---- for the other files ------------------------------------------------------------------------

void stream_flush(StreamTransport& t) noexcept {
  uncount_gathered(t);
  if (t.queue.is_empty() || stream_is_blocked(t) || !is_loop_alive(t)) return;
  if (t.queue.pieces() == 1) {  // Nearly always: no vectors to fill.
    iovec vector = t.queue.front();
    const std::int64_t result = send_vectors(t.fd, {&vector, 1}, vector.iov_len);
    if (BLITZIO_LIKELY(result >= 0)) {
      t.queue.consume(static_cast<std::size_t>(result), t.loop->spare_bytes);
      if (!t.queue.is_empty()) wait_until_writable(t);
    } else if (result == -EAGAIN) {
      wait_until_writable(t);
    } else {
      on_failed_send(t, static_cast<int>(-result));
    }
  } else {
    static_cast<void>(send_queue(t, {}));
  }
  if (t.queue.is_empty() && t.conn_lost == 0) after_drain(t);
}

int stream_pause_if_refused(StreamTransport& t) noexcept {
  if (BLITZIO_LIKELY(!stream_is_blocked(t)) || t.conn_lost != 0) return 0;
  return transport_maybe_pause_protocol(t, t.queue.size_bytes());
}

void stream_on_flush(Flushable& flushable) noexcept {
  StreamTransport& t = static_cast<StreamTransport&>(flushable);
  const PyRef keep = transport_take_self(t);
  if (t.conn_lost != 0) return uncount_gathered(t);
  stream_flush(t);
  if (stream_pause_if_refused(t) != 0) loop_set_fatal(*t.loop, take_exception());
}

void stream_on_writable(driver::Operation& operation,
                        const driver::Completion& completion) noexcept {
  StreamTransport& t = owner_of(operation);
  const PyRef keep = transport_take_self(t);
  if (!is_loop_alive(t) || t.conn_lost != 0) return;
  const bool is_broken = completion.result > 0 && (completion.result & (POLLERR | POLLHUP)) != 0;
  const bool has_waited = operation.kind() == driver::OpKind::nop;
  if (BLITZIO_UNLIKELY(is_broken || has_waited) && reads_before_the_end(t)) {
    // What is more than a turn's share takes another one, and so does another mode of reading.
    if (!has_unread(t)) --t.turns_to_read;
    return;
  }
  // A copy of what was to wait could not be made.
  if (BLITZIO_UNLIKELY(t.write_error != 0 && t.queue.is_empty())) {
    return fail_write(t, t.write_error);
  }
  // Whatever the poll said, an error included, the send knows better.
  stream_flush(t);
  // That of _make_writable_waiter(): nothing is queued while a file is being sent.
  if (t.queue.is_empty()) settle_empty_waiter(t, nullptr);
  if (t.protocol_paused && t.conn_lost == 0 && t.queue.size_bytes() <= t.marks.low) {
    transport_resume_protocol(t);
  }
}

// ---- methods ------------------------------------------------------------------------------------

namespace {

/// Whether write() is allowed: 1, 0 if it is lost and counted, or -1 with an error set.
int may_write(StreamTransport& t, PyObject* data) noexcept {
  if (BLITZIO_UNLIKELY(transport_check(t) != 0)) return -1;
  if (BLITZIO_UNLIKELY(t.eof_written)) {
    PyErr_SetString(PyExc_RuntimeError, "Cannot call write() after write_eof()");
    return -1;
  }
  if (BLITZIO_UNLIKELY(t.empty_waiter != nullptr)) {
    PyErr_SetString(PyExc_RuntimeError, "unable to write; sendfile is in progress");
    return -1;
  }
  if (BLITZIO_LIKELY(t.conn_lost == 0)) return 1;
  const Py_ssize_t size = PyObject_Size(data);
  if (size < 0) return -1;
  if (size != 0) transport_count_lost_write(t);
  return 0;
}

}  // namespace

int stream_write_bytes(PyObject* self, PyObject* bytes, bool more) noexcept {
  StreamTransport& t = as_stream(self);
  const int allowed = may_write(t, bytes);
  if (BLITZIO_UNLIKELY(allowed <= 0)) return allowed;
  if (queue_bytes(t, bytes, 0) != 0) return -1;
  if (!more || t.queue.size_bytes() >= kGatherMoreBytesMax) return after_queueing(t);
  if (is_loop_alive(t) && !stream_is_blocked(t))
    request_flush_later(t);  // Should nothing follow after all.
  return 0;
}

PyObject* stream_write(PyObject* self, PyObject* data) noexcept {
  StreamTransport& t = as_stream(self);
  if (BLITZIO_UNLIKELY(!PyBytes_CheckExact(data) && !is_writable_type(data))) {
    return PyErr_Format(PyExc_TypeError, "data argument must be a %s object, not '%.200s'",
                        kBytesLike, short_type_name(data));
  }
  const int allowed = may_write(t, data);
  if (BLITZIO_UNLIKELY(allowed < 0)) return nullptr;
  if (BLITZIO_UNLIKELY(allowed == 0)) Py_RETURN_NONE;
  const int queued =
      BLITZIO_LIKELY(PyBytes_CheckExact(data)) ? queue_bytes(t, data, 0) : queue_buffer(t, data);
  if (queued != 0 || after_queueing(t) != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* stream_writelines(PyObject* self, PyObject* list) noexcept {
  StreamTransport& t = as_stream(self);
  if (transport_check(t) != 0) return nullptr;
#if PY_VERSION_HEX >= 0x030C0000
  if (t.eof_written) {
    PyErr_SetString(PyExc_RuntimeError, "Cannot call writelines() after write_eof()");
    return nullptr;
  }
  if (t.empty_waiter != nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "unable to writelines; sendfile is in progress");
    return nullptr;
  }
#endif
#if PY_VERSION_HEX < 0x030C0000
  const PyRef sequence = PyRef::steal(PySequence_Fast(list, "can only join an iterable"));
  if (!sequence) return nullptr;
  list = sequence.get();
#endif
  // Taking a buffer, or failing to send it, may run code that changes a list.
  const PyRef items = PyRef::steal(PySequence_Tuple(list));
  if (!items) return nullptr;
  const Py_ssize_t count = PyTuple_GET_SIZE(items.get());
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* item = PyTuple_GET_ITEM(items.get(), i);
    if (PyObject_CheckBuffer(item) != 0) {
      if (!has_bytes(item)) return nullptr;
      continue;
    }
    // All or nothing, and worded by what asyncio does with the list in this version.
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_Format(PyExc_TypeError,
                        "memoryview: a bytes-like object is required, not '%.200s'",
                        Py_TYPE(item)->tp_name);
#else
    return PyErr_Format(PyExc_TypeError,
                        "sequence item %zd: expected a bytes-like object, %.80s found", i,
                        Py_TYPE(item)->tp_name);
#endif
  }
#if PY_VERSION_HEX < 0x030C0000
  if (t.eof_written) {
    PyErr_SetString(PyExc_RuntimeError, "Cannot call write() after write_eof()");
    return nullptr;
  }
  if (t.empty_waiter != nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "unable to write; sendfile is in progress");
    return nullptr;
  }
#endif
  if (count == 0) Py_RETURN_NONE;
  if (t.conn_lost != 0) {
    transport_count_lost_write(t);
    Py_RETURN_NONE;
  }
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* item = PyTuple_GET_ITEM(items.get(), i);
    const int queued = PyBytes_CheckExact(item) ? queue_bytes(t, item, 0) : queue_buffer(t, item);
    if (queued != 0) return nullptr;
    if (t.conn_lost != 0) Py_RETURN_NONE;
  }
  if (after_queueing(t) != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* stream_write_eof(PyObject* self, PyObject* /*unused*/) noexcept {
  StreamTransport& t = as_stream(self);
  if (transport_check(t) != 0) return nullptr;
  if (t.closing || t.eof_written) Py_RETURN_NONE;
  stream_flush(t);
  if (t.closing) Py_RETURN_NONE;  // The flush failed.
  t.eof_written = true;
  if (t.queue.is_empty()) {
    if (const int code = shut_down_writing(t); code != 0) {
      raise_error(Error::os(code), "write_eof");
      return nullptr;
    }
  }
  Py_RETURN_NONE;
}

PyObject* stream_make_empty_waiter(PyObject* self, PyObject* /*unused*/) noexcept {
  StreamTransport& t = as_stream(self);
  if (transport_check(t) != 0) return nullptr;
  if (t.empty_waiter != nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "Empty waiter is already set");
    return nullptr;
  }
  stream_flush(t);
  PyRef future = loop_create_future(*t.loop);
  if (!future) return nullptr;
  Py_XSETREF(t.empty_waiter, Py_NewRef(future.get()));
  if (t.queue.is_empty()) settle_empty_waiter(t, nullptr);
  return future.release();
}

PyObject* stream_make_writable_waiter(PyObject* self, PyObject* /*unused*/) noexcept {
  StreamTransport& t = as_stream(self);
  if (transport_check(t) != 0) return nullptr;
  PyRef future = loop_create_future(*t.loop);
  // Asked only now: making a future may run any code.
  if (!future || loop_check_closed(*t.loop) != 0) return nullptr;
  if (t.empty_waiter == nullptr || t.conn_lost != 0) {
    PyErr_SetString(PyExc_ConnectionError, "Connection is closed by peer");
    return nullptr;
  }
  Py_SETREF(t.empty_waiter, Py_NewRef(future.get()));
  if (!stream_is_blocked(t)) wait_until_writable(t);
  return future.release();
}

PyObject* stream_reset_empty_waiter(PyObject* self, PyObject* /*unused*/) noexcept {
  Py_CLEAR(as_stream(self).empty_waiter);
  Py_RETURN_NONE;
}

}  // namespace blitzio::python
