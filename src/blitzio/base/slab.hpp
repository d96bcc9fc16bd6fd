// `Slab<T>`: memory for many objects of one type that come and go: blocks of cells and a list of
// the free ones. Making an object is a pop, destroying it a push; the most recently freed cell, the
// warmest, is used next. Blocks are kept until the slab goes.
//
//   blocks_ ─▶ [cell cell cell …] ─▶ [cell cell cell …]
//   free_   ─▶ cell ─▶ cell ─▶ null          (the link lies in the free cell itself)
//
// Threads: owner only.
#pragma once

#include <blitzio/base/check.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace blitzio {

template <class T, std::size_t kCellsPerBlock = 64>
class Slab {
 public:
  Slab() noexcept = default;
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;
  /// Every object must have been destroyed.
  ~Slab() {
    BLITZIO_CHECK(size_ == 0, size_);
    while (blocks_ != nullptr) delete std::exchange(blocks_, blocks_->next);
  }

  /// Returns  a new object; null if there is no memory for another block.
  /// Cost     an allocation once per kCellsPerBlock objects that are alive together.
  template <class... Args>
  [[nodiscard]] T* create(Args&&... args) {
    if (free_ == nullptr && !grow()) return nullptr;
    // Popped before the constructor runs: it may create others.
    Cell* cell = std::exchange(free_, free_->next);
    T* object = nullptr;
    if constexpr (std::is_nothrow_constructible_v<T, Args...>) {
      object = ::new (static_cast<void*>(cell)) T(std::forward<Args>(args)...);
    } else {
      try {
        object = ::new (static_cast<void*>(cell)) T(std::forward<Args>(args)...);
      } catch (...) {
        push(cell);
        throw;
      }
    }
    ++size_;
    return object;
  }
  /// `object` must come from this slab.
  void destroy(T& object) noexcept {
    std::destroy_at(&object);
    push(static_cast<void*>(&object));
    BLITZIO_CHECK(size_ > 0);
    --size_;
  }
  /// Objects alive.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Cells allocated.
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

 private:
  union Cell {
    Cell() noexcept : next(nullptr) {}
    ~Cell() {}
    Cell* next;
    T object;
  };
  struct Block {
    std::array<Cell, kCellsPerBlock> cells;
    Block* next = nullptr;
  };

  void push(void* memory) noexcept {
    Cell* cell = ::new (memory) Cell;
    cell->next = std::exchange(free_, cell);
  }
  bool grow() noexcept {
    auto* block = new (std::nothrow) Block;
    if (block == nullptr) return false;
    block->next = std::exchange(blocks_, block);
    capacity_ += kCellsPerBlock;
    for (auto cell = block->cells.rbegin(); cell != block->cells.rend(); ++cell) {
      cell->next = std::exchange(free_, &*cell);
    }
    return true;
  }

  Block* blocks_ = nullptr;
  Cell* free_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace blitzio
