// `blitzio.sync.Guard` in C++: what holds a RwLock, or permits of a Semaphore.
//
//           acquire begins              granted
//   free ──────────────────▶ acquiring ─────────▶ held
//    ▲                           │ │ granted        │ with: once, and nothing is acquired
//    │                           │ ▼ to a `with`    ▼
//    │                           │ entered ◀────────┤
//    │                           │ dropped          │ from held and entered: release, forget,
//    └───────────────────────────┴──────────────────┘ the block's end, or the guard dies
//
// Threads: any. A guard is for one holder at a time; of several that would take the same edge only
// one does.
#pragma once

#include <blitzio/sync/rw_lock.hpp>
#include <blitzio/sync/semaphore.hpp>
#include <python/bindings/box.hpp>

#include <cstdint>

namespace blitzio::python {

using SemaphoreBox = Box<sync::Semaphore>;
using RwLockBox = Box<sync::RwLock>;

/// Gives permits back, or adds new ones. False if there would be more than there can be.
[[nodiscard]] inline bool release_permits(PyObject* semaphore, std::uint32_t count) noexcept {
  return SemaphoreBox::of(semaphore).value.try_release(count);
}

enum class GuardKind : std::uint8_t { read, write, permits };

class PyGuard {
 public:
  enum class State : std::uint8_t { free, acquiring, held, entered };

  PyGuard(PyObject* lock, GuardKind kind, std::uint32_t count) noexcept
      : lock_(PyRef::borrow(lock)), kind_(kind), count_(count) {}
  PyGuard(const PyGuard&) = delete;
  PyGuard& operator=(const PyGuard&) = delete;
  // Not in a tp_clear: a pending acquisition, collected with the guard, still needs the lock.
  ~PyGuard() {
    if (let_go()) static_cast<void>(give_back());
  }

  int traverse(visitproc visit, void* arg) noexcept {
    Py_VISIT(lock_.get());
    return 0;
  }

  /// The edge `from` → `to`. Returns false if the guard is in another state.
  [[nodiscard]] bool step(State from, State to) noexcept {
    // Acquire-release: publishes `kind_`, which downgrade() changes; pairs with itself. Relaxed on
    // failure: nothing is read.
    return state_.compare_exchange_strong(from, to, std::memory_order_acq_rel,
                                          std::memory_order_relaxed);
  }
  /// To free, if it holds something. What that was is the caller's to give back, or to keep.
  [[nodiscard]] bool let_go() noexcept {
    return step(State::entered, State::free) || step(State::held, State::free);
  }
  [[nodiscard]] bool is_held() const noexcept {
    // Relaxed: a snapshot.
    const State state = state_.load(std::memory_order_relaxed);
    return state == State::held || state == State::entered;
  }
  [[nodiscard]] bool try_acquire() noexcept {
    switch (kind()) {
      case GuardKind::read:
        return rw_lock().try_read();
      case GuardKind::write:
        return rw_lock().try_write();
      case GuardKind::permits:
        return semaphore().try_acquire(count_);
    }
    return false;
  }
  /// What was held is free again. False if release_permits() refused.
  [[nodiscard]] bool give_back() noexcept {
    switch (kind()) {
      case GuardKind::read:
        rw_lock().read_unlock();
        return true;
      case GuardKind::write:
        rw_lock().write_unlock();
        return true;
      case GuardKind::permits:
        return release_permits(lock_.get(), count_);
    }
    return true;
  }
  /// Turns a write lock into a read lock. Returns false if it holds none.
  [[nodiscard]] bool downgrade() noexcept {
    // Nobody gives back meanwhile what is being changed.
    const State from = step(State::entered, State::acquiring) ? State::entered : State::held;
    if (from == State::held && !step(State::held, State::acquiring)) return false;
    const bool is_write = kind() == GuardKind::write;
    if (is_write) {
      rw_lock().downgrade(rw_lock().adopt_write()).forget();
      // Relaxed: who reads it otherwise takes a snapshot.
      kind_.store(GuardKind::read, std::memory_order_relaxed);
    }
    static_cast<void>(step(State::acquiring, from));
    return is_write;
  }
  [[nodiscard]] GuardKind kind() const noexcept { return kind_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  [[nodiscard]] sync::RwLock& rw_lock() noexcept { return RwLockBox::of(lock_.get()).value; }
  [[nodiscard]] sync::Semaphore& semaphore() noexcept {
    return SemaphoreBox::of(lock_.get()).value;
  }

 private:
  PyRef lock_;
  Atomic<GuardKind> kind_;  // changed by the holder, between two steps
  const std::uint32_t count_;
  // By whoever acquires and releases.
  Atomic<State> state_{State::free};
};

using GuardBox = Box<PyGuard>;
using GuardState = PyGuard::State;

}  // namespace blitzio::python
