// `Reaper`: waits for every child of this folder on one thread, through pidfds, so that none stays
// a zombie, whether somebody waits for it or not, and that waiting needs neither an executor nor a
// signal handler.
//
//     running ── the kernel makes the pidfd readable; the thread reaps ──▶ ended, waiters woken
//
// They are in an epoll set, which takes any number: poll(2) takes none once there are more than the
// limit of descriptors, which a program may lower. The thread is there while there are children.
// Children that others started are left alone. If somebody else reaps a child (waitpid(-1), SIGCHLD
// ignored), its status is unknown: 255.
//
// Signals are sent through the pidfd with the state's lock held: never to a stranger with the same
// pid. Without pidfds (an old kernel, a seccomp filter) spawning says ENOSYS.
//
// Forking: a forked child has none of its parent's children: there they seem to run for ever.
//
// Threads: any.
#pragma once

#include <blitzio/base/fork_guard.hpp>
#include <blitzio/base/intrusive_list.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/base/owned_fd.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/process/exit_status.hpp>
#include <blitzio/task/future.hpp>

#include <sys/types.h>

#include <memory>
#include <optional>

namespace blitzio::process::detail {

/// Waits in a ChildState's list; the waker belongs to the state's lock while linked.
struct ExitWaiter : ListNode<> {
  Waker waker;
};

/// One child; shared by its handle and the reaper.
class ChildState {
 public:
  /// Without a pidfd it has ended, and somebody else has its status.
  ChildState(pid_t pid, OwnedFd pidfd) noexcept;
  ChildState(const ChildState&) = delete;
  ChildState& operator=(const ChildState&) = delete;

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] int pidfd() const noexcept { return pidfd_.get(); }
  /// Reaps if it has ended; wakes the waiters.
  [[nodiscard]] std::optional<ExitStatus> try_wait() noexcept BLITZIO_EXCLUDES(mutex_);
  /// The same for the reaper, which is the only one that closes the pidfd, since it waits on it, in
  /// `epoll`: before anybody learns of the end. Returns whether it has ended.
  [[nodiscard]] bool reap(int epoll) noexcept BLITZIO_EXCLUDES(mutex_);
  /// Errors   ESRCH if it has ended; EINVAL for what is no signal.
  [[nodiscard]] Result<void> send_signal(int number) noexcept BLITZIO_EXCLUDES(mutex_);
  /// The status, or `waiter` is queued and woken at the end.
  [[nodiscard]] std::optional<ExitStatus> wait(ExitWaiter& waiter, const Waker& waker) noexcept
      BLITZIO_EXCLUDES(mutex_);
  void leave(ExitWaiter& waiter) noexcept BLITZIO_EXCLUDES(mutex_);

 private:
  /// The status if it is known or can be had.
  [[nodiscard]] std::optional<ExitStatus> collect() noexcept BLITZIO_REQUIRES(mutex_);
  void wake_waiters() noexcept BLITZIO_EXCLUDES(mutex_);

  const pid_t pid_;
  // Closed by the reaper with the lock held; read by it without.
  OwnedFd pidfd_;
  const ForkGuard fork_guard_;
  Mutex mutex_{LockRank::leaf};
  std::optional<ExitStatus> status_ BLITZIO_GUARDED_BY(mutex_);
  IntrusiveList<ExitWaiter> waiters_ BLITZIO_GUARDED_BY(mutex_);
};

/// Has the reaper wait for `child`. Errors   EAGAIN, EMFILE, ENOMEM, ENOSPC: no thread, descriptor
/// or watch for it; the child is nobody's then.
[[nodiscard]] Result<void> reap_at_end(std::shared_ptr<ChildState> child) noexcept;

}  // namespace blitzio::process::detail
