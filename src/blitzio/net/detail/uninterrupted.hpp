// What becomes of the answers of system calls on sockets.
#pragma once

#include <blitzio/base/result.hpp>

#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace blitzio::net::detail {

/// Calls until the answer is not EINTR. Returns a count or -errno.
template <class Call>
std::int64_t uninterrupted(Call call) noexcept {
  for (;;) {
    const ssize_t count = call();
    if (count >= 0) return count;
    const int code = errno;
    if (code != EINTR) return -code;
  }
}

/// None for "would block".
inline Result<std::optional<std::size_t>> unless_blocked(std::int64_t result) noexcept {
  if (result == -EAGAIN || result == -EWOULDBLOCK) return std::nullopt;
  if (result < 0) return fail(Error::os(static_cast<int>(-result)));
  return static_cast<std::size_t>(result);
}

}  // namespace blitzio::net::detail
