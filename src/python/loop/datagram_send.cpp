// Sending: at once, and what the kernel does not take is queued until the socket is writable.
//
// Unlike a stream's, the writes of a turn are not gathered: a datagram's error belongs to its
// sendto(), and nothing is saved as long as each needs an address of its own.
#include <blitzio/base/syscalls.hpp>
#include <blitzio/net/receiver_room.hpp>
#include <python/loop/datagram_internal.hpp>
#include <python/support/arguments.hpp>

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <new>
#include <span>

namespace blitzio::python {

namespace {

constexpr const char* kFatalWrite = "Fatal write error on datagram transport";

enum class Sent : std::uint8_t {
  yes,
  blocked,  ///< the kernel's buffer is full
  failed,   ///< an error is set
};

void wait_until_writable(DatagramTransport& t) noexcept {
  if (!t.writable.is_idle() || !is_loop_alive(t)) return;
  t.writable.poll(t.room ? t.room.get() : t.fd, POLLOUT);
  transport_submit(t, t.writable);
}

// ---- one datagram -------------------------------------------------------------------------------

/// To `address`, or to the connected peer if that is null.
Sent send_to_kernel(int fd, std::span<const std::byte> data, const KnownAddress* address) noexcept {
  for (;;) {
    const ssize_t sent =
        address == nullptr ? sys::send(fd, data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                           : sys::sendto(fd, data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                                         address->data(), address->bytes());
    if (BLITZIO_LIKELY(sent >= 0)) return Sent::yes;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return Sent::blocked;
    if (errno != EINTR) {
      PyErr_SetFromErrno(PyExc_OSError);
      return Sent::failed;
    }
  }
}

/// Names to be resolved, broadcast, other families, and whatever is wrong: as asyncio does.
Sent send_by_method(DatagramTransport& t, PyObject* data, PyObject* address) noexcept {
  const PyRef sock = PyRef::borrow(t.sock);
  PyObject* args[4] = {nullptr, sock.get(), data, address};
  const PyRef result = PyRef::steal(PyObject_VectorcallMethod(
      t.state->names.sendto, args + 1, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
  if (result) return Sent::yes;
  if (PyErr_ExceptionMatches(PyExc_BlockingIOError) == 0 &&
      PyErr_ExceptionMatches(PyExc_InterruptedError) == 0) {
    return Sent::failed;
  }
  PyErr_Clear();  // Full is no error.
  return Sent::blocked;
}

/// The address in the kernel's form; null if it takes the socket's own method.
const KnownAddress* find_address(DatagramTransport& t, PyObject* address) noexcept {
  if (t.sender.is(address)) return &t.sender;
  if (t.recipient.is(address)) return &t.recipient;
  return t.recipient.parse(t.family, address) ? &t.recipient : nullptr;
}

/// Tries to send `data`, which `bytes` are of; `address` may be None.
Sent send_bytes(DatagramTransport& t, PyObject* data, std::span<const std::byte> bytes,
                PyObject* address) noexcept {
  const KnownAddress* known = nullptr;
  if (!t.is_connected && !(t.has_unnamed_peer && address == Py_None)) {
    known = find_address(t, address);
    if (known == nullptr) return send_by_method(t, data, address);
  }
  const Sent sent = send_to_kernel(t.fd, bytes, known);
  if (BLITZIO_UNLIKELY(sent == Sent::blocked) && known != nullptr && t.writable.is_idle()) {
    auto room = net::receiver_room(t.fd, known->data(), known->bytes());
    if (!room) {
      raise_error(room.error(), "send");
      return Sent::failed;
    }
    t.room = std::move(*room);
  }
  return sent;
}

/// Tries to send `data`; `address` may be None.
Sent send_now(DatagramTransport& t, PyObject* data, PyObject* address) noexcept {
  if (BLITZIO_LIKELY(PyBytes_Check(data))) {
    return send_bytes(t, data,
                      {reinterpret_cast<const std::byte*>(PyBytes_AS_STRING(data)),
                       static_cast<std::size_t>(PyBytes_GET_SIZE(data))},
                      address);
  }
  Py_buffer view;
  if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) != 0) return Sent::failed;
  // That may have run any code: the descriptor may be closed, or be somebody else's. Then the
  // caller sees that the transport is lost.
  const Sent sent = t.fd_state != FdState::open
                        ? Sent::blocked
                        : send_bytes(t, data,
                                     {static_cast<const std::byte*>(view.buf),
                                      static_cast<std::size_t>(view.len)},
                                     address);
  PyBuffer_Release(&view);
  return sent;
}

/// Tells what went wrong with one datagram to the protocol, or ends the transport.
/// Returns  -1 with the error that error_received() raises, or with a fatal one.
int on_failure(DatagramTransport& t) noexcept {
  PyRef exception = take_exception();
  if (BLITZIO_UNLIKELY(is_fatal_exception(exception.get()))) {
    restore_exception(std::move(exception));
    return -1;
  }
  if (PyErr_GivenExceptionMatches(exception.get(), PyExc_OSError) != 0) {
    return datagram_call_error_received(t, exception.get());
  }
  datagram_fatal_error(t, std::move(exception), kFatalWrite);
  return 0;
}

// ---- the queue ----------------------------------------------------------------------------------

/// Queues a copy of `data`, which nobody can change. Returns -1 with an error set.
int queue_datagram(DatagramTransport& t, PyObject* data, PyObject* address) noexcept {
  if (loop_check_closed(*t.loop) != 0) return -1;
  DatagramQueue::Item item{
      PyBytes_CheckExact(data) ? PyRef::borrow(data) : PyRef::steal(PyBytes_FromObject(data)),
      PyRef::borrow(address)};
  if (!item.data) return -1;
  try {
    t.queue.push_back(std::move(item));
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
    return -1;
  }
  wait_until_writable(t);
  return transport_maybe_pause_protocol(t, t.queue.size_bytes());
}

/// Sends what is queued. False: an error was met, and the rest is for the next turn.
bool send_queue(DatagramTransport& t) noexcept {
  while (!t.queue.is_empty()) {
    DatagramQueue::Item item = t.queue.take();
    const Sent sent = send_now(t, item.data.get(), item.address.get());
    if (t.conn_lost != 0) return false;  // The socket's method may run any code.
    if (sent == Sent::blocked) {
      t.queue.untake(std::move(item));
      return true;
    }
    if (sent == Sent::failed) {
      if (on_failure(t) != 0) {
        transport_report(t, "Exception in callback DatagramTransport._sendto_ready()");
      }
      return false;
    }
  }
  return true;
}

void flush(DatagramTransport& t) noexcept {
  const bool went_well = send_queue(t);
  t.queue.trim();
  if (went_well && t.conn_lost == 0 && t.protocol_paused && t.queue.size_bytes() <= t.marks.low) {
    transport_resume_protocol(t);  // May send, close or abort.
  }
  if (t.conn_lost != 0) return;
  if (!went_well || !t.queue.is_empty()) {
    wait_until_writable(t);
  } else if (t.closing && transport_schedule_lost(t, nullptr) != 0) {
    transport_report(t, "Fatal error on transport");
  }
}

bool is_sendable(PyObject* data) noexcept {
  return PyBytes_Check(data) || PyByteArray_Check(data) || PyMemoryView_Check(data);
}

/// The address to send to (borrowed): the one that the endpoint was made with, if it was.
/// Returns  null with ValueError set if `given` is another.
PyObject* check_address(const DatagramTransport& t, PyObject* given) noexcept {
  if (t.address == nullptr) return given;
  if (given != Py_None) {
    const int is_same = PyObject_RichCompareBool(given, t.address, Py_EQ);
    if (is_same < 0) return nullptr;
    if (is_same == 0) {
      return PyErr_Format(PyExc_ValueError, "Invalid address: must be None or %S", t.address);
    }
  }
  return t.address;
}

}  // namespace

void datagram_on_writable(driver::Operation& operation,
                          const driver::Completion& /*completion*/) noexcept {
  DatagramTransport& t = datagram_of(operation);
  const PyRef keep = transport_take_self(t);
  t.room.reset();
  // Whatever the poll said, an error included, the send knows better.
  if (is_loop_alive(t) && t.conn_lost == 0) {
    const ContextScope scope(t.context);
    flush(t);
  }
}

PyObject* datagram_sendto(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                          PyObject* kwnames) noexcept {
  static constexpr std::array<const char*, 2> kParameters{"data", "addr"};
  Arguments arguments(args, nargs, kwnames);
  const bool is_plain = kwnames == nullptr && nargs == 1;
  if (!is_plain && !arguments.bind_all("sendto", kParameters, 1)) return nullptr;
  PyObject* data = arguments[0];
  PyObject* given = is_plain || arguments[1] == nullptr ? Py_None : arguments[1];
  if (BLITZIO_UNLIKELY(!PyBytes_CheckExact(data) && !is_sendable(data))) {
    const PyRef name = PyRef::steal(PyUnicode_FromString(short_type_name(data)));
    return name ? PyErr_Format(PyExc_TypeError, "data argument must be a bytes-like object, not %R",
                               name.get())
                : nullptr;
  }
  DatagramTransport& t = as_datagram(self);
  if (BLITZIO_UNLIKELY(transport_check(t) != 0)) return nullptr;
#if PY_VERSION_HEX < 0x030D0000
  const int is_full = PyObject_IsTrue(data);
  if (is_full < 0) return nullptr;
  if (is_full == 0) Py_RETURN_NONE;  // Empty datagrams are sent from 3.13 on.
#endif
  PyObject* address = check_address(t, given);
  if (address == nullptr) return nullptr;
  const PyRef keep = PyRef::borrow(address);
  if (BLITZIO_UNLIKELY(t.conn_lost != 0 && (t.address != nullptr || t.fd_state != FdState::open))) {
    transport_count_lost_write(t);
    Py_RETURN_NONE;
  }
  if (BLITZIO_LIKELY(t.queue.is_empty())) {
    const Sent sent = send_now(t, data, address);
    if (BLITZIO_LIKELY(sent == Sent::yes)) Py_RETURN_NONE;
    if (sent == Sent::failed) {
      if (on_failure(t) != 0) return nullptr;
      Py_RETURN_NONE;
    }
  }
  // Closed without a queue to wait for: the datagram is lost, as datagrams are.
  if (BLITZIO_UNLIKELY(t.conn_lost != 0)) {
    transport_count_lost_write(t);
    Py_RETURN_NONE;
  }
  if (queue_datagram(t, data, address) != 0) return nullptr;
  Py_RETURN_NONE;
}

}  // namespace blitzio::python
