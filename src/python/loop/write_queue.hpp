// `WriteQueue`: what a transport has to send and the kernel has not taken yet, oldest first.
//
// A piece keeps the `bytes` object that it points into; dropping one runs no Python code, because
// only exact `bytes` are kept (anything else is copied into one first). The storage stays when the
// queue runs empty, so a connection allocates for it once.
#pragma once

#include <blitzio/base/check.hpp>
#include <python/loop/spare_bytes.hpp>
#include <python/support/py_ref.hpp>

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <vector>

namespace blitzio::python {

class WriteQueue {
 public:
  WriteQueue() noexcept = default;
  WriteQueue(const WriteQueue&) = delete;
  WriteQueue& operator=(const WriteQueue&) = delete;
  ~WriteQueue() { clear(); }

  [[nodiscard]] bool is_empty() const noexcept { return bytes_ == 0; }
  /// Bytes not sent yet.
  [[nodiscard]] std::size_t size_bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t pieces() const noexcept { return pieces_.size() - first_; }

  /// Adds a reference to `bytes` (exactly a `bytes`) and queues it from `offset` on. Empty:
  /// nothing. May throw std::bad_alloc, the queue unchanged.
  void push(PyObject* bytes, std::size_t offset = 0) {
    BLITZIO_DCHECK(PyBytes_CheckExact(bytes));
    const auto size = static_cast<std::size_t>(PyBytes_GET_SIZE(bytes)) - offset;
    if (size == 0) return;
    pieces_.push_back({PyBytes_AS_STRING(bytes) + offset, size, bytes});
    Py_INCREF(bytes);
    bytes_ += size;
  }

  /// The oldest piece. Must not be empty.
  [[nodiscard]] iovec front() const noexcept {
    BLITZIO_DCHECK(!is_empty());
    return {const_cast<char*>(pieces_[first_].data), pieces_[first_].size};
  }
  /// The object that front() points into. Borrowed.
  [[nodiscard]] PyObject* front_owner() const noexcept {
    BLITZIO_DCHECK(!is_empty());
    return pieces_[first_].owner;
  }
  /// Describes the oldest pieces. Returns how many of `vectors` were filled.
  [[nodiscard]] std::size_t fill(std::span<iovec> vectors) const noexcept {
    std::size_t count = 0;
    for (std::size_t i = first_; i < pieces_.size() && count < vectors.size(); ++i) {
      vectors[count++] = {const_cast<char*>(pieces_[i].data), pieces_[i].size};
    }
    return count;
  }

  /// Drops the oldest `sent` bytes, at most size_bytes(). What nobody else has goes to `spare`.
  void consume(std::size_t sent, SpareBytes& spare) noexcept {
    BLITZIO_DCHECK(sent <= bytes_, sent, bytes_);
    bytes_ -= sent;
    while (sent != 0) {
      Piece& piece = pieces_[first_];
      if (sent < piece.size) {
        piece.data += sent;
        piece.size -= sent;
        return;
      }
      sent -= piece.size;
      spare.drop(piece.owner);
      ++first_;
    }
    compact();
  }

  void clear() noexcept {
    for (std::size_t i = first_; i < pieces_.size(); ++i) Py_DECREF(pieces_[i].owner);
    pieces_.clear();
    first_ = 0;
    bytes_ = 0;
  }

 private:
  struct Piece {
    const char* data;
    std::size_t size;
    PyObject* owner;  // strong
  };

  /// Gives the slots of what was sent back, so that a queue that never runs dry does not grow.
  void compact() noexcept {
    if (first_ == pieces_.size()) {
      pieces_.clear();
      first_ = 0;
    } else if (first_ >= 64 && first_ * 2 >= pieces_.size()) {
      pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(first_));
      first_ = 0;
    }
  }

  std::vector<Piece> pieces_;
  std::size_t first_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace blitzio::python
