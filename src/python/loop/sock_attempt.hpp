// The working part of a `SockOperation`: checking its arguments and trying the syscall.
#pragma once

#include <python/loop/sock_operation.hpp>

namespace blitzio::python {

enum class Attempt : std::uint8_t {
  done,        ///< *result is set
  wait_read,   ///< try again when the fd is readable
  wait_write,  ///< try again when the fd is writable
  failed,      ///< an error is set
};

/// Checks socket and arguments, as the coroutine's first step does in asyncio.
/// Returns  false with an error set.
[[nodiscard]] bool sock_prepare(SockOperationObject& operation) noexcept;

/// Asks a raw socket for its fd anew: after a wait, or after what may have run any code.
/// Returns  false with an error set.
[[nodiscard]] bool sock_read_fd(SockOperationObject& operation) noexcept;

/// Tries once, never blocks (unless the socket's own method does). After sock_prepare().
[[nodiscard]] Attempt sock_attempt(SockOperationObject& operation, PyRef* result) noexcept;

/// TypeError for an ssl.SSLSocket; in debug mode, ValueError for a socket that may block.
[[nodiscard]] bool sock_check(LoopObject& loop, PyObject* sock) noexcept;

}  // namespace blitzio::python
