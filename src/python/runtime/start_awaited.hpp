// `start_awaited()`: work that nobody has started when somebody awaits it is started there and
// then, in the middle of the task that waits: if it ends in its first step, as short work does, the
// awaiting task need not be suspended, and neither waits for the loop's next turn.
//
// So that nobody starves, a thread does so `kInRow` times and then leaves it to the queue, that is,
// to the loop, which gets to I/O and other tasks; and only `kNested` deep, so that a chain of tasks
// that each await the next does not fill the stack.
//
// Threads: any, attached.
#pragma once

#include <python/runtime/join_handle.hpp>

namespace blitzio::python {

/// Starts `handle` if it is queued, the calling thread may run it (JoinHandleObject::home) and it
/// is worth while. Called in a task.
void start_awaited(JoinHandleObject& handle) noexcept;

/// The loop of the calling thread starts what is queued.
void allow_starting_awaited() noexcept;

/// Waits for the end of the work, which it may start.
/// Returns  false with RuntimeError set if whoever waits is what runs; beside others, one of which
///          ends the wait, it is only not ready.
class [[nodiscard]] JoinFuture {
 public:
  using Output = bool;
  /// `handle` outlives it.
  explicit JoinFuture(JoinHandleObject& handle) noexcept
      : handle_(&handle), ended_(handle.finished.wait()) {}

  Poll<bool> poll(Context& context) noexcept {
    if (!std::exchange(polled_, true)) {
      start_awaited(*handle_);
      if (!has_rivals_ && !handle_->finished.is_set() && !join_handle_may_wait(*handle_)) {
        return false;
      }
    }
    if (ended_.poll(context).is_pending()) return pending;
    return true;
  }
  void join_rivals() noexcept { has_rivals_ = true; }

 private:
  JoinHandleObject* handle_;
  sync::Event::Wait ended_;
  bool polled_ = false;
  bool has_rivals_ = false;
};

}  // namespace blitzio::python
