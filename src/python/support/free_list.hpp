// A stack of dead objects of one type that are ready to be used again: making a handle then costs
// no allocator call. For types that the garbage collector knows; dead objects are not tracked.
//
// Protected by the interpreter lock. Free-threaded builds keep none: their allocator has per-thread
// caches already, and a shared stack would need a lock.
#pragma once

#include <python/support/ft.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>

namespace blitzio::python {

template <std::size_t Capacity>
class FreeList {
 public:
  /// A dead object with refcount 0 to be revived with PyObject_Init, or null.
  [[nodiscard]] PyObject* take() noexcept {
    if constexpr (kFreeThreaded) return nullptr;
    return count_ == 0 ? nullptr : items_[--count_];
  }
  /// Keeps a cleared object, in the place of others if it is full. False: the caller frees it.
  [[nodiscard]] bool give(PyObject* object) noexcept {
    if constexpr (kFreeThreaded) return false;
    if (count_ == Capacity) spill();
    items_[count_++] = object;
    return true;
  }
  /// Frees all that it holds.
  void clear() noexcept {
    while (count_ != 0) PyObject_GC_Del(items_[--count_]);
  }

 private:
  /// Frees the newer half, from the highest address within a page of the allocator's to the lowest:
  /// it gives memory out in the opposite order, so those who come next find it in that of the
  /// caches, and not in that in which objects died (docs/design/timers.md).
  [[gnu::noinline]] void spill() noexcept {
    constexpr std::size_t kSpilled = Capacity / 2;
    constexpr std::size_t kPageBytes = 16 * 1024;
    constexpr std::size_t kPlaceBytes = 64;
    static_assert(kSpilled < 256);
    const auto place_of = [](const PyObject* object) noexcept {
      return reinterpret_cast<std::uintptr_t>(object) % kPageBytes / kPlaceBytes;
    };
    const std::span spilled = std::span(items_).last(kSpilled);
    // Sorted by counting: how many stand at each place, then where those end.
    std::array<std::uint8_t, kPageBytes / kPlaceBytes> ends{};
    for (const PyObject* object : spilled) ++ends[place_of(object)];
    std::partial_sum(ends.begin(), ends.end(), ends.begin());
    std::array<PyObject*, kSpilled> sorted;
    for (PyObject* object : spilled) sorted[--ends[place_of(object)]] = object;
    for (std::size_t i = kSpilled; i != 0; --i) PyObject_GC_Del(sorted[i - 1]);
    count_ -= kSpilled;
  }

  std::array<PyObject*, kFreeThreaded ? 1 : Capacity> items_{};
  std::size_t count_ = 0;
};

}  // namespace blitzio::python
