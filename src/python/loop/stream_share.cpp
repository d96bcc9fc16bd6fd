// A connection's share of a turn.
//
// Writes too large to be gathered for a call's sake are sent up to the share: the first of a turn
// at once, those that follow together. Then the protocol is asked to pause, and goes on in the
// next turn:
//
//                      the share is sent              next turn
//   protocol writes ───────────────────▶ sharing ─────────────────▶ protocol writes
//                      pause_writing()                resume_writing()
//
// `sharing`: the nop `share` is in flight. Nothing is kept back meanwhile: who writes on is sent
// on, in pieces as large, and what the kernel refuses pauses the protocol in the usual way.
//
// A writer whose reader shares the loop would fill all that the kernel can hold, megabytes, which
// have left the nearer caches when they are read. docs/design/writes.md has the figures.
#include <python/loop/stream_internal.hpp>

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

namespace blitzio::python {

namespace {

/// So much the kernel keeps in pages that it has just had.
constexpr std::size_t kShareBytes = 192 * 1024;
/// From share to share of a bulk stream: the turn that lets the protocol go on, and one in which a
/// task hears of it.
constexpr std::uint32_t kTurnsBetweenMax = 2;
/// Who has set a mark below this wants nothing to wait.
constexpr std::size_t kHighMarkMin = 16 * 1024;

void count_sent(StreamTransport& t, std::size_t bytes) noexcept {
  constexpr std::size_t kMax = std::numeric_limits<std::uint32_t>::max();
  t.sent_bytes = static_cast<std::uint32_t>(std::min(t.sent_bytes + bytes, kMax));
}

/// Sees to it that the next turn tells the protocol to go on. Returns false if there is no memory.
bool begin_sharing(StreamTransport& t) noexcept {
  if (t.share == nullptr) {
    t.share.reset(new (std::nothrow) StreamOperation(t, stream_on_share));
    if (t.share == nullptr) return false;
  }
  if (!t.share->is_idle()) return true;
  t.share->nop();
  transport_submit(t, *t.share);
  return true;
}

}  // namespace

bool stream_gathers_share(StreamTransport& t) noexcept {
  if (t.marks.high < kHighMarkMin) return false;
  const std::size_t queued = t.queue.size_bytes();
  const std::uint32_t turn = t.loop->turn_number;
  if (const std::uint32_t last = std::exchange(t.sent_in_turn, turn); last != turn) {
    t.is_bulk = t.sent_bytes >= kShareBytes && turn - last <= kTurnsBetweenMax;
    t.sent_bytes = 0;
  }
  if (t.sent_bytes == 0) {
    if (t.is_bulk && queued < kShareBytes) return true;
    // A single write, however large, is no reason to pause.
    const bool is_single = !t.is_bulk || t.queue.pieces() == 1;
    count_sent(t, is_single ? std::min(queued, kShareBytes - 1) : queued);
    return false;
  }
  const std::size_t rest = t.sent_bytes < kShareBytes ? kShareBytes - t.sent_bytes : kShareBytes;
  if (queued < rest) return true;
  count_sent(t, queued);
  return false;
}

int stream_ask_to_pause(StreamTransport& t) noexcept {
  const std::size_t queued = t.queue.size_bytes();
  if (stream_is_blocked(t)) return transport_maybe_pause_protocol(t, queued);
  if (BLITZIO_LIKELY(t.sent_bytes < kShareBytes) || t.sent_in_turn != t.loop->turn_number) return 0;
  if (t.conn_lost != 0 || t.protocol_paused || t.sent_bytes + queued <= t.marks.high) return 0;
  return begin_sharing(t) ? transport_maybe_pause_protocol(t, t.sent_bytes + queued) : 0;
}

void stream_on_share(driver::Operation& operation,
                     const driver::Completion& /*completion*/) noexcept {
  StreamTransport& t = owner_of(operation);
  const PyRef keep = transport_take_self(t);
  if (!is_loop_alive(t) || t.conn_lost != 0) return;
  // Of one that closes while a file is sent: nothing is queued, and yet somebody waits for room.
  if (t.closing && t.queue.is_empty() && t.writable != nullptr) {
    loop_driver(*t.loop).cancel(*t.writable);
  } else if (stream_is_blocked(t)) {
    return;  // What the kernel refused since then goes first, and tells the protocol.
  }
  if (t.closing || t.queue.size_bytes() > t.marks.low) stream_flush(t);
  if (t.conn_lost != 0 || t.queue.size_bytes() > t.marks.low) return;
  if (t.closing) {
    stream_finish_after_drain(t);
  } else if (t.protocol_paused) {
    transport_resume_protocol(t);
  }
}

void stream_end_share(StreamTransport& t) noexcept {
  if (stream_is_sharing(t) && t.protocol_paused && !stream_is_blocked(t)) {
    transport_resume_protocol(t);
  }
}

}  // namespace blitzio::python
