// `FrameShelf`: where threads put lists of free blocks of one size, for others to take; see
// frame_pool.hpp. Nobody waits for it: who finds it in another thread's hands does without.
//
//            exchange: was free                  store
//     free ──────────────────────▶ in one thread's hands ──────▶ free
//
// Threads: any.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/cache_line.hpp>
#include <blitzio/base/frame_pool.hpp>

#include <cstddef>
#include <cstdint>
#include <new>

namespace blitzio::detail {

class alignas(kCacheLineBytes) FrameShelf {
 public:
  /// The first cell of a list stands for all of it.
  struct Batch : FrameCell {
    Batch* below;
    std::uint32_t cells;
  };
  static_assert(sizeof(Batch) <= FramePool::kLeastBytes);

  /// Takes over the list of `cells` cells. False if there would be more than `cells_max` here, or
  /// somebody else is.
  [[nodiscard]] bool put(FrameCell* first, std::uint32_t cells, std::size_t cells_max) noexcept {
    // A guess, so that a thread that finds it full writes nothing.
    if (!has_room(cells, cells_max) || !take_hold()) return false;
    const bool fits = has_room(cells, cells_max);
    if (fits) {
      FrameCell* second = first->next;
      // Relaxed: only who holds the shelf changes it; what that one wrote was acquired with it.
      Batch* top = top_.load(std::memory_order_relaxed);
      top_.store(::new (static_cast<void*>(first)) Batch{{second}, top, cells},
                 std::memory_order_relaxed);
      add_cells(cells);
    }
    let_go();
    return fits;
  }
  /// Returns  what was put last; null if nothing is there, or somebody else is.
  [[nodiscard]] Batch* take() noexcept {
    // Relaxed: a guess, so that a thread that finds nothing writes nothing.
    if (top_.load(std::memory_order_relaxed) == nullptr || !take_hold()) return nullptr;
    Batch* top = top_.load(std::memory_order_relaxed);  // Relaxed: as in put().
    if (top != nullptr) {
      top_.store(top->below, std::memory_order_relaxed);
      add_cells(-std::size_t{top->cells});
    }
    let_go();
    return top;
  }

 private:
  [[nodiscard]] bool has_room(std::uint32_t cells, std::size_t cells_max) const noexcept {
    // Relaxed: as top_.
    return cells_.load(std::memory_order_relaxed) + cells <= cells_max;
  }
  void add_cells(std::size_t number) noexcept {
    // Relaxed, both: as top_.
    cells_.store(cells_.load(std::memory_order_relaxed) + number, std::memory_order_relaxed);
  }
  // Acquire: pairs with the release in let_go(), so the batches are as the last holder left them.
  [[nodiscard]] bool take_hold() noexcept {
    return !is_held_.exchange(true, std::memory_order_acquire);
  }
  void let_go() noexcept { is_held_.store(false, std::memory_order_release); }

  // Written by the holder of the shelf; guesses of others are verified by holding it.
  Atomic<bool> is_held_{false};
  Atomic<Batch*> top_{nullptr};
  Atomic<std::size_t> cells_{0};
};

}  // namespace blitzio::detail
