// `Waiter`: the node by which a pending future stands in the queue of a primitive, and `WakeBatch`:
// the wakers that a primitive collects under its lock and calls after it.
//
// Installed because the futures contain it; for authors of primitives.
//
//              enqueue (lock)          settle (lock, by the granter)
//   detached ─────────────────▶ queued ─────────────────────────────▶ settled
//       ▲                         │                                      │
//       └──── unlink (lock) ──────┘                                      │
//       └─────────────────────────────── reset ──────────────────────────┘
//
// detached  the owner's alone.
// queued    linked; the links, `waker` and the primitive's own fields belong to the lock.
// settled   unlinked, with an outcome. The granter's last access is the store of the outcome, so
//           the owner may free the node as soon as it reads one, without the lock.
//
// The owner is the thread that polls or drops the future; the granter any thread that holds the
// primitive's lock.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/check.hpp>
#include <blitzio/base/intrusive_list.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/task/waker.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace blitzio::sync::detail {

/// How a wait ended. Primitives give the values above `waiting` their own meaning.
enum class Outcome : std::uint8_t {
  waiting,
  granted,  ///< the waiter got what it waited for
  closed,   ///< it never will
  all,      ///< granted together with everybody else: nothing to pass on if the waiter is gone
};

/// Wakers to be called once the lock is released. Bounded, so that nothing is allocated.
class WakeBatch {
 public:
  [[nodiscard]] bool is_full() const noexcept { return count_ == wakers_.size(); }
  void add(Waker waker) noexcept {
    BLITZIO_CHECK(!is_full());
    wakers_[count_++] = std::move(waker);
  }
  /// Takes out the one that was added.
  [[nodiscard]] Waker take_only() noexcept {
    BLITZIO_CHECK(count_ == 1, count_);
    count_ = 0;
    return std::move(wakers_[0]);
  }
  /// Calls and empties all, in the order of adding.
  void wake_all() noexcept {
    const std::size_t count = std::exchange(count_, 0);
    for (std::size_t i = 0; i < count; ++i) wakers_[i].wake();
  }

 private:
  std::array<Waker, 8> wakers_;
  std::size_t count_ = 0;
};

struct WaiterTag;

class Waiter : public ListNode<WaiterTag> {
 public:
  Waiter() noexcept = default;

  /// Not `waiting`: settled, and what the granter did before is visible.
  [[nodiscard]] Outcome outcome() const noexcept {
    // Acquire: pairs with the release in settle().
    return outcome_.load(std::memory_order_acquire);
  }

  /// settled → detached: the owner may queue it again.
  void reset() noexcept {
    BLITZIO_CHECK(!is_linked());
    // Relaxed: the node is the owner's alone.
    outcome_.store(Outcome::waiting, std::memory_order_relaxed);
  }

  // ---- with the primitive's lock held ------------------------------------------------------

  /// queued → settled. Must be unlinked already. The waiter may be gone afterwards.
  void settle(Outcome outcome, WakeBatch& batch) noexcept {
    BLITZIO_CHECK(!is_linked());
    batch.add(std::move(waker));
    // Release: the last access; publishes the grant and gives the node back to its owner.
    outcome_.store(outcome, std::memory_order_release);
  }

  Waker waker;

 private:
  // Written by the granter, read by the owner; publishes the grant.
  Atomic<Outcome> outcome_{Outcome::waiting};
};

using WaiterList = IntrusiveList<Waiter, WaiterTag>;

/// For a queued waiter that is polled again: whether it still waits, with the poll's waker then.
[[nodiscard]] inline bool keep_waiting(Waiter& waiter, blitzio::Mutex& mutex,
                                       Context& context) noexcept {
  if (waiter.outcome() != Outcome::waiting) return false;
  // Made before the lock, and the old one dropped after it: either may run code of others.
  Waker waker = context.waker().clone();
  const MutexLock lock(mutex);
  if (waiter.outcome() != Outcome::waiting) return false;
  std::swap(waiter.waker, waker);
  return true;
}

/// Settles all of `woken`, which was taken out of a queue, with Outcome::all and wakes them. The
/// nodes still belong to the lock: a waiter that is dropped meanwhile unlinks itself.
inline void settle_all(WaiterList& woken, blitzio::Mutex& mutex) noexcept {
  WakeBatch batch;
  for (bool is_done = false; !is_done;) {
    {
      const MutexLock lock(mutex);
      while (!woken.is_empty() && !batch.is_full()) {
        woken.pop_front()->settle(Outcome::all, batch);
      }
      is_done = woken.is_empty();
    }
    batch.wake_all();
  }
}

}  // namespace blitzio::sync::detail
