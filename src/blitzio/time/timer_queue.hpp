// `TimerQueue`: the wheel of an executor as futures see it. One that a single thread uses is just
// the wheel; a shared one, of a worker whose tasks may move to other workers, has a lock.
//
// Firing, shared: the worker advances the wheel under the lock, which takes the wakers of what has
// fired out of their futures, and calls them after it. A future that is dropped on another thread
// therefore either finds its entry armed, and disarms it under the lock, or finds it fired, and
// then nobody touches it any more.
//
// Threads: lock(), and through it wheel(): any if shared, else the owner. advance(): the owner.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/instant.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/task/waker.hpp>
#include <blitzio/time/wheel.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace blitzio::time {

class TimerQueue {
 public:
  /// Told, without the lock, that the owner may sleep too long. Any thread.
  using OnEarlier = void (*)(void* data) noexcept;

  /// For one thread.
  TimerQueue() noexcept = default;
  /// For one thread. `tick` as TimerWheel's; `timers_max`: see has_room(); 0: any number.
  explicit TimerQueue(Duration tick, std::size_t timers_max) noexcept
      : wheel_(Instant::now(), tick), timers_max_(timers_max == 0 ? SIZE_MAX : timers_max) {}
  /// For one thread, on a clock that its owner sets: `clock`, which outlives the queue.
  explicit TimerQueue(const Instant& clock) noexcept : wheel_(clock), clock_(&clock) {}
  /// For many: `on_earlier` makes the owner's wait end, so that it asks next_deadline() again.
  /// `tick` as TimerWheel's; `timers_max`: see has_room(); 0: any number.
  TimerQueue(OnEarlier on_earlier, void* data, Duration tick = TimerWheel::kTick,
             std::size_t timers_max = 0) noexcept
      : wheel_(Instant::now(), tick),
        is_shared_(true),
        on_earlier_(on_earlier),
        data_(data),
        timers_max_(timers_max == 0 ? SIZE_MAX : timers_max) {}
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  [[nodiscard]] TimerWheel& wheel() noexcept { return wheel_; }
  [[nodiscard]] bool is_shared() const noexcept { return is_shared_; }
  /// Whether its owner sets its clock.
  [[nodiscard]] bool is_simulated() const noexcept { return clock_ != nullptr; }
  /// The time that its timers go by.
  [[nodiscard]] Instant now() const noexcept {
    return BLITZIO_LIKELY(clock_ == nullptr) ? Instant::now() : *clock_;
  }

  /// Whether another timer may be armed. With the lock held.
  [[nodiscard]] bool has_room() const noexcept { return wheel_.size() < timers_max_; }

  /// Holds the lock, if there is one, for a scope.
  class Lock {
   public:
    explicit Lock(TimerQueue& queue) noexcept : queue_(queue) {
      if (queue.is_shared_) queue.mutex_.lock();
    }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    ~Lock() {
      if (queue_.is_shared_) queue_.mutex_.unlock();
    }

   private:
    TimerQueue& queue_;
  };

  /// After arming an entry, without the lock: ends the owner's sleep if it would last past
  /// `deadline`.
  void armed(Instant deadline) noexcept {
    if (!is_shared_) return;
    // Relaxed: ordered by the lock, under which the entry was armed; see before_sleep().
    if (deadline.as_nanos() < sleeps_until_.load(std::memory_order_relaxed)) on_earlier_(data_);
  }

  /// Whether the owner sleeps, or has decided to, and wakes by itself not later than `time`. For
  /// who has read, after the owner's before_sleep() was to come, that it sleeps. Any thread.
  [[nodiscard]] bool wakes_by(Instant time) const noexcept {
    // Relaxed: a value of an earlier sleep is not read (see above); what an armed timer changes
    // makes the owner wake earlier.
    const std::int64_t until = sleeps_until_.load(std::memory_order_relaxed);
    return until != kAwake && until <= time.as_nanos();
  }

  // ---- the owner ---------------------------------------------------------------------------

  /// Says until when the owner is about to sleep and returns when it must wake, at the latest.
  [[nodiscard]] Instant before_sleep() noexcept {
    if (!is_shared_) return wheel_.next_deadline();
    const Lock lock(*this);
    const Instant next = wheel_.next_deadline();
    // Relaxed: who has armed an entry under the lock before us is seen in the wheel, and who does
    // so after us sees this store by the lock.
    sleeps_until_.store(next.as_nanos(), std::memory_order_relaxed);
    return next;
  }
  void after_sleep() noexcept {
    // Relaxed: only saves needless wake-ups.
    sleeps_until_.store(kAwake, std::memory_order_relaxed);
  }

  /// Fires what is due and wakes whose it was. Returns how many fired.
  std::size_t advance(Instant now) noexcept {
    if (!is_shared_) return wheel_.advance(now);
    std::size_t count = 0;
    {
      const Lock lock(*this);
      count = wheel_.advance(now);
      // Only then, so that both have their memory once timers have fired twice.
      if (!fired_.empty()) std::swap(fired_, waking_);
    }
    for (Waker& waker : waking_) waker.wake();
    waking_.clear();
    return count;
  }
  /// What an entry's fire function does with its waker.
  void wake_fired(Waker waker) noexcept {
    if (!is_shared_) {
      waker.wake();
    } else {
      // What slept long is seldom in the cache; it comes while the others are fired.
      waker.prefetch();
      fired_.push_back(std::move(waker));
    }
  }
  /// A hint for others, exact for the owner of an unshared queue.
  [[nodiscard]] bool is_empty() noexcept {
    const Lock lock(*this);
    return wheel_.is_empty();
  }

 private:
  static constexpr std::int64_t kAwake = INT64_MIN;

  TimerWheel wheel_;
  const bool is_shared_ = false;
  const OnEarlier on_earlier_ = nullptr;
  void* const data_ = nullptr;
  const std::size_t timers_max_ = SIZE_MAX;
  const Instant* const clock_ = nullptr;  ///< null: the system's
  Mutex mutex_{LockRank::leaf};
  // Written by the owner, read by who arms: until when the owner sleeps; kAwake if it does not.
  Atomic<std::int64_t> sleeps_until_{kAwake};
  std::vector<Waker> fired_;   ///< while advancing
  std::vector<Waker> waking_;  ///< the owner's
};

}  // namespace blitzio::time
