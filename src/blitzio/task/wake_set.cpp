#include <blitzio/task/wake_set.hpp>

namespace blitzio::detail {

WakeSet::WakeSet(std::size_t children) : nodes_(std::make_unique<Node[]>(children)) {
  for (std::size_t i = 0; i < children; ++i) nodes_[i].set = this;
}

void WakeSet::set_waker(const Waker& parent) noexcept {
  // Made before the lock, and the old one dropped after it: either may run code of others.
  Waker waker = parent.clone();
  const MutexLock lock(mutex_);
  std::swap(parent_, waker);
}

void WakeSet::wake(Node& node) noexcept {
  // Acquire-release: release publishes what the waker did, also if the node is queued already;
  // pairs with the exchange in take_woken().
  if (node.is_queued.exchange(true, std::memory_order_acq_rel)) return;
  // The others of a batch leave it to the first: the parent takes the whole batch.
  WakeSet& set = *node.set;
  if (set.woken_.push(node)) set.wake_parent();
}

void WakeSet::wake_parent() noexcept {
  Waker waker;
  {
    const MutexLock lock(mutex_);
    waker = std::move(parent_);
  }
  waker.wake();
}

// The parent is gone: nobody is woken any more.
void WakeSet::abandon() noexcept {
  Waker waker;
  {
    const MutexLock lock(mutex_);
    waker = std::move(parent_);
  }
  waker.reset();
  release_ref();
}

void WakeSet::add_ref() noexcept {
  // Relaxed: made from a reference that is held.
  refs_.fetch_add(1, std::memory_order_relaxed);
}

void WakeSet::release_ref() noexcept {
  // Acquire-release: the last holder sees everybody's accesses; pairs with itself.
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  woken_.take_all([](Node&) {});
  delete this;
}

const WakerVTable WakeSet::kVTable{
    [](void* data) noexcept -> void* {
      static_cast<Node*>(data)->set->add_ref();
      return data;
    },
    [](void* data) noexcept {
      auto& node = *static_cast<Node*>(data);
      // The set outlives the wake, but not the share.
      WakeSet& set = *node.set;
      wake(node);
      set.release_ref();
    },
    [](void* data) noexcept { wake(*static_cast<Node*>(data)); },
    [](void* data) noexcept { static_cast<Node*>(data)->set->release_ref(); },
};

}  // namespace blitzio::detail
