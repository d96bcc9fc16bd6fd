// `Barrier`: a number of tasks wait until all of them are there. Reusable at once.
//
// The last one to arrive is the leader of its generation: it lets the others go and never waits.
// A future that is dropped while it waits has not arrived: its place is free again.
#pragma once

#include <blitzio/base/mutex.hpp>
#include <blitzio/sync/waiter.hpp>
#include <blitzio/task/future.hpp>

#include <cstddef>
#include <cstdint>

namespace blitzio::sync {

/// What wait() gives: exactly one of each generation is the leader.
struct BarrierResult {
  bool is_leader;
};

/// Thread: any. Outlives its futures.
class Barrier {
 public:
  /// `parties` arrive before anyone goes on; 0 counts as 1.
  explicit Barrier(std::uint32_t parties) noexcept : parties_(parties == 0 ? 1 : parties) {}
  Barrier(const Barrier&) = delete;
  Barrier& operator=(const Barrier&) = delete;

  class [[nodiscard]] Wait {
   public:
    using Output = BarrierResult;
    Wait(Wait&& other) noexcept : barrier_(other.barrier_) {
      BLITZIO_CHECK(other.state_ == State::start);
    }
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    Wait& operator=(Wait&&) = delete;
    ~Wait() {
      if (BLITZIO_UNLIKELY(state_ == State::queued)) abandon();
    }
    Poll<BarrierResult> poll(Context& context) noexcept;

   private:
    friend class Barrier;
    enum class State : std::uint8_t { start, queued, done };
    explicit Wait(Barrier& barrier) noexcept : barrier_(&barrier) {}
    BLITZIO_COLD void abandon() noexcept;

    Barrier* barrier_;
    detail::Waiter waiter_;
    std::uint64_t generation_ = 0;  ///< in which it arrived
    State state_ = State::start;
  };

  /// Arrives, and waits for the others.
  /// Returns  future of BarrierResult. It arrives with its first poll.
  /// Cancel   dropping the future takes the arrival back, unless the others have gone on already.
  /// Cost     one lock; never allocates.
  Wait wait() noexcept { return Wait(*this); }

  [[nodiscard]] std::uint32_t parties() const noexcept { return parties_; }
  /// How many wait; a snapshot.
  /// Cost     one lock, for as long as it takes to count them.
  [[nodiscard]] std::size_t waiter_count() noexcept BLITZIO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return waiters_.count();
  }

 private:
  const std::uint32_t parties_;
  blitzio::Mutex mutex_{LockRank::leaf};
  std::uint32_t arrived_ BLITZIO_GUARDED_BY(mutex_) = 0;
  std::uint64_t generation_ BLITZIO_GUARDED_BY(mutex_) = 0;
  detail::WaiterList waiters_ BLITZIO_GUARDED_BY(mutex_);
};

}  // namespace blitzio::sync
