// Random numbers that decide who goes first: cheap, unpredictable enough for fairness, nothing
// else.
#pragma once

#include <cstdint>
#include <ctime>

namespace blitzio {

namespace detail {

// 0 until the thread's first number; a simulation sets it, to have the same numbers again.
[[gnu::tls_model("initial-exec")]] inline thread_local constinit std::uint32_t random_state = 0;

}  // namespace detail

/// A number below `limit`, which is not 0.
/// Cost     three shifts and a multiplication; the thread's first call reads the clock.
[[nodiscard]] inline std::uint32_t random_below(std::uint32_t limit) noexcept {
  std::uint32_t& state = detail::random_state;
  if (state == 0) {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    // Threads that start in the same nanosecond differ in where they keep the state.
    state = (static_cast<std::uint32_t>(now.tv_nsec) ^
             static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(&state) >> 4)) |
            1U;
  }
  // Marsaglia's xorshift.
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return static_cast<std::uint32_t>((std::uint64_t{state} * limit) >> 32);
}

}  // namespace blitzio
