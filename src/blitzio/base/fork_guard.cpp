#include <blitzio/base/fork_guard.hpp>

#include <pthread.h>

namespace blitzio {

Atomic<std::uint32_t> ForkGuard::forks_{0};

ForkGuard::ForkGuard() noexcept {
  // pthread_atfork fails only for want of memory; forking is then as unguarded as without it.
  [[maybe_unused]] static const int registered = pthread_atfork(nullptr, nullptr, [] {
    // Relaxed: the child has a single thread here.
    forks_.fetch_add(1, std::memory_order_relaxed);
  });
  // Relaxed: see in_child().
  born_ = forks_.load(std::memory_order_relaxed);
}

}  // namespace blitzio
