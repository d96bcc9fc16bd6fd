// `QueueWait`: the part of a channel's future that stands in a `WaitQueue`: it enters before the
// second look and leaves on every way out. For authors of channels.
#pragma once

#include <blitzio/sync/wait_queue.hpp>
#include <blitzio/task/waker.hpp>

#include <utility>

namespace blitzio::channel::detail {

/// Cannot move once it waits. Thread: the future's.
class QueueWait {
 public:
  QueueWait() noexcept = default;
  QueueWait(const QueueWait&) = delete;
  QueueWait& operator=(const QueueWait&) = delete;
  ~QueueWait() { leave(); }

  /// Polls: `attempt()` looks at the condition and says whether the wait is over.
  template <class Attempt>
  [[nodiscard]] bool poll(sync::detail::WaitQueue& queue, Context& context, Attempt attempt) {
    if (queue_ != nullptr) {
      if (queue_->keep_waiting(waiter_, context)) return false;
      queue_ = nullptr;
    }
    if (attempt()) return true;
    queue.enter(waiter_, context.waker());
    queue_ = &queue;
    if (!attempt()) return false;
    leave();
    return true;
  }
  [[nodiscard]] bool is_waiting() const noexcept { return queue_ != nullptr; }

  /// Gives the wait up; a wake that it was given goes to the next in line.
  void leave() noexcept {
    if (queue_ != nullptr) std::exchange(queue_, nullptr)->leave(waiter_);
  }

 private:
  sync::detail::WaitQueue* queue_ = nullptr;
  sync::detail::Waiter waiter_;
};

}  // namespace blitzio::channel::detail
