// Sleeping on a word until another thread says that it changed: what std::atomic's wait() does, and
// also with a deadline, and ended by a signal.
//
// Thread: any.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/instant.hpp>

#include <cstdint>

namespace blitzio {

/// Sleeps while `word` holds `expected`: until wake_one(), a signal's handler has run in this
/// thread, or `deadline` (Instant::max(): none). May return for no reason.
/// Returns  false if the deadline has passed.
bool futex_wait(Atomic<std::uint32_t>& word, std::uint32_t expected, Instant deadline) noexcept;
/// Wakes one thread that sleeps on `word`. The word may be gone.
void futex_wake_one(Atomic<std::uint32_t>& word) noexcept;

}  // namespace blitzio
