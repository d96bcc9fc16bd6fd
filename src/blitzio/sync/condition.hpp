// `Condition`: a task gives up a Mutex, waits for a signal and has the mutex again.
//
//     sync::MutexGuard guard = co_await mutex.lock();
//     while (!is_done) guard = co_await condition.wait(std::move(guard));
//
// A signal is not remembered: the state that the mutex protects is what counts, so wait in a loop.
// The waiter stands in the queue before the mutex is unlocked, so no signal given under the mutex
// is missed.
#pragma once

#include <blitzio/sync/mutex.hpp>

#include <optional>

namespace blitzio::sync {

/// Thread: any. Outlives its futures.
class Condition {
 public:
  Condition() noexcept = default;
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  class [[nodiscard]] Wait {
   public:
    using Output = MutexGuard;
    Wait(Wait&& other) noexcept
        : condition_(other.condition_), guard_(std::move(other.guard_)), mutex_(other.mutex_) {
      BLITZIO_CHECK(other.state_ == State::start);
    }
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    Wait& operator=(Wait&&) = delete;
    ~Wait() {
      if (BLITZIO_UNLIKELY(state_ == State::queued || state_ == State::locking)) abandon();
    }
    Poll<MutexGuard> poll(Context& context) noexcept;

   private:
    friend class Condition;
    enum class State : std::uint8_t {
      start,    ///< the mutex is held
      queued,   ///< waits for a signal
      locking,  ///< was signalled, waits for the mutex
      done,
    };
    Wait(Condition& condition, MutexGuard guard) noexcept
        : condition_(&condition), guard_(std::move(guard)), mutex_(guard_.mutex()) {
      BLITZIO_CHECK(mutex_ != nullptr);
    }
    BLITZIO_COLD void abandon() noexcept;

    Condition* condition_;
    MutexGuard guard_;
    Mutex* mutex_;
    detail::Waiter waiter_;
    std::optional<Mutex::Lock> lock_;
    State state_ = State::start;
  };

  /// Gives up the mutex that `guard` holds, waits for a signal, and locks the mutex again.
  /// Returns  future of MutexGuard.
  /// Cancel   dropping the future leaves the queue, without the mutex; a signal it was given, also
  ///          one after which it waited for the mutex, goes to the next waiter.
  /// Cost     never allocates.
  Wait wait(MutexGuard guard) noexcept { return {*this, std::move(guard)}; }

  /// Wakes the waiter that came first, if there is one.
  void signal() noexcept;
  /// Wakes everybody who waits now.
  void broadcast() noexcept;

 private:
  blitzio::Mutex mutex_{LockRank::leaf};
  detail::WaiterList waiters_ BLITZIO_GUARDED_BY(mutex_);
};

}  // namespace blitzio::sync
