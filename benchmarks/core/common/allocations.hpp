// Counts what a program asks of the allocator, in every thread: its `operator new` is replaced
// (allocations.cpp), and every allocation of the core goes through that one, the blocks of its
// pools included. A pool that the warm-up has filled therefore counts nothing, because it asks for
// nothing.
#pragma once

#include <cstdint>

namespace blitzio::bench {

struct Allocations {
  std::uint64_t calls = 0;
  std::uint64_t bytes = 0;  ///< as requested; frees are not subtracted
};

/// Sets both counters to 0.
void reset_allocations() noexcept;
/// Since the last reset.
[[nodiscard]] Allocations allocations() noexcept;

}  // namespace blitzio::bench
