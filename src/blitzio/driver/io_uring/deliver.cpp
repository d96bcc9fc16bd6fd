// From completion queue entries to completion functions: the half of IoUringDriver that talks to
// the operations' owners.
#include <blitzio/driver/io_uring/driver_impl.hpp>
#include <blitzio/driver/readiness/perform.hpp>

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace blitzio::driver::io_uring {

namespace {

// Whether EAGAIN means "wait until ready" rather than being the answer. Files opened with
// O_NONBLOCK whose type the kernel can not try without blocking (terminals, some devices) say
// EAGAIN at once; a socket says it only if the caller asked for MSG_DONTWAIT.
bool waits_on_eagain(OpKind kind) noexcept {
  return kind == OpKind::read || kind == OpKind::readv || kind == OpKind::write ||
         kind == OpKind::writev || kind == OpKind::accept || kind == OpKind::accept_multishot ||
         kind == OpKind::recv_multishot || kind == OpKind::read_multishot;
}

bool asks_for_urgent_data(const Operation& operation) noexcept {
  return (operation.kind() == OpKind::poll || operation.kind() == OpKind::poll_multishot) &&
         (operation.args().poll.events & POLLPRI) != 0;
}

}  // namespace

std::size_t IoUringDriver::dispatch() noexcept {
  BLITZIO_CHECK(!dispatching_);
  dispatching_ = true;
  recycled_ = 0;
  const bool began_in_child = in_child();
  std::size_t count = 0;
  // What is ready now; completion functions may add to the queues, for the next dispatch().
  IntrusiveList<Operation, QueueTag> ready;
  ready.splice_back(ready_);
  if (ring_.is_open() && !began_in_child) {
    const std::uint32_t tail = ring_.cq_tail();
    if (BLITZIO_UNLIKELY(!saved_.empty())) count += deliver_saved();
    // A completion function may fork: the rest is the parent's.
    while (BLITZIO_LIKELY(!in_child()) && ring_.cq_head() != tail) count += deliver(take());
  }
  while (in_child() == began_in_child) {
    Operation* operation = ready.pop_front();
    if (operation == nullptr) break;
    count += deliver_last(*operation, operation->backend_result);
  }
  if (BLITZIO_LIKELY(in_child() == began_in_child)) count += deliver_held();
  if (BLITZIO_UNLIKELY(in_child() != began_in_child)) {
    // The turn ends here; what is left is for shutdown().
    ready.splice_back(ready_);
    ready_.splice_back(ready);
    dispatching_ = false;
    return count;
  }
  if (BLITZIO_UNLIKELY(!starved_.is_empty())) {
    // Not attached: what ran out was an earlier ring's, see bind(); the next one starts full.
    if (std::exchange(grow_buffers_, false) && buffers_.is_attached()) {
      recycled_ += buffers_.grow();
    }
    feed_starved(recycled_);
  }
  count += deliver_messages();
  dispatching_ = false;
  return count;
}

// Takes the oldest CQE out of the ring and accounts for what it ends.
Cqe IoUringDriver::take() noexcept {
  Cqe cqe = ring_.take();
  if (BLITZIO_UNLIKELY(cqe.result <= -kRestartFirst && cqe.result >= -kRestartLast)) {
    cqe.result = -EINTR;
  }
  if ((cqe.flags & IORING_CQE_F_MORE) != 0) return cqe;
  switch (tag_of(cqe.user_data)) {
    case Tag::operation:
    case Tag::readiness: {
      Operation& operation = operation_of(cqe.user_data);
      BLITZIO_CHECK(place(operation) == Place::kernel, operation.backend_word, operation.kind());
      set_place(operation, Place::none);
      --kernel_count_;
      ListNode<QueueTag>& node = operation;
      if (BLITZIO_UNLIKELY(node.is_linked())) node.unlink();  // from uncancelled_
      break;
    }
    case Tag::wake:
      wake_armed_ = false;
      break;
    case Tag::ignored:
      break;
  }
  return cqe;
}

std::size_t IoUringDriver::deliver_saved() noexcept {
  std::size_t count = 0;
  for (Cqe& saved : saved_) {
    const Cqe cqe = saved;
    count += deliver(cqe);
    if (BLITZIO_UNLIKELY(in_child())) return count;  // It forked; `saved_` goes with the driver.
    // Its buffer is free again: try_prepare() may be asked who holds which before the loop ends.
    saved.flags &= ~IORING_CQE_F_BUFFER;
  }
  saved_.clear();
  return count;
}

std::size_t IoUringDriver::deliver(const Cqe& cqe) noexcept {
  switch (tag_of(cqe.user_data)) {
    case Tag::operation: {
      Operation& operation = operation_of(cqe.user_data);
      const bool more = (cqe.flags & IORING_CQE_F_MORE) != 0;
      if (operation.brings_data()) return deliver_bytes(operation, cqe);
      if (BLITZIO_UNLIKELY(asks_for_urgent_data(operation)) && cqe.result > 0) {
        return deliver_urgent(operation, cqe.result, more);
      }
      return deliver_result(operation, cqe.result, more);
    }
    case Tag::readiness:
      return deliver_readiness(operation_of(cqe.user_data), cqe.result);
    case Tag::wake:
      if (cqe.result >= 0) ++metrics_.wakes;
      return 0;
    case Tag::ignored:
      return 0;
  }
  BLITZIO_CHECK(false, cqe.user_data);
  return 0;
}

std::size_t IoUringDriver::deliver_result(Operation& operation, std::int32_t result,
                                          bool more) noexcept {
  if (more) {
    finish(operation, {result, true, {}});
    return 1;
  }
  if (is_cancelling(operation)) {
    if (operation.is_multishot() && result >= 0) {
      finish(operation, {result, true, {}});
      return 1 + deliver_last(operation, -ECANCELED);
    }
    // Would wait until ready, if it were not cancelled.
    if (result == -EAGAIN && waits_on_eagain(operation.kind())) result = -ECANCELED;
    return deliver_last(operation, result);
  }
  if (operation.is_multishot() && result >= 0) {
    // Armed before the owner hears of it, so that a cancel from there finds it.
    restart(operation);
    finish(operation, {result, true, {}});
    return 1;
  }
  if (result == -EAGAIN && waits_on_eagain(operation.kind())) {
    operation.backend_word |= kReadinessFirst;
    restart(operation);
    return 0;
  }
  if (is_interrupted(operation, result)) {
    start_over(operation);
    return 0;
  }
  if (result == -ECONNABORTED && operation.kind() == OpKind::accept_multishot) {
    // A client that gave up while it waited in the queue is no failure of the listener.
    restart(operation);
    return 0;
  }
  return deliver_last(operation, result);
}

// A socket's wake-up names urgent data whenever any data arrives, and the kernel passes the wake-up
// on as the result. So for those who ask for urgent data poll(2) decides what is ready.
std::size_t IoUringDriver::deliver_urgent(Operation& operation, std::int32_t result,
                                          bool more) noexcept {
  const std::uint32_t events = operation.args().poll.events;
  pollfd item{operation.fd(), static_cast<short>(events), 0};
  ++metrics_.syscalls;
  const int found = ::poll(&item, 1, 0);
  if (found == 1 && (item.revents & POLLNVAL) == 0) {
    return deliver_result(operation, static_cast<std::uint16_t>(item.revents), more);
  }
  if (found == 0) {
    if (more) return 0;
    if (is_cancelling(operation)) return deliver_last(operation, -ECANCELED);
    restart(operation);
    return 0;
  }
  // Closed behind our back: nobody can know better than the kernel did.
  return deliver_result(operation, result & static_cast<std::int32_t>(events | POLLERR | POLLHUP),
                        more);
}

std::size_t IoUringDriver::deliver_bytes(Operation& operation, const Cqe& cqe) noexcept {
  const bool more = (cqe.flags & IORING_CQE_F_MORE) != 0;
  if (cqe.result > 0) {
    BLITZIO_CHECK((cqe.flags & IORING_CQE_F_BUFFER) != 0, cqe.flags);
    const auto id = static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
    const bool ends = !more && is_cancelling(operation);
    // Armed before the owner hears of it, so that a cancel from there finds it.
    if (!more && !ends) restart(operation);
    finish(operation, {cqe.result, true, buffers_.view(id, static_cast<std::size_t>(cqe.result))});
    recycle(cqe);
    return ends ? 1 + deliver_last(operation, -ECANCELED) : 1;
  }
  BLITZIO_CHECK(!more, cqe.result, cqe.flags);
  recycle(cqe);
  if (cqe.result == -ENOBUFS && !is_cancelling(operation)) {
    starve(operation);
    return 0;
  }
  if (cqe.result == -ENOBUFS) return deliver_last(operation, -ECANCELED);
  // The end of the stream, not an arrival of nothing.
  if (cqe.result == 0) return deliver_last(operation, 0);
  return deliver_result(operation, cqe.result, false);
}

// The poll that stood in for the operation is over: try the operation again.
std::size_t IoUringDriver::deliver_readiness(Operation& operation, std::int32_t result) noexcept {
  if (is_cancelling(operation)) return deliver_last(operation, -ECANCELED);
  if (result >= 0 || result == -EINTR) {
    if (operation.brings_data() && !has_provided_buffers()) {
      return receive_now(operation);
    }
    operation.backend_word &= ~kReadinessFirst;
    restart(operation);
    return 0;
  }
  return deliver_last(operation, result);
}

// Takes what has arrived into memory that all connections share.
std::size_t IoUringDriver::receive_now(Operation& operation) noexcept {
  if (scratch_.data() == nullptr && !scratch_.map(config_.buffer_bytes)) {
    return deliver_last(operation, -ENOMEM);
  }
  ++metrics_.syscalls;
  const std::span<std::byte> buffer{scratch_.data(), config_.buffer_bytes};
  const std::int32_t count = readiness::receive(operation, buffer);
  if (count <= 0 && count != readiness::kWouldBlock) return deliver_last(operation, count);
  // Armed before the owner hears of it, so that a cancel from there finds it.
  restart(operation);
  if (count == readiness::kWouldBlock) return 0;
  finish(operation, {count, true, buffer.first(static_cast<std::size_t>(count))});
  return 1;
}

std::size_t IoUringDriver::deliver_last(Operation& operation, std::int32_t result) noexcept {
  if (result == -ETIME && operation.kind() == OpKind::timeout) result = 0;
  if (result == -EINTR) {
    // From close: it is closed. Else from a blocked worker that was asked to cancel.
    if (operation.kind() == OpKind::close) {
      result = 0;
    } else if (is_cancelling(operation)) {
      result = -ECANCELED;
    }
  }
  set_place(operation, Place::none);
  finish(operation, {result, false, {}});
  return 1;
}

void IoUringDriver::recycle(const Cqe& cqe) noexcept {
  if ((cqe.flags & IORING_CQE_F_BUFFER) == 0) return;
  const auto id = static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
  // Not attached: the bytes were saved from an earlier ring, and the next one gets all buffers when
  // it first needs them.
  if (buffers_.is_attached()) buffers_.recycle(id);
  ++recycled_;
}

void IoUringDriver::starve(Operation& operation) noexcept {
  ++metrics_.buffers_exhausted;
  grow_buffers_ = true;
  set_place(operation, Place::starved);
  starved_.push_back(operation);
  ++starved_count_;
}

// Arms starved receives again, as many as there are buffers: with more, each would fail once per
// turn as long as the burst lasts.
void IoUringDriver::feed_starved(std::uint32_t buffers) noexcept {
  for (; buffers > 0 && !starved_.is_empty(); --buffers) {
    --starved_count_;
    restart(*starved_.pop_front());
  }
}

}  // namespace blitzio::driver::io_uring
