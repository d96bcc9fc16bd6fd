#include <blitzio/sync/event.hpp>

namespace blitzio::sync {

Poll<void> Event::Wait::poll(Context& context) noexcept {
  BLITZIO_CHECK(state_ != State::done);
  if (state_ == State::queued) {
    if (detail::keep_waiting(waiter_, event_->mutex_, context)) return pending;
    state_ = State::done;
    return ready;
  }
  if (event_->is_set()) {
    state_ = State::done;
    return ready;
  }
  // Made before the lock: it may run code of others.
  Waker waker = context.waker().clone();
  const MutexLock lock(event_->mutex_);
  if (event_->is_set()) {
    state_ = State::done;
    return ready;
  }
  waiter_.waker = std::move(waker);
  event_->waiters_.push_back(waiter_);
  state_ = State::queued;
  return pending;
}

void Event::Wait::abandon() noexcept {
  state_ = State::done;
  const MutexLock lock(event_->mutex_);
  if (waiter_.is_linked()) waiter_.unlink();
}

void Event::set() noexcept {
  set_and_take_first().wake();
}

Waker Event::set_and_take_first() noexcept {
  detail::WakeBatch first;
  detail::WaiterList woken;
  bool has_first = false;
  bool has_more = false;
  {
    const MutexLock lock(mutex_);
    // Release: publishes what the caller did, pairs with the acquire in is_set().
    is_set_.store(true, std::memory_order_release);
    if (detail::Waiter* waiter = waiters_.pop_front()) {
      waiter->settle(detail::Outcome::all, first);
      has_first = true;
    }
    // Apart from those who wait again while the first are woken.
    woken.splice_back(waiters_);
    // Asked here: one that is dropped leaves it, under the lock.
    has_more = !woken.is_empty();
  }
  if (BLITZIO_UNLIKELY(has_more)) detail::settle_all(woken, mutex_);
  return has_first ? first.take_only() : Waker();
}

}  // namespace blitzio::sync
