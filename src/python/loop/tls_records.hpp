// `RecordCounter`: how many whole TLS records have arrived that nobody has read yet.
//
// Reading until OpenSSL says "want read" costs an exception object per arrival, about as much as
// decrypting a kilobyte. Every record says its length in clear (RFC 8446, 5.1), so counting tells
// when the next read can give anything, and how large the plaintext can be at most.
//
//     type (1) │ version (2) │ length (2) │ length bytes
//
// The count may be too high (records without application data are read in passing), never too low;
// whoever reads sets it right with all_read(). A header that is none makes the counter give up:
// then there is always "something to read" after an arrival, and OpenSSL decides.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace blitzio::python {

class RecordCounter {
 public:
  static constexpr std::size_t kHeaderBytes = 5;
  /// The largest record of any version: 2^14 bytes of data, and what TLS 1.2 may add to it.
  static constexpr std::size_t kRecordBytesMax = kHeaderBytes + (1U << 14) + 2048;

  /// Counts what has arrived.
  void feed(std::span<const std::byte> data) noexcept {
    if (is_lost_) {
      records_ = 1;
      bytes_ += data.size();
      return;
    }
    while (!data.empty()) {
      if (left_ != 0) {
        const std::size_t taken = std::min<std::size_t>(left_, data.size());
        left_ -= static_cast<std::uint32_t>(taken);
        data = data.subspan(taken);
      } else {
        header_[header_size_++] = data.front();
        data = data.subspan(1);
        if (header_size_ < kHeaderBytes) continue;
        if (!take_header()) {
          give_up(data.size());
          return;
        }
      }
      if (left_ == 0 && header_size_ == 0) {
        ++records_;
        bytes_ += size_;
      }
    }
  }

  /// Whether a read may give something.
  [[nodiscard]] bool has_whole() const noexcept { return records_ != 0; }
  /// At least as many bytes as the plaintext of all whole records has (without compression).
  [[nodiscard]] std::size_t whole_bytes() const noexcept { return bytes_; }
  /// What has arrived of the record that is arriving, without its header.
  [[nodiscard]] std::size_t partial_bytes() const noexcept {
    return left_ == 0 ? 0 : size_ - kHeaderBytes - left_;
  }
  /// A record was read to its end.
  void one_read() noexcept {
    if (!is_lost_ && --records_ == 0) bytes_ = 0;
  }
  /// OpenSSL says that nothing is left.
  void all_read() noexcept {
    records_ = 0;
    bytes_ = 0;
  }

 private:
  /// Returns false if this is no header.
  bool take_header() noexcept {
    const auto type = std::to_integer<unsigned>(header_[0]);
    const std::size_t length =
        std::to_integer<std::size_t>(header_[3]) << 8 | std::to_integer<std::size_t>(header_[4]);
    header_size_ = 0;
    left_ = static_cast<std::uint32_t>(length);
    size_ = static_cast<std::uint32_t>(kHeaderBytes + length);
    return type >= 20 && type <= 24 && header_[1] == std::byte{3} && size_ <= kRecordBytesMax;
  }
  void give_up(std::size_t rest) noexcept {
    is_lost_ = true;
    records_ = 1;
    bytes_ += kHeaderBytes + rest;
  }

  std::uint32_t records_ = 0;  ///< whole ones, not read
  std::uint32_t left_ = 0;     ///< of the record that is arriving
  std::uint32_t size_ = 0;     ///< of that record, with its header
  std::byte header_[kHeaderBytes] = {};
  std::uint8_t header_size_ = 0;
  bool is_lost_ = false;
  std::size_t bytes_ = 0;  ///< size of the whole records
};

}  // namespace blitzio::python
