// Socket addresses as the socket module shows them, for the families that need no interpreter to
// format: AF_INET, AF_INET6 and AF_UNIX.
#pragma once

#include <python/support/py_ref.hpp>

#include <netinet/in.h>
#include <sys/socket.h>

namespace blitzio::python {

[[nodiscard]] constexpr bool is_plain_family(int family) noexcept {
  return family == AF_INET || family == AF_INET6 || family == AF_UNIX;
}

/// (host, port). Null with an error set.
[[nodiscard]] PyRef inet_address_object(const sockaddr_in& address) noexcept;
/// (host, port, flow, scope). Null with an error set.
[[nodiscard]] PyRef inet6_address_object(const sockaddr_in6& address) noexcept;
/// One of these, a path, or None if `bytes` is 0: nobody's address.
/// The family must be a plain one. Returns null with an error set.
[[nodiscard]] PyRef address_object(const sockaddr_storage& address, socklen_t bytes) noexcept;

}  // namespace blitzio::python
