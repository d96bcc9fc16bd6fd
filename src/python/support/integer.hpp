// Integers of Python code that must be in a range. What is outside is ValueError, also what no C
// integer holds: CPython's own conversions make OverflowError of that, which nobody expects of a
// wrong argument. Methods that copy one of Python's own (of files, sockets, loops) keep its errors.
#pragma once

#include <Python.h>

#include <concepts>
#include <type_traits>

namespace blitzio::python {

/// Reads an integer from `least` to `most`; LLONG_MAX: no limit that is worth a word.
/// Returns  false with TypeError, or ValueError ("`what` must be from …"), set.
[[nodiscard]] bool parse_long_long(PyObject* object, const char* what, long long least,
                                   long long most, long long* value) noexcept;

/// That, of any type; `least` and `most` are in a `long long`, too.
template <std::integral T>
[[nodiscard]] bool parse_integer(PyObject* object, const char* what, std::type_identity_t<T> least,
                                 std::type_identity_t<T> most, T* value) noexcept {
  long long wide = 0;
  if (!parse_long_long(object, what, static_cast<long long>(least), static_cast<long long>(most),
                       &wide)) {
    return false;
  }
  *value = static_cast<T>(wide);
  return true;
}

}  // namespace blitzio::python
