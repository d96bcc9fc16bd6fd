// Paths as arguments, and errors that name them as the standard library's do.
#pragma once

#include <blitzio/base/result.hpp>
#include <python/support/py_ref.hpp>

#include <string>

namespace blitzio::python {

/// str, bytes or os.PathLike.
struct PathArgument {
  PyRef object;       ///< what os.fspath() gives: what errors name
  std::string bytes;  ///< as the file system has it; without NUL

  /// False with TypeError or ValueError set.
  [[nodiscard]] bool parse(PyObject* argument) noexcept;
  /// Whether names that come of it are bytes.
  [[nodiscard]] bool is_bytes() const noexcept { return PyBytes_Check(object.get()) != 0; }

 private:
  [[nodiscard]] bool encode() noexcept;
};

/// A name or path of the file system's: bytes, or str with os.fsdecode(). Null with an error set.
[[nodiscard]] PyObject* make_path(const std::string& path, bool as_bytes) noexcept;

/// Sets OSError with `filename`, and `filename2` if there are two. Returns null.
PyObject* raise_path_error(Error error, const char* what, PyObject* path,
                           PyObject* other = nullptr) noexcept;

}  // namespace blitzio::python
