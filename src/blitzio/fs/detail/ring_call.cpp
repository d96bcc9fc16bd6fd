#include <blitzio/fs/detail/ring_call.hpp>

#include <blitzio/driver/driver_context.hpp>

#include <cerrno>

namespace blitzio::fs::detail {

void RingCallBase::submit(driver::Driver& home) noexcept {
  home_ = &home;
  home.submit(*this);
}

bool RingCallBase::poll(Context& context) noexcept {
  // Made before the lock, and the old one dropped after it: either may run code of others.
  Waker waker = context.waker().clone();
  const MutexLock lock(mutex_);
  if (phase_ == Phase::done) return true;
  std::swap(waker_, waker);
  return false;
}

std::int32_t RingCallBase::take() noexcept {
  const MutexLock lock(mutex_);
  BLITZIO_CHECK(phase_ == Phase::done, phase_);
  phase_ = Phase::taken;
  return result_;
}

void RingCallBase::release_ref() noexcept {
  // Acquire-release: the last holder sees what the other did; pairs with itself.
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

void RingCallBase::abandon(bool cancels) noexcept {
  Waker old;
  const bool is_home =
      driver::DriverContext::is_owner() && driver::DriverContext::current() == home_;
  Phase before{};
  {
    const MutexLock lock(mutex_);
    before = phase_;
    if (before == Phase::in_flight) {
      phase_ = Phase::abandoned;
      is_detached_ = !cancels;
      old = std::move(waker_);
      is_posted_ = cancels && !is_home;
      // With the lock: the completion takes it, so the home cannot end before it has this message.
      if (is_posted_) home_->post(*this);
    }
  }
  switch (before) {
    case Phase::in_flight:
      // Nobody else can make it complete: we are on its home's thread.
      if (cancels && is_home) home_->cancel(*this);
      break;
    case Phase::done:
      if (is_dismissed_ && !cancels) {
        move_on();
      } else {
        discard(result_);
      }
      break;
    case Phase::taken:
      break;
    case Phase::abandoned:
      BLITZIO_CHECK(false, before);
  }
  release_ref();
}

void RingCallBase::on_completion(Operation& operation,
                                 const driver::Completion& completion) noexcept {
  auto& self = static_cast<RingCallBase&>(operation);
  // A forked child has but copies of what the parent goes on with.
  const bool is_dismissed = completion.result == -ECANCELED && !self.home_->in_child();
  Waker waker;
  bool has_owner = false;
  bool is_last = false;
  {
    const MutexLock lock(self.mutex_);
    has_owner = self.phase_ == Phase::in_flight;
    if (has_owner) {
      self.phase_ = Phase::done;
      self.result_ = completion.result;
      self.is_dismissed_ = is_dismissed;
      waker = std::move(self.waker_);
    }
    self.is_completed_ = true;
    is_last = !self.is_posted_;
  }
  if (has_owner) {
    waker.wake();
  } else if (is_dismissed && self.is_detached_) {
    self.move_on();
  } else {
    self.discard(completion.result);
  }
  if (is_last) self.release_ref();
}

void RingCallBase::on_message(Message& message) noexcept {
  auto& self = static_cast<RingCallBase&>(message);
  {
    const MutexLock lock(self.mutex_);
    self.is_posted_ = false;
  }
  if (self.is_completed_) {
    self.release_ref();
  } else {
    self.home_->cancel(self);
  }
}

}  // namespace blitzio::fs::detail
