// `LocalRing`: a worker's queue of ready tasks: the owner pushes and pops, others steal half of it.
//
// 256 slots (a model checker's scenario has fewer). The owner alone moves the tail; the head is a
// pair, packed into one word:
//
//     63 … 32          31 … 0
//     steal            head
//
//     steal == head    nobody is stealing
//     steal != head    a thief has claimed [steal, head) and is copying it; the owner may pop from
//                      head on but not write into the claimed slots, and others do not steal
//
// A thief claims half of the tasks with one compare-exchange, copies them into its own ring, and
// gives the slots back with another. Positions count up and wrap around at 2^32; a slot is its
// position modulo their number.
//
// push, pop, announce: the owner. steal_into: another worker, into its own ring. size, is_empty:
// any.
//
// Source: the local queue of Tokio's multi-thread scheduler, which goes back to Go's.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/cache_line.hpp>
#include <blitzio/base/check.hpp>
#include <blitzio/base/platform.hpp>
#include <blitzio/task/task.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace blitzio::detail {

template <std::uint32_t slots>
class BasicLocalRing {
  static_assert(std::has_single_bit(slots));  // positions wrap around

 public:
  static constexpr std::uint32_t kSlots = slots;

  BasicLocalRing() noexcept = default;
  BasicLocalRing(const BasicLocalRing&) = delete;
  BasicLocalRing& operator=(const BasicLocalRing&) = delete;
  ~BasicLocalRing() { BLITZIO_CHECK(is_empty()); }

  /// Appends `task`. Returns false, and does nothing, if the ring is full.
  [[nodiscard]] bool push(Task& task) noexcept {
    // Relaxed: only the owner writes the tail.
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    // Acquire: pairs with the release of a thief that gives its slots back; it has read them.
    const std::uint32_t steal = steal_of(heads_.load(std::memory_order_acquire));
    if (BLITZIO_UNLIKELY(tail - steal >= kSlots)) return false;
    // Relaxed: published by the tail.
    slot(tail).store(&task, std::memory_order_relaxed);
    // Release: publishes the slot and the task; pairs with the acquire in steal_into().
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  /// Takes the oldest task; null if there is none.
  [[nodiscard]] Task* pop() noexcept {
    // Relaxed: a guess that the compare-exchange verifies.
    std::uint64_t heads = heads_.load(std::memory_order_relaxed);
    for (;;) {
      const std::uint32_t head = head_of(heads);
      // Relaxed: only the owner writes the tail.
      if (head == tail_.load(std::memory_order_relaxed)) return nullptr;
      const std::uint32_t steal = steal_of(heads);
      // Without a thief both ends move; else only ours, and the thief closes the gap.
      const std::uint64_t next = pack(steal == head ? head + 1 : steal, head + 1);
      // Acquire-release against thieves, which claim by the same exchange; the task itself was
      // written by this thread. Seq_cst, as it announces the tasks that are left.
      if (heads_.compare_exchange_weak(heads, next, std::memory_order_seq_cst,
                                       std::memory_order_relaxed)) {
        // Relaxed: written by this thread.
        return slot(head).load(std::memory_order_relaxed);
      }
    }
  }

  /// What was pushed comes before what the owner reads next, as after a pop(): either a sleeper's
  /// last look sees it, or the owner sees the sleeper (idle_map.hpp).
  void announce() noexcept {
    // Changes nothing. Seq_cst: pairs with is_empty(), which reads it first and then the tail.
    heads_.fetch_add(0, std::memory_order_seq_cst);
  }

  /// Moves half of this ring's tasks, rounded up, to `thief`, which must be empty, all but the last
  /// of them; that one is returned, to be run at once. Null if there was nothing, or another thief
  /// was at work.
  [[nodiscard]] Task* steal_into(BasicLocalRing& thief) noexcept {
    // Relaxed: only its owner, the caller, writes it.
    const std::uint32_t to = thief.tail_.load(std::memory_order_relaxed);
    // Relaxed: a guess that the compare-exchange verifies.
    std::uint64_t heads = heads_.load(std::memory_order_relaxed);
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    std::uint64_t claimed = 0;
    do {
      first = head_of(heads);
      if (steal_of(heads) != first) return nullptr;
      // Acquire: pairs with the release in push(); slots before the tail are visible.
      const std::uint32_t available = tail_.load(std::memory_order_acquire) - first;
      // A head read before others popped may make it look longer than a ring is.
      count = available > kSlots ? 0 : available - available / 2;
      if (count == 0) return nullptr;
      claimed = pack(first, first + count);
      // Acquire-release: as in pop().
    } while (!heads_.compare_exchange_weak(heads, claimed, std::memory_order_acq_rel,
                                           std::memory_order_relaxed));
    for (std::uint32_t i = 0; i + 1 < count; ++i) {
      // Relaxed, both: published by the tail that was acquired above, and by the one stored below.
      thief.slot(to + i).store(slot(first + i).load(std::memory_order_relaxed),
                               std::memory_order_relaxed);
    }
    // Relaxed: published by the tail that was acquired above.
    Task* last = slot(first + count - 1).load(std::memory_order_relaxed);
    // Gives the slots back; the owner may have popped meanwhile, which moved the head only.
    // Relaxed: a guess that the compare-exchange verifies.
    heads = heads_.load(std::memory_order_relaxed);
    // Release: the slots have been read; pairs with the acquire in push().
    while (!heads_.compare_exchange_weak(heads, pack(head_of(heads), head_of(heads)),
                                         std::memory_order_acq_rel, std::memory_order_relaxed)) {
    }
    if (count > 1) {
      // Release: publishes what was copied; pairs with the acquire of the next thief.
      thief.tail_.store(to + count - 1, std::memory_order_release);
    }
    return last;
  }

  /// How many tasks there are, a snapshot; others may be stealing some of them.
  [[nodiscard]] std::uint32_t size() const noexcept {
    // Acquire: a tail that is read after a head is not behind it, or there would seem to be 2^32.
    const std::uint32_t head = head_of(heads_.load(std::memory_order_acquire));
    // Relaxed: a snapshot.
    return tail_.load(std::memory_order_relaxed) - head;
  }
  /// A snapshot. Seq_cst, so that it can be a sleeper's last look (idle_map.hpp).
  [[nodiscard]] bool is_empty() const noexcept {
    const std::uint32_t head = head_of(heads_.load(std::memory_order_seq_cst));
    return head == tail_.load(std::memory_order_seq_cst);
  }

 private:
  static constexpr std::uint32_t head_of(std::uint64_t heads) noexcept {
    return static_cast<std::uint32_t>(heads);
  }
  static constexpr std::uint32_t steal_of(std::uint64_t heads) noexcept {
    return static_cast<std::uint32_t>(heads >> 32);
  }
  static constexpr std::uint64_t pack(std::uint32_t steal, std::uint32_t head) noexcept {
    return (std::uint64_t{steal} << 32) | head;
  }
  [[nodiscard]] Atomic<Task*>& slot(std::uint32_t position) noexcept {
    return slots_[position % kSlots];
  }

  // Written by the owner (pop) and by thieves; hands slots over.
  alignas(kCacheLineBytes) Atomic<std::uint64_t> heads_{0};
  // Written by the owner; publishes the slots before it.
  alignas(kCacheLineBytes) Atomic<std::uint32_t> tail_{0};
  std::array<Atomic<Task*>, kSlots> slots_{};
};

using LocalRing = BasicLocalRing<256>;

}  // namespace blitzio::detail
