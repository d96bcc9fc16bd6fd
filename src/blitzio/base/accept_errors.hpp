// Which errors of accept(2) say nothing of the listener.
#pragma once

#include <cerrno>

namespace blitzio {

/// Whether `code` is of one connection that died in the backlog; the next one may be well
/// (accept(2), "Error handling"). EOPNOTSUPP is in that list, too, but also means "no listener",
/// for ever.
[[nodiscard]] constexpr bool concerns_one_connection(int code) noexcept {
  switch (code) {
    case ECONNABORTED:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return true;
    default:
      return false;
  }
}

}  // namespace blitzio
