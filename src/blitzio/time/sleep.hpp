// `Sleep`: a future that is ready once a deadline has passed, on the wheel of the executor that
// polls it first.
//
//            poll                       fires
//   unarmed ──────▶ armed ───────────────────────────▶ elapsed
//      ▲            │   ▲ reset                           │
//      │            └───┘                                 │
//      └────────────────────── reset ─────────────────────┘
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/check.hpp>
#include <blitzio/base/deadline_clock.hpp>
#include <blitzio/base/duration.hpp>
#include <blitzio/base/instant.hpp>
#include <blitzio/task/block_on.hpp>
#include <blitzio/task/future.hpp>
#include <blitzio/time/timer_context.hpp>
#include <blitzio/time/timer_queue.hpp>
#include <blitzio/time/wheel.hpp>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

namespace blitzio::time {

/// Throws   std::system_error (EAGAIN) from a first poll if the executor may have no more timers
///          (Config::timers_max).
/// Cancel   dropping it disarms the timer, in constant time.
/// Thread   the first poll on one that has an executor's timers: in a task, or in a block_on() of a
///          LocalExecutor or Runtime (checked); afterwards the same, or any one at a time if those
///          timers are shared (Runtime). An armed one does not outlive the executor.
/// Cost     no allocation: the timer is part of the future.
class [[nodiscard]] Sleep final : private TimerEntry {
 public:
  using Output = void;

  explicit Sleep(Instant deadline) noexcept : TimerEntry(on_fire), deadline_(deadline) {}
  /// Before the first poll only.
  Sleep(Sleep&& other) noexcept : TimerEntry(on_fire), deadline_(other.deadline_) {
    BLITZIO_CHECK(other.queue_ == nullptr);
  }
  Sleep& operator=(Sleep&&) = delete;
  ~Sleep() {
    if (queue_ == nullptr || is_elapsed()) return;
    const TimerQueue::Lock lock(*queue_);
    if (is_armed()) queue_->wheel().cancel(*this);
  }

  [[nodiscard]] Instant deadline() const noexcept { return deadline_; }
  /// Waits for another deadline instead, be it elapsed already or not.
  /// Thread   as poll().   Cost  as dropping one and making another; a pending one stays armed.
  void reset(Instant deadline) noexcept {
    deadline_ = deadline;
    if (queue_ == nullptr) return;
    if (!is_elapsed() && rearm()) {
      queue_->armed(deadline_);
      return;
    }
    // It has fired, so nobody else touches it: it starts anew, with the next poll's executor.
    queue_ = nullptr;
    // Relaxed: only the owner looks at it until it is armed under the queue's lock.
    is_elapsed_.store(false, std::memory_order_relaxed);
  }
  /// Whether the deadline has passed and an executor's turn has noticed.
  [[nodiscard]] bool is_elapsed() const noexcept {
    // Acquire: pairs with the release in on_fire(), whose last access that is.
    return is_elapsed_.load(std::memory_order_acquire);
  }

  Poll<void> poll(Context& context) {
    if (is_elapsed()) return ready;
    // Dropped after the lock: that may run code of others.
    Waker waker = context.waker().clone();
    const bool is_first = queue_ == nullptr;
    if (is_first) queue_ = TimerContext::current();
    BLITZIO_CHECK(queue_ != nullptr &&
                  "a timer needs an executor: poll it in a task or block_on()");
    {
      const TimerQueue::Lock lock(*queue_);
      if (is_elapsed()) return ready;
      std::swap(waker_, waker);
      if (is_first) {
        if (BLITZIO_UNLIKELY(!queue_->has_room())) throw_too_many();
        queue_->wheel().insert(*this, deadline_);
      }
    }
    if (is_first) queue_->armed(deadline_);
    return pending;
  }

 private:
  // Returns false if it has fired meanwhile.
  [[nodiscard]] bool rearm() noexcept {
    const TimerQueue::Lock lock(*queue_);
    if (!is_armed()) return false;
    queue_->wheel().cancel(*this);
    queue_->wheel().insert(*this, deadline_);
    return true;
  }
  [[noreturn]] BLITZIO_COLD static void throw_too_many() {
    throw std::system_error(EAGAIN, std::generic_category(), "time::Sleep: too many timers");
  }
  static void on_fire(TimerEntry& entry) noexcept {
    auto& self = static_cast<Sleep&>(entry);
    // Waking may destroy the future, and if timers are shared so may its owner as soon as it sees
    // that time is up; so the waker leaves it first.
    TimerQueue& queue = *self.queue_;
    Waker waker = std::move(self.waker_);
    // Release: the last access; pairs with the acquire in is_elapsed().
    self.is_elapsed_.store(true, std::memory_order_release);
    queue.wake_fired(std::move(waker));
  }

  Instant deadline_;
  TimerQueue* queue_ = nullptr;
  Waker waker_;  ///< belongs to the queue's lock while armed
  // Written by who advances the wheel, read by the owner.
  Atomic<bool> is_elapsed_{false};
};

/// The clock that deadlines are on: the system's, or in a simulation (io::Deterministic) its own.
[[nodiscard]] inline Instant now() noexcept {
  const TimerQueue* queue = TimerContext::current();
  return queue == nullptr ? Instant::now() : queue->now();
}

/// Where a deadline is that is `duration` away: on the clock of now(), which is not read each
/// time (DeadlineClock).
[[nodiscard]] inline Instant deadline_in(Duration duration) noexcept {
  const TimerQueue* queue = TimerContext::current();
  const bool is_simulated = queue != nullptr && queue->is_simulated();
  return (BLITZIO_UNLIKELY(is_simulated) ? queue->now() : DeadlineClock::now()) + duration;
}

/// Waits until `deadline`; a deadline that has passed costs one turn.
[[nodiscard]] inline Sleep sleep_until(Instant deadline) noexcept {
  return Sleep(deadline);
}

/// Waits for `duration`, counted from this call, not from the first poll.
[[nodiscard]] inline Sleep sleep(Duration duration) noexcept {
  return Sleep(deadline_in(duration));
}

/// Lets the calling thread sleep for `duration` on the system's clock; zero or less returns at
/// once. Thread   any that may block; not one that runs an executor: debug builds warn.
inline void blocking_sleep(Duration duration) {
  if (duration <= Duration::zero()) return;
  blitzio::detail::about_to_block();
  // Until a point in time, as a signal would make a span begin anew.
  const Instant until = Instant::now() + duration;
  std::this_thread::sleep_until(
      std::chrono::steady_clock::time_point(std::chrono::nanoseconds(until.as_nanos())));
}

}  // namespace blitzio::time
