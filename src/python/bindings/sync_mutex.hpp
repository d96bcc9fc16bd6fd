// `blitzio.sync.Mutex` in C++: what Condition needs of it.
#pragma once

#include <blitzio/sync/mutex.hpp>
#include <python/bindings/box.hpp>

namespace blitzio::python {

/// Thread: any.
class PyMutexLock {
 public:
  [[nodiscard]] bool try_lock() noexcept {
    if (!mutex_.try_lock()) return false;
    mark_held();
    return true;
  }
  /// For who has got the mutex from the core.
  void mark_held() noexcept {
    // Relaxed: the mutex itself orders its holders.
    is_held_.store(true, std::memory_order_relaxed);
  }
  /// Of several that unlock at once only one succeeds. Returns false if it is not locked.
  [[nodiscard]] bool take_held() noexcept {
    // Relaxed: as above.
    return is_held_.exchange(false, std::memory_order_relaxed);
  }
  [[nodiscard]] sync::Mutex& mutex() noexcept { return mutex_; }

 private:
  sync::Mutex mutex_;
  // Set by whoever locks, cleared by whoever unlocks: a mistaken unlock() is an exception in
  // Python, where the core takes it for a bug of its own. Not while the mutex is on its way to the
  // waiter that is next, and locked all the same.
  Atomic<bool> is_held_{false};
};

/// A future that ends with the mutex locked; see mark_held().
class LockMutex {
 public:
  using Output = void;
  explicit LockMutex(PyMutexLock& mutex) noexcept : mutex_(&mutex), lock_(mutex.mutex().lock()) {}
  Poll<void> poll(Context& context) noexcept {
    auto answer = lock_.poll(context);
    if (answer.is_pending()) return pending;
    std::move(answer).take().forget();
    mutex_->mark_held();
    return ready;
  }

 private:
  PyMutexLock* mutex_;
  sync::Mutex::Lock lock_;
};

[[nodiscard]] int mutex_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
