// Receiving.
//
// Small messages come by recv_multishot: no syscall of ours per arrival on io_uring, one on epoll,
// and a copy of a few hundred bytes. From kBulkBytes on the copy costs more than a poll event, so
// the transport changes to poll_multishot and receives into the final object. It returns after
// kSmallReadsMax small ones in a row.
//
// A connection begins with poll_multishot, until two messages were small (a TLS handshake's do not
// count): a bulk stream whose first megabyte came in pieces of the driver's buffers keeps a small
// TCP window for long, and one that asks once and closes never gets that far (docs/design/reads.md
// has the numbers).
//
// pause_reading() cancels the operation, so the kernel's window closes; in mode edges, which take
// nothing, only if the pause lasts (stream_settle_pauses()). What the driver had already taken is
// held and delivered, in order, after resume_reading(); then the operation starts again.
#include <blitzio/base/instant.hpp>
#include <blitzio/base/syscalls.hpp>
#include <python/loop/protocol_buffer.hpp>
#include <python/loop/read_size.hpp>
#include <python/loop/stream_internal.hpp>
#include <python/loop/tls_protocol.hpp>

#include <poll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <optional>

namespace blitzio::python {

namespace {

/// An arrival of this size promises more, or larger ones.
constexpr std::size_t kBulkBytes = 16 * 1024;
/// In mode edges: so small that the copy would cost less than the poll event and the call.
constexpr std::size_t kSmallBytes = 4 * 1024;
constexpr std::uint8_t kSmallReadsMax = 16;
/// What is received at once for our TLS layer.
constexpr std::size_t kTlsReadBytes = 128 * 1024;
/// What one connection may deliver in a turn before others get theirs: two of the largest reads.
constexpr std::size_t kShareBytes = 512 * 1024;
/// Who alone has more may go on for so long and, with all others in the turn, up to so much: what
/// is emptied each time stays in the caches (docs/design/reads.md). As much as libuv reads.
constexpr Duration kTurnTimeMax = Duration::from_millis(1);
constexpr std::size_t kTurnBytesMax = 8 * 1024 * 1024;

bool wants_data(const StreamTransport& t) noexcept {
  // A protocol may fork in the middle of a large read: in the child the rest is the parent's.
  return t.started && !t.paused && !t.closing && t.read_end == ReadEnd::none && is_loop_alive(t);
}

// ---- mode edges ---------------------------------------------------------------------------------

/// recv(2) into `buffer`. Returns a count, 0 at the end, or a negative errno.
std::int32_t receive(int fd, std::span<std::byte> buffer) noexcept {
  for (;;) {
    const ssize_t count =
        sys::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT, sys::Wait::edge);
    if (count >= 0) return static_cast<std::int32_t>(count);
    if (errno != EINTR) return errno == EWOULDBLOCK ? -EAGAIN : -errno;
  }
}

/// Goes on with drain() then. May be asked for many times.
void drain_in_next_turn(StreamTransport& t) noexcept {
  if (t.drain_again || !stream_ask_for_next_turn(t)) return;
  t.drain_again = true;
  ++t.loop->unfinished_reads;
}

/// One receive and its delivery.
struct Received {
  std::int32_t result;  ///< as receive(); -EAGAIN as well if the protocol gave no buffer
  bool filled;          ///< there may be more
  bool counts = true;   ///< its size says something about what will follow
};

Received receive_bytes(StreamTransport& t) noexcept {
  const auto size = static_cast<std::uint32_t>(faults::perhaps_fewer(t.read_bytes));
  PyObject* bytes = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size));
  if (bytes == nullptr) {
    stream_protocol_failed(t, "Fatal read error on socket transport");
    return {-EAGAIN, false};
  }
  const std::int32_t count =
      receive(t.fd, {reinterpret_cast<std::byte*>(PyBytes_AS_STRING(bytes)), size});
  if (count <= 0) {
    Py_DECREF(bytes);
    return {count, false};
  }
  const auto got = static_cast<std::uint32_t>(count);
  if (got == size) {
    t.read_bytes = next_read_bytes(t.read_bytes);
  } else if (_PyBytes_Resize(&bytes, count) != 0) {
    stream_protocol_failed(t, "Fatal read error on socket transport");
    return {-EAGAIN, false};
  }
  stream_deliver_bytes(t, bytes);
  Py_DECREF(bytes);
  return {count, got == size};
}

