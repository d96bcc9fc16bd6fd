// `TimerContext`: the wheel that timers of the calling thread use. An executor sets it while it is
// bound to the thread, so that `Sleep` need not know executors.
#pragma once

#include <utility>

namespace blitzio::time {

class TimerWheel;

class TimerContext {
 public:
  /// The calling thread's wheel, or null if no executor is bound to it.
  [[nodiscard]] static TimerWheel* current() noexcept { return current_; }

  /// Sets the wheel and puts the previous one back; scopes of one thread nest.
  class Scope {
   public:
    Scope() noexcept = default;
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

    void enter(TimerWheel& wheel) noexcept { outer_ = std::exchange(current_, &wheel); }
    void leave() noexcept { current_ = std::exchange(outer_, nullptr); }

   private:
    TimerWheel* outer_ = nullptr;
  };

 private:
  // One word in the static TLS block: reading it costs one load even from a shared object.
  [[gnu::tls_model("initial-exec")]] static inline thread_local constinit TimerWheel* current_ =
      nullptr;
};

}  // namespace blitzio::time
