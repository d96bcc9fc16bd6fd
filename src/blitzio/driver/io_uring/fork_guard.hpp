// `ForkGuard`: tells an object that it now lives in a forked child of the process that made it.
//
// A child inherits the ring's shared memory and fd, but they still belong to the parent: an entry
// that the child prepared would be submitted by the parent. So a driver in a child does nothing but
// complete what it held with -ECANCELED and go.
//
// The rings are deliberately not MADV_DONTFORK: a child may then unmap them without asking what
// else was mapped there since. The provided buffers are private memory, so the child has its own
// copies; the kernel copies pinned pages at fork, so the parent keeps those it registered.
//
// Counts forks through pthread_atfork: vfork, posix_spawn and a raw clone(2) run no handlers, and
// none of them returns into code that would use a driver.
#pragma once

#include <blitzio/base/atomic.hpp>

#include <cstdint>

namespace blitzio::driver::io_uring {

class ForkGuard {
 public:
  ForkGuard() noexcept;
  [[nodiscard]] bool in_child() const noexcept {
    // Relaxed: written only in a child that has one thread yet, before anything there reads it.
    return born_ != forks_.load(std::memory_order_relaxed);
  }

 private:
  // Written by the fork handler in the child, read by every driver. Publishes nothing.
  static Atomic<std::uint32_t> forks_;
  std::uint32_t born_;
};

}  // namespace blitzio::driver::io_uring
