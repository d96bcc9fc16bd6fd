// `ReadAhead`: bytes that were read and that nobody has taken yet.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

namespace blitzio::python {

class ReadAhead {
 public:
  [[nodiscard]] std::span<const std::byte> view() const noexcept {
    return std::span(bytes_).subspan(begin_, end_ - begin_);
  }
  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
  void consume(std::size_t count) noexcept {
    begin_ += count;
    if (begin_ == end_) begin_ = end_ = 0;
    // A long read leaves no long buffer behind.
    if (end_ == 0 && bytes_.size() > kKeptBytes) bytes_ = {};
  }
  /// Room for at least `count` bytes behind the others. Throws std::bad_alloc.
  [[nodiscard]] std::span<std::byte> room(std::size_t count) {
    if (bytes_.size() - end_ < count) {
      if (begin_ > 0) {
        std::memmove(bytes_.data(), bytes_.data() + begin_, size());
        end_ -= begin_;
        begin_ = 0;
      }
      if (bytes_.size() - end_ < count) bytes_.resize(end_ + count);
    }
    return std::span(bytes_).subspan(end_);
  }
  void add(std::size_t count) noexcept { end_ += count; }
  void clear() noexcept { consume(size()); }
  /// Takes all of `bytes`; there must be none yet.
  void adopt(std::vector<std::byte> bytes) noexcept {
    bytes_ = std::move(bytes);
    begin_ = 0;
    end_ = bytes_.size();
  }

 private:
  static constexpr std::size_t kKeptBytes = 64 * 1024;
  std::vector<std::byte> bytes_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace blitzio::python
