// `AddressBuffer`: room for a socket address that accept(2), getsockname(2) or getpeername(2)
// writes.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <span>

namespace blitzio {

struct AddressBuffer {
  sockaddr_storage storage;
  socklen_t length = sizeof storage;  ///< in: of `storage`; out: of the address

  [[nodiscard]] sockaddr* generic() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
  /// What the kernel wrote. It tells the length of the whole address, had it cut that short, too.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return std::as_bytes(std::span(&storage, 1))
        .first(std::min<std::size_t>(length, sizeof storage));
  }
};

}  // namespace blitzio
