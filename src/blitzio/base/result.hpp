// `Result<T>`: a value or an `Error`. The core returns it and does not throw.
#pragma once

#include <blitzio/base/error.hpp>

#include <expected>
#include <type_traits>
#include <utility>

namespace blitzio {

template <class T>
using Result = std::expected<T, Error>;

/// The failing half of a Result: `return fail(Error::os(errno));`
[[nodiscard]] constexpr std::unexpected<Error> fail(Error error) noexcept {
  return std::unexpected<Error>(error);
}

/// `function(value)` as a Result, or the error. (std::expected::transform() comes with GCC 13.)
template <class T, class F>
auto map_value(Result<T> result, F&& function)
    -> Result<std::remove_cvref_t<std::invoke_result_t<F, T&&>>> {
  if (!result) return fail(result.error());
  return std::forward<F>(function)(std::move(*result));
}

}  // namespace blitzio
