// `RwLock`: any number of readers or one writer.
//
// A Semaphore with a permit per reader; a writer takes all. Fair: who comes first goes first, so
// readers that come after a waiting writer wait behind it and writers do not starve. For the same
// reason a task that holds a read lock must not wait for a second one.
#pragma once

#include <blitzio/sync/semaphore.hpp>

#include <cstddef>
#include <utility>

namespace blitzio::sync {

class RwLock;

/// Holds a RwLock for reading or writing (`permits`); unlocks it when it goes out of scope.
template <std::uint32_t permits>
class [[nodiscard]] RwLockGuard {
 public:
  RwLockGuard(RwLockGuard&& other) noexcept : lock_(std::exchange(other.lock_, nullptr)) {}
  RwLockGuard& operator=(RwLockGuard&& other) noexcept {
    if (this != &other) {
      unlock();
      lock_ = std::exchange(other.lock_, nullptr);
    }
    return *this;
  }
  RwLockGuard(const RwLockGuard&) = delete;
  RwLockGuard& operator=(const RwLockGuard&) = delete;
  ~RwLockGuard() { unlock(); }

  /// Unlocks now. The guard is empty afterwards.
  void unlock() noexcept;
  /// Leaves it locked: RwLock's read_unlock() or write_unlock() is somebody else's duty now.
  void forget() noexcept { lock_ = nullptr; }
  [[nodiscard]] bool is_empty() const noexcept { return lock_ == nullptr; }

 private:
  friend class RwLock;
  explicit RwLockGuard(RwLock& lock) noexcept : lock_(&lock) {}

  RwLock* lock_;
};

/// Thread: any. Outlives its futures and guards.
class RwLock {
 public:
  /// Readers that can hold it at once.
  static constexpr std::uint32_t kMaxReaders = UINT32_MAX >> 3;

  using ReadGuard = RwLockGuard<1>;
  using WriteGuard = RwLockGuard<kMaxReaders>;

  RwLock() noexcept = default;

  /// Locks for reading unless a writer holds it or somebody waits. Unlock with read_unlock().
  [[nodiscard]] bool try_read() noexcept { return semaphore_.try_acquire(1); }
  /// Locks for writing if nobody holds it. Unlock with write_unlock().
  [[nodiscard]] bool try_write() noexcept { return semaphore_.try_acquire_all(kMaxReaders); }

  template <std::uint32_t permits>
  class [[nodiscard]] Lock {
   public:
    using Output = RwLockGuard<permits>;
    Poll<Output> poll(Context& context) noexcept {
      if (wait_.poll(context) == detail::Outcome::waiting) return pending;
      return RwLock::template guard<permits>(*lock_);
    }

   private:
    friend class RwLock;
    explicit Lock(RwLock& lock) noexcept : lock_(&lock), wait_(lock.semaphore_, permits) {}

    RwLock* lock_;
    detail::AcquireWait wait_;
  };

  /// Waits for a read lock.
  /// Returns  future of ReadGuard.
  /// Cancel   dropping the future leaves the queue; a lock already granted goes on.
  /// Cost     one compare-exchange when free; never allocates.
  Lock<1> read() noexcept { return Lock<1>(*this); }
  /// Waits for the write lock.
  /// Returns  future of WriteGuard.
  /// Cancel   as read().
  Lock<kMaxReaders> write() noexcept { return Lock<kMaxReaders>(*this); }

  /// Must be locked for reading (checked, though under a writer only if nobody waits): by
  /// try_read(), or by a guard that was told to forget it.
  void read_unlock() noexcept {
    [[maybe_unused]] const auto free = semaphore_.unlock(1, kMaxReaders);
    // A writer has them all, as only so many readers could that there is no memory for.
    BLITZIO_DCHECK(free != 0 && "it is locked for writing");
  }
  /// Must be locked for writing (checked), in the same way.
  void write_unlock() noexcept { static_cast<void>(semaphore_.unlock(kMaxReaders, kMaxReaders)); }
  /// Guards for locks that try_read() and try_write() took.
  ReadGuard adopt_read() noexcept { return ReadGuard(*this); }
  WriteGuard adopt_write() noexcept { return WriteGuard(*this); }
  /// Turns a write lock into a read lock; nobody writes in between.
  ReadGuard downgrade(WriteGuard guard) noexcept {
    BLITZIO_CHECK(guard.lock_ == this);
    guard.lock_ = nullptr;
    semaphore_.release(kMaxReaders - 1);
    return ReadGuard(*this);
  }
  /// Whether somebody reads or writes; a snapshot.
  [[nodiscard]] bool is_locked() const noexcept {
    return semaphore_.available_permits() < kMaxReaders;
  }
  /// How many wait; a snapshot.
  [[nodiscard]] std::size_t waiter_count() noexcept { return semaphore_.waiter_count(); }

 private:
  template <std::uint32_t permits>
  static RwLockGuard<permits> guard(RwLock& lock) noexcept {
    return RwLockGuard<permits>(lock);
  }

  Semaphore semaphore_{kMaxReaders};
};

template <std::uint32_t permits>
void RwLockGuard<permits>::unlock() noexcept {
  RwLock* lock = std::exchange(lock_, nullptr);
  if (lock == nullptr) return;
  if constexpr (permits == 1) {
    lock->read_unlock();
  } else {
    lock->write_unlock();
  }
}

}  // namespace blitzio::sync
