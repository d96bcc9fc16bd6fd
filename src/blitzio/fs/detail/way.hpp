// Which way a file operation goes: the one place that decides (docs/design/files.md has the
// numbers).
//
//     on the spot ── would have to wait ──▶ the ring ── or, where that suits less ──▶ a thread
//
// The driver's Config::ring_files says how much of that is the ring's. A thread that does not turn
// a driver with a ring, as in block_on(), knows the other two ways only.
//
// Threads: any, no state.
#pragma once

#include <blitzio/driver/driver.hpp>
#include <blitzio/driver/driver_context.hpp>
#include <blitzio/executor/thread_poll.hpp>
#include <blitzio/fs/detail/inline_policy.hpp>
#include <blitzio/task/block_on.hpp>

#include <cstddef>

namespace blitzio::fs::detail {

/// What an operation would be in a ring.
struct RingUse {
  driver::OpKind kind;
  std::size_t bytes = 0;  ///< of a transfer
};

/// The ring of the calling thread, if it has one that files may use.
[[nodiscard]] inline driver::Driver* file_ring() noexcept {
  driver::Driver* const driver = driver::DriverContext::current();
  if (driver == nullptr || driver->ring_files() == driver::Use::never) return nullptr;
  const bool turns = driver::DriverContext::is_owner() && ThreadPoll::current() == nullptr &&
                     !blitzio::detail::BlockedThread::is_current();
  return turns ? driver : nullptr;
}

/// Whether what the ring can do goes there without having been tried on the spot.
[[nodiscard]] inline bool is_for_ring_alone() noexcept {
  const driver::Driver* const ring = file_ring();
  return ring != nullptr && ring->ring_files() == driver::Use::always;
}

/// Whether what has to wait had better do so in the ring than in a thread.
[[nodiscard]] constexpr bool suits_ring(RingUse use) noexcept {
  switch (use.kind) {
    case driver::OpKind::read:
      // Where the kernel finds the bytes in memory after all it copies them on the spot.
      return use.bytes <= kInlineReadBytesMax;
    case driver::OpKind::fsync:
      return true;
    default:
      // Of paths a thread looks at the folder on its trip, so that the next operation is done on
      // the spot; and a write that was begun has to end, though the loop may stop.
      return false;
  }
}

/// Where to wait for the operation; null: in a thread.
[[nodiscard]] inline driver::Driver* ring_for(RingUse use) noexcept {
  driver::Driver* const ring = file_ring();
  if (ring == nullptr) return nullptr;
  return ring->ring_files() == driver::Use::always || suits_ring(use) ? ring : nullptr;
}

}  // namespace blitzio::fs::detail
