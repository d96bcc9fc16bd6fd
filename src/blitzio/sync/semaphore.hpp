// `Semaphore`: a number of permits; who finds too few waits in line.
//
// Fair: permits go to waiters in the order of their arrival, and nobody overtakes them, not even
// try_acquire(). A waiter for many permits collects them as they are released, so it is not starved
// by waiters for few.
//
// One word decides the common case, one read-modify-write each way:
//
//   63 … 2      1         0
//   permits     waiters   closed
//
// waiters is set while the queue is not empty; permits are then on their way to the queue: whoever
// released them takes the lock and hands them out. Only the lock's holder sets or clears it, and
// only that thread takes permits while it is set.
//
// Waiters are nodes inside the futures (waiter.hpp), so waiting allocates nothing. A future
// that is dropped while it waits leaves the queue and gives back what it had collected; one that is
// dropped after it was granted its permits releases them.
//
// Source: the batch semaphore of Tokio for collecting permits in the queue's head.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/sync/waiter.hpp>
#include <blitzio/task/future.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

namespace blitzio::sync {

class Mutex;
class RwLock;
class Semaphore;

/// Permits that are given back when this goes out of scope.
class [[nodiscard]] Permit {
 public:
  Permit(Permit&& other) noexcept
      : semaphore_(std::exchange(other.semaphore_, nullptr)), count_(other.count_) {}
  Permit& operator=(Permit&& other) noexcept {
    if (this != &other) {
      release();
      semaphore_ = std::exchange(other.semaphore_, nullptr);
      count_ = other.count_;
    }
    return *this;
  }
  Permit(const Permit&) = delete;
  Permit& operator=(const Permit&) = delete;
  ~Permit() { release(); }

  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  /// Gives the permits back now.
  void release() noexcept;
  /// Takes the permits out of the semaphore for good.
  void forget() noexcept { semaphore_ = nullptr; }

 private:
  friend class Semaphore;
  Permit(Semaphore& semaphore, std::uint32_t count) noexcept
      : semaphore_(&semaphore), count_(count) {}

  Semaphore* semaphore_;
  std::uint32_t count_;
};

namespace detail {

/// A waiter in a semaphore's queue.
struct PermitWaiter : Waiter {
  std::uint32_t wanted = 0;
  std::uint32_t missing = 0;  ///< of `wanted`; belongs to the lock while queued
};

/// Waits for permits; the futures of Semaphore, Mutex and RwLock are made of it. Cannot move once
/// it is queued.
class AcquireWait {
 public:
  AcquireWait(Semaphore& semaphore, std::uint32_t count) noexcept : semaphore_(&semaphore) {
    waiter_.wanted = count;
  }
  AcquireWait(AcquireWait&& other) noexcept : semaphore_(other.semaphore_) {
    BLITZIO_CHECK(other.state_ == State::start);
    waiter_.wanted = other.waiter_.wanted;
  }
  AcquireWait(const AcquireWait&) = delete;
  AcquireWait& operator=(const AcquireWait&) = delete;
  AcquireWait& operator=(AcquireWait&&) = delete;
  ~AcquireWait() {
    if (BLITZIO_UNLIKELY(state_ == State::queued)) abandon();
  }

  /// waiting, granted (the caller owns the permits now) or closed.
  Outcome poll(Context& context) noexcept;

  [[nodiscard]] Semaphore& semaphore() const noexcept { return *semaphore_; }
  [[nodiscard]] std::uint32_t count() const noexcept { return waiter_.wanted; }

 private:
  friend class sync::Semaphore;
  enum class State : std::uint8_t { start, queued, done };

  BLITZIO_COLD Outcome poll_slow(Context& context) noexcept;
  BLITZIO_COLD void abandon() noexcept;

  Semaphore* semaphore_;
  PermitWaiter waiter_;
  State state_ = State::start;
};

}  // namespace detail

/// Thread: any. Outlives its futures, its permits and every call.
class Semaphore {
 public:
  /// Permits that a semaphore can have.
  static constexpr std::uint32_t kMaxPermits = UINT32_MAX >> 1;

  /// `permits` is at most kMaxPermits.
  explicit Semaphore(std::uint32_t permits) noexcept : word_(from_count(permits)) {
    BLITZIO_CHECK(permits <= kMaxPermits, permits);
  }
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;
  ~Semaphore() = default;  // The list checks that nobody waits.

