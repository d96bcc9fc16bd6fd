// Sleeping on a word with the explorer behind it. Scenarios set no deadline.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/check.hpp>
#include <blitzio/base/instant.hpp>

#include <cstdint>

namespace blitzio {

inline void futex_wait(Atomic<std::uint32_t>& word, std::uint32_t expected,
                       Instant deadline) noexcept {
  BLITZIO_CHECK(deadline == Instant::max());
  // Relaxed: only compares; whoever sleeps acquires afterwards.
  word.wait(expected, std::memory_order_relaxed);
}
inline void futex_wake_one(Atomic<std::uint32_t>& word) noexcept {
  word.notify_one();
}

}  // namespace blitzio
