// How much a transport asks for with the next read into a `bytes` of its own.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace blitzio::python {

/// What a pipe holds by default.
inline constexpr std::uint32_t kReadBytesMin = 64 * 1024;
/// As asyncio's largest.
inline constexpr std::uint32_t kReadBytesMax = 256 * 1024;

/// What follows a read that was filled.
[[nodiscard]] inline std::uint32_t next_read_bytes(std::uint32_t filled) noexcept {
  if (filled >= kReadBytesMax) return kReadBytesMax;
  const std::uint32_t next = std::min(filled * 2, kReadBytesMax);
  // glibc maps a piece of 128 KiB or more anew each time, and each of its pages is a fault, until
  // one as large has been freed. One that is cut to what has come is smaller then: a connection
  // that brings 192 KiB at a time took five times as long.
  void* volatile piece = std::malloc(std::size_t{next} * 2);
  std::free(piece);
  return next;
}

}  // namespace blitzio::python
