// What was received, on its way to the protocol: data, then the end.
//
// The protocol may do anything meanwhile: pause reading, close the transport, give it another
// protocol. What it cannot be given by then is held, in order, for resume_reading(); the end is
// told behind all of it.
#include <python/loop/protocol_buffer.hpp>
#include <python/loop/stream_internal.hpp>
#include <python/loop/tls_protocol.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

namespace blitzio::python {

namespace {

/// Around telling of data: notes the turn if that scheduled something, for tell_end().
class Telling {
 public:
  explicit Telling(StreamTransport& t) noexcept : t_(t), scheduled_(t.loop->ready.size()) {}
  Telling(const Telling&) = delete;
  Telling& operator=(const Telling&) = delete;
  ~Telling() {
    if (t_.loop->ready.size() != scheduled_) t_.scheduled_turn = t_.loop->turn_number;
  }

 private:
  StreamTransport& t_;
  std::size_t scheduled_;
};

void tell_eof(StreamTransport& t) noexcept {
  if (BLITZIO_UNLIKELY(t.loop->debug))
    log_transport_debug(*t.state, as_object(t), "%r received EOF");
  int keep_open = -1;
  {
    const ContextScope scope(t.context);
    const PyRef result = stream_call(t, t.state->names.eof_received);
    if (result) keep_open = PyObject_IsTrue(result.get());
  }
  if (keep_open < 0) {
    stream_protocol_failed(t, "Fatal error: protocol.eof_received() call failed.");
    if (t.closing) return;
    // An interrupt: it ends the run, not the connection, and the next run tells the end again.
    t.read_end_told = false;
    static_cast<void>(stream_ask_for_next_turn(t));
  } else if (keep_open == 0 && stream_close(t) != 0) {
    loop_report_exception(*t.loop, "Fatal error on transport");
  }
}

/// Tells the end of reading, if it has come and everything before it was delivered. Not in the turn
/// in which that scheduled something: on asyncio what data_received() schedules runs before the end
/// is told, and protocols that handle data in a task drop at the end what is unhandled.
void tell_end(StreamTransport& t) noexcept {
  if (t.read_end == ReadEnd::none || t.read_end_told || t.paused || t.closing ||
      t.held != nullptr) {
    return;
  }
  if (t.scheduled_turn == t.loop->turn_number) {
    static_cast<void>(stream_ask_for_next_turn(t));
    return;
  }
  t.read_end_told = true;
  if (t.read_end == ReadEnd::eof) {
    tell_eof(t);
    return;
  }
  PyRef exception = make_os_error(t.read_error);
  if (!exception) exception = take_exception();
  stream_fatal_error(t, std::move(exception), "Fatal read error on socket transport");
}

}  // namespace

void stream_hold(StreamTransport& t, std::span<const std::byte> data, bool in_front) noexcept {
  PyRef bytes = PyRef::steal(PyBytes_FromStringAndSize(reinterpret_cast<const char*>(data.data()),
                                                       static_cast<Py_ssize_t>(data.size())));
  if (bytes) {
    try {
      if (t.held == nullptr) {
        t.held = std::make_unique<std::vector<PyObject*>>(1, bytes.get());
      } else {
        t.held->insert(in_front ? t.held->begin() : t.held->end(), bytes.get());
      }
      static_cast<void>(bytes.release());
      return;
    } catch (const std::bad_alloc&) {
      PyErr_NoMemory();
    }
  }
  stream_protocol_failed(t, "Fatal read error on socket transport");
}

bool stream_ask_for_next_turn(StreamTransport& t) noexcept {
  if (BLITZIO_UNLIKELY(t.resume == nullptr)) {
    t.resume.reset(new (std::nothrow) StreamOperation(t, stream_on_resume));
    if (t.resume == nullptr) {
      PyErr_NoMemory();
      stream_protocol_failed(t, "Fatal read error on socket transport");
      return false;
    }
  }
  if (t.resume->is_idle()) {
    t.resume->nop();
    transport_submit(t, *t.resume);
  }
  return true;
}

void stream_deliver_bytes(StreamTransport& t, PyObject* bytes) noexcept {
  const Telling telling(t);
  PyRef result;
  {
    const ContextScope scope(t.context);
    result = stream_call(t, t.state->names.data_received, bytes);
  }
  if (BLITZIO_LIKELY(static_cast<bool>(result))) return;
  stream_protocol_failed(t, "Fatal error: protocol.data_received() call failed.");
}

void stream_tell_buffer_updated(StreamTransport& t, std::size_t count) noexcept {
  const Telling telling(t);
  if (BLITZIO_UNLIKELY(t.protocol == nullptr)) return;  // connection_lost() was called by hand.
  const PyRef number = PyRef::steal(PyLong_FromSize_t(count));
  const PyRef result =
      number ? stream_call(t, t.state->names.buffer_updated, number.get()) : PyRef();
  if (!result) {
    stream_protocol_failed(t, "Fatal error: protocol.buffer_updated() call failed.");
  }
}

void stream_deliver_to_tls(StreamTransport& t, std::span<const std::byte> data) noexcept {
  const Telling telling(t);
  const ContextScope scope(t.context);
  const PyRef protocol = PyRef::borrow(t.protocol);
  if (BLITZIO_LIKELY(tls_feed(protocol.get(), data) == 0)) return;
  stream_protocol_failed(t, "Fatal error: protocol.buffer_updated() call failed.");
}

bool stream_deliver(StreamTransport& t, std::span<const std::byte> data) noexcept {
  while (!data.empty()) {
    if (t.closing) return true;
    if (t.paused) {
      stream_hold(t, data, true);
      return true;
    }
    if (t.is_tls) {
      stream_deliver_to_tls(t, data);
      return true;
    }
    if (!t.is_buffered) {
      PyObject* bytes = t.loop->spare_bytes.make(data);
      if (BLITZIO_LIKELY(bytes != nullptr)) {
        stream_deliver_bytes(t, bytes);
        t.loop->spare_bytes.drop(bytes);
      } else {
        stream_protocol_failed(t, "Fatal read error on socket transport");
      }
      return true;
    }
    const ContextScope scope(t.context);
    ProtocolBuffer buffer;
    if (!buffer.get(t, true)) {
      if (t.closing) return true;
      // An interrupt: it ends the run, not the connection.
      stream_hold(t, data, true);
      static_cast<void>(stream_ask_for_next_turn(t));
      return false;
    }
    // get_buffer() may have paused or closed the transport; asyncio still hands over this piece.
    const std::size_t count = std::min(buffer.span().size(), data.size());
    std::memcpy(buffer.span().data(), data.data(), count);
    buffer.release();
    stream_tell_buffer_updated(t, count);
    data = data.subspan(count);
  }
  return true;
}

void stream_deliver_held(StreamTransport& t) noexcept {
  while (t.held != nullptr && !t.paused && !t.closing) {
    const PyRef bytes = PyRef::steal(t.held->front());
    t.held->erase(t.held->begin());
    if (t.held->empty()) t.held = nullptr;
    if (t.is_buffered) {
      const std::span<const std::byte> data{
          reinterpret_cast<const std::byte*>(PyBytes_AS_STRING(bytes.get())),
          static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.get()))};
      if (!stream_deliver(t, data)) return;
    } else {
      stream_deliver_bytes(t, bytes.get());
    }
  }
  tell_end(t);
}

void stream_end_reading(StreamTransport& t, std::int32_t result) noexcept {
  if (t.read_end != ReadEnd::none) return;
  // The kernel tells of a reset once, and a send has been told: what came is not all.
  if (result == 0 && t.write_error == ECONNRESET) result = -ECONNRESET;
  t.read_end = result == 0 ? ReadEnd::eof : ReadEnd::error;
  t.read_error = -result;
  tell_end(t);
}

}  // namespace blitzio::python
