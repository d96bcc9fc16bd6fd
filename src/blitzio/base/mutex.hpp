// `Mutex`, `MutexLock`, `CondVar`: the standard ones, with what the compiler and debug builds can
// check: clang verifies the annotations (-Wthread-safety), debug builds the ranks (lock_rank.hpp).
//
//     Mutex mutex_{LockRank::leaf};
//     int count_ BLITZIO_GUARDED_BY(mutex_) = 0;
//
// No lock is held while waking, calling user code or blocking: collect, unlock, then wake.
#pragma once

#include <blitzio/base/check.hpp>
#include <blitzio/base/instant.hpp>
#include <blitzio/base/lock_rank.hpp>
#include <blitzio/base/native_mutex.hpp>

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>

#if defined(__clang__)
#define BLITZIO_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define BLITZIO_THREAD_ATTRIBUTE(x)
#endif
/// A member that is touched only with the mutex held.
#define BLITZIO_GUARDED_BY(mutex) BLITZIO_THREAD_ATTRIBUTE(guarded_by(mutex))
/// A function that is called only with the mutex held.
#define BLITZIO_REQUIRES(...) BLITZIO_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
/// A function that locks the mutex itself.
#define BLITZIO_EXCLUDES(...) BLITZIO_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define BLITZIO_ACQUIRE(...) BLITZIO_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define BLITZIO_RELEASE(...) BLITZIO_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))

namespace blitzio {

namespace detail {

// The ranks that the calling thread holds, in the order of locking.
class HeldRanks {
 public:
  static void push(LockRank rank) noexcept {
    Held& held = mine();
    BLITZIO_CHECK(held.count < held.ranks.size(), held.count);
    BLITZIO_CHECK(held.count == 0 || held.ranks[held.count - 1] < rank, held.count,
                  static_cast<int>(rank));
    held.ranks[held.count++] = rank;
  }
  // Locks need not be released in reverse order; what is left stays sorted.
  static void remove(LockRank rank) noexcept {
    Held& held = mine();
    std::size_t at = held.count;
    while (at > 0 && held.ranks[at - 1] != rank) --at;
    BLITZIO_CHECK(at > 0, static_cast<int>(rank));
    for (; at < held.count; ++at) held.ranks[at - 1] = held.ranks[at];
    --held.count;
  }

 private:
  struct Held {
    std::array<LockRank, 8> ranks{};
    std::size_t count = 0;
  };
  static Held& mine() noexcept {
    thread_local Held held;
    return held;
  }
};

}  // namespace detail

/// Thread: any.
class BLITZIO_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
 public:
  explicit Mutex(LockRank rank) noexcept : rank_(rank) {}
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() noexcept BLITZIO_ACQUIRE() {
#if BLITZIO_DEBUG
    detail::HeldRanks::push(rank_);
#endif
    mutex_.lock();
  }
  void unlock() noexcept BLITZIO_RELEASE() {
    mutex_.unlock();
#if BLITZIO_DEBUG
    detail::HeldRanks::remove(rank_);
#endif
  }

 private:
  friend class CondVar;
  NativeMutex mutex_;
  [[maybe_unused]] LockRank rank_;
};

/// Holds a mutex for a scope; may give it up early.
class BLITZIO_THREAD_ATTRIBUTE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) noexcept BLITZIO_ACQUIRE(mutex) : mutex_(&mutex) {
    mutex.lock();
  }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;
  ~MutexLock() BLITZIO_RELEASE() {
    if (is_locked_) mutex_->unlock();
  }
  void unlock() noexcept BLITZIO_RELEASE() {
    is_locked_ = false;
    mutex_->unlock();
  }
  void lock() noexcept BLITZIO_ACQUIRE() {
    mutex_->lock();
    is_locked_ = true;
  }

 private:
  Mutex* mutex_;
  bool is_locked_ = true;
};

/// Waits may return without a notification: wait in a loop over the condition.
class CondVar {
 public:
  CondVar() noexcept = default;
  CondVar(const CondVar&) = delete;
  CondVar& operator=(const CondVar&) = delete;

  void wait(Mutex& mutex) noexcept BLITZIO_REQUIRES(mutex) {
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  /// Returns  false if `deadline` has passed. Instant::max() waits for ever.
  bool wait_until(Mutex& mutex, Instant deadline) noexcept BLITZIO_REQUIRES(mutex) {
    if (deadline == Instant::max()) {
      wait(mutex);
      return true;
    }
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    // The standard library's steady clock is CLOCK_MONOTONIC, as Instant is.
    const std::chrono::steady_clock::time_point until{
        std::chrono::nanoseconds{deadline.as_nanos()}};
    const auto status = condition_.wait_until(lock, until);
    lock.release();
    return status == std::cv_status::no_timeout;
  }
  void notify_one() noexcept { condition_.notify_one(); }
  void notify_all() noexcept { condition_.notify_all(); }

 private:
  NativeCondVar condition_;
};

}  // namespace blitzio
