// `blocking_form()`: the form for threads of a method that returns an awaitable, made of that
// method: a row for the table of methods.
//
//     blocking_form<stream_read<S>, "blocking_read">(doc)
//     blocking_form<stream_read_exact<S>, "blocking_read_exact", 1>(doc)   // METH_O: one argument
//     blocking_form<file_read<F>, "blocking_read", kAnyCount>(doc)         // the method counts
//     them
//
// It takes the method's arguments, and `timeout` by name; where there are no others, by position,
// too. The awaitable is made as ever, and waited for instead of given back, so that both forms do
// the same.
#pragma once

#include <python/bridge/blocking.hpp>
#include <python/support/arguments.hpp>
#include <python/support/slots.hpp>

#include <array>
#include <concepts>
#include <cstddef>

namespace blitzio::python {

/// Of a method that looks itself how many arguments it was given.
inline constexpr Py_ssize_t kAnyCount = -1;

/// What such a call was given, without `timeout`. Borrows everything but the names.
class TimedArguments {
 public:
  TimedArguments(PyObject* const* args, Py_ssize_t count, PyObject* names) noexcept
      : args_(args), count_(count), names_(PyRef::borrow(names)) {}

  /// Takes `timeout` out; `is_only`: the method has no other parameter.
  /// Returns  false with TypeError or ValueError set.
  [[nodiscard]] bool take_timeout(const char* method, bool is_only) noexcept;
  /// For methods without keywords: whether there are `positional` arguments, or kAnyCount, and
  /// nothing else.
  /// Returns  false with TypeError set.
  [[nodiscard]] bool are_positional(const char* method, Py_ssize_t positional) const noexcept;

  [[nodiscard]] PyObject* const* values() const noexcept { return args_; }
  [[nodiscard]] Py_ssize_t count() const noexcept { return count_; }
  [[nodiscard]] PyObject* names() const noexcept { return names_.get(); }  ///< null: none
  [[nodiscard]] const TimeLimit& limit() const noexcept { return limit_; }

 private:
  PyObject* const* args_;
  Py_ssize_t count_;
  PyRef names_;
  TimeLimit limit_;
  std::array<PyObject*, Arguments::kParametersMax> kept_{};
};

namespace detail {

/// Returns a new awaitable, or null with an error set.
using MakeAwaitable = PyObject* (*)(PyObject* self, const TimedArguments& arguments);

/// `self`: an object of a type of this module, for a class method the type, for a function the
/// module.
[[nodiscard]] PyObject* run_blocking_call(PyObject* self, const char* call,
                                          TimedArguments arguments, bool has_parameters,
                                          MakeAwaitable make) noexcept;

template <auto kMethod, Text kName, Py_ssize_t kCount>
PyObject* make_awaitable(PyObject* self, const TimedArguments& arguments) {
  if constexpr (requires { kMethod(self, arguments.values(), kCount, self); }) {
    return kMethod(self, arguments.values(), arguments.count(), arguments.names());
  } else {
    if (!arguments.are_positional(kName.c_str(), kCount)) return nullptr;
    if constexpr (requires { kMethod(self, arguments.values(), kCount); }) {
      return kMethod(self, arguments.values(), arguments.count());
    } else {
      static_assert(kCount <= 1);
      return kMethod(self, kCount == 0 ? nullptr : arguments.values()[0]);
    }
  }
}

template <auto kMethod, Text kName, Py_ssize_t kCount>
PyObject* blocking_call(PyObject* self, PyObject* const* args, Py_ssize_t count,
                        PyObject* names) noexcept {
  constexpr bool kHasParameters = kCount != 0 || requires { kMethod(self, args, count, names); };
  return run_blocking_call(self, kName.c_str(), TimedArguments(args, count, names), kHasParameters,
                           make_awaitable<kMethod, kName, kCount>);
}

}  // namespace detail

/// `kMethod`  a METH_FASTCALL | METH_KEYWORDS function, or one of METH_FASTCALL, METH_O or
///            METH_NOARGS that takes `kCount` arguments; of METH_FASTCALL also kAnyCount.
/// `kFlags`   METH_CLASS for a class method.
template <auto kMethod, Text kName, Py_ssize_t kCount = 0, int kFlags = 0>
[[nodiscard]] PyMethodDef blocking_form(const char* doc) noexcept {
  return {kName.c_str(), fast(detail::blocking_call<kMethod, kName, kCount>),
          METH_FASTCALL | METH_KEYWORDS | kFlags, doc};
}

}  // namespace blitzio::python
