// `Event`: a flag that tasks wait for. set() lets everybody go who waits, and those who come until
// clear().
//
// A waiter that was let go goes on even if the flag is cleared before it runs.
#pragma once

#include <blitzio/base/mutex.hpp>
#include <blitzio/sync/waiter.hpp>
#include <blitzio/task/future.hpp>

namespace blitzio::sync {

/// Thread: any. Outlives its futures and every call.
class Event {
 public:
  Event() noexcept = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  [[nodiscard]] bool is_set() const noexcept {
    // Acquire: pairs with the release in set(); what the setter did is visible.
    return is_set_.load(std::memory_order_acquire);
  }

  class [[nodiscard]] Wait {
   public:
    using Output = void;
    Wait(Wait&& other) noexcept : event_(other.event_) {
      BLITZIO_CHECK(other.state_ == State::start);
    }
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    Wait& operator=(Wait&&) = delete;
    ~Wait() {
      if (BLITZIO_UNLIKELY(state_ == State::queued)) abandon();
    }
    Poll<void> poll(Context& context) noexcept;

   private:
    friend class Event;
    enum class State : std::uint8_t { start, queued, done };
    explicit Wait(Event& event) noexcept : event_(&event) {}
    BLITZIO_COLD void abandon() noexcept;

    Event* event_;
    detail::Waiter waiter_;
    State state_ = State::start;
  };

  /// Waits until the flag is set.
  /// Returns  future of void.
  /// Cancel   dropping the future leaves the queue.
  /// Cost     one load if it is set; never allocates.
  Wait wait() noexcept { return Wait(*this); }

  /// Sets the flag and wakes everybody who waits.
  void set() noexcept;
  /// As set(), but leaves it to the caller to wake the one that came first: who has a lock to give
  /// up before, which that one will want.
  /// Returns  an empty waker if nobody waits.
  [[nodiscard]] Waker set_and_take_first() noexcept;
  void clear() noexcept {
    const MutexLock lock(mutex_);
    // Relaxed: a waiter looks again under the lock.
    is_set_.store(false, std::memory_order_relaxed);
  }
  /// How many wait; a snapshot.
  /// Cost     one lock, for as long as it takes to count them.
  [[nodiscard]] std::size_t waiter_count() noexcept BLITZIO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return waiters_.count();
  }

 private:
  // Written under the lock; publishes what the setter did.
  Atomic<bool> is_set_{false};
  blitzio::Mutex mutex_{LockRank::leaf};
  detail::WaiterList waiters_ BLITZIO_GUARDED_BY(mutex_);
};

}  // namespace blitzio::sync
