// `MemoryReader`, `MemoryWriter`: bytes in memory as streams that are always ready.
#pragma once

#include <blitzio/stream/stream.hpp>
#include <blitzio/task/futures.hpp>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace blitzio::stream {

/// Gives the bytes of `data`, which outlive it, at most `step` of them per read.
class MemoryReader {
 public:
  explicit MemoryReader(std::span<const std::byte> data, std::size_t step = SIZE_MAX) noexcept
      : left_(data), step_(step) {}
  explicit MemoryReader(std::string_view text, std::size_t step = SIZE_MAX) noexcept
      : MemoryReader(std::as_bytes(std::span(text)), step) {}

  auto read(std::span<std::byte> buffer) noexcept {
    return lazy([this, buffer]() noexcept -> Result<std::size_t> {
      const std::size_t count = std::min({buffer.size(), left_.size(), step_});
      if (count > 0) std::memcpy(buffer.data(), left_.data(), count);
      left_ = left_.subspan(count);
      return count;
    });
  }
  [[nodiscard]] std::span<const std::byte> remaining() const noexcept { return left_; }

 private:
  std::span<const std::byte> left_;
  std::size_t step_;
};

/// Keeps what is written, at most `step` bytes per write.
class MemoryWriter {
 public:
  explicit MemoryWriter(std::size_t step = SIZE_MAX) noexcept : step_(step) {}

  auto write(std::span<const std::byte> data) {
    return lazy([this, data]() -> Result<std::size_t> {
      if (is_finished_) return fail(Error::runtime(RuntimeErrc::closed));
      const auto taken = data.first(std::min(data.size(), step_));
      written_.insert(written_.end(), taken.begin(), taken.end());
      return taken.size();
    });
  }
  auto finish() noexcept {
    return lazy([this]() noexcept -> Result<void> {
      is_finished_ = true;
      return {};
    });
  }
  [[nodiscard]] const std::vector<std::byte>& written() const noexcept { return written_; }
  /// The same, and forgets it.
  [[nodiscard]] std::vector<std::byte> take() noexcept { return std::exchange(written_, {}); }
  [[nodiscard]] std::string_view text() const noexcept {
    return {reinterpret_cast<const char*>(written_.data()), written_.size()};
  }
  [[nodiscard]] bool is_finished() const noexcept { return is_finished_; }

 private:
  std::vector<std::byte> written_;
  std::size_t step_;
  bool is_finished_ = false;
};

}  // namespace blitzio::stream
