// A stack of dead objects of one type that are ready to be used again: making a handle then costs
// no allocator call. For types that the garbage collector knows; dead objects are not tracked.
//
// Protected by the interpreter lock. Free-threaded builds keep none: their allocator has per-thread
// caches already, and a shared stack would need a lock.
#pragma once

#include <python/support/ft.hpp>

#include <array>
#include <cstddef>

namespace blitzio::python {

template <std::size_t Capacity>
class FreeList {
 public:
  /// A dead object with refcount 0 to be revived with PyObject_Init, or null.
  [[nodiscard]] PyObject* take() noexcept {
    if constexpr (kFreeThreaded) return nullptr;
    return count_ == 0 ? nullptr : items_[--count_];
  }
  /// Keeps a cleared object. False if full: the caller frees it.
  [[nodiscard]] bool give(PyObject* object) noexcept {
    if constexpr (kFreeThreaded) return false;
    if (count_ == Capacity) return false;
    items_[count_++] = object;
    return true;
  }
  /// Frees all that it holds.
  void clear() noexcept {
    while (count_ != 0) PyObject_GC_Del(items_[--count_]);
  }

 private:
  std::array<PyObject*, kFreeThreaded ? 1 : Capacity> items_{};
  std::size_t count_ = 0;
};

}  // namespace blitzio::python
