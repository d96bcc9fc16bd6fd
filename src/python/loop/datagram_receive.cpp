// Receiving: recvfrom(2) after each event.
//
// A ring tells of arrivals (poll_multishot), so the socket is emptied each time. The other drivers
// tell of what is there (poll_again): one datagram is received, and the next event tells of more,
// which spares the EAGAIN. Where a look, at every eighth event, finds a second one, the socket is
// emptied as well, until only one comes again.
//
// A datagram goes through the loop's one scratch buffer into a `bytes` of the exact size: nobody
// can know how large the next one is, and an idle endpoint shall own no buffer. The kernel keeps
// what is not read, so pausing and closing lose nothing of ours.
//
// recvmmsg(2) was measured and left: with one datagram waiting, which is the usual case, it costs a
// little more than a receive and the EAGAIN after it.
#include <blitzio/base/syscalls.hpp>
#include <python/loop/datagram_internal.hpp>

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <new>

namespace blitzio::python {

namespace {

constexpr const char* kFatalRead = "Fatal read error on datagram transport";
/// asyncio's words: there the protocol is called by a callback of this name.
constexpr const char* kExceptionInRead = "Exception in callback DatagramTransport._read_ready()";
/// The largest datagram that is received whole, as asyncio's max_size.
constexpr std::size_t kDatagramBytesMax = 256 * 1024;
/// What one endpoint may deliver in a turn before others get theirs.
constexpr int kTurnDatagrams = 32;
/// After so many events that brought one datagram each, the next looks for a second one.
constexpr std::uint8_t kSinglesMax = 7;

enum class Received : std::uint8_t {
  one,      ///< a datagram or an error was told to the protocol
  nothing,  ///< the socket is empty
  stop,     ///< no more in this turn, whatever is there
};

bool wants_data(const DatagramTransport& t) noexcept {
  return t.started && !t.paused && !t.closing && is_loop_alive(t);
}

void ask_for_next_turn(DatagramTransport& t) noexcept {
  if (!t.resume.is_idle() || !is_loop_alive(t)) return;
  t.resume.nop();
  transport_submit(t, t.resume);
}

/// The loop's buffer; its pages are touched only as far as datagrams reach. Null with MemoryError
/// set.
std::byte* scratch_of(LoopObject& loop) noexcept {
  if (loop.datagram_scratch == nullptr) {
    loop.datagram_scratch.reset(new (std::nothrow) std::byte[kDatagramBytesMax]);
    if (loop.datagram_scratch == nullptr) PyErr_NoMemory();
  }
  return loop.datagram_scratch.get();
}

/// What failed outside of the protocol, in the middle of receiving.
Received fail(DatagramTransport& t) noexcept {
  PyRef exception = take_exception();
  if (is_fatal_exception(exception.get())) {
    loop_set_fatal(*t.loop, std::move(exception));
  } else {
    datagram_fatal_error(t, std::move(exception), kFatalRead);
  }
  return Received::stop;
}

Received deliver(DatagramTransport& t, PyObject* data, PyObject* address) noexcept {
  const PyRef protocol = PyRef::borrow(t.protocol);
  PyObject* args[4] = {nullptr, protocol.get(), data, address};
  const PyRef result = PyRef::steal(PyObject_VectorcallMethod(
      t.state->names.datagram_received, args + 1, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
  // As in asyncio, what the method raises is reported, and the endpoint goes on.
  if (BLITZIO_UNLIKELY(!result)) transport_report(t, kExceptionInRead);
  return Received::one;
}

Received tell_error(DatagramTransport& t, PyObject* exception) noexcept {
  if (datagram_call_error_received(t, exception) != 0) {
    transport_report(t, kExceptionInRead);
  }
  return Received::one;
}

Received receive_from_fd(DatagramTransport& t) noexcept {
  std::byte* scratch = scratch_of(*t.loop);
  if (BLITZIO_UNLIKELY(scratch == nullptr)) return fail(t);
  sockaddr_storage address;
  socklen_t address_bytes = sizeof address;
  ssize_t count = 0;
  do {
    count = sys::recvfrom(t.fd, scratch, kDatagramBytesMax, MSG_DONTWAIT,
                          reinterpret_cast<sockaddr*>(&address), &address_bytes, sys::Wait::edge);
  } while (BLITZIO_UNLIKELY(count < 0 && errno == EINTR));
  if (BLITZIO_LIKELY(count >= 0)) {
    PyRef data = PyRef::steal(t.loop->spare_bytes.make({scratch, static_cast<std::size_t>(count)}));
    const PyRef sender = data ? t.sender.object_for(address, address_bytes) : PyRef();
    if (BLITZIO_UNLIKELY(!sender)) return fail(t);
    const Received received = deliver(t, data.get(), sender.get());
    t.loop->spare_bytes.drop(data.release());
    return received;
  }
  const int code = errno;
  if (code == EAGAIN || code == EWOULDBLOCK) return Received::nothing;
  const PyRef exception = make_os_error(code);
  if (!exception) return fail(t);
  tell_error(t, exception.get());
  // Closed behind our back: asking again would say so for ever.
  return code == EBADF || code == ENOTSOCK ? Received::nothing : Received::one;
}

/// For families whose addresses the socket module knows, and we do not.
Received receive_by_method(DatagramTransport& t) noexcept {
  const PyRef sock = PyRef::borrow(t.sock);
  const PyRef pair = PyRef::steal(
      PyObject_CallMethod(sock.get(), "recvfrom", "n", static_cast<Py_ssize_t>(kDatagramBytesMax)));
  if (pair) {
    if (PyTuple_Check(pair.get()) && PyTuple_GET_SIZE(pair.get()) == 2) {
      return deliver(t, PyTuple_GET_ITEM(pair.get(), 0), PyTuple_GET_ITEM(pair.get(), 1));
    }
    PyErr_SetString(PyExc_TypeError, "recvfrom() must return a pair of bytes and address");
  }
  if (PyErr_ExceptionMatches(PyExc_OSError) == 0) return fail(t);
  const bool is_empty = PyErr_ExceptionMatches(PyExc_BlockingIOError) != 0 ||
                        PyErr_ExceptionMatches(PyExc_InterruptedError) != 0;
  const PyRef exception = take_exception();
  if (is_empty) return Received::nothing;
  tell_error(t, exception.get());
  return Received::one;
}

/// Whether the next event tells of what is left now.
bool is_watched_by_level(const DatagramTransport& t) noexcept {
  return !t.wants_edges && loop_driver(*t.loop).backend() != driver::Backend::io_uring;
}

/// Receives until the socket is empty or this turn's share is used up; by level, where datagrams
/// come one at a time, one. In the transport's context.
void drain(DatagramTransport& t) noexcept {
  const bool is_plain = is_plain_family(t.family);
  const bool by_level = is_watched_by_level(t);
  for (int i = 0; i < kTurnDatagrams; ++i) {
    if (!wants_data(t)) return;
    if (by_level && i == 1 && t.singles < kSinglesMax) {
      ++t.singles;
      return;
    }
    const Received received = is_plain ? receive_from_fd(t) : receive_by_method(t);
    if (received == Received::nothing) {
      if (i == 1) t.singles = 0;
      // It was something else, the user's error queue say, of which level would tell for ever.
      if (i == 0) t.wants_edges = true;
      return;
    }
    // A run that ends here finds the rest when it goes on.
    if (received == Received::stop || t.loop->fatal != nullptr) break;
  }
  if (wants_data(t) && !by_level) ask_for_next_turn(t);
}

void receive(DatagramTransport& t) noexcept {
  if (!t.resume.is_idle()) return;  // Its turn is to come.
  const ContextScope scope(t.context);
  drain(t);
}

/// Whether waiting starts anew after this last completion rather than being at its end.
bool is_interruption(std::int32_t result) noexcept {
  return result >= 0 || result == -ECANCELED || result == -EAGAIN || result == -EINTR ||
         result == -ENOBUFS;
}

}  // namespace

void datagram_update_reading(DatagramTransport& t) noexcept {
  if (!is_loop_alive(t)) return;
  const bool is_wanted = wants_data(t);
  if (!t.read.is_idle()) {
    if (!is_wanted) loop_driver(*t.loop).cancel(t.read);
    return;
  }
  if (!is_wanted) return;
  if (!is_watched_by_level(t)) {
    t.read.poll_multishot(t.fd, POLLIN);
  } else if (t.was_polled) {
    t.read.poll_again(t.fd, POLLIN);
  } else {
    t.read.poll(t.fd, POLLIN);
  }
  transport_submit(t, t.read);
}

void datagram_on_read(driver::Operation& operation, const driver::Completion& completion) noexcept {
  DatagramTransport& t = datagram_of(operation);
  PyRef keep;
  if (!completion.more) keep = transport_take_self(t);
  if (BLITZIO_UNLIKELY(!is_loop_alive(t))) return;
  t.was_polled = completion.result > 0;
  if (BLITZIO_LIKELY(completion.result > 0)) {
    receive(t);
  } else if (!completion.more && !t.closing && !is_interruption(completion.result)) {
    PyRef exception = make_os_error(completion.error_code());
    if (!exception) exception = take_exception();
    datagram_fatal_error(t, std::move(exception), kFatalRead);
  }
  if (!completion.more) datagram_update_reading(t);
}

void datagram_on_resume(driver::Operation& operation,
                        const driver::Completion& /*completion*/) noexcept {
  DatagramTransport& t = datagram_of(operation);
  const PyRef keep = transport_take_self(t);
  if (is_loop_alive(t)) receive(t);
}

// ---- methods ------------------------------------------------------------------------------------

PyObject* datagram_start_reading(PyObject* self, PyObject* /*unused*/) noexcept {
  DatagramTransport& t = as_datagram(self);
  if (transport_check(t) != 0) return nullptr;
  t.started = true;
  datagram_update_reading(t);
  Py_RETURN_NONE;
}

PyObject* datagram_pause_reading(PyObject* self, PyObject* /*unused*/) noexcept {
  DatagramTransport& t = as_datagram(self);
  if (transport_check(t) != 0) return nullptr;
  if (t.closing || t.paused) Py_RETURN_NONE;
  t.paused = true;
  datagram_update_reading(t);
  if (BLITZIO_UNLIKELY(t.loop->debug)) log_transport_debug(*t.state, self, "%r pauses reading");
  Py_RETURN_NONE;
}

PyObject* datagram_resume_reading(PyObject* self, PyObject* /*unused*/) noexcept {
  DatagramTransport& t = as_datagram(self);
  if (transport_check(t) != 0) return nullptr;
  if (t.closing || !t.paused) Py_RETURN_NONE;
  t.paused = false;
  datagram_update_reading(t);
  if (BLITZIO_UNLIKELY(t.loop->debug)) log_transport_debug(*t.state, self, "%r resumes reading");
  Py_RETURN_NONE;
}

}  // namespace blitzio::python