  /// Takes `count` permits if they are free and nobody waits. Give them back with release().
  [[nodiscard]] bool try_acquire(std::uint32_t count = 1) noexcept {
    // Relaxed: a guess that the compare-exchange verifies.
    std::uint64_t word = word_.load(std::memory_order_relaxed);
    while ((word & kFlags) == 0 && word >= from_count(count)) {
      // Acquire on success: pairs with the release in release(); what the last holder did is
      // visible. Relaxed on failure: only a fresh guess.
      if (word_.compare_exchange_weak(word, word - from_count(count), std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  /// Takes all of `total` permits if none is out and nobody waits: try_acquire() for locks, whose
  /// word has one value when they are free, so it need not be loaded first.
  [[nodiscard]] bool try_acquire_all(std::uint32_t total) noexcept {
    std::uint64_t word = from_count(total);
    // Acquire on success: as in try_acquire(). Relaxed on failure: nothing is read through it.
    return word_.compare_exchange_strong(word, 0, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }

  class [[nodiscard]] Acquire {
   public:
    using Output = Result<Permit>;
    Poll<Output> poll(Context& context) noexcept {
      const detail::Outcome outcome = wait_.poll(context);
      if (BLITZIO_LIKELY(outcome == detail::Outcome::granted)) {
        return Output(Permit(wait_.semaphore(), wait_.count()));
      }
      if (outcome == detail::Outcome::waiting) return pending;
      return Output(fail(
          Error::runtime(is_too_many() ? RuntimeErrc::invalid_argument : RuntimeErrc::closed)));
    }

   private:
    friend class Semaphore;
    Acquire(Semaphore& semaphore, std::uint32_t count) noexcept : wait_(semaphore, count) {}
    [[nodiscard]] bool is_too_many() const noexcept { return wait_.count() > kMaxPermits; }

    detail::AcquireWait wait_;
  };

  /// Waits for `count` permits and takes them.
  /// Returns  future of Result<Permit>; the permit gives back on destruction.
  /// Errors   closed after close(); invalid_argument if `count` is above kMaxPermits.
  /// Cancel   dropping the future leaves the queue; permits already granted go to the next waiter.
  /// Cost     one compare-exchange when free; never allocates.
  Acquire acquire(std::uint32_t count = 1) noexcept { return {*this, count}; }

  /// Gives back permits, or adds new ones; waiters get them first. At most kMaxPermits may be free.
  void release(std::uint32_t count = 1) noexcept {
    // Release: publishes what the holder did, pairs with the acquires above. Acquire: hand_out()
    // passes the earlier holders' work on to whom it grants.
    const std::uint64_t before = word_.fetch_add(from_count(count), std::memory_order_acq_rel);
    BLITZIO_CHECK(to_count(before) + count <= kMaxPermits, before, count);
    if (BLITZIO_UNLIKELY((before & kWaiters) != 0)) hand_out();
  }
  /// As release(), but changes nothing and returns false if more than kMaxPermits would be free.
  [[nodiscard]] bool try_release(std::uint32_t count = 1) noexcept;

  /// An owner for permits that try_acquire() took.
  Permit adopt(std::uint32_t count = 1) noexcept { return {*this, count}; }

  /// Lets every waiter, now and later, fail with `closed`. Permits can still be released.
  void close() noexcept;
  /// Whether close() was called.
  [[nodiscard]] bool is_closed() const noexcept {
    // Relaxed: a snapshot; nothing rides on it.
    return (word_.load(std::memory_order_relaxed) & kClosed) != 0;
  }
  /// How many are free; a snapshot.
  [[nodiscard]] std::uint32_t available_permits() const noexcept {
    // Relaxed: a snapshot; nothing rides on it.
    return to_count(word_.load(std::memory_order_relaxed));
  }
  /// How many wait; a snapshot.
  /// Cost     one lock, for as long as it takes to count them.
  [[nodiscard]] std::size_t waiter_count() noexcept BLITZIO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return waiters_.count();
  }

 private:
  friend class detail::AcquireWait;
  friend class Mutex;
  friend class Permit;
  friend class RwLock;

  static constexpr std::uint64_t kClosed = 1;
  static constexpr std::uint64_t kWaiters = 2;
  static constexpr std::uint64_t kFlags = kClosed | kWaiters;
  static constexpr int kShift = 2;
  static constexpr std::uint64_t from_count(std::uint64_t count) noexcept {
    return count << kShift;
  }
  static constexpr std::uint32_t to_count(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> kShift);
  }

  // release() for a lock, whose free permits are at most `total`: it was locked so often.
  // Returns how many were free, or none if somebody waits: then the free ones are on their way.
  std::optional<std::uint32_t> unlock(std::uint32_t count, std::uint32_t total) noexcept {
    // As in release().
    const std::uint64_t before = word_.fetch_add(from_count(count), std::memory_order_acq_rel);
    const std::uint32_t free = to_count(before);
    BLITZIO_CHECK(free + count <= total && "it is not locked", free, count);
    if (BLITZIO_LIKELY((before & kWaiters) == 0)) return free;
    hand_out();
    return std::nullopt;
  }
  // release() of what was acquired. What is then above kMaxPermits, because others released what
  // they did not have, is let go.
  void give_back(std::uint32_t count) noexcept {
    // As in release().
    const std::uint64_t before = word_.fetch_add(from_count(count), std::memory_order_acq_rel);
    if (BLITZIO_UNLIKELY((before & kWaiters) != 0)) hand_out();
    if (BLITZIO_UNLIKELY(to_count(before) + count > kMaxPermits)) trim();
  }
  BLITZIO_COLD void trim() noexcept;
  BLITZIO_COLD void hand_out() noexcept BLITZIO_EXCLUDES(mutex_);
  // Gives free permits to the queue's head as long as there are any. Returns false if the batch is
  // full and there is more to do.
  bool hand_out_some(detail::WakeBatch& batch) noexcept BLITZIO_REQUIRES(mutex_);
  void update_waiters_flag(std::uint32_t permits_back) noexcept BLITZIO_REQUIRES(mutex_);

  // Written by every thread that acquires or releases; publishes from holder to holder.
  Atomic<std::uint64_t> word_;
  blitzio::Mutex mutex_{LockRank::leaf};
  detail::WaiterList waiters_ BLITZIO_GUARDED_BY(mutex_);
};

inline void Permit::release() noexcept {
  if (Semaphore* semaphore = std::exchange(semaphore_, nullptr)) semaphore->give_back(count_);
}

namespace detail {

inline Outcome AcquireWait::poll(Context& context) noexcept {
  if (BLITZIO_LIKELY(state_ == State::start && semaphore_->try_acquire(waiter_.wanted))) {
    state_ = State::done;
    return Outcome::granted;
  }
  return poll_slow(context);
}

}  // namespace detail

}  // namespace blitzio::sync
