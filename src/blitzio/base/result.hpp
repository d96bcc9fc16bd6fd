// `Result<T>`: a value or an `Error`. The core returns it and does not throw.
#pragma once

#include <blitzio/base/error.hpp>

#include <expected>

namespace blitzio {

template <class T>
using Result = std::expected<T, Error>;

/// The failing half of a Result: `return fail(Error::os(errno));`
[[nodiscard]] constexpr std::unexpected<Error> fail(Error error) noexcept {
  return std::unexpected<Error>(error);
}

}  // namespace blitzio
