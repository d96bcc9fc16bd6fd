// `Inbox`: many threads push, one takes everything. Lock-free, intrusive, in arrival order.
//
// A push is one compare-exchange on the head of a stack; the taker exchanges the head for empty and
// reverses what it got, so a batch costs it one atomic operation however long it is.
//
//   head_ ──▶ newest ──▶ … ──▶ oldest ──▶ null
//
// push: any thread. take_all: the owner thread only. A node may be pushed again once taken.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/check.hpp>

#include <utility>

namespace blitzio {

/// The link of an element; T derives from it.
struct InboxNode {
  InboxNode* inbox_next = nullptr;
};

template <class T>
class Inbox {
 public:
  Inbox() noexcept = default;
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;
  ~Inbox() { BLITZIO_CHECK(is_empty()); }

  /// Returns  true if the inbox was empty before, so exactly one pusher of a batch learns it.
  bool push(T& element) noexcept {
    InboxNode& node = element;
    // Relaxed: the value is only a guess that the compare-exchange verifies.
    InboxNode* head = head_.load(std::memory_order_relaxed);
    do {
      node.inbox_next = head;
      // Release on success: publishes the element and its link; pairs with the acquire in
      // take_all(). Relaxed on failure: nothing is read through the fresh guess.
    } while (!head_.compare_exchange_weak(head, &node, std::memory_order_release,
                                          std::memory_order_relaxed));
    return head == nullptr;
  }

  /// A hint from other threads, exact on the owner thread for what was pushed before.
  [[nodiscard]] bool is_empty() const noexcept {
    // Acquire: pairs with the release in push(), so that a sleeper that announced itself first
    // (see base/park_word.hpp) sees every earlier push.
    return head_.load(std::memory_order_acquire) == nullptr;
  }

  /// Calls `visit(T&)` on each, the newest first, and takes none. What is pushed meanwhile may be
  /// missed. Owner thread, or any while the owner takes nothing.
  template <class Visit>
  void for_each(Visit&& visit) const {
    // Acquire: pairs with the release in push(); so every element below the head is visible.
    for (InboxNode* node = head_.load(std::memory_order_acquire); node != nullptr;
         node = node->inbox_next) {
      visit(static_cast<T&>(*node));
    }
  }

  /// Takes all and calls `visit(T&)` in order of arrival. `visit` may push.
  template <class Visit>
  void take_all(Visit&& visit) {
    if (is_empty()) return;
    // Acquire: pairs with the release in push(); every taken element is fully visible.
    InboxNode* stack = head_.exchange(nullptr, std::memory_order_acquire);
    InboxNode* ordered = nullptr;
    while (stack != nullptr) {
      InboxNode* next = std::exchange(stack->inbox_next, ordered);
      ordered = std::exchange(stack, next);
    }
    while (ordered != nullptr) {
      InboxNode* next = std::exchange(ordered->inbox_next, nullptr);
      visit(static_cast<T&>(*std::exchange(ordered, next)));
    }
  }

 private:
  // Written by every pusher (release) and by the owner (acquire exchange to null); publishes the
  // pushed elements.
  Atomic<InboxNode*> head_{nullptr};
};

}  // namespace blitzio
