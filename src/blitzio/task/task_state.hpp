// `TaskState`: a task's lifecycle, its flags and its reference count in one atomic word, so that
// every decision about a task is one read-modify-write.
//
//     63 … 6       5            4              3          2         1        0
//     references   join_waker   join_interest  cancelled  complete  running  scheduled
//
// The lifecycle (the last three bits):
//
//              schedule, cancel            start_running
//      idle ─────────────────▶ scheduled ────────────────▶ running ──complete──▶ complete
//       ▲                          ▲                        │   │ schedule, cancel    ▲
//       │        finish_poll       │       finish_poll      │   ▼                     │
//       └──────────────────────────┼────────────────────────┘ notified ───complete────┘
//                                  └─────────────────────────────┘
//
// idle       waits for a wake; nobody but wakers and the join handle reaches it.
// scheduled  in exactly one queue of its scheduler, or on the way there by whoever scheduled it.
// running    being polled by one thread, which owns the future.
// notified   running and scheduled: woken while running; polled again afterwards.
// complete   for ever; the result is stored; "scheduled" means nothing any more.
//
// schedule, cancel: any thread.  start_running, finish_poll, complete: the scheduler's thread.
//
// cancelled is only a request: the scheduler finds it in start_running() and drops the future
// there.
//
// References: the scheduler holds one from spawn to completion (so a queue needs none), the join
// handle one, each waker one.
//
// The join waker's field belongs to the join handle while join_waker is clear. Setting the bit
// lends it to whoever completes the task: if complete() finds it set, the completer owns the field
// for good; if the handle clears it first, the handle has it back. The result belongs to the handle
// if complete() finds join_interest set, else to the completer.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/check.hpp>

#include <cstdint>

namespace blitzio {

class TaskState {
 public:
  /// Scheduled, with two references: the scheduler's and the join handle's.
  TaskState() noexcept = default;

  // ---- any thread --------------------------------------------------------------------------

  /// idle → scheduled, running → notified. Returns true if the task was idle: the caller must hand
  /// it to its scheduler.
  [[nodiscard]] bool schedule() noexcept { return is_idle(add_flags(kScheduled)); }

  /// As schedule(), for a task that should be dropped instead of polled.
  [[nodiscard]] bool cancel() noexcept { return is_idle(add_flags(kScheduled | kCancelled)); }

  enum class WakeOutcome : std::uint8_t {
    done,     ///< nothing more to do
    enqueue,  ///< was idle: hand it to its scheduler
    destroy,  ///< that was the last reference
  };
  /// schedule() and release_ref() in one step: what a consumed waker does.
  [[nodiscard]] WakeOutcome schedule_and_release_ref() noexcept {
    // Relaxed: a guess that the compare-exchange verifies.
    std::uint64_t word = word_.load(std::memory_order_relaxed);
    // Acquire-release: release publishes what the waker's owner did before waking, pairs with the
    // acquire in start_running(); acquire, if this was the last reference, sees what the other
    // holders did (their release in release_ref()).
    while (!word_.compare_exchange_weak(word, (word | kScheduled) - kRef, std::memory_order_acq_rel,
                                        std::memory_order_relaxed)) {
    }
    BLITZIO_CHECK(word >= kRef, word);
    if (is_idle(word)) return WakeOutcome::enqueue;
    return word < 2 * kRef ? WakeOutcome::destroy : WakeOutcome::done;
  }

  void add_ref() noexcept {
    // Relaxed: a new reference is made from one that is held; nothing rides on the count going up.
    word_.fetch_add(kRef, std::memory_order_relaxed);
  }
  /// Returns true if that was the last one: destroy the task.
  [[nodiscard]] bool release_ref() noexcept {
    // Acquire-release: release publishes this holder's accesses, acquire lets the last holder see
    // everybody's; pairs with itself and with schedule_and_release_ref().
    const std::uint64_t before = word_.fetch_sub(kRef, std::memory_order_acq_rel);
    BLITZIO_CHECK(before >= kRef, before);
    return before < 2 * kRef;
  }

  /// Whether cancel() was called.
  [[nodiscard]] bool is_cancelled() const noexcept {
    // Acquire: pairs with the release in cancel(); what the canceller did before is visible.
    return (word_.load(std::memory_order_acquire) & kCancelled) != 0;
  }

  /// If true the result is visible to the caller.
  [[nodiscard]] bool is_complete() const noexcept {
    // Acquire: pairs with the release in complete().
    return (word_.load(std::memory_order_acquire) & kComplete) != 0;
  }

