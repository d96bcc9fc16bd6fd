// `IntrusiveQueue`: first in, first out, linked through the elements; one at a time uses it.
//
//   head_ ──▶ oldest ──▶ … ──▶ newest ◀── tail_
//
// The link is that of an Inbox, so an element goes from one to the other as it is; it is in one of
// them at most. Threads: none of its own; the owner's, or under a lock.
#pragma once

#include <blitzio/base/check.hpp>
#include <blitzio/base/inbox.hpp>

#include <utility>

namespace blitzio {

template <class T>
class IntrusiveQueue {
 public:
  IntrusiveQueue() noexcept = default;
  IntrusiveQueue(const IntrusiveQueue&) = delete;
  IntrusiveQueue& operator=(const IntrusiveQueue&) = delete;
  ~IntrusiveQueue() { BLITZIO_CHECK(is_empty()); }

  [[nodiscard]] bool is_empty() const noexcept { return head_ == nullptr; }

  void push(T& element) noexcept {
    element.inbox_next = nullptr;
    push_chain(element, element);
  }
  /// Appends elements that are linked from `first` to `last`.
  void push_chain(T& first, T& last) noexcept {
    if (head_ == nullptr) {
      head_ = &first;
    } else {
      tail_->inbox_next = &first;
    }
    tail_ = &last;
  }

  /// The oldest; null if there is none.
  [[nodiscard]] T* peek() const noexcept { return head_; }
  [[nodiscard]] T* pop() noexcept {
    T* oldest = head_;
    if (oldest != nullptr) pop_until(*oldest);
    return oldest;
  }
  /// Takes all elements up to `last`, which stay linked.
  void pop_until(T& last) noexcept {
    head_ = static_cast<T*>(std::exchange(last.inbox_next, nullptr));
  }
  /// Forgets its elements; see IntrusiveList::abandon().
  void abandon() noexcept { head_ = nullptr; }

 private:
  T* head_ = nullptr;
  T* tail_ = nullptr;  // meaningful while there is a head
};

}  // namespace blitzio
