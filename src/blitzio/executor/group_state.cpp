#include <blitzio/executor/group_state.hpp>

namespace blitzio::detail {

GroupMember::GroupMember(std::shared_ptr<GroupState> group, Task& task) noexcept
    : group_(std::move(group)), task_(task) {
  group_->enter(*this);
}

GroupMember::~GroupMember() {
  group_->leave(*this);
}

void GroupMember::fail(std::exception_ptr exception) noexcept {
  group_->fail(std::move(exception));
}

void GroupState::enter(GroupMember& member) noexcept {
  const MutexLock lock(mutex_);
  children_.push_back(member);
  ++child_count_;
  // Only marks it: it is scheduled from its birth.
  if (is_cancelled_) member.task_.cancel();
}

void GroupState::leave(GroupMember& member) noexcept {
  sync::detail::WaiterList woken;
  {
    const MutexLock lock(mutex_);
    member.unlink();
    if (--child_count_ != 0) return;
    woken.splice_back(waiters_);
  }
  sync::detail::settle_all(woken, mutex_);
}

void GroupState::cancel() noexcept {
  const MutexLock lock(mutex_);
  cancel_children();
}

void GroupState::fail(std::exception_ptr exception) noexcept {
  const MutexLock lock(mutex_);
  if (!failure_) failure_ = std::move(exception);
  cancel_children();
}

// Queues those that wait, with the lock held, so that none can end and go meanwhile. That takes
// locks of higher rank, and runs nothing of others.
void GroupState::cancel_children() noexcept {
  is_cancelled_ = true;
  children_.for_each([](GroupMember& member) { member.task_.cancel(); });
}

bool GroupState::is_cancelled() noexcept {
  const MutexLock lock(mutex_);
  return is_cancelled_;
}

std::size_t GroupState::child_count() noexcept {
  const MutexLock lock(mutex_);
  return child_count_;
}

std::exception_ptr GroupState::failure() noexcept {
  const MutexLock lock(mutex_);
  return failure_;
}

bool GroupState::enqueue(sync::detail::Waiter& waiter, Waker waker) noexcept {
  const MutexLock lock(mutex_);
  if (child_count_ == 0) return false;
  waiter.waker = std::move(waker);
  waiters_.push_back(waiter);
  return true;
}

void GroupState::abandon(sync::detail::Waiter& waiter) noexcept {
  const MutexLock lock(mutex_);
  if (waiter.is_linked()) waiter.unlink();
}

}  // namespace blitzio::detail
