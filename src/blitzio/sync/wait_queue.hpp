// `WaitQueue`: where futures wait for a condition that others make true without a lock, such as
// "the ring is not empty". For authors of primitives.
//
// The condition lives elsewhere, in atomics; so sleeping takes two looks at it:
//
//     waiter                                  notifier
//       looks: false                            makes it true    (seq_cst)
//       enters the queue, sets the flag         reads the flag   (seq_cst)
//       looks again          (seq_cst)          set: wakes the first in the queue
//
// Whichever comes second in the single order of sequentially consistent operations sees the other,
// so no wake is lost, and a notifier pays one load when nobody waits.
//
// A waiter that is chosen but leaves without use for it (the second look succeeded, or its future
// is dropped) chooses the next in its place.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/sync/waiter.hpp>

namespace blitzio::sync::detail {

/// Thread: any.
class WaitQueue {
 public:
  WaitQueue() noexcept = default;
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;

  /// Puts `waiter` at the end. Look at the condition again afterwards.
  void enter(Waiter& waiter, const Waker& waker) noexcept BLITZIO_EXCLUDES(mutex_) {
    Waker own = waker.clone();
    const MutexLock lock(mutex_);
    waiter.waker = std::move(own);
    waiters_.push_back(waiter);
    // Seq_cst: before the second look at the condition; see above.
    has_waiters_.store(true, std::memory_order_seq_cst);
  }
  /// Takes a waiter out that needs no wake any more. If it was chosen already, so is the next one.
  void leave(Waiter& waiter) noexcept BLITZIO_EXCLUDES(mutex_) {
    {
      const MutexLock lock(mutex_);
      if (waiter.is_linked()) {
        waiter.unlink();
        update_flag();
        return;
      }
    }
    const bool was_chosen = waiter.outcome() == Outcome::granted;
    waiter.reset();
    if (was_chosen) notify_one();
  }
  /// For a waiter that is polled again: whether it still waits, with the new waker then. If not, it
  /// has left the queue.
  [[nodiscard]] bool keep_waiting(Waiter& waiter, Context& context) noexcept {
    if (detail::keep_waiting(waiter, mutex_, context)) return true;
    waiter.reset();
    return false;
  }

  /// Wakes the first. The condition was made true by a sequentially consistent operation before.
  void notify_one() noexcept {
    if (has_waiters()) wake_one();
  }
  /// Wakes everybody.
  void notify_all() noexcept {
    if (has_waiters()) wake_all();
  }

 private:
  [[nodiscard]] bool has_waiters() const noexcept {
    // Seq_cst: after the change of the condition; see above.
    return has_waiters_.load(std::memory_order_seq_cst);
  }
  void update_flag() noexcept BLITZIO_REQUIRES(mutex_) {
    // Relaxed: clearing it late costs a notifier the lock; clearing it early cannot happen, for the
    // queue is empty and whoever enters takes the lock after us.
    if (waiters_.is_empty()) has_waiters_.store(false, std::memory_order_relaxed);
  }
  BLITZIO_COLD void wake_one() noexcept BLITZIO_EXCLUDES(mutex_);
  BLITZIO_COLD void wake_all() noexcept BLITZIO_EXCLUDES(mutex_);

  // Written under the lock, read by notifiers.
  Atomic<bool> has_waiters_{false};
  blitzio::Mutex mutex_{LockRank::leaf};
  WaiterList waiters_ BLITZIO_GUARDED_BY(mutex_);
};

}  // namespace blitzio::sync::detail
