// `TimerContext`: the queue that timers of the calling thread use. An executor sets it while it is
// bound to the thread, so that `Sleep` need not know executors.
#pragma once

#include <utility>

namespace blitzio::time {

class TimerQueue;

class TimerContext {
 public:
  /// The calling thread's queue, or null if no executor is bound to it.
  [[nodiscard]] static TimerQueue* current() noexcept { return current_; }

  /// Sets the queue and puts the previous one back; scopes of one thread nest.
  class Scope {
   public:
    Scope() noexcept = default;
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

    void enter(TimerQueue& queue) noexcept { outer_ = std::exchange(current_, &queue); }
    void leave() noexcept { current_ = std::exchange(outer_, nullptr); }

   private:
    TimerQueue* outer_ = nullptr;
  };

 private:
  // One word in the static TLS block: reading it costs one load even from a shared object.
  [[gnu::tls_model("initial-exec")]] static inline thread_local constinit TimerQueue* current_ =
      nullptr;
};

}  // namespace blitzio::time
