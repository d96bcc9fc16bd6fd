// `DatagramQueue`: datagrams that the kernel has not taken yet, each with its address, oldest
// first.
//
// A vector with a moving front: an endpoint that never blocks, nearly every one, owns no memory
// here. Threads: as the transport's.
#pragma once

#include <python/support/py_ref.hpp>

#include <cstddef>
#include <vector>

namespace blitzio::python {

class DatagramQueue {
 public:
  struct Item {
    PyRef data;     ///< `bytes`
    PyRef address;  ///< null: none given
  };

#if PY_VERSION_HEX >= 0x030D0000
  /// asyncio counts so much for a header from 3.13 on, so that empty datagrams fill the queue, too.
  static constexpr std::size_t kHeaderBytes = 8;
#else
  static constexpr std::size_t kHeaderBytes = 0;
#endif

  [[nodiscard]] bool is_empty() const noexcept { return front_ == items_.size(); }
  /// What get_write_buffer_size() says.
  [[nodiscard]] std::size_t size_bytes() const noexcept { return bytes_; }

  /// Throws std::bad_alloc; the queue is then as it was.
  void push_back(Item item) {
    const std::size_t bytes = size_of(item);
    items_.push_back(std::move(item));
    bytes_ += bytes;
  }
  /// Takes the oldest; it may come back by untake() before anything else happens to the queue.
  [[nodiscard]] Item take() noexcept {
    Item item = std::move(items_[front_++]);
    bytes_ -= size_of(item);
    return item;
  }
  void untake(Item item) noexcept {
    bytes_ += size_of(item);
    items_[--front_] = std::move(item);
  }
  /// To be called now and then: gives up the places of what was taken, at a cost that is spread
  /// over the items.
  void trim() noexcept {
    if (front_ < items_.size() && front_ * 2 < items_.size()) return;
    items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(front_));
    front_ = 0;
    if (items_.empty()) std::vector<Item>().swap(items_);
  }
  void clear() noexcept {
    // The items may run code when they die, which must find an empty queue.
    std::vector<Item> dead;
    dead.swap(items_);
    front_ = 0;
    bytes_ = 0;
  }
  int traverse(visitproc visit, void* arg) const noexcept {
    for (std::size_t i = front_; i < items_.size(); ++i) Py_VISIT(items_[i].address.get());
    return 0;
  }

 private:
  static std::size_t size_of(const Item& item) noexcept {
    return static_cast<std::size_t>(PyBytes_GET_SIZE(item.data.get())) + kHeaderBytes;
  }

  std::vector<Item> items_;
  std::size_t front_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace blitzio::python
