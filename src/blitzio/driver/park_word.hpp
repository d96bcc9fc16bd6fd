// `ParkWord`: the handshake between one sleeper and many wakers. At most one wake-up syscall per
// sleep, none while the owner is awake, and no wake is ever lost.
//
//            notify                       notify (must interrupt)
//   notified ◀────── awake ──begin_sleep──▶ sleeping ──────────────▶ notified
//      │               ▲                        │                       │
//      │ begin_sleep   │        end_sleep       │                       │
//      └─ (no sleep) ──┴────────────────────────┴───────────────────────┘
//
// awake     the owner runs; it will look at its queues before it sleeps.
// notified  a wake came since; the next begin_sleep() refuses.
// sleeping  the owner is, or is about to be, blocked in the kernel.
// notify: any thread. begin_sleep, end_sleep: the owner.
#pragma once

#include <blitzio/base/atomic.hpp>

#include <cstdint>

namespace blitzio::driver {

class ParkWord {
 public:
  /// Returns true if the owner sleeps and the caller must interrupt it: at most one caller per
  /// sleep.
  [[nodiscard]] bool notify() noexcept {
    // Acquire-release: the release half publishes what the caller queued before, pairs with the
    // acquire in begin_sleep() and end_sleep(); the acquire half orders a second notifier after the
    // first, whose release it must carry on.
    return word_.exchange(kNotified, std::memory_order_acq_rel) == kSleeping;
  }

  /// Announces the sleep. Returns false, and is awake, if a wake came: do not block.
  [[nodiscard]] bool begin_sleep() noexcept {
    std::uint32_t expected = kAwake;
    // Acquire on failure: pairs with the release in notify(); the owner then sees what was queued.
    // Acquire-release on success: a later notify() reads this write and knows it must interrupt.
    if (word_.compare_exchange_strong(expected, kSleeping, std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
      return true;
    }
    end_sleep();
    return false;
  }

  void end_sleep() noexcept {
    // Acquire: pairs with the release in notify(). A read-modify-write rather than a store, so that
    // a notify() between is either seen here or leaves its mark for the next begin_sleep().
    word_.exchange(kAwake, std::memory_order_acq_rel);
  }

 private:
  static constexpr std::uint32_t kAwake = 0;
  static constexpr std::uint32_t kNotified = 1;
  static constexpr std::uint32_t kSleeping = 2;

  // Written by the owner and by every waker; publishes what wakers queued.
  Atomic<std::uint32_t> word_{kAwake};
};

}  // namespace blitzio::driver
