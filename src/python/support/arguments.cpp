#include <blitzio/base/check.hpp>
#include <python/support/arguments.hpp>

#include <algorithm>

namespace blitzio::python {

bool Arguments::check_count(const char* method, std::size_t most) const noexcept {
  if (static_cast<std::size_t>(count_) <= most) return true;
  PyErr_Format(PyExc_TypeError, "%s() takes %zu positional arguments but %zd were given", method,
               most, count_);
  return false;
}

bool Arguments::bind_names(const char* method, std::span<const char* const> parameters,
                           std::size_t required, const char* extra) noexcept {
  BLITZIO_CHECK(parameters.size() <= kParametersMax, parameters.size());
  const auto given = static_cast<std::size_t>(count_);
  PyObject* const* values = args_ + count_;
  bound_.fill(nullptr);
  std::copy_n(args_, std::min(given, parameters.size()), bound_.begin());
  const Py_ssize_t names = kwnames_ == nullptr ? 0 : PyTuple_GET_SIZE(kwnames_);
  for (Py_ssize_t i = 0; i < names; ++i) {
    PyObject* name = PyTuple_GET_ITEM(kwnames_, i);
    if (extra != nullptr && PyUnicode_CompareWithASCIIString(name, extra) == 0) {
      extra_ = values[i] == Py_None ? nullptr : values[i];
      continue;
    }
    const auto found = std::ranges::find_if(parameters, [&](const char* parameter) {
      return PyUnicode_CompareWithASCIIString(name, parameter) == 0;
    });
    if (found == parameters.end()) {
      PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", method, name);
      return false;
    }
    PyObject*& place = bound_[static_cast<std::size_t>(found - parameters.begin())];
    if (place != nullptr) {
      PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%s'", method, *found);
      return false;
    }
    place = values[i];
  }
  for (std::size_t i = given; i < required; ++i) {
    if (bound_[i] != nullptr) continue;
    PyErr_Format(PyExc_TypeError, "%s() missing required argument: '%s'", method, parameters[i]);
    return false;
  }
  if (given < parameters.size()) {
    args_ = bound_.data();
    count_ = static_cast<Py_ssize_t>(parameters.size());
  }
  return true;
}

}  // namespace blitzio::python
