// `SoleSweeper`: threads leave things somewhere, and one of them at a time picks up what all have
// left. Nobody waits for it, and nothing that was left before an ask stays:
//
//            ask: this thread sweeps            ask, from any thread: it will sweep once more
//     idle ───────────────────────▶ asked ◀───────────────────────┐
//      ▲                              │ a pass begins              │
//      │ nobody has asked since       ▼                            │
//      └─────────────────────────── sweeping ──────────────────────┘
//
// A thread may sweep on for as long as others ask. In a forked child the thread that was at it may
// be missing: forget() there, or nothing is swept any more.
//
// Threads: any.
#pragma once

#include <blitzio/base/atomic.hpp>

#include <concepts>
#include <cstdint>

namespace blitzio::detail {

class SoleSweeper {
 public:
  /// For who has left something: calls `sweep()`, which picks up everything, unless another thread
  /// is at it, which then will. What `sweep()` does not get for being in another thread's hands,
  /// that one has to ask for.
  template <std::invocable Sweep>
  void ask(Sweep sweep) noexcept {
    // Release: what the caller has left is seen by the pass that takes this ask, see there.
    if (state_.exchange(State::asked, std::memory_order_release) != State::idle) return;
    State now{};
    do {
      // Acquire: pairs with the release of every ask since the last pass, for this reads the last
      // of them, and they follow each other without another store between.
      state_.exchange(State::sweeping, std::memory_order_acquire);
      sweep();
      now = State::sweeping;
      // Relaxed, both: who sweeps next is told by an ask, and if there was one meanwhile, the pass
      // that begins now acquires it.
    } while (!state_.compare_exchange_strong(now, State::idle, std::memory_order_relaxed,
                                             std::memory_order_relaxed));
  }

  /// In a forked child, before it has other threads: nobody is at it. For who is left.
  void forget() noexcept {
    // Relaxed: the child has a single thread here.
    state_.store(State::idle, std::memory_order_relaxed);
  }

 private:
  enum class State : std::uint8_t { idle, asked, sweeping };

  Atomic<State> state_{State::idle};
};

}  // namespace blitzio::detail
