#include <blitzio/sync/barrier.hpp>

namespace blitzio::sync {

Poll<BarrierResult> Barrier::Wait::poll(Context& context) noexcept {
  BLITZIO_CHECK(state_ != State::done);
  Barrier& barrier = *barrier_;
  if (state_ == State::start) {
    if (barrier.parties_ == 1) {
      state_ = State::done;
      return BarrierResult{true};
    }
    detail::WaiterList generation;
    {
      Waker waker = context.waker().clone();
      const MutexLock lock(barrier.mutex_);
      if (++barrier.arrived_ < barrier.parties_) {
        waiter_.waker = std::move(waker);
        barrier.waiters_.push_back(waiter_);
        generation_ = barrier.generation_;
        state_ = State::queued;
        return pending;
      }
      barrier.arrived_ = 0;
      ++barrier.generation_;
      generation.splice_back(barrier.waiters_);
    }
    detail::settle_all(generation, barrier.mutex_);
    state_ = State::done;
    return BarrierResult{true};
  }
  if (detail::keep_waiting(waiter_, barrier.mutex_, context)) return pending;
  state_ = State::done;
  return BarrierResult{false};
}

void Barrier::Wait::abandon() noexcept {
  state_ = State::done;
  const MutexLock lock(barrier_->mutex_);
  if (!waiter_.is_linked()) return;
  waiter_.unlink();
  // Else the others have gone on, and counting starts anew.
  if (generation_ == barrier_->generation_) --barrier_->arrived_;
}

}  // namespace blitzio::sync
