// `Mutex`: mutual exclusion between tasks: who finds it locked waits without blocking the thread.
//
// A Semaphore of one permit, so it is fair in the same way: unlock() hands the lock to the waiter
// that came first, and nobody overtakes. Not recursive; the guard may be held across awaits and
// moved to another thread.
#pragma once

#include <blitzio/sync/semaphore.hpp>

namespace blitzio::sync {

class Mutex;

/// Holds a Mutex; unlocks it when it goes out of scope.
class [[nodiscard]] MutexGuard {
 public:
  MutexGuard(MutexGuard&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
  MutexGuard& operator=(MutexGuard&& other) noexcept {
    if (this != &other) {
      unlock();
      mutex_ = std::exchange(other.mutex_, nullptr);
    }
    return *this;
  }
  MutexGuard(const MutexGuard&) = delete;
  MutexGuard& operator=(const MutexGuard&) = delete;
  ~MutexGuard() { unlock(); }

  /// Unlocks now. The guard is empty afterwards.
  void unlock() noexcept;
  /// Leaves the mutex locked: Mutex::unlock() is somebody else's duty now.
  void forget() noexcept { mutex_ = nullptr; }
  [[nodiscard]] bool is_empty() const noexcept { return mutex_ == nullptr; }
  /// The mutex held; null if empty.
  [[nodiscard]] Mutex* mutex() const noexcept { return mutex_; }

 private:
  friend class Mutex;
  explicit MutexGuard(Mutex& mutex) noexcept : mutex_(&mutex) {}

  Mutex* mutex_;
};

/// Thread: any. Outlives its futures and guards.
class Mutex {
 public:
  Mutex() noexcept = default;

  /// Locks if nobody holds it and nobody waits. Unlock with unlock(), or adopt() it into a guard.
  [[nodiscard]] bool try_lock() noexcept { return semaphore_.try_acquire_all(1); }

  class [[nodiscard]] Lock {
   public:
    using Output = MutexGuard;
    Poll<Output> poll(Context& context) noexcept {
      if (wait_.poll(context) == detail::Outcome::waiting) return pending;
      return MutexGuard(*mutex_);
    }

   private:
    friend class Mutex;
    explicit Lock(Mutex& mutex) noexcept : mutex_(&mutex), wait_(mutex.semaphore_, 1) {}

    Mutex* mutex_;
    detail::AcquireWait wait_;
  };

  /// Waits for the lock.
  /// Returns  future of MutexGuard.
  /// Cancel   dropping the future leaves the queue; a lock already granted goes to the next waiter.
  /// Cost     one compare-exchange when free; never allocates.
  Lock lock() noexcept { return Lock(*this); }

  /// Must be locked (checked): by try_lock(), or by a guard that was told to forget it. Whoever has
  /// that duty may be another task or thread than the one that locked it.
  void unlock() noexcept { static_cast<void>(semaphore_.unlock(1, 1)); }
  /// A guard for a lock that try_lock() took.
  MutexGuard adopt() noexcept { return MutexGuard(*this); }
  /// A snapshot.
  [[nodiscard]] bool is_locked() const noexcept { return semaphore_.available_permits() == 0; }
  /// How many wait; a snapshot.
  [[nodiscard]] std::size_t waiter_count() noexcept { return semaphore_.waiter_count(); }

 private:
  Semaphore semaphore_{1};
};

inline void MutexGuard::unlock() noexcept {
  if (Mutex* mutex = std::exchange(mutex_, nullptr)) mutex->unlock();
}

}  // namespace blitzio::sync
