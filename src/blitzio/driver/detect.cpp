#include <blitzio/driver/driver.hpp>

#include <bit>

namespace blitzio::driver {

namespace {

constexpr std::uint32_t kRingEntriesMax = 32'768;
constexpr std::uint32_t kBufferBytesMin = 256;
constexpr std::uint32_t kBufferBytesMax = 16 * 1024 * 1024;
// Buffer ids have 16 bits, and the kernel allows half of them.
constexpr std::uint32_t kBufferCountMax = 32'768;

bool is_power_of_two_within(std::uint32_t value, std::uint32_t low, std::uint32_t high) noexcept {
  return std::has_single_bit(value) && value >= low && value <= high;
}

}  // namespace

Result<void> validate(const Config& config) noexcept {
  const bool valid =
      config.ring_entries <= kRingEntriesMax &&
      is_power_of_two_within(config.buffer_bytes, kBufferBytesMin, kBufferBytesMax) &&
      is_power_of_two_within(config.buffer_count, 1, kBufferCountMax) &&
      is_power_of_two_within(config.buffer_count_max, config.buffer_count, kBufferCountMax);
  if (!valid) return fail(Error::runtime(RuntimeErrc::invalid_argument));
  return {};
}

}  // namespace blitzio::driver
