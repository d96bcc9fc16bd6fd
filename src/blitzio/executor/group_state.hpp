// What a Group and its children share: who belongs to it, whether it is cancelled, who waits.
//
//     enter ──▶ child ──▶ leave        the last one to leave wakes those who wait
//                 ▲
//     cancel, fail: asks every child to end, also those that enter later
//
// Threads: any. All is the lock's; wakers run without it.
#pragma once

#include <blitzio/base/check.hpp>
#include <blitzio/base/intrusive_list.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/sync/waiter.hpp>
#include <blitzio/task/task.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <utility>

namespace blitzio::detail {

class GroupState;

/// A child's place in its group, as long as its future lives.
class GroupMember : private ListNode<> {
 public:
  GroupMember(std::shared_ptr<GroupState> group, Task& task) noexcept;
  GroupMember(const GroupMember&) = delete;
  GroupMember& operator=(const GroupMember&) = delete;
  ~GroupMember();

  void fail(std::exception_ptr exception) noexcept;

 private:
  friend class IntrusiveList<GroupMember>;
  friend class GroupState;

  const std::shared_ptr<GroupState> group_;
  Task& task_;
};

/// What a group and its children share.
class GroupState {
 public:
  void cancel() noexcept BLITZIO_EXCLUDES(mutex_);
  void fail(std::exception_ptr exception) noexcept BLITZIO_EXCLUDES(mutex_);
  [[nodiscard]] bool is_cancelled() noexcept BLITZIO_EXCLUDES(mutex_);
  [[nodiscard]] std::size_t child_count() noexcept BLITZIO_EXCLUDES(mutex_);
  /// What the first child that failed threw.
  [[nodiscard]] std::exception_ptr failure() noexcept BLITZIO_EXCLUDES(mutex_);

  void enter(GroupMember& member) noexcept BLITZIO_EXCLUDES(mutex_);
  void leave(GroupMember& member) noexcept BLITZIO_EXCLUDES(mutex_);

  /// Queues `waiter`. False if there is no child to wait for.
  [[nodiscard]] bool enqueue(sync::detail::Waiter& waiter, Waker waker) noexcept
      BLITZIO_EXCLUDES(mutex_);
  [[nodiscard]] bool keep_waiting(sync::detail::Waiter& waiter, Context& context) noexcept {
    return sync::detail::keep_waiting(waiter, mutex_, context);
  }
  void abandon(sync::detail::Waiter& waiter) noexcept BLITZIO_EXCLUDES(mutex_);

 private:
  void cancel_children() noexcept BLITZIO_REQUIRES(mutex_);

  Mutex mutex_{LockRank::group};
  IntrusiveList<GroupMember> children_ BLITZIO_GUARDED_BY(mutex_);
  std::size_t child_count_ BLITZIO_GUARDED_BY(mutex_) = 0;
  bool is_cancelled_ BLITZIO_GUARDED_BY(mutex_) = false;
  std::exception_ptr failure_ BLITZIO_GUARDED_BY(mutex_);
  sync::detail::WaiterList waiters_ BLITZIO_GUARDED_BY(mutex_);
};

/// Future of Group::wait().
class [[nodiscard]] GroupWait {
 public:
  using Output = void;

  explicit GroupWait(std::shared_ptr<GroupState> group) noexcept : group_(std::move(group)) {}
  /// Before the first poll only.
  GroupWait(GroupWait&& other) noexcept : group_(std::move(other.group_)) {
    BLITZIO_CHECK(!other.is_queued_);
  }
  GroupWait& operator=(GroupWait&&) = delete;
  ~GroupWait() {
    if (is_queued_) group_->abandon(waiter_);
  }

  Poll<void> poll(Context& context) {
    if (is_queued_ ? group_->keep_waiting(waiter_, context)
                   : group_->enqueue(waiter_, context.waker().clone())) {
      is_queued_ = true;
      return pending;
    }
    if (auto failure = group_->failure()) std::rethrow_exception(std::move(failure));
    return ready;
  }

 private:
  std::shared_ptr<GroupState> group_;
  sync::detail::Waiter waiter_;
  bool is_queued_ = false;
};

}  // namespace blitzio::detail
