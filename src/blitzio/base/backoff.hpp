// `Backoff`: how to wait for another thread that is about to finish a few instructions: relax the
// processor for a while, then let others run, in case that thread was preempted.
#pragma once

#include <thread>

namespace blitzio {

/// Tells the processor that this is a waiting loop.
inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Lets other threads run.
inline void yield_thread() noexcept {
  std::this_thread::yield();
}

class Backoff {
 public:
  void wait() noexcept {
    if (round_ >= kRoundsMax) {
      yield_thread();
      return;
    }
    for (int i = 0; i < (1 << round_); ++i) cpu_relax();
    ++round_;
  }

 private:
  static constexpr int kRoundsMax = 6;
  int round_ = 0;
};

}  // namespace blitzio
