// `WakeSet`: a waker per child of a future that waits for many, so that a wake tells which child to
// poll. For authors of combinators.
//
//   a child's waker ─▶ its node ──push──▶ woken_ ──the first wakes──▶ the parent's waker
//
//            wake                        take_woken
//   idle ──────────▶ queued (in woken_) ───────────▶ idle, and its child is polled
//
// A wake of a queued node does nothing. Nodes live as long as any waker of a child does: the set is
// counted by its owner and by every waker. One allocation for the set and one for its nodes, when
// it is made; none afterwards.
//
// Threads: set_waker(), take_woken(), waker() and the end the owner's; wakers any.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/inbox.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/task/waker.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace blitzio::detail {

class WakeSet {
 public:
  /// The owner's end of a set; empty when default constructed.
  class Owner {
   public:
    Owner() noexcept = default;
    explicit Owner(std::size_t children) : set_(new WakeSet(children)) {}
    Owner(Owner&& other) noexcept : set_(std::exchange(other.set_, nullptr)) {}
    Owner& operator=(Owner&& other) noexcept {
      std::swap(set_, other.set_);
      return *this;
    }
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;
    ~Owner() {
      if (set_ != nullptr) set_->abandon();
    }
    explicit operator bool() const noexcept { return set_ != nullptr; }
    WakeSet* operator->() const noexcept { return set_; }

   private:
    WakeSet* set_ = nullptr;
  };

  WakeSet(const WakeSet&) = delete;
  WakeSet& operator=(const WakeSet&) = delete;

  /// Whom to wake from now on. Before take_woken(), so that no wake falls between.
  void set_waker(const Waker& parent) noexcept BLITZIO_EXCLUDES(mutex_);
  /// The waker for a poll of child `index`; borrowed from the set.
  [[nodiscard]] BorrowedWaker waker(std::size_t index) noexcept {
    return {&nodes_[index], &kVTable};
  }
  /// Calls `visit(index)` for each child that was woken, in order of the wakes. What wakes during
  /// the visits waits for the next call.
  template <class Visit>
  void take_woken(Visit visit) {
    woken_.take_all([&](Node& node) {
      // Acquire-release: acquire, what the wakers did is visible to the poll; pairs with wake().
      node.is_queued.exchange(false, std::memory_order_acq_rel);
      visit(static_cast<std::size_t>(&node - nodes_.get()));
    });
  }

 private:
  struct Node : InboxNode {
    WakeSet* set = nullptr;
    // Set by who wakes the child, cleared by the owner before it polls it.
    Atomic<bool> is_queued{false};
  };

  explicit WakeSet(std::size_t children);
  ~WakeSet() = default;

  static void wake(Node& node) noexcept;
  void wake_parent() noexcept BLITZIO_EXCLUDES(mutex_);
  void abandon() noexcept BLITZIO_EXCLUDES(mutex_);
  void add_ref() noexcept;
  void release_ref() noexcept;

  static const WakerVTable kVTable;

  const std::unique_ptr<Node[]> nodes_;
  Inbox<Node> woken_;
  Mutex mutex_{LockRank::leaf};
  Waker parent_ BLITZIO_GUARDED_BY(mutex_);
  // Counted by the owner and by every waker.
  Atomic<std::size_t> refs_{1};
};

}  // namespace blitzio::detail
