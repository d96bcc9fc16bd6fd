#include <blitzio/sync/once_cell.hpp>

namespace blitzio::sync::detail {

void OnceState::give_up() noexcept {
  // Release: publishes the clean-up to the next begin(). Acquire: sees the queue's last change.
  if ((word_.fetch_and(~kState, std::memory_order_acq_rel) & kWaiters) != 0) wake(false);
}

bool OnceState::enqueue(Waiter& waiter, Context& context) noexcept {
  Waker waker = context.waker().clone();
  const MutexLock lock(mutex_);
  // Relaxed: a guess that the compare-exchange verifies.
  std::uint32_t word = word_.load(std::memory_order_relaxed);
  do {
    if ((word & kState) != kBusy) return false;
    // Acquire-release: orders the queue's change with publish() and give_up(), which look for the
    // flag and then take the lock.
  } while (!word_.compare_exchange_weak(word, word | kWaiters, std::memory_order_acq_rel,
                                        std::memory_order_relaxed));
  waiter.waker = std::move(waker);
  waiters_.push_back(waiter);
  return true;
}

void OnceState::abandon(Waiter& waiter) noexcept {
  {
    const MutexLock lock(mutex_);
    if (waiter.is_linked()) {
      waiter.unlink();
      return;
    }
  }
  // It was to take over: then the next one does.
  if (waiter.outcome() == Outcome::granted && !is_set()) wake(false);
}

void OnceState::wake(bool everybody) noexcept {
  if (everybody) {
    WaiterList woken;
    {
      const MutexLock lock(mutex_);
      woken.splice_back(waiters_);
    }
    settle_all(woken, mutex_);
    return;
  }
  WakeBatch batch;
  {
    const MutexLock lock(mutex_);
    Waiter* first = waiters_.pop_front();
    if (first == nullptr) return;
    first->settle(Outcome::granted, batch);
  }
  batch.wake_all();
}

}  // namespace blitzio::sync::detail
