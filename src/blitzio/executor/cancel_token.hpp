// `CancelToken`: tells any number of tasks and threads, once and for all, to end.
//
//     CancelToken stop;
//     spawn([stop]() -> Async<void> {
//       while (!stop.cancel_requested()) co_await step();
//     }).detach();
//     stop.cancel();
//
// Copies are the same token. child() makes one that is cancelled with its parent, or alone: a
// request's token is a child of its connection's, and that of the server's.
//
//              cancel (any copy), or the parent's
//     live ───────────────────────────────────────▶ cancelled, for ever
//
// Each token is a node that counts its copies, its waiting futures and its children, so a parent
// lives as long as its children do. Locks are never nested: cancelling marks a node and takes its
// waiters and children out under its lock, wakes the waiters after it, and goes on with the
// children, parents first.
//
// Threads: any; copy a token rather than share one object.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/intrusive_list.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/sync/waiter.hpp>
#include <blitzio/task/future.hpp>

#include <cstdint>
#include <utility>

namespace blitzio {

namespace detail {

class CancelNode final : private ListNode<> {
 public:
  CancelNode() noexcept = default;
  CancelNode(const CancelNode&) = delete;
  CancelNode& operator=(const CancelNode&) = delete;

  [[nodiscard]] CancelNode* make_child();
  [[nodiscard]] bool is_cancelled() const noexcept {
    // Acquire: pairs with the release in mark(); what was done before cancel() is visible.
    return is_cancelled_.load(std::memory_order_acquire);
  }
  /// The caller holds a reference.
  void cancel() noexcept;

  void add_ref() noexcept {
    // Relaxed: made from a reference that is held.
    refs_.fetch_add(1, std::memory_order_relaxed);
  }
  void release_ref() noexcept;

  /// Queues `waiter`. False if the token is cancelled already.
  [[nodiscard]] bool enqueue(sync::detail::Waiter& waiter, Waker waker) noexcept;
  [[nodiscard]] bool keep_waiting(sync::detail::Waiter& waiter, Context& context) noexcept {
    return sync::detail::keep_waiting(waiter, mutex_, context);
  }
  void leave(sync::detail::Waiter& waiter) noexcept;

 private:
  friend class IntrusiveList<CancelNode>;

  ~CancelNode() = default;
  [[nodiscard]] bool try_add_ref() noexcept;
  void mark(IntrusiveList<CancelNode>& to_do) noexcept BLITZIO_EXCLUDES(mutex_);

  // Counted by tokens, waiting futures and children; and by cancel() while it is at work.
  Atomic<std::uint32_t> refs_{1};
  // Written once, under the lock; publishes what the canceller did before.
  Atomic<bool> is_cancelled_{false};
  CancelNode* parent_ = nullptr;  // holds a reference to it; null for a root
  Mutex mutex_{LockRank::leaf};
  IntrusiveList<CancelNode> children_ BLITZIO_GUARDED_BY(mutex_);
  sync::detail::WaiterList waiters_ BLITZIO_GUARDED_BY(mutex_);
};

}  // namespace detail

/// A request to end that any number of tasks and threads may look at or wait for. Copies are the
/// same token. Thread: any.
class CancelToken {
 public:
  class Cancelled;

  /// A token that nobody else knows.
  /// Cost     one allocation.
  CancelToken() : node_(new detail::CancelNode) {}
  CancelToken(const CancelToken& other) noexcept : node_(other.node_) { node_->add_ref(); }
  CancelToken(CancelToken&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  CancelToken& operator=(CancelToken other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~CancelToken() {
    if (node_ != nullptr) node_->release_ref();
  }

  /// A token that is cancelled with this one; cancelling it does not cancel this one. Of a
  /// cancelled token it is cancelled from the start.
  /// Cost     one allocation.
  [[nodiscard]] CancelToken child() const { return CancelToken(node_->make_child()); }

  /// Cancels this token and all below it, and wakes who waits. Once; later calls do nothing.
  void cancel() const noexcept { node_->cancel(); }
  /// Whether cancel() was called, here or above. Cheap enough for a loop: one load.
  [[nodiscard]] bool cancel_requested() const noexcept { return node_->is_cancelled(); }

  /// Waits for the token to be cancelled.
  /// Returns  future of void; it keeps the token alive.
  /// Cancel   dropping the future leaves the queue.
  /// Cost     never allocates.
  [[nodiscard]] Cancelled cancelled() const noexcept;

  /// Whether both are copies of the same token.
  friend bool operator==(const CancelToken&, const CancelToken&) noexcept = default;

 private:
  explicit CancelToken(detail::CancelNode* node) noexcept : node_(node) {}

  detail::CancelNode* node_;  // null only if moved from
};

class [[nodiscard]] CancelToken::Cancelled {
 public:
  using Output = void;

  explicit Cancelled(CancelToken token) noexcept : token_(std::move(token)) {}
  /// Before the first poll only.
  Cancelled(Cancelled&& other) noexcept : token_(std::move(other.token_)) {
    BLITZIO_CHECK(!other.is_queued_);
  }
  Cancelled& operator=(Cancelled&&) = delete;
  ~Cancelled() {
    if (is_queued_) token_.node_->leave(waiter_);
  }

  Poll<void> poll(Context& context) noexcept {
    detail::CancelNode& node = *token_.node_;
    if (is_queued_ ? node.keep_waiting(waiter_, context)
                   : !node.is_cancelled() && node.enqueue(waiter_, context.waker().clone())) {
      is_queued_ = true;
      return pending;
    }
    return ready;
  }

 private:
  CancelToken token_;
  sync::detail::Waiter waiter_;
  bool is_queued_ = false;
};

inline CancelToken::Cancelled CancelToken::cancelled() const noexcept {
  return Cancelled(*this);
}

}  // namespace blitzio
