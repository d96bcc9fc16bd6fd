// `Ring<T>`: a bounded queue that many threads push to and pop from without a lock.
//
// Each slot carries a stamp that says whose turn it is. A position is an index and a lap; the
// stamps of a slot go up by turns:
//
//     stamp == position       free: the pusher of this position writes, then stores position + 1
//     stamp == position + 1   full: the popper of this position reads, then stores the position
//                             one lap on
//
// A push is a compare-exchange on tail_, a write and a store; a pop the same on head_. The mark bit
// of tail_ says that the ring is closed.
//
//     63 … k+1   k      k-1 … 0
//     lap        mark   index        2^k > capacity
//
// Source: D. Vyukov's bounded MPMC queue; laps and mark as in crossbeam, for any capacity from 1.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/cache_line.hpp>
#include <blitzio/base/check.hpp>
#include <blitzio/base/platform.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace blitzio::channel::detail {

enum class RingStatus : std::uint8_t {
  done,
  busy,    ///< another thread is in the middle of the slot's turn: soon
  full,    ///< push only
  empty,   ///< pop only
  closed,  ///< push: closed; pop: closed and empty
};

/// Thread: any. T's move constructor must not throw.
template <class T>
class Ring {
  static_assert(std::is_nothrow_move_constructible_v<T>);

 public:
  /// `capacity` is at least 1.
  explicit Ring(std::size_t capacity)
      : capacity_(capacity),
        mark_(std::bit_ceil(capacity + 1)),
        slots_(std::make_unique_for_overwrite<Slot[]>(capacity)) {
    BLITZIO_CHECK(capacity > 0);
    for (std::size_t i = 0; i < capacity; ++i) {
      // Relaxed: nobody else has the ring yet.
      slots_[i].stamp.store(i, std::memory_order_relaxed);
    }
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring() {
    while (pop_with([](T&&) noexcept {}) == RingStatus::done) {
    }
  }

  /// Moves `value` in if the answer is done; leaves it alone otherwise.
  [[nodiscard]] RingStatus push(T& value) noexcept {
    // Relaxed: a guess that the compare-exchange verifies.
    std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    for (;;) {
      if (BLITZIO_UNLIKELY((tail & mark_) != 0)) return RingStatus::closed;
      Slot& slot = slots_[tail & (mark_ - 1)];
      // Acquire: pairs with the release in pop_with(); the popper is done with the slot.
      const std::uint64_t stamp = slot.stamp.load(std::memory_order_acquire);
      if (BLITZIO_LIKELY(stamp == tail)) {
        // Seq_cst: a notifier reads the queue of waiting poppers after it (sync/wait_queue.hpp).
        // Relaxed on failure: a fresh guess.
        if (tail_.compare_exchange_weak(tail, next(tail), std::memory_order_seq_cst,
                                        std::memory_order_relaxed)) {
          std::construct_at(slot.value(), std::move(value));
          // Release: publishes the value, pairs with the acquire in pop_with().
          slot.stamp.store(tail + 1, std::memory_order_release);
          return RingStatus::done;
        }
        continue;
      }
      // Seq_cst: the second look of a waiting pusher; see is_full_at().
      const std::uint64_t now = tail_.load(std::memory_order_seq_cst);
      if (now != tail) {
        tail = now;
        continue;
      }
      return is_full_at(tail) ? RingStatus::full : RingStatus::busy;
    }
  }

  /// Calls `take(T&&)` with the oldest value.
  template <class Take>
  [[nodiscard]] RingStatus pop_with(Take&& take) noexcept {
    // Relaxed: a guess that the compare-exchange verifies.
    std::uint64_t head = head_.load(std::memory_order_relaxed);
    for (;;) {
      Slot& slot = slots_[head & (mark_ - 1)];
      // Acquire: pairs with the release in push(); the value is visible.
      const std::uint64_t stamp = slot.stamp.load(std::memory_order_acquire);
      if (BLITZIO_LIKELY(stamp == head + 1)) {
        // Seq_cst: a notifier reads the queue of waiting pushers after it. Relaxed on failure: a
        // fresh guess.
        if (head_.compare_exchange_weak(head, next(head), std::memory_order_seq_cst,
                                        std::memory_order_relaxed)) {
          take(std::move(*slot.value()));
          std::destroy_at(slot.value());
          // Release: hands the slot over, pairs with the acquire in push().
          slot.stamp.store(head + 2 * mark_, std::memory_order_release);
          return RingStatus::done;
        }
        continue;
      }
      // Seq_cst: the second look of a waiting popper (sync/wait_queue.hpp).
      const std::uint64_t tail = tail_.load(std::memory_order_seq_cst);
      // Relaxed: only to see whether the guess is out of date.
      const std::uint64_t now = head_.load(std::memory_order_relaxed);
      if (now != head) {
        head = now;
        continue;
      }
      if ((tail & ~mark_) == head) {
        return (tail & mark_) != 0 ? RingStatus::closed : RingStatus::empty;
      }
      return RingStatus::busy;
    }
  }

  /// Calls `visit(T&)` on each value, oldest first. Nobody may push or pop meanwhile.
  template <class Visit>
  void for_each(Visit&& visit) noexcept {
    // Relaxed, both: nobody else uses the ring.
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed) & ~mark_;
    for (std::uint64_t at = head_.load(std::memory_order_relaxed); at != tail; at = next(at)) {
      visit(*slots_[at & (mark_ - 1)].value());
    }
  }

