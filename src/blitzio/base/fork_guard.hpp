// `ForkGuard`: tells an object that it now lives in a forked child of the process that made it.
//
// A child has a copy of the parent's memory, but shares its descriptors and mapped rings, and has
// none of its threads but the one that forked. So what stands for kernel state (a driver) must not
// touch that in a child, and what stands for threads (a pool) must neither wait for them nor take a
// lock that one of them may have held. Each says in its header what it does there instead.
//
// Counts forks through pthread_atfork: vfork, posix_spawn and a raw clone(2) run no handlers, and
// none of them returns into code that would use such an object.
//
// Threads: any.
#pragma once

#include <blitzio/base/atomic.hpp>

#include <cstdint>

namespace blitzio {

class ForkGuard {
 public:
  ForkGuard() noexcept;
  /// Whether the process was forked off since this object was made.
  [[nodiscard]] bool in_child() const noexcept {
    // Relaxed: written only in a child that has one thread yet, before anything there reads it.
    return born_ != forks_.load(std::memory_order_relaxed);
  }

 private:
  // Written by the fork handler in the child, read by every guard. Publishes nothing.
  static Atomic<std::uint32_t> forks_;
  std::uint32_t born_;
};

}  // namespace blitzio
