// The queue of a semaphore: entering, leaving, handing permits out, closing.
#include <blitzio/sync/semaphore.hpp>

#include <algorithm>

namespace blitzio::sync {

namespace detail {

Outcome AcquireWait::poll_slow(Context& context) noexcept {
  BLITZIO_CHECK(state_ != State::done);
  if (state_ == State::queued) {
    if (keep_waiting(waiter_, semaphore_->mutex_, context)) return Outcome::waiting;
    state_ = State::done;
    return waiter_.outcome();
  }
  if (waiter_.wanted > Semaphore::kMaxPermits) {
    state_ = State::done;
    return Outcome::closed;
  }
  // Made before the lock: it may run code of others.
  Waker waker = context.waker().clone();
  const MutexLock lock(semaphore_->mutex_);
  // Relaxed: a guess that the compare-exchange verifies.
  std::uint64_t word = semaphore_->word_.load(std::memory_order_relaxed);
  std::uint64_t taken = 0;
  std::uint64_t next = 0;
  do {
    if ((word & Semaphore::kClosed) != 0) {
      state_ = State::done;
      return Outcome::closed;
    }
    // Behind others: what is free belongs to them.
    const bool is_first = (word & Semaphore::kWaiters) == 0;
    taken = is_first ? std::min<std::uint64_t>(Semaphore::to_count(word), waiter_.wanted) : 0;
    next = word - Semaphore::from_count(taken);
    if (taken < waiter_.wanted) next |= Semaphore::kWaiters;
    // Acquire: permits taken come with what their holders did; pairs with the release in
    // release(). Release: nothing is published, but the holders' release sequence goes on.
  } while (!semaphore_->word_.compare_exchange_weak(word, next, std::memory_order_acq_rel,
                                                    std::memory_order_relaxed));
  if (taken == waiter_.wanted) {
    state_ = State::done;
    return Outcome::granted;
  }
  waiter_.missing = waiter_.wanted - static_cast<std::uint32_t>(taken);
  waiter_.waker = std::move(waker);
  semaphore_->waiters_.push_back(waiter_);
  state_ = State::queued;
  return Outcome::waiting;
}

void AcquireWait::abandon() noexcept {
  Semaphore& semaphore = *semaphore_;
  {
    const MutexLock lock(semaphore.mutex_);
    if (waiter_.is_linked()) {
      waiter_.unlink();
      semaphore.update_waiters_flag(waiter_.wanted - waiter_.missing);
      state_ = State::done;
    }
  }
  if (state_ == State::done) {
    // What was given back, and the place in front, may be what the next in line waits for.
    semaphore.hand_out();
    return;
  }
  state_ = State::done;
  if (waiter_.outcome() == Outcome::granted) semaphore.give_back(waiter_.wanted);
}

}  // namespace detail

bool Semaphore::try_release(std::uint32_t count) noexcept {
  // Relaxed: a guess that the compare-exchange verifies.
  std::uint64_t word = word_.load(std::memory_order_relaxed);
  do {
    if (count > kMaxPermits || to_count(word) > kMaxPermits - count) return false;
    // As in release().
  } while (!word_.compare_exchange_weak(word, word + from_count(count), std::memory_order_acq_rel,
                                        std::memory_order_relaxed));
  if ((word & kWaiters) != 0) hand_out();
  return true;
}

void Semaphore::trim() noexcept {
  // Relaxed throughout: nothing is read through the number, and the flags stay.
  std::uint64_t word = word_.load(std::memory_order_relaxed);
  while (to_count(word) > kMaxPermits &&
         !word_.compare_exchange_weak(word, (word & kFlags) | from_count(kMaxPermits),
                                      std::memory_order_relaxed)) {
  }
}

// Adds `permits_back` to the word, as give_back() does, and lets it say whether there are waiters.
void Semaphore::update_waiters_flag(std::uint32_t permits_back) noexcept {
  const bool has_waiters = !waiters_.is_empty();
  // Relaxed: a guess that the compare-exchange verifies.
  std::uint64_t word = word_.load(std::memory_order_relaxed);
  std::uint64_t next = 0;
  do {
    next = (word & kClosed) |
           from_count(std::min<std::uint64_t>(to_count(word) + permits_back, kMaxPermits));
    if (has_waiters) next |= kWaiters;
    // Release: permits put back carry on what their holders did (acquired when they were taken);
    // pairs with the acquire in try_acquire(). Acquire: the same in the other direction.
  } while (!word_.compare_exchange_weak(word, next, std::memory_order_acq_rel,
                                        std::memory_order_relaxed));
}

bool Semaphore::hand_out_some(detail::WakeBatch& batch) noexcept {
  for (;;) {
    if (waiters_.is_empty()) {
      update_waiters_flag(0);
      return true;
    }
    auto& front = static_cast<detail::PermitWaiter&>(waiters_.front());
    // Relaxed: a guess that the compare-exchange verifies.
    std::uint64_t word = word_.load(std::memory_order_relaxed);
    std::uint64_t taken = 0;
    do {
      taken = std::min<std::uint64_t>(to_count(word), front.missing);
      if (taken == 0) return true;  // Whoever releases next comes here.
      // Acquire: takes over what the releasers did, for the waiter that gets it by settle().
    } while (!word_.compare_exchange_weak(word, word - from_count(taken), std::memory_order_acq_rel,
                                          std::memory_order_relaxed));
    front.missing -= static_cast<std::uint32_t>(taken);
    if (front.missing != 0) continue;
    static_cast<void>(waiters_.pop_front());
    front.settle(detail::Outcome::granted, batch);
    if (batch.is_full()) return false;
  }
}

void Semaphore::hand_out() noexcept {
  detail::WakeBatch batch;
  bool is_done = false;
  while (!is_done) {
    {
      const MutexLock lock(mutex_);
      is_done = hand_out_some(batch);
    }
    batch.wake_all();
  }
}

void Semaphore::close() noexcept {
  detail::WakeBatch batch;
  bool is_done = false;
  while (!is_done) {
    {
      const MutexLock lock(mutex_);
      // Relaxed: waiters are told through settle(), later callers need only see it some time.
      word_.fetch_or(kClosed, std::memory_order_relaxed);
      std::uint32_t back = 0;
      while (!waiters_.is_empty() && !batch.is_full()) {
        auto& waiter = static_cast<detail::PermitWaiter&>(*waiters_.pop_front());
        back += waiter.wanted - waiter.missing;
        waiter.settle(detail::Outcome::closed, batch);
      }
      is_done = waiters_.is_empty();
      update_waiters_flag(back);
    }
    batch.wake_all();
  }
}

}  // namespace blitzio::sync
