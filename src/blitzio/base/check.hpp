// Assertions that print the values involved and abort.
//
// BLITZIO_CHECK stays on in release builds: cheap facts whose failure means that memory is already
// wrong (the origin of a state transition, a reference count, exactly one completion).
// BLITZIO_DCHECK is for debug and sanitizer builds: list walks, owner threads, lock ranks.
// Neither judges input or the system: those are errors (see result.hpp).
#pragma once

#include <blitzio/base/platform.hpp>

#include <cstdint>
#include <initializer_list>
#include <type_traits>

namespace blitzio::detail {

/// Prints `file:line: check failed: expression (values…)` to stderr and aborts.
[[noreturn]] BLITZIO_COLD void check_failed(const char* file, int line, const char* expression,
                                            std::initializer_list<long long> values) noexcept;

template <class T>
constexpr long long check_value(const T& value) noexcept {
  if constexpr (std::is_pointer_v<T>) {
    return static_cast<long long>(reinterpret_cast<std::intptr_t>(value));
  } else if constexpr (std::is_null_pointer_v<T>) {
    return 0;
  } else {
    return static_cast<long long>(value);
  }
}

}  // namespace blitzio::detail

#define BLITZIO_CHECK_IMPL(cond, text, ...)                                     \
  do {                                                                          \
    if (BLITZIO_UNLIKELY(!(cond))) {                                            \
      ::blitzio::detail::check_failed(__FILE__, __LINE__, text, {__VA_ARGS__}); \
    }                                                                           \
  } while (false)

#define BLITZIO_CHECK(cond, ...)                                    \
  BLITZIO_CHECK_IMPL(cond, #cond __VA_OPT__(" [" #__VA_ARGS__ "]"), \
                     BLITZIO_CHECK_VALUES(__VA_ARGS__))

// Maps each value through check_value; up to four values.
#define BLITZIO_CHECK_VALUES(...)                                                \
  __VA_OPT__(BLITZIO_CHECK_PICK(__VA_ARGS__, BLITZIO_V4, BLITZIO_V3, BLITZIO_V2, \
                                BLITZIO_V1)(__VA_ARGS__))
#define BLITZIO_CHECK_PICK(a, b, c, d, name, ...) name
#define BLITZIO_V1(a) ::blitzio::detail::check_value(a)
#define BLITZIO_V2(a, b) BLITZIO_V1(a), BLITZIO_V1(b)
#define BLITZIO_V3(a, b, c) BLITZIO_V2(a, b), BLITZIO_V1(c)
#define BLITZIO_V4(a, b, c, d) BLITZIO_V3(a, b, c), BLITZIO_V1(d)

#if BLITZIO_DEBUG
#define BLITZIO_DCHECK(cond, ...) BLITZIO_CHECK(cond __VA_OPT__(, ) __VA_ARGS__)
#else
#define BLITZIO_DCHECK(cond, ...) \
  do {                            \
    (void)sizeof(cond);           \
  } while (false)
#endif