Received receive_into_protocol(StreamTransport& t) noexcept {
  const ContextScope scope(t.context);
  ProtocolBuffer buffer;
  if (!buffer.get(t, false)) {
    // After an interrupt, which ends the run and not the connection, no edge tells of it again.
    if (wants_data(t) && stream_is_readable(t)) drain_in_next_turn(t);
    return {-EAGAIN, false};
  }
  // get_buffer() may have called connection_lost() by hand.
  if (BLITZIO_UNLIKELY(t.fd_state != FdState::open)) return {-EAGAIN, false};
  const std::size_t size =
      faults::perhaps_fewer(std::min<std::size_t>(buffer.span().size(), 1U << 30));
  const std::int32_t count = receive(t.fd, buffer.span().first(size));
  buffer.release();
  if (count > 0) stream_tell_buffer_updated(t, static_cast<std::size_t>(count));
  return {count, static_cast<std::size_t>(count) == size};
}

/// Into memory of the loop, as the plaintext is an object of its own.
Received receive_for_tls(StreamTransport& t) noexcept {
  if (!t.loop->tls_scratch) {
    t.loop->tls_scratch.reset(new (std::nothrow) std::byte[kTlsReadBytes]);
    if (!t.loop->tls_scratch) {
      PyErr_NoMemory();
      stream_protocol_failed(t, "Fatal read error on socket transport");
      return {-EAGAIN, false};
    }
  }
  const std::span<std::byte> buffer{t.loop->tls_scratch.get(), kTlsReadBytes};
  // Handshakes are small whatever follows, and many connections have hardly anything else.
  const bool counts = tls_is_wrapped(t.protocol);
  const std::int32_t count = receive(t.fd, buffer);
  if (count > 0) stream_deliver_to_tls(t, buffer.first(static_cast<std::size_t>(count)));
  return {count, static_cast<std::size_t>(count) == kTlsReadBytes, counts};
}

/// A short read empties an internet socket. A Unix socket stops at messages that carry descriptors.
bool is_drained_by_short_read(const StreamTransport& t) noexcept {
  return !t.edge_said_end && (t.family == AF_INET || t.family == AF_INET6);
}

void count_read(StreamTransport& t, std::size_t bytes) noexcept {
  if (bytes >= kSmallBytes) {
    t.small_reads_left = kSmallReadsMax;
  } else if (--t.small_reads_left == 0) {
    t.wants_edges = false;  // What is left is received by the other mode.
    t.read_bytes = kReadBytesMin;
  }
}

/// Whether a connection that has had its share of this turn may go on. `until` is set at the first
/// time of asking.
bool may_go_on(const StreamTransport& t, std::optional<Instant>& until) noexcept {
  const LoopObject& loop = *t.loop;
  if (t.is_tls || loop.unfinished_reads != 0 || loop.turn_bytes >= kTurnBytesMax) return false;
  const Instant now = Instant::now();
  if (!until) until = now + kTurnTimeMax;
  return now < *until;
}

/// Whether there is more to receive, the end included. `known`: how much was there when asked last,
/// less what was received since; asked again when that is used up.
bool has_more(const StreamTransport& t, std::size_t& known) noexcept {
  if (known != 0) return true;
  int bytes = 0;
  if (::ioctl(t.fd, FIONREAD, &bytes) == 0 && bytes > 0) known = static_cast<std::size_t>(bytes);
  return known != 0 || stream_is_readable(t);
}

