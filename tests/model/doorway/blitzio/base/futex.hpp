// Sleeping on a word with the explorer behind it.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/instant.hpp>

#include <cstdint>

namespace blitzio {

/// A deadline passes when nothing else is left to happen; or at once, if it has passed, in which
/// case a wake-up may still be meant for this thread.
inline bool futex_wait(Atomic<std::uint32_t>& word, std::uint32_t expected,
                       Instant deadline) noexcept {
  if (deadline <= Instant::now()) return false;
  // Relaxed, both: only compares; whoever sleeps acquires afterwards.
  if (deadline != Instant::max()) return word.wait_timed(expected, std::memory_order_relaxed);
  word.wait(expected, std::memory_order_relaxed);
  return true;
}
inline void futex_wake_one(Atomic<std::uint32_t>& word) noexcept {
  word.notify_one();
}

}  // namespace blitzio
