#include <blitzio/base/futex.hpp>

#include <blitzio/base/platform.hpp>

#if BLITZIO_OS_LINUX
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#else
#include <algorithm>
#include <chrono>
#include <thread>
#endif

namespace blitzio {

static_assert(sizeof(Atomic<std::uint32_t>) == sizeof(std::uint32_t));

#if BLITZIO_OS_LINUX

bool futex_wait(Atomic<std::uint32_t>& word, std::uint32_t expected, Instant deadline) noexcept {
  timespec until{};
  timespec* limit = nullptr;
  if (deadline != Instant::max()) {
    until.tv_sec = deadline.as_nanos() / 1'000'000'000;
    until.tv_nsec = deadline.as_nanos() % 1'000'000'000;
    limit = &until;
  }
  // With a bit set the deadline is absolute, on the monotonic clock. Whatever ends the wait, the
  // caller looks at the word.
  const long result = ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, expected, limit,
                                nullptr, FUTEX_BITSET_MATCH_ANY);
  return result == 0 || errno != ETIMEDOUT;
}

void futex_wake_one(Atomic<std::uint32_t>& word) noexcept {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

#else

// TODO(port): the system's own (os_sync_wait_on_address, WaitOnAddress).
bool futex_wait(Atomic<std::uint32_t>& word, std::uint32_t expected, Instant deadline) noexcept {
  const Duration left = deadline - Instant::now();
  const auto nap = std::clamp<std::int64_t>(left.as_nanos(), 0, 1'000'000);
  // Relaxed: the caller looks again, and acquires.
  if (word.load(std::memory_order_relaxed) == expected) {
    std::this_thread::sleep_for(std::chrono::nanoseconds(nap));
  }
  return Instant::now() < deadline;
}

void futex_wake_one(Atomic<std::uint32_t>& /*word*/) noexcept {}

#endif

}  // namespace blitzio
