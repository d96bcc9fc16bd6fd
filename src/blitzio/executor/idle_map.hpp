// `IdleMap`: which workers sleep, and how many look for work: decides whom a new task wakes.
//
// At most one worker is woken at a time: while one searches, nobody else is woken, and a searcher
// that finds work wakes the next. So a burst of tasks wakes as many workers as there is work for,
// one after the other, and not all at once for the first task.
//
//                 sleep                    wake (by whoever has work)
//     awake ───────────────▶ sleeping ─────────────────────────────▶ searching
//       ▲  │ nothing to do                                              │
//       │  └────────────────▶ searching ──── nothing found ──▶ sleeping │
//       └───────────────────────────── found work ──────────────────────┘
//
// No task is left behind with everybody asleep:
//
//     producer                               sleeper
//       queues the task       (seq_cst)        sets its bit, stops searching   (seq_cst)
//       reads searchers, bits (seq_cst)        looks at every queue again      (seq_cst)
//
// Either the producer sees the bit, and no searcher, and wakes the sleeper; or it saw a searcher,
// which looks again after it has stopped searching; or the sleeper sees the task.
//
// A searcher that sees something at its last look searches on: as long as it searched, nobody was
// woken for what came, and there may be more of it.
//
// Tasks in the ring of a worker that is awake are another matter: that worker will run them, and
// only a long poll keeps it from it. For these a sleeper may stand by (worker.hpp): it sleeps for a
// moment only and then looks again, so nobody need be woken meanwhile. Who stops standing by looks
// once more, and who finds that another one stands by leaves it to that one.
//
// Threads: any; a worker's own bit is set by itself.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/check.hpp>

#include <bit>
#include <cstdint>
#include <optional>

namespace blitzio::detail {

class IdleMap {
 public:
  static constexpr unsigned kWorkersMax = 64;

  /// After queueing a task: which worker to wake, if any. It counts as searching from now on.
  [[nodiscard]] std::optional<unsigned> choose() noexcept {
    for (;;) {
      // Seq_cst: after the task was queued; see above.
      if (searchers_.load(std::memory_order_seq_cst) != 0) return std::nullopt;
      std::uint64_t sleeping = sleeping_.load(std::memory_order_seq_cst);
      if (sleeping == 0) return std::nullopt;
      // One producer at a time goes on, so that one task does not wake two.
      std::uint32_t none = 0;
      if (!searchers_.compare_exchange_strong(none, 1, std::memory_order_seq_cst)) {
        return std::nullopt;
      }
      while (sleeping != 0) {
        const auto index = static_cast<unsigned>(std::countr_zero(sleeping));
        if (sleeping_.compare_exchange_weak(sleeping, sleeping & ~bit(index),
                                            std::memory_order_seq_cst)) {
          return index;
        }
      }
      // Everybody woke up by other means meanwhile. But another producer may have taken us for a
      // searcher, and a worker gone to sleep before it: so look again.
      searchers_.fetch_sub(1, std::memory_order_seq_cst);
    }
  }

  /// awake → searching. False if enough do so already.
  [[nodiscard]] bool begin_search() noexcept {
    std::uint32_t none = 0;
    return searchers_.compare_exchange_strong(none, 1, std::memory_order_seq_cst);
  }
  /// searching → awake. Returns whether nobody searches any more: then wake another, for there may
  /// be more where this work came from.
  [[nodiscard]] bool end_search() noexcept {
    return searchers_.fetch_sub(1, std::memory_order_seq_cst) == 1;
  }

  /// awake, searching → sleeping. Look at every queue again afterwards.
  void sleep(unsigned index, bool is_searching) noexcept {
    sleeping_.fetch_or(bit(index), std::memory_order_seq_cst);
    if (is_searching) searchers_.fetch_sub(1, std::memory_order_seq_cst);
  }
  /// sleeping → awake, or searching if somebody chose this worker. Returns true in the second case.
  [[nodiscard]] bool wake_up(unsigned index) noexcept {
    return (sleeping_.fetch_and(~bit(index), std::memory_order_seq_cst) & bit(index)) == 0;
  }
  /// sleeping → sleeping, standing by. False if another one does so already.
  [[nodiscard]] bool begin_standby() noexcept {
    // Seq_cst: if it reads that another one stands by, that one's next look comes later.
    return !has_standby_.exchange(true, std::memory_order_seq_cst);
  }
  /// Before a last look at the rings.
  void end_standby() noexcept {
    // Seq_cst: before the look that follows, which may be this worker's last before it sleeps.
    has_standby_.store(false, std::memory_order_seq_cst);
  }

  /// For a worker that has tasks to spare and has announced them (LocalRing): whether one might be
  /// woken for them. If not, nobody sleeps who has not looked, or will look, after it.
  [[nodiscard]] bool may_choose() const noexcept {
    // Seq_cst, all: after the tasks were announced; see the top.
    return sleeping_.load(std::memory_order_seq_cst) != 0 &&
           searchers_.load(std::memory_order_seq_cst) == 0 &&
           !has_standby_.load(std::memory_order_seq_cst);
  }
  /// How many sleep; a snapshot.
  [[nodiscard]] unsigned sleeping() const noexcept {
    // Relaxed: only divides the load.
    return static_cast<unsigned>(std::popcount(sleeping_.load(std::memory_order_relaxed)));
  }

 private:
  static constexpr std::uint64_t bit(unsigned index) noexcept { return std::uint64_t{1} << index; }

  // A bit per worker: it sleeps, or is about to. Set by the worker, cleared by it or by its waker.
  Atomic<std::uint64_t> sleeping_{0};
  // Workers that look for work of others.
  Atomic<std::uint32_t> searchers_{0};
  // A sleeper will look at the rings soon. Written by that one.
  Atomic<bool> has_standby_{false};
};

}  // namespace blitzio::detail
