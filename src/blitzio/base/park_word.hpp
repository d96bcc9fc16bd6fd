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
//
// Who has nothing else to sleep in sleeps on the word itself: sleep(), and interrupt() by whom
// notify() told to.
//
// notify, interrupt: any thread. The rest: the owner.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/futex.hpp>
#include <blitzio/base/instant.hpp>

#include <cstdint>

namespace blitzio {

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

  /// Returns whether a wake came.
  bool end_sleep() noexcept {
    // Acquire: pairs with the release in notify(). A read-modify-write rather than a store, so that
    // a notify() between is either seen here or leaves its mark for the next begin_sleep().
    return word_.exchange(kAwake, std::memory_order_acq_rel) == kNotified;
  }

  /// Whether begin_sleep() would refuse.
  [[nodiscard]] bool is_notified() const noexcept {
    // Relaxed: a hint; begin_sleep() or end_sleep() follows, and acquires.
    return word_.load(std::memory_order_relaxed) == kNotified;
  }

  /// Between begin_sleep() and end_sleep(): sleeps until it is interrupted, or `deadline`. May
  /// return for no reason.
  /// Returns  false if the deadline has passed.
  bool sleep(Instant deadline) noexcept { return futex_wait(word_, kSleeping, deadline); }
  /// Ends sleep(). The word may be gone.
  void interrupt() noexcept { futex_wake_one(word_); }

 private:
  static constexpr std::uint32_t kAwake = 0;
  static constexpr std::uint32_t kNotified = 1;
  static constexpr std::uint32_t kSleeping = 2;

  // Written by the owner and by every waker; publishes what wakers queued.
  Atomic<std::uint32_t> word_{kAwake};
};

}  // namespace blitzio
