// What the channels share: the values as they travel, and their exceptions.
#pragma once

#include <python/support/py_ref.hpp>
#include <python/support/state.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace blitzio::python {

/// Of a Channel and of a Broadcast, whose rings are made at once.
inline constexpr std::size_t kCapacityMax = std::size_t{1} << 30;

/// A Python object that several hold: copying adds a reference. Attached threads only.
class SharedRef {
 public:
  explicit SharedRef(PyObject* object) noexcept : ref_(PyRef::borrow(object)) {}
  explicit SharedRef(PyRef object) noexcept : ref_(std::move(object)) {}
  SharedRef(const SharedRef& other) noexcept : ref_(PyRef::borrow(other.ref_.get())) {}
  SharedRef(SharedRef&&) noexcept = default;
  SharedRef& operator=(SharedRef&&) noexcept = default;
  SharedRef& operator=(const SharedRef&) = delete;
  ~SharedRef() = default;

  [[nodiscard]] PyObject* get() const noexcept { return ref_.get(); }
  /// A new reference; None where the collector has emptied a channel that is garbage.
  [[nodiscard]] PyObject* to_python() && noexcept {
    return ref_ ? ref_.release() : Py_NewRef(Py_None);
  }
  /// For the collector.
  [[nodiscard]] PyRef take() noexcept { return std::move(ref_); }

 private:
  PyRef ref_;
};

/// Py_nb_bool of what has a length: an empty channel is not false, `if channel` asks whether there
/// is one.
inline int always_true(PyObject* /*self*/) {
  return 1;
}

/// Each sets an exception and returns null.
inline PyObject* raise_closed(const ModuleState& state, const char* what) noexcept {
  return PyErr_Format(state.closed_error, "%s: the channel is closed", what);
}
inline PyObject* raise_full(const ModuleState& state, const char* what) noexcept {
  return PyErr_Format(state.full_error, "%s: the channel is full", what);
}
inline PyObject* raise_empty(const ModuleState& state, const char* what) noexcept {
  return PyErr_Format(state.empty_error, "%s: there is nothing to receive yet", what);
}
PyObject* raise_lagged(const ModuleState& state, std::uint64_t missed) noexcept;

[[nodiscard]] int channel_queue_register(PyObject* module, ModuleState& state) noexcept;
[[nodiscard]] int oneshot_register(PyObject* module, ModuleState& state) noexcept;
[[nodiscard]] int broadcast_register(PyObject* module, ModuleState& state) noexcept;
[[nodiscard]] int watch_register(PyObject* module, ModuleState& state) noexcept;

}  // namespace blitzio::python
