// `ReadyQueue`: a ring of strong references to handles that grows when full and never shrinks while
// it is in use. Owner thread only.
//
// A turn runs a batch: what is queued when it begins, not what is queued meanwhile. What is taken
// back from the other end meanwhile leaves the batch too, if it was of it.
#pragma once

#include <blitzio/base/check.hpp>
#include <blitzio/base/platform.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>

namespace blitzio::python {

struct HandleObject;

class ReadyQueue {
 public:
  [[nodiscard]] std::size_t size() const noexcept { return tail_ - head_; }
  [[nodiscard]] bool is_empty() const noexcept { return tail_ == head_; }

  /// Makes room for `count` in all, so that pushing as many cannot fail. Returns false if memory
  /// for that could not be had.
  [[nodiscard]] bool reserve(std::size_t count) noexcept {
    while (BLITZIO_UNLIKELY(capacity_ < count)) {
      if (!grow()) return false;
    }
    return true;
  }
  /// Takes over a reference. Returns false if memory for a larger ring could not be had.
  [[nodiscard]] bool push(HandleObject* handle) noexcept {
    if (size() == capacity_ && !grow()) return false;
    slots_[tail_++ & (capacity_ - 1)] = handle;
    return true;
  }
  /// Gives the oldest reference to the caller. Must not be empty.
  [[nodiscard]] HandleObject* pop() noexcept {
    BLITZIO_DCHECK(!is_empty());
    return slots_[head_++ & (capacity_ - 1)];
  }
  /// Gives the newest reference to the caller. Must not be empty.
  [[nodiscard]] HandleObject* pop_newest() noexcept {
    BLITZIO_DCHECK(!is_empty());
    --tail_;
    batch_end_ = std::min(batch_end_, tail_);
    return slots_[tail_ & (capacity_ - 1)];
  }
  /// Borrowed, counted from the oldest; below size().
  [[nodiscard]] HandleObject* at(std::size_t index) const noexcept {
    BLITZIO_DCHECK(index < size(), index, size());
    return slots_[(head_ + index) & (capacity_ - 1)];
  }

  /// What is queued now is the batch.
  void begin_batch() noexcept { batch_end_ = tail_; }
  /// How many of it are queued still, while nothing but pop() and pop_newest() takes any.
  [[nodiscard]] std::size_t batch_size() const noexcept { return batch_end_ - head_; }

 private:
  [[nodiscard]] bool grow() noexcept {
    const std::size_t wanted = capacity_ == 0 ? kFirstCapacity : capacity_ * 2;
    std::unique_ptr<HandleObject*[]> larger(new (std::nothrow) HandleObject*[wanted]);
    if (larger == nullptr) return false;
    const std::size_t count = size();
    for (std::size_t i = 0; i < count; ++i) larger[i] = at(i);
    slots_ = std::move(larger);
    batch_end_ -= head_;
    head_ = 0;
    tail_ = count;
    capacity_ = wanted;
    return true;
  }

  static constexpr std::size_t kFirstCapacity = 64;

  // head_ and tail_ count for ever; capacity_ is a power of two, so their low bits are the slots.
  std::unique_ptr<HandleObject*[]> slots_;
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
  std::size_t batch_end_ = 0;  // from head_ to tail_ while a batch runs
  std::size_t capacity_ = 0;
};

}  // namespace blitzio::python
