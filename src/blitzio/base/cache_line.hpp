// The distance that keeps two threads' data from sharing a cache line. 64 bytes on every processor
// we build for; std::hardware_destructive_interference_size is not ABI-stable, GCC warns of it.
#pragma once

#include <cstddef>

namespace blitzio {

inline constexpr std::size_t kCacheLineBytes = 64;

}  // namespace blitzio
