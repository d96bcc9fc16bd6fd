// `Fiber`: a logical thread of a scenario: a stack and what a real thread has of its own: its
// thread_local variables, the functions that run when it ends, and the exceptions it is handling.
//
// All fibers run on one system thread and are switched by hand, which costs tens of nanoseconds
// where switching system threads costs microseconds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace blitzio::model {

class Fiber {
 public:
  /// The calling thread's own stack, to switch back to.
  Fiber() = default;
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  /// Makes it begin with `entry()`, which must not return, when it is switched to. What it did
  /// before is forgotten.
  void prepare(void (*entry)());
  /// Goes on with `next`, where that one was switched from.
  void switch_to(Fiber& next);

  /// Calls the destructors of this fiber's thread_local objects. On the fiber itself.
  void run_exits();
  void add_exit(void (*function)(void*), void* object);

  /// Whether `address` is a thread_local variable: every fiber has its own there.
  [[nodiscard]] static bool is_local(const void* address) noexcept;

 private:
  struct Exit {
    void (*function)(void*);
    void* object;
  };
  // Of the C++ runtime: the exceptions being handled, and how many are in flight.
  struct Exceptions {
    void* caught = nullptr;
    unsigned in_flight = 0;
  };

  void save();
  void restore();

  std::byte* stack_ = nullptr;
  void* stack_pointer_ = nullptr;
  std::vector<std::byte> locals_;  ///< thread_local variables, while it does not run
  std::vector<Exit> exits_;
  Exceptions exceptions_;
};

}  // namespace blitzio::model