/// Receives until the socket is empty or this turn's share is used up. `is_told`: that there is
/// something, by an edge.
void drain(StreamTransport& t, bool is_told) noexcept {
  std::size_t taken = 0;
  std::size_t known = 0;
  std::optional<Instant> until;
  while (wants_data(t) && t.wants_edges && t.held == nullptr) {
    if (taken >= kShareBytes && !may_go_on(t, until)) {
      drain_in_next_turn(t);
      return;
    }
    // A protocol may count on get_buffer() being asked for what has come. At the end it is, too.
    if (t.is_buffered && !t.is_tls && (taken > 0 || !is_told) && !has_more(t, known)) return;
    const Received received = t.is_tls        ? receive_for_tls(t)
                              : t.is_buffered ? receive_into_protocol(t)
                                              : receive_bytes(t);
    if (received.result == -EAGAIN) return;
    if (received.result <= 0) {
      stream_end_reading(t, received.result);
      return;
    }
    taken += static_cast<std::size_t>(received.result);
    known -= std::min(known, static_cast<std::size_t>(received.result));
    t.loop->turn_bytes += static_cast<std::size_t>(received.result);
    if (!received.filled) {
      if (received.counts) count_read(t, taken);
      if (is_drained_by_short_read(t)) return;
    }
  }
}

void on_edge(StreamTransport& t, std::uint32_t mask) noexcept {
  if ((mask & (POLLRDHUP | POLLHUP | POLLERR)) != 0) t.edge_said_end = true;
  // Paused, or changing mode: whoever starts the next operation is told of what is ready. This
  // turn's share used up already: `resume` goes on.
  const bool may_drain = t.read.state() == driver::Operation::State::in_flight || t.read.is_idle();
  if (may_drain && !t.drain_again) drain(t, true);
  stream_update_reading(t);  // The end may have come, or the other mode be wanted.
}

// ---- mode arrivals ------------------------------------------------------------------------------

void on_arrival(StreamTransport& t, std::span<const std::byte> data) noexcept {
  if (t.closing || t.read_end != ReadEnd::none) return;
  if (data.size() >= kBulkBytes && !t.wants_edges) {
    t.wants_edges = true;
    t.small_reads_left = kSmallReadsMax;
    stream_update_reading(t);  // Cancels; the rest of what the driver took still comes here.
  }
  if (BLITZIO_UNLIKELY(t.paused || t.held != nullptr)) {
    stream_hold(t, data, false);
    return;
  }
  static_cast<void>(stream_deliver(t, data));
}

/// Whether reading starts anew after this last completion rather than being at its end.
bool is_interruption(std::int32_t result) noexcept {
  return result == -ECANCELED || result == -EAGAIN || result == -EINTR || result == -ENOBUFS;
}

/// The pause through which `read` waits on, if there is one, ends; see stream_settle_pauses().
/// Returns whether there was.
bool end_pause(StreamTransport& t) noexcept {
  if (BLITZIO_LIKELY(!t.Pause::is_linked())) return false;
  t.Pause::unlink();
  return true;
}

/// Whether `read` may wait on though nobody receives. In mode edges it takes nothing, and most
/// pauses, as those of asyncio's streams, end when the reader has its turn: then nothing is to be
/// cancelled and begun anew.
bool may_wait_paused(const StreamTransport& t) noexcept {
  return t.wants_edges && t.paused && !t.closing && t.read_end == ReadEnd::none &&
         t.read.state() == driver::Operation::State::in_flight;
}

}  // namespace

// ---- the operation ------------------------------------------------------------------------------

void stream_update_reading(StreamTransport& t) noexcept {
  if (!is_loop_alive(t)) return;
  const driver::OpKind kind =
      t.wants_edges ? driver::OpKind::poll_multishot : driver::OpKind::recv_multishot;
  // Held data goes first, by way of `resume`.
  const bool is_wanted = wants_data(t) && t.held == nullptr;
  const bool is_of_kind = t.read.kind() == kind;
  if (!t.read.is_idle() && !is_wanted && is_of_kind && may_wait_paused(t)) {
    if (t.Pause::is_linked()) return;
    t.is_pause_old = false;
    t.loop->pausing.push_back(t);
    return;
  }
  const bool was_pausing = end_pause(t);
  if (!t.read.is_idle()) {
    if (!is_wanted || !is_of_kind) {
      loop_driver(*t.loop).cancel(t.read);
    } else if (was_pausing) {
      // Of what came meanwhile, or was left when the pause began, no edge tells again.
      drain_in_next_turn(t);
    }
    return;
  }
  if (!is_wanted) return;
  if (t.wants_edges) {
    t.edge_said_end = false;
    if (t.read_bytes == 0) t.read_bytes = kReadBytesMin;
    t.read.poll_multishot(t.fd, POLLIN | POLLRDHUP);
  } else {
    t.read.recv_multishot(t.fd);
  }
  transport_submit(t, t.read);
}

