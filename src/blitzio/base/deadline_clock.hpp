// `DeadlineClock`: what time it is, for who sets a deadline some time from now. Where it can, it
// counts the processor's cycles on from a reading of the system's clock of a moment ago: reading
// that takes twice as long, and waits for what the processor has under way.
//
//            two measurements of the counter's rate, over 10 ms or more each, agree
//     exact ─────────────────────────────────────────────────────────────────────────▶ counting
//       ▲                                                                                 │
//       └──────────────────────── one does not agree with the last ───────────────────────┘
//
// It counts for 50 µs and reads the clock again. So if the counter jumps (a virtual machine moves),
// it is no further than that from CLOCK_MONOTONIC; usually it is within some 20 ns, which is less
// than a call of a Python function takes. A thread does not see it go back, unless the system's
// clock does.
//
// It counts where the kernel's own clock does: on x86-64, if the time stamp counter is the kernel's
// clock source, which vouches that it is even and the same on every processor. Elsewhere this is
// Instant::now(). docs/design/clock.md has the reasons.
//
// To measure something, read Instant::now(). Threads: any; each has its own count.
#pragma once

#include <blitzio/base/instant.hpp>
#include <blitzio/base/platform.hpp>

#include <algorithm>
#include <cstdint>

namespace blitzio {

namespace detail {

/// A thread's count of cycles. `rate` is in nanoseconds per cycle, times 2^32.
struct CycleCount {
  std::uint64_t cycles_max = 0;   ///< how far to count; 0: not at all
  std::uint64_t rate = 0;         ///< as last measured; 0: not yet
  std::uint64_t begin = 0;        ///< the counter when it began
  std::int64_t begin_nanos = 0;   ///< the system's clock then
  std::int64_t said = 0;          ///< the latest answer
  std::uint64_t measured_at = 0;  ///< the counter when the rate was measured
  std::int64_t measured_at_nanos = 0;
  std::uint32_t held_up = 0;  ///< readings in a row that took too long to count from

  /// Reads the clock, and counts from there on if the counter can be trusted.
  BLITZIO_COLD Instant begin_anew() noexcept;
  /// Reads the clock: nanoseconds.
  BLITZIO_COLD std::int64_t try_to_begin() noexcept;
  /// Answers with what the clock said, or with the latest answer if that is a little later.
  Instant say(std::int64_t nanos) noexcept;
  /// Takes a reading of counter and clock to see how fast the counter goes.
  void measure(std::uint64_t counter, std::int64_t nanos) noexcept;
};

// initial-exec: no call to find it.
[[gnu::tls_model("initial-exec")]] inline thread_local constinit CycleCount cycle_count;

}  // namespace detail

class DeadlineClock {
 public:
  DeadlineClock() = delete;

  [[nodiscard]] static Instant now() noexcept {
#if defined(__x86_64__)
    detail::CycleCount& count = detail::cycle_count;
    if (BLITZIO_UNLIKELY(count.cycles_max == 0)) return count.begin_anew();
    const std::uint64_t cycles = __builtin_ia32_rdtsc() - count.begin;
    if (BLITZIO_UNLIKELY(cycles >= count.cycles_max)) return count.begin_anew();
    const auto nanos = static_cast<std::int64_t>((cycles * count.rate) >> 32);
    count.said = std::max(count.said, count.begin_nanos + nanos);
    return Instant::from_nanos(count.said);
#else
    return Instant::now();
#endif
  }
};

}  // namespace blitzio
