#include <blitzio/sync/notify.hpp>

namespace blitzio::sync {

bool Notify::enqueue(detail::Waiter& waiter, Waker waker) noexcept {
  const MutexLock lock(mutex_);
  // Relaxed: a guess that the compare-exchange verifies.
  std::uint32_t state = state_.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint32_t next = state == kNotified ? kEmpty : kWaiting;
    // Acquire: takes a remembered notification; pairs with the release in notify_one(). Release:
    // nothing is published but the order with notify_slow(), which holds the lock.
    if (state_.compare_exchange_weak(state, next, std::memory_order_acq_rel,
                                     std::memory_order_relaxed)) {
      break;
    }
  }
  if (state == kNotified) return true;
  waiter.waker = std::move(waker);
  waiters_.push_back(waiter);
  return false;
}

void Notify::notify_slow() noexcept {
  Waker first;
  {
    const MutexLock lock(mutex_);
    if (detail::Waiter* waiter = waiters_.pop_front()) {
      // Relaxed: in state waiting only the lock's holder writes, and settle() publishes.
      if (waiters_.is_empty()) state_.store(kEmpty, std::memory_order_relaxed);
      detail::WakeBatch batch;
      waiter->settle(detail::Outcome::granted, batch);
      first = batch.take_only();
    } else {
      // Acquire-release, and an exchange even if it is notified already: this notifier's work must
      // be visible to whoever consumes it; pairs with try_wait() and continues the sequence of the
      // notification that was there.
      state_.exchange(kNotified, std::memory_order_acq_rel);
    }
  }
  first.wake();
}

void Notify::notify_all() noexcept {
  detail::WaiterList woken;
  {
    const MutexLock lock(mutex_);
    if (waiters_.is_empty()) return;
    // Apart from those who queue up again while the first are woken.
    woken.splice_back(waiters_);
    // Relaxed: in state waiting only the lock's holder writes, and settle() publishes.
    state_.store(kEmpty, std::memory_order_relaxed);
  }
  detail::settle_all(woken, mutex_);
}

Poll<void> Notify::Wait::poll_slow(Context& context) noexcept {
  BLITZIO_CHECK(state_ != State::done);
  if (state_ == State::start) {
    if (notify_->enqueue(waiter_, context.waker().clone())) {
      state_ = State::done;
      return ready;
    }
    state_ = State::queued;
    return pending;
  }
  if (detail::keep_waiting(waiter_, notify_->mutex_, context)) return pending;
  state_ = State::done;
  return ready;
}

void Notify::Wait::abandon() noexcept {
  state_ = State::done;
  {
    const MutexLock lock(notify_->mutex_);
    if (waiter_.is_linked()) {
      waiter_.unlink();
      // Relaxed: in state waiting only the lock's holder writes. In another state the waiter was in
      // the list of a notify_all(), and the state is not about it.
      if (notify_->waiters_.is_empty() &&
          notify_->state_.load(std::memory_order_relaxed) == kWaiting) {
        notify_->state_.store(kEmpty, std::memory_order_relaxed);
      }
      return;
    }
  }
  if (waiter_.outcome() == detail::Outcome::granted) notify_->notify_one();
}

}  // namespace blitzio::sync
