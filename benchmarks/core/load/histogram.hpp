// `Histogram`: latencies in nanoseconds, counted in buckets of at most 1.6 % width.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace blitzio::bench {

class Histogram {
 public:
  void add(std::uint64_t nanos) noexcept {
    ++counts_[bucket_of(nanos)];
    ++total_;
  }
  void merge(const Histogram& other) noexcept {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
  }
  [[nodiscard]] std::uint64_t total() const noexcept { return total_; }
  /// The value that `share` (0 to 1) of all do not exceed, to a bucket's width.
  [[nodiscard]] std::uint64_t quantile(double share) const noexcept {
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(total_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > wanted) return value_of(i);
    }
    return 0;
  }

 private:
  // Values below 2^6 have a bucket each; above, each power of two is divided into 64.
  static constexpr unsigned kBits = 6;
  static constexpr std::size_t kPart = std::size_t{1} << kBits;

  static std::size_t bucket_of(std::uint64_t value) noexcept {
    if (value < kPart) return value;
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kBits;
    return (std::size_t{shift} + 1) * kPart + ((value >> shift) - kPart);
  }
  static std::uint64_t value_of(std::size_t bucket) noexcept {
    if (bucket < kPart) return bucket;
    const std::size_t shift = bucket / kPart - 1;
    return (bucket % kPart + kPart) << shift;
  }

  std::array<std::uint64_t, (64 - kBits + 1) * kPart> counts_{};
  std::uint64_t total_ = 0;
};

}  // namespace blitzio::bench
