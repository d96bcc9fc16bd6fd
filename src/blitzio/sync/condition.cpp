#include <blitzio/sync/condition.hpp>

namespace blitzio::sync {

void Condition::signal() noexcept {
  detail::WakeBatch batch;
  {
    const MutexLock lock(mutex_);
    detail::Waiter* waiter = waiters_.pop_front();
    if (waiter == nullptr) return;
    waiter->settle(detail::Outcome::granted, batch);
  }
  batch.wake_all();
}

void Condition::broadcast() noexcept {
  detail::WaiterList woken;
  {
    const MutexLock lock(mutex_);
    // Apart from those who wait again while the first are woken.
    woken.splice_back(waiters_);
  }
  detail::settle_all(woken, mutex_);
}

Poll<MutexGuard> Condition::Wait::poll(Context& context) noexcept {
  switch (state_) {
    case State::start: {
      Waker waker = context.waker().clone();
      {
        const MutexLock lock(condition_->mutex_);
        waiter_.waker = std::move(waker);
        condition_->waiters_.push_back(waiter_);
      }
      state_ = State::queued;
      // Only now: who signals under the mutex finds the waiter. The guard is the future's own, and
      // a signal from another thread reaches the waker, not this frame.
      guard_.unlock();
      return pending;
    }
    case State::queued:
      if (detail::keep_waiting(waiter_, condition_->mutex_, context)) return pending;
      lock_.emplace(mutex_->lock());
      state_ = State::locking;
      [[fallthrough]];
    case State::locking: {
      auto locked = lock_->poll(context);
      if (locked.is_ready()) state_ = State::done;
      return locked;
    }
    case State::done:
      break;
  }
  BLITZIO_CHECK(false);
  return pending;
}

void Condition::Wait::abandon() noexcept {
  {
    const MutexLock lock(condition_->mutex_);
    if (waiter_.is_linked()) {
      waiter_.unlink();
      return;
    }
  }
  if (waiter_.outcome() == detail::Outcome::granted) condition_->signal();
}

}  // namespace blitzio::sync
