// `TlsWindow`: an object with the buffer interface that shows memory of ours to a function of the
// ssl module for the length of one call, so that no memoryview is made per record. One belongs to
// each connection; outside of a call it shows nothing and raises BufferError.
//
// Only given to methods of `_ssl` itself, which let go of the buffer before they return. A
// user's own SSLObject class gets real objects instead.
#pragma once

#include <python/support/state.hpp>

#include <cstddef>
#include <span>

namespace blitzio::python {

struct TlsWindowObject {
  PyObject_HEAD std::byte* data;
  Py_ssize_t size;
  bool is_readonly;
};

[[nodiscard]] int tls_window_register(PyObject* module, ModuleState& state) noexcept;
/// Null with an error set.
[[nodiscard]] PyRef tls_window_new(ModuleState& state) noexcept;

/// Opens a window for the scope.
class TlsWindowScope {
 public:
  TlsWindowScope(PyObject* window, std::span<const std::byte> data) noexcept
      : TlsWindowScope(window, const_cast<std::byte*>(data.data()), data.size(), true) {}
  TlsWindowScope(PyObject* window, std::span<std::byte> data) noexcept
      : TlsWindowScope(window, data.data(), data.size(), false) {}
  TlsWindowScope(const TlsWindowScope&) = delete;
  TlsWindowScope& operator=(const TlsWindowScope&) = delete;
  ~TlsWindowScope() { window_.data = nullptr; }

 private:
  TlsWindowScope(PyObject* window, std::byte* data, std::size_t size, bool is_readonly) noexcept
      : window_(*reinterpret_cast<TlsWindowObject*>(window)) {
    window_.data = data;
    window_.size = static_cast<Py_ssize_t>(size);
    window_.is_readonly = is_readonly;
  }
  TlsWindowObject& window_;
};

}  // namespace blitzio::python
