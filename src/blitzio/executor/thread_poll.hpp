// `ThreadPoll`: lets a plain thread, which has no driver, wait for descriptors by itself: while it
// polls a future, an IoWait that has to wait notes its descriptor here, and the thread then sleeps
// in poll(2).
//
//     ThreadPoll descriptors;
//     for (;;) {
//       {
//         const ThreadPoll::Scope scope(descriptors);
//         if (future.poll(context).is_ready()) break;
//       }
//       descriptors.park_until(parker, deadline);
//     }
//
// No loop is needed for such a wait, and none has to run: not even the one on which somebody else
// waits for the same descriptor. It costs no more than the system calls, and one eventfd of the
// thread, which the parker has.
//
// Threads: its own. The futures outlive the sleep that follows their poll.
#pragma once

#include <blitzio/base/instant.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/task/thread_parker.hpp>

#include <poll.h>

#include <utility>
#include <vector>

namespace blitzio {

namespace detail {
class IoSide;
}  // namespace detail

class ThreadPoll {
 public:
  ThreadPoll() noexcept = default;
  ThreadPoll(const ThreadPoll&) = delete;
  ThreadPoll& operator=(const ThreadPoll&) = delete;

  /// The one whose futures the calling thread polls; null: none.
  [[nodiscard]] static ThreadPoll* current() noexcept { return current_; }

  /// One poll of a future, which notes anew what is to be waited for.
  class Scope {
   public:
    explicit Scope(ThreadPoll& poll) noexcept : outer_(std::exchange(current_, &poll)) {
      poll.items_.clear();
      poll.sides_.clear();
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope() { current_ = outer_; }

   private:
    ThreadPoll* outer_;
  };

  /// Sleeps until a descriptor is ready, or as ThreadParker::park_until().
  /// Errors   as ThreadParker::park_polling().
  [[nodiscard]] Result<void> park_until(ThreadParker& parker, Instant deadline) noexcept;

  /// Notes that a wait needs `events` of `fd`. Returns 0 or ENOMEM.
  [[nodiscard]] int add(detail::IoSide& side, int fd, short events) noexcept;

 private:
  [[gnu::tls_model("initial-exec")]] static inline thread_local constinit ThreadPoll* current_ =
      nullptr;

  std::vector<pollfd> items_;           // [0] the parker's own, if there are others
  std::vector<detail::IoSide*> sides_;  // of items_[1…]
};

}  // namespace blitzio
