// `blitzio.Duration`, from and to the core's.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <blitzio/base/duration.hpp>

namespace blitzio::python {

/// Reads what functions take for a span of time: seconds as a number, a timedelta, or a Duration.
/// Returns  false with TypeError or ValueError set.
[[nodiscard]] bool to_duration(PyObject* object, Duration* duration) noexcept;

/// A new blitzio.Duration; null with an error set.
[[nodiscard]] PyObject* make_duration(Duration duration) noexcept;

}  // namespace blitzio::python