void stream_settle_pauses(LoopObject& loop, bool is_busy) noexcept {
  loop.pausing.for_each([&](StreamTransport& t) {
    if (is_busy && !std::exchange(t.is_pause_old, true)) return;
    t.Pause::unlink();
    loop_driver(loop).cancel(t.read);
  });
}

void stream_on_read(driver::Operation& operation, const driver::Completion& completion) noexcept {
  StreamTransport& t = owner_of(operation);
  PyRef keep;
  if (!completion.more) {
    keep = transport_take_self(t);
    end_pause(t);
  }
  if (BLITZIO_UNLIKELY(!is_loop_alive(t))) return;
  const bool is_arrival = operation.kind() == driver::OpKind::recv_multishot;
  if (BLITZIO_LIKELY(completion.result > 0)) {
    if (BLITZIO_LIKELY(is_arrival)) {
      on_arrival(t, completion.data);
    } else {
      on_edge(t, static_cast<std::uint32_t>(completion.result));
    }
  } else if (!completion.more && !t.closing && !is_interruption(completion.result) &&
             (is_arrival || completion.result < 0)) {
    stream_end_reading(t, completion.result);
  }
  if (!completion.more) stream_update_reading(t);
}

void stream_on_resume(driver::Operation& operation,
                      const driver::Completion& /*completion*/) noexcept {
  StreamTransport& t = owner_of(operation);
  const PyRef keep = transport_take_self(t);
  if (!is_loop_alive(t)) return;
  const bool goes_on = std::exchange(t.drain_again, false);
  if (goes_on) --t.loop->unfinished_reads;
  stream_deliver_held(t);
  if (goes_on && !t.read.is_idle() && t.read.kind() == driver::OpKind::poll_multishot) {
    drain(t, false);
  }
  stream_update_reading(t);
}

// ---- methods ------------------------------------------------------------------------------------

PyObject* stream_start_reading(PyObject* self, PyObject* /*unused*/) noexcept {
  StreamTransport& t = as_stream(self);
  if (transport_check(t) != 0) return nullptr;
  t.started = true;
  stream_update_reading(t);
  Py_RETURN_NONE;
}

PyObject* stream_pause_reading(PyObject* self, PyObject* /*unused*/) noexcept {
  StreamTransport& t = as_stream(self);
  if (transport_check(t) != 0) return nullptr;
  if (t.closing || t.paused) Py_RETURN_NONE;
  t.paused = true;
  stream_update_reading(t);
  if (BLITZIO_UNLIKELY(t.loop->debug))
    log_transport_debug(*t.state, as_object(t), "%r pauses reading");
  Py_RETURN_NONE;
}

PyObject* stream_resume_reading(PyObject* self, PyObject* /*unused*/) noexcept {
  StreamTransport& t = as_stream(self);
  if (transport_check(t) != 0) return nullptr;
  if (t.closing || !t.paused) Py_RETURN_NONE;
  t.paused = false;
  if (is_loop_alive(t) &&
      (t.held != nullptr || (t.read_end != ReadEnd::none && !t.read_end_told))) {
    static_cast<void>(stream_ask_for_next_turn(t));
  }
  stream_update_reading(t);
  if (BLITZIO_UNLIKELY(t.loop->debug))
    log_transport_debug(*t.state, as_object(t), "%r resumes reading");
  Py_RETURN_NONE;
}

}  // namespace blitzio::python
