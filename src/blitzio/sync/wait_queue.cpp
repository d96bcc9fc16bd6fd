#include <blitzio/sync/wait_queue.hpp>

namespace blitzio::sync::detail {

void WaitQueue::wake_one() noexcept {
  Waker waker;
  {
    const MutexLock lock(mutex_);
    Waiter* waiter = waiters_.pop_front();
    if (waiter == nullptr) return;
    update_flag();
    WakeBatch batch;
    waiter->settle(Outcome::granted, batch);
    waker = batch.take_only();
  }
  waker.wake();
}

void WaitQueue::wake_all() noexcept {
  WaiterList woken;
  {
    const MutexLock lock(mutex_);
    woken.splice_back(waiters_);
    update_flag();
  }
  settle_all(woken, mutex_);
}

}  // namespace blitzio::sync::detail
