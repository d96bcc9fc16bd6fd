// Arguments of vectorcall methods whose leading parameters may come by name, as in
// `loop.run_in_executor(executor=None, func=f)`: bind() for those that free positional ones follow,
// bind_all() for those with a fixed list of parameters.
//
// Calls by position, nearly all of them, cost one comparison here.
#pragma once

#include <blitzio/base/platform.hpp>
#include <python/support/py_ref.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <span>

namespace blitzio::python {

/// Lives as long as the call; borrows everything.
class Arguments {
 public:
  static constexpr std::size_t kParametersMax = 8;

  /// As a METH_FASTCALL | METH_KEYWORDS function gets them.
  Arguments(PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) noexcept
      : args_(args), count_(nargs), kwnames_(kwnames) {}
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  /// Puts what came by name into its place. All of `parameters` must be given; `extra` may be.
  /// Returns  false with TypeError set, worded as CPython words it.
  [[nodiscard]] bool bind(const char* method, std::span<const char* const> parameters,
                          const char* extra = nullptr) noexcept {
    if (BLITZIO_LIKELY(kwnames_ == nullptr &&
                       count_ >= static_cast<Py_ssize_t>(parameters.size()))) {
      return true;
    }
    return bind_names(method, parameters, parameters.size(), extra);
  }
  /// As bind(), and at once where `extra` alone came by name, as C code that calls passes it:
  /// `interned` is that name. asyncio's own C code passes one that is equal, and not interned.
  [[nodiscard]] bool bind(const char* method, std::span<const char* const> parameters,
                          const char* extra, PyObject* interned) noexcept {
    if (kwnames_ != nullptr && PyTuple_GET_SIZE(kwnames_) == 1 &&
        is_same_name(PyTuple_GET_ITEM(kwnames_, 0), interned) &&
        count_ >= static_cast<Py_ssize_t>(parameters.size())) {
      extra_ = args_[count_] == Py_None ? nullptr : args_[count_];
      return true;
    }
    return bind(method, parameters, extra);
  }
  /// As bind(), without free positional arguments; parameters from `required` on are optional and
  /// null if they are not given.
  [[nodiscard]] bool bind_all(const char* method, std::span<const char* const> parameters,
                              std::size_t required) noexcept {
    if (BLITZIO_LIKELY(kwnames_ == nullptr &&
                       count_ == static_cast<Py_ssize_t>(parameters.size()))) {
      return true;
    }
    return check_count(method, parameters.size()) &&
           bind_names(method, parameters, required, nullptr);
  }

  [[nodiscard]] PyObject* operator[](std::size_t index) const noexcept { return args_[index]; }
  /// Positional arguments from `first` on.
  [[nodiscard]] std::span<PyObject* const> from(std::size_t first) const noexcept {
    return {args_ + first, static_cast<std::size_t>(count_) - first};
  }
  /// What came as `extra`; null if it did not, or was None.
  [[nodiscard]] PyObject* extra() const noexcept { return extra_; }

 private:
  /// `interned` is ASCII.
  static bool is_same_name(PyObject* name, PyObject* interned) noexcept {
    if (name == interned) return true;
    const Py_ssize_t length = PyUnicode_GET_LENGTH(interned);
    return PyUnicode_IS_COMPACT_ASCII(name) && PyUnicode_GET_LENGTH(name) == length &&
           std::memcmp(PyUnicode_1BYTE_DATA(name), PyUnicode_1BYTE_DATA(interned),
                       static_cast<std::size_t>(length)) == 0;
  }
  bool check_count(const char* method, std::size_t most) const noexcept;
  bool bind_names(const char* method, std::span<const char* const> parameters, std::size_t required,
                  const char* extra) noexcept;

  PyObject* const* args_;
  Py_ssize_t count_;
  PyObject* kwnames_;
  PyObject* extra_ = nullptr;
  std::array<PyObject*, kParametersMax> bound_;  // set where it is used: seldom
};

/// A string as a template argument.
template <std::size_t Bytes>
struct Text {
  consteval Text(const char (&text)[Bytes]) noexcept {  // NOLINT(google-explicit-constructor)
    std::copy_n(text, Bytes, characters.begin());
  }
  [[nodiscard]] constexpr const char* c_str() const noexcept { return characters.data(); }
  std::array<char, Bytes> characters{};
};

/// A METH_FASTCALL | METH_KEYWORDS method of one parameter, which may come by name.
template <auto Function, Text Method, Text Parameter>
PyObject* one_argument(PyObject* self, PyObject* const* args, Py_ssize_t count,
                       PyObject* names) noexcept {
  Arguments arguments(args, count, names);
  static constexpr std::array<const char*, 1> kParameters{Parameter.c_str()};
  if (!arguments.bind(Method.c_str(), kParameters)) return nullptr;
  if (BLITZIO_UNLIKELY(count > 1)) {
    // Counted as asyncio's own methods, written in Python, are: with self.
    return PyErr_Format(PyExc_TypeError, "%s() takes 2 positional arguments but %zd were given",
                        Method.c_str(), count + 1);
  }
  return Function(self, arguments[0]);
}

}  // namespace blitzio::python
