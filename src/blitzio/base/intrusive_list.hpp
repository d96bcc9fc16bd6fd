// Doubly linked list whose links live in the elements: nothing allocates, unlinking is O(1) and
// needs no list. Elements derive from `ListNode<Tag>`; several tags put one element in several
// lists. Owner thread only.
#pragma once

#include <blitzio/base/check.hpp>

#include <cstddef>

namespace blitzio {

/// A link. A linked node can neither move nor die (checked).
template <class Tag = void>
class ListNode {
 public:
  ListNode() noexcept = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { BLITZIO_CHECK(!is_linked()); }

  [[nodiscard]] bool is_linked() const noexcept { return next_ != nullptr; }

  /// Leaves the list it is in. Must be linked.
  void unlink() noexcept {
    BLITZIO_CHECK(is_linked());
    prev_->next_ = next_;
    next_->prev_ = prev_;
    prev_ = next_ = nullptr;
  }

 private:
  template <class, class>
  friend class IntrusiveList;

  ListNode* prev_ = nullptr;
  ListNode* next_ = nullptr;
};

template <class T, class Tag = void>
class IntrusiveList {
 public:
  using Node = ListNode<Tag>;

  IntrusiveList() noexcept { head_.prev_ = head_.next_ = &head_; }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  ~IntrusiveList() {
    BLITZIO_CHECK(is_empty());
    head_.prev_ = head_.next_ = nullptr;
  }

  [[nodiscard]] bool is_empty() const noexcept { return head_.next_ == &head_; }
  [[nodiscard]] T& front() noexcept { return element(head_.next_); }
  [[nodiscard]] T& back() noexcept { return element(head_.prev_); }

  void push_back(T& element) noexcept { insert_before(head_, element); }
  void push_front(T& element) noexcept { insert_before(*head_.next_, element); }

  /// Unlinks and returns the first element, or null.
  T* pop_front() noexcept {
    if (is_empty()) return nullptr;
    T& first = front();
    static_cast<Node&>(first).unlink();
    return &first;
  }

  /// Takes all of `other`'s elements behind its own. O(1).
  void splice_back(IntrusiveList& other) noexcept {
    if (other.is_empty()) return;
    Node* first = other.head_.next_;
    Node* last = other.head_.prev_;
    first->prev_ = head_.prev_;
    head_.prev_->next_ = first;
    last->next_ = &head_;
    head_.prev_ = last;
    other.head_.prev_ = other.head_.next_ = &other.head_;
  }

  /// Calls `visit(T&)` on each; `visit` may unlink the element it is given, no other.
  template <class Visit>
  void for_each(Visit&& visit) {
    for (Node* node = head_.next_; node != &head_;) {
      Node* next = node->next_;
      visit(element(node));
      node = next;
    }
  }

  /// Forgets its elements, which stay linked to each other and may not be destroyed: for a forked
  /// child, where another thread may have been changing the list.
  void abandon() noexcept { head_.prev_ = head_.next_ = &head_; }

  /// O(n); for tests and metrics.
  [[nodiscard]] std::size_t count() const noexcept {
    std::size_t total = 0;
    for (const Node* node = head_.next_; node != &head_; node = node->next_) ++total;
    return total;
  }

 private:
  static T& element(Node* node) noexcept { return static_cast<T&>(*node); }

  void insert_before(Node& where, T& element) noexcept {
    Node& node = element;
    BLITZIO_CHECK(!node.is_linked());
    node.prev_ = where.prev_;
    node.next_ = &where;
    where.prev_->next_ = &node;
    where.prev_ = &node;
  }

  Node head_;
};

}  // namespace blitzio