  /// No push succeeds afterwards. Returns whether this call closed it.
  bool close() noexcept {
    // Seq_cst: a notifier reads both queues of waiters after it.
    return (tail_.fetch_or(mark_, std::memory_order_seq_cst) & mark_) == 0;
  }
  [[nodiscard]] bool is_closed() const noexcept {
    // Relaxed: a snapshot.
    return (tail_.load(std::memory_order_relaxed) & mark_) != 0;
  }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  /// A snapshot.
  [[nodiscard]] std::size_t size() const noexcept {
    for (;;) {
      // Seq_cst: both ends as they were at one moment, if the tail has not moved meanwhile.
      const std::uint64_t tail = tail_.load(std::memory_order_seq_cst);
      const std::uint64_t head = head_.load(std::memory_order_seq_cst);
      if (tail_.load(std::memory_order_seq_cst) != tail) continue;
      const std::uint64_t first = head & (mark_ - 1);
      const std::uint64_t last = tail & (mark_ - 1);
      if (first < last) return last - first;
      if (first > last) return capacity_ - first + last;
      return (tail & ~mark_) == head ? 0 : capacity_;
    }
  }

 private:
  struct Slot {
    // Written by pushers and poppers in turn; publishes the value, and the free slot.
    Atomic<std::uint64_t> stamp;
    alignas(T) std::byte bytes[sizeof(T)];
    [[nodiscard]] T* value() noexcept { return reinterpret_cast<T*>(bytes); }
  };

  [[nodiscard]] std::uint64_t next(std::uint64_t position) const noexcept {
    const std::uint64_t index = position & (mark_ - 1);
    if (BLITZIO_LIKELY(index + 1 < capacity_)) return position + 1;
    // Index 0 of the next lap; the mark bit of a position is never set.
    return position - index + 2 * mark_;
  }
  [[nodiscard]] bool is_full_at(std::uint64_t tail) const noexcept {
    // Seq_cst: the second look of a waiting pusher (sync/wait_queue.hpp).
    const std::uint64_t head = head_.load(std::memory_order_seq_cst);
    return head + 2 * mark_ == tail;
  }

  const std::size_t capacity_;
  const std::uint64_t mark_;
  const std::unique_ptr<Slot[]> slots_;
  // Written by poppers.
  alignas(kCacheLineBytes) Atomic<std::uint64_t> head_{0};
  // Written by pushers and close().
  alignas(kCacheLineBytes) Atomic<std::uint64_t> tail_{0};
};

}  // namespace blitzio::channel::detail
