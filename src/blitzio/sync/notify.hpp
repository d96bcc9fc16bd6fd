// `Notify`: wakes a waiting task, or remembers that the next one need not wait.
//
//              wait (registers)                    notify_one
//   waiting ◀────────────────── empty ◀──────────▶ notified
//      │  ▲                       ▲      wait         │ ▲
//      │  └─ others still wait    │   (consumes)      └─┘ notify_one
//      └──────────────────────────┘
//        the last waiter was notified or left
//
// empty     nobody waits, nothing is remembered.
// notified  one permit is remembered; the next wait() takes it and completes at once.
// waiting   the queue is not empty. Entered and left under the lock only.
//
// notify_one() goes to the waiter that came first. A waiter that is dropped after it was chosen,
// but before it was polled, passes the notification on.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/sync/waiter.hpp>
#include <blitzio/task/future.hpp>

#include <cstddef>
#include <cstdint>

namespace blitzio::sync {

/// Thread: any. Outlives its futures and every call.
class Notify {
 public:
  Notify() noexcept = default;
  Notify(const Notify&) = delete;
  Notify& operator=(const Notify&) = delete;

  class [[nodiscard]] Wait {
   public:
    using Output = void;
    Wait(Wait&& other) noexcept : notify_(other.notify_) {
      BLITZIO_CHECK(other.state_ == State::start);
    }
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    Wait& operator=(Wait&&) = delete;
    ~Wait() {
      if (BLITZIO_UNLIKELY(state_ == State::queued)) abandon();
    }
    Poll<void> poll(Context& context) noexcept {
      if (BLITZIO_LIKELY(state_ == State::start && notify_->try_wait())) {
        state_ = State::done;
        return ready;
      }
      return poll_slow(context);
    }

   private:
    friend class Notify;
    enum class State : std::uint8_t { start, queued, done };
    explicit Wait(Notify& notify) noexcept : notify_(&notify) {}
    BLITZIO_COLD Poll<void> poll_slow(Context& context) noexcept;
    BLITZIO_COLD void abandon() noexcept;

    Notify* notify_;
    detail::Waiter waiter_;
    State state_ = State::start;
  };

  /// Waits for a notification.
  /// Returns  future of void.
  /// Cancel   dropping the future leaves the queue; a notification it was given is passed on.
  /// Cost     one compare-exchange if one is remembered; never allocates.
  Wait wait() noexcept { return Wait(*this); }

  /// Takes a remembered notification, if there is one.
  [[nodiscard]] bool try_wait() noexcept {
    std::uint32_t state = kNotified;
    // Acquire: pairs with the release in notify_one(). Relaxed on failure: nothing is read.
    return state_.compare_exchange_strong(state, kEmpty, std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }

  /// Wakes the waiter that came first; without one, the next wait() completes at once. Several
  /// calls without a waiter are remembered as one.
  void notify_one() noexcept {
    std::uint32_t state = kEmpty;
    // Release: publishes what the caller did, pairs with the acquire in try_wait(). Release on
    // failure is not to be had; see notify_slow().
    if (BLITZIO_LIKELY(state_.compare_exchange_strong(state, kNotified, std::memory_order_release,
                                                      std::memory_order_relaxed))) {
      return;
    }
    notify_slow();
  }

  /// Wakes everybody who waits now. Nothing is remembered.
  void notify_all() noexcept;

  /// Whether a notification is remembered; a snapshot.
  [[nodiscard]] bool is_notified() const noexcept {
    // Relaxed: nothing rides on it.
    return state_.load(std::memory_order_relaxed) == kNotified;
  }
  /// How many wait; a snapshot.
  /// Cost     one lock, for as long as it takes to count them.
  [[nodiscard]] std::size_t waiter_count() noexcept BLITZIO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return waiters_.count();
  }

 private:
  static constexpr std::uint32_t kEmpty = 0;
  static constexpr std::uint32_t kNotified = 1;
  static constexpr std::uint32_t kWaiting = 2;

  // Queues the waiter, or takes a remembered notification; returns true in the second case.
  bool enqueue(detail::Waiter& waiter, Waker waker) noexcept BLITZIO_EXCLUDES(mutex_);
  BLITZIO_COLD void notify_slow() noexcept BLITZIO_EXCLUDES(mutex_);

  // Written by notifiers and waiters; publishes what the notifier did.
  Atomic<std::uint32_t> state_{kEmpty};
  blitzio::Mutex mutex_{LockRank::leaf};
  detail::WaiterList waiters_ BLITZIO_GUARDED_BY(mutex_);
};

}  // namespace blitzio::sync
