// `RemoteVisits`: lets the end of an executor wait for threads that are just handing it a task.
//
//     visitor                                  who ends the executor
//       counts itself in       (relaxed)         takes the task                       (acquire)
//       queues the task        (release)         reads the count until it is zero     (acquire)
//       wakes the executor                       frees the executor
//       counts itself out      (release)
//
// Every task is taken before the end, and who takes it knows of its visitor's counting in, which
// the queueing has published. So the count is zero only once the last access of each is over.
//
// Threads: any.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/backoff.hpp>

#include <cstdint>

namespace blitzio::detail {

class RemoteVisits {
 public:
  /// From before the task is queued until after the last access to the executor.
  class [[nodiscard]] Visit {
   public:
    explicit Visit(RemoteVisits& visits) noexcept : visits_(visits) {
      // Relaxed: published by queueing the task; see the top.
      visits_.count_.fetch_add(1, std::memory_order_relaxed);
    }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;
    // Release: the last access to the executor; pairs with the acquire in wait_until_over().
    ~Visit() { visits_.count_.fetch_sub(1, std::memory_order_release); }

   private:
    RemoteVisits& visits_;
  };

  /// Returns once nobody is inside who has queued a task that the caller knows of.
  void wait_until_over() const noexcept {
    // Acquire: pairs with the release of each visit's end.
    while (count_.load(std::memory_order_acquire) != 0) yield_thread();
  }

 private:
  // Written by visitors, read at the executor's end.
  Atomic<std::uint32_t> count_{0};
};

}  // namespace blitzio::detail