  // ---- the scheduler's thread --------------------------------------------------------------

  /// scheduled → running. Returns true if the future shall be dropped instead of polled.
  [[nodiscard]] bool start_running() noexcept {
    // Acquire: pairs with the release of every schedule(), so the poll sees what the wakers did.
    const std::uint64_t before = word_.fetch_add(kRunning - kScheduled, std::memory_order_acquire);
    BLITZIO_CHECK((before & kLifecycle) == kScheduled, before);
    return (before & kCancelled) != 0;
  }

  /// running → idle, notified → scheduled. Returns true in the second case: the caller must queue
  /// the task again. In the first the caller may not touch it any more.
  [[nodiscard]] bool finish_poll() noexcept {
    // Release: hands the future to the next poll, maybe on another thread; pairs with the acquire
    // in start_running() through the schedule() between, which continues the release sequence.
    const std::uint64_t before = word_.fetch_sub(kRunning, std::memory_order_release);
    BLITZIO_CHECK((before & (kRunning | kComplete)) == kRunning, before);
    return (before & kScheduled) != 0;
  }

  struct JoinSide {
    bool wants_result;  ///< the handle takes, or drops, the result
    bool has_waker;     ///< the caller owns the join waker now and wakes it
  };
  /// running or notified → complete; the result must be stored.
  [[nodiscard]] JoinSide complete() noexcept {
    // Acquire-release: release publishes the result, pairs with is_complete() and the join side's
    // transitions; acquire sees the join waker that lend_join_waker() published.
    const std::uint64_t before = word_.fetch_add(kComplete - kRunning, std::memory_order_acq_rel);
    BLITZIO_CHECK((before & (kRunning | kComplete)) == kRunning, before);
    return {(before & kJoinInterest) != 0, (before & kJoinWaker) != 0};
  }

  // ---- the join handle ---------------------------------------------------------------------

  /// Lends the join waker to the completer. Returns false if the task is complete: nobody will wake
  /// it and the field is still the handle's.
  [[nodiscard]] bool lend_join_waker() noexcept { return (add_flags(kJoinWaker) & kComplete) == 0; }
  /// Takes it back, to replace it. Returns false if the task is complete: the field is the
  /// completer's.
  [[nodiscard]] bool reclaim_join_waker() noexcept {
    return (remove_flags(kJoinWaker) & kComplete) == 0;
  }
  struct Detached {
    bool owns_result;  ///< complete: the handle must drop the result
    bool owns_waker;   ///< not complete: the join waker's field is the handle's again
  };
  [[nodiscard]] Detached detach() noexcept {
    const std::uint64_t before = remove_flags(kJoinInterest | kJoinWaker);
    BLITZIO_CHECK((before & kJoinInterest) != 0, before);
    const bool complete = (before & kComplete) != 0;
    return {complete, !complete};
  }

 private:
  static constexpr std::uint64_t kScheduled = 1;
  static constexpr std::uint64_t kRunning = 2;
  static constexpr std::uint64_t kComplete = 4;
  static constexpr std::uint64_t kLifecycle = kScheduled | kRunning | kComplete;
  static constexpr std::uint64_t kCancelled = 8;
  static constexpr std::uint64_t kJoinInterest = 16;
  static constexpr std::uint64_t kJoinWaker = 32;
  static constexpr std::uint64_t kRef = 64;

  static bool is_idle(std::uint64_t word) noexcept { return (word & kLifecycle) == 0; }

  // A read-modify-write even if the flags are set already: a waker that finds the task scheduled
  // must still publish what it did to the poll that is about to start, and a plain load could be
  // ordered before its own earlier stores.
  std::uint64_t add_flags(std::uint64_t flags) noexcept {
    // Acquire-release: release publishes the waker's work to start_running() and a lent join waker
    // to complete(); acquire sees the result if the task turns out complete.
    return word_.fetch_or(flags, std::memory_order_acq_rel);
  }
  std::uint64_t remove_flags(std::uint64_t flags) noexcept {
    // Acquire: sees the result if the task is complete; pairs with the release in complete().
    // Release: nothing written is handed over, but it keeps the release sequence of earlier writes.
    return word_.fetch_and(~flags, std::memory_order_acq_rel);
  }

  // Written by wakers, the scheduler's thread and the join handle; publishes the future from poll
  // to poll, the result to the handle and the join waker to the completer.
  Atomic<std::uint64_t> word_{2 * kRef | kJoinInterest | kScheduled};
};

static_assert(sizeof(TaskState) == 8);

}  // namespace blitzio
