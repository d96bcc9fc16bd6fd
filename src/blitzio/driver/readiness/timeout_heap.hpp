// `TimeoutHeap`: the timeout operations in flight, earliest first; equal deadlines in order of
// arrival. A binary heap of pointers; each operation knows its index (backend_word), so that
// cancelling is O(log n). Loops keep their timers in a wheel and have at most a few of these.
// Owner thread only.
#pragma once

#include <blitzio/base/instant.hpp>
#include <blitzio/driver/operation.hpp>

#include <cstddef>
#include <vector>

namespace blitzio::driver::readiness {

class TimeoutHeap {
 public:
  [[nodiscard]] bool is_empty() const noexcept { return heap_.empty(); }
  /// Must not be empty.
  [[nodiscard]] Instant earliest() const noexcept { return heap_[0]->args().timeout.deadline; }

  /// Uses backend_word and backend_result until the operation leaves. Returns 0 or ENOMEM.
  [[nodiscard]] int push(Operation& operation) noexcept;
  /// The operation must be in the heap.
  void remove(Operation& operation) noexcept;
  /// Removes and returns the earliest operation if it is due at `now`, else null.
  [[nodiscard]] Operation* pop_due(Instant now) noexcept;

 private:
  void place(std::size_t index, Operation& operation) noexcept;
  void sift_up(std::size_t index) noexcept;
  void sift_down(std::size_t index) noexcept;

  std::vector<Operation*> heap_;
  std::uint32_t arrivals_ = 0;
};

}  // namespace blitzio::driver::readiness
