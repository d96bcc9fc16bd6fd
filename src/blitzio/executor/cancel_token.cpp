#include <blitzio/executor/cancel_token.hpp>

namespace blitzio::detail {

CancelNode* CancelNode::make_child() {
  auto* child = new CancelNode;
  const MutexLock lock(mutex_);
  // Relaxed, both: under the lock, which publishes; and nobody else knows the child yet.
  if (is_cancelled_.load(std::memory_order_relaxed)) {
    child->is_cancelled_.store(true, std::memory_order_relaxed);
    return child;
  }
  child->parent_ = this;
  add_ref();
  children_.push_back(*child);
  return child;
}

void CancelNode::cancel() noexcept {
  IntrusiveList<CancelNode> to_do;
  mark(to_do);
  while (CancelNode* node = to_do.pop_front()) {
    node->mark(to_do);
    node->release_ref();
  }
}

// live → cancelled: wakes who waits, and moves the children to `to_do`, with a reference each.
void CancelNode::mark(IntrusiveList<CancelNode>& to_do) noexcept {
  sync::detail::WaiterList woken;
  {
    const MutexLock lock(mutex_);
    // Relaxed: under the lock.
    if (is_cancelled_.load(std::memory_order_relaxed)) return;
    // Release: pairs with the acquire in is_cancelled().
    is_cancelled_.store(true, std::memory_order_release);
    woken.splice_back(waiters_);
    while (CancelNode* child = children_.pop_front()) {
      if (child->try_add_ref()) to_do.push_back(*child);
    }
  }
  sync::detail::settle_all(woken, mutex_);
}

// False if the last reference went already: who dropped it is about to take this lock.
bool CancelNode::try_add_ref() noexcept {
  // Relaxed: a guess that the compare-exchange verifies.
  std::uint32_t refs = refs_.load(std::memory_order_relaxed);
  while (refs != 0) {
    // Relaxed, both: nothing rides on the count going up; the node is reached through a lock.
    if (refs_.compare_exchange_weak(refs, refs + 1, std::memory_order_relaxed,
                                    std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

void CancelNode::release_ref() noexcept {
  CancelNode* node = this;
  // Acquire-release: the last holder sees everybody's accesses; pairs with itself.
  while (node->refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    CancelNode* parent = node->parent_;
    if (parent != nullptr) {
      const MutexLock lock(parent->mutex_);
      if (node->is_linked()) node->unlink();
    }
    delete node;
    if (parent == nullptr) return;
    node = parent;  // its reference goes next, without recursion
  }
}

bool CancelNode::enqueue(sync::detail::Waiter& waiter, Waker waker) noexcept {
  const MutexLock lock(mutex_);
  // Relaxed: under the lock.
  if (is_cancelled_.load(std::memory_order_relaxed)) return false;
  waiter.waker = std::move(waker);
  waiters_.push_back(waiter);
  return true;
}

void CancelNode::leave(sync::detail::Waiter& waiter) noexcept {
  const MutexLock lock(mutex_);
  if (waiter.is_linked()) waiter.unlink();
}

}  // namespace blitzio::detail
