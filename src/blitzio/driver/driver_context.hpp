// `DriverContext`: the driver that futures polled on the calling thread use. An executor sets it
// while it is bound to the thread, so that I/O futures need not know executors.
//
// A thread that runs futures without turning a driver (Runtime::block_on() on a plain thread)
// borrows one that another thread turns. Then it may not submit: it posts a message to it.
#pragma once

#include <utility>

namespace blitzio::driver {

class Driver;

class DriverContext {
 public:
  /// The calling thread's driver, or null if no executor is there for it.
  [[nodiscard]] static Driver* current() noexcept { return current_; }
  /// Whether the calling thread turns current(), and so may submit to it.
  [[nodiscard]] static bool is_owner() noexcept { return is_owner_; }

  /// Sets the driver and puts the previous one back; scopes of one thread nest.
  class Scope {
   public:
    Scope() noexcept = default;
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

    /// `is_owner`: the calling thread turns `driver`.
    void enter(Driver& driver, bool is_owner) noexcept {
      outer_ = std::exchange(current_, &driver);
      outer_is_owner_ = std::exchange(is_owner_, is_owner);
    }
    void leave() noexcept {
      current_ = std::exchange(outer_, nullptr);
      is_owner_ = std::exchange(outer_is_owner_, false);
    }

   private:
    Driver* outer_ = nullptr;
    bool outer_is_owner_ = false;
  };

 private:
  // In the static TLS block: reading them costs one load even from a shared object.
  [[gnu::tls_model("initial-exec")]] static inline thread_local constinit Driver* current_ =
      nullptr;
  [[gnu::tls_model("initial-exec")]] static inline thread_local constinit bool is_owner_ = false;
};

}  // namespace blitzio::driver
