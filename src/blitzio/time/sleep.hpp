// `Sleep`: a future that is ready once a deadline has passed, on the wheel of the executor that
// polls it.
#pragma once

#include <blitzio/base/check.hpp>
#include <blitzio/base/duration.hpp>
#include <blitzio/base/instant.hpp>
#include <blitzio/task/future.hpp>
#include <blitzio/time/timer_context.hpp>
#include <blitzio/time/wheel.hpp>

#include <utility>

namespace blitzio::time {

/// Cancel   dropping it disarms the timer.
/// Thread   one that is bound to an executor, the same from the first poll to destruction.
/// Cost     no allocation: the timer is part of the future.
class [[nodiscard]] Sleep final : private TimerEntry {
 public:
  using Output = void;

  explicit Sleep(Instant deadline) noexcept : TimerEntry(on_fire), deadline_(deadline) {}
  /// Before the first poll only.
  Sleep(Sleep&& other) noexcept : TimerEntry(on_fire), deadline_(other.deadline_) {
    BLITZIO_CHECK(other.wheel_ == nullptr);
  }
  Sleep& operator=(Sleep&&) = delete;
  ~Sleep() {
    if (is_armed()) wheel_->cancel(*this);
  }

  [[nodiscard]] Instant deadline() const noexcept { return deadline_; }
  /// Whether the deadline has passed and an executor's turn has noticed.
  [[nodiscard]] bool is_elapsed() const noexcept { return is_elapsed_; }

  Poll<void> poll(Context& context) noexcept {
    if (is_elapsed_) return ready;
    if (wheel_ == nullptr) {
      wheel_ = TimerContext::current();
      BLITZIO_CHECK(wheel_ != nullptr);  // there is no executor on this thread
      wheel_->insert(*this, deadline_);
    }
    if (!waker_.will_wake_same(context.waker())) waker_ = context.waker().clone();
    return pending;
  }

 private:
  static void on_fire(TimerEntry& entry) noexcept {
    auto& self = static_cast<Sleep&>(entry);
    self.is_elapsed_ = true;
    // Waking may destroy the future, so its waker leaves it first.
    Waker waker = std::move(self.waker_);
    waker.wake();
  }

  Instant deadline_;
  TimerWheel* wheel_ = nullptr;
  Waker waker_;
  bool is_elapsed_ = false;
};

/// Waits until `deadline`; a deadline that has passed costs one turn.
[[nodiscard]] inline Sleep sleep_until(Instant deadline) noexcept {
  return Sleep(deadline);
}

/// Waits for `duration`, counted from this call, not from the first poll.
[[nodiscard]] inline Sleep sleep(Duration duration) noexcept {
  return Sleep(Instant::now() + duration);
}

}  // namespace blitzio::time
