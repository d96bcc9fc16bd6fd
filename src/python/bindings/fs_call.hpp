// A function of paths in its two Python forms, the awaitable one and `blocking_…`, made of one
// description:
//
//     struct Mkdir : OnePath {
//       static constexpr const char* kName = "mkdir";
//       static constexpr std::array kParameters{"path", "mode"};     // the first one required
//       mode_t mode = 0777;
//       bool parse(const Arguments& arguments) noexcept;              // or false, with an error
//       Result<void> operator()() const { return fs::blocking_mkdir(path, mode); }
//       // auto future() &&: the core's future of it, if it has one that is tried on the spot
//     };
//
// Threads: the call runs on any, detached from the interpreter, so it holds nothing of Python's.
#pragma once

#include <blitzio/executor/blocking_call.hpp>
#include <blitzio/fs/directory.hpp>
#include <blitzio/fs/paths.hpp>
#include <blitzio/fs/temporary.hpp>
#include <python/bindings/descriptor.hpp>
#include <python/bindings/fs_metadata.hpp>
#include <python/bindings/fs_path.hpp>
#include <python/bridge/awaitable.hpp>
#include <python/bridge/blocking.hpp>
#include <python/support/arguments.hpp>
#include <python/support/thread_state.hpp>

#include <array>
#include <concepts>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace blitzio::python {

/// What the result of a call is made into, and whom its error names.
struct PathResult {
  ModuleState* state;
  const char* name;
  PyRef path;
  PyRef other;

  template <class T>
  PyObject* operator()(Result<T> result) const noexcept {
    if (!result) return raise_path_error(result.error(), name, path.get(), other.get());
    if constexpr (std::is_void_v<T>) {
      Py_RETURN_NONE;
    } else {
      return to_python(*result);
    }
  }

 private:
  [[nodiscard]] bool is_bytes() const noexcept { return path && PyBytes_Check(path.get()) != 0; }
  PyObject* to_python(bool value) const noexcept { return PyBool_FromLong(value ? 1 : 0); }
  PyObject* to_python(std::uint64_t value) const noexcept {
    return PyLong_FromUnsignedLongLong(value);
  }
  PyObject* to_python(fs::TempPath& value) const noexcept {
    PyObject* made = make_path(value.path(), is_bytes());
    if (made != nullptr) static_cast<void>(value.keep());
    return made;
  }
  PyObject* to_python(const std::string& value) const noexcept {
    return make_path(value, is_bytes());
  }
  PyObject* to_python(const fs::Metadata& value) const noexcept {
    return make_metadata(*state, value);
  }
  PyObject* to_python(const std::vector<fs::DirEntry>& entries) const noexcept {
    static constexpr std::array kTypes{"unknown", "file", "directory", "symlink", "other"};
    PyRef list = PyRef::steal(PyList_New(static_cast<Py_ssize_t>(entries.size())));
    if (!list) return nullptr;
    Py_ssize_t index = 0;
    for (const fs::DirEntry& entry : entries) {
      PyObject* row = Py_BuildValue("(NsK)", make_path(entry.name, is_bytes()),
                                    kTypes[static_cast<std::size_t>(entry.type)],
                                    static_cast<unsigned long long>(entry.inode));
      if (row == nullptr) return nullptr;
      PyList_SET_ITEM(list.get(), index++, row);
    }
    return list.release();
  }
};

/// A call about one path.
struct OnePath {
  std::string path;
  PyRef object;

  [[nodiscard]] bool parse(const Arguments& arguments) noexcept {
    PathArgument argument;
    if (!argument.parse(arguments[0])) return false;
    path = std::move(argument.bytes);
    object = std::move(argument.object);
    return true;
  }
  [[nodiscard]] PyRef take_other() noexcept { return {}; }
};
/// A call about two.
struct TwoPaths : OnePath {
  std::string other;
  PyRef other_object;

  [[nodiscard]] bool parse(const Arguments& arguments) noexcept {
    PathArgument argument;
    if (!OnePath::parse(arguments) || !argument.parse(arguments[1])) return false;
    other = std::move(argument.bytes);
    other_object = std::move(argument.object);
    return true;
  }
  [[nodiscard]] PyRef take_other() noexcept { return std::move(other_object); }
};

/// Reads permissions; null leaves `*mode` as it is. False with an error set.
[[nodiscard]] inline bool parse_mode(PyObject* object, mode_t* mode) noexcept {
  if (object == nullptr) return true;
  int overflow = 0;
  const long value = PyLong_AsLongAndOverflow(object, &overflow);
  if (value == -1 && PyErr_Occurred() != nullptr) return false;
  if (overflow != 0 || value < 0 || value > 07777) {
    PyErr_Format(PyExc_ValueError, "mode must be from 0 to 0o7777, got %R", object);
    return false;
  }
  *mode = static_cast<mode_t>(value);
  return true;
}

/// Reads a bool; null leaves `*value` as it is. False with an error set.
[[nodiscard]] inline bool parse_flag(PyObject* object, bool* value) noexcept {
  if (object == nullptr) return true;
  const int truth = PyObject_IsTrue(object);
  if (truth < 0) return false;
  *value = truth != 0;
  return true;
}

namespace detail {

/// The call, and what becomes of its result.
template <class Call>
struct ParsedCall {
  Call call;
  PathResult result;
};

template <class Call>
std::optional<ParsedCall<Call>> parse_call(PyObject* module, PyObject* const* args,
                                           Py_ssize_t nargs, PyObject* names) {
  auto& state = *static_cast<ModuleState*>(PyModule_GetState(module));
  Arguments arguments(args, nargs, names);
  Call call;
  if (!arguments.bind_all(Call::kName, Call::kParameters, Call::kRequired) ||
      !call.parse(arguments)) {
    return std::nullopt;
  }
  // Out of what goes to a thread.
  PyRef path = std::move(call.object);
  PyRef other = call.take_other();
  return ParsedCall<Call>{std::move(call),
                          {&state, Call::kName, std::move(path), std::move(other)}};
}

template <class Call>
auto call_future(Call call) {
  if constexpr (requires { std::move(call).future(); }) {
    return std::move(call).future();
  } else {
    return call_blocking(std::move(call));
  }
}

}  // namespace detail

template <class Call>
PyObject* path_call(PyObject* module, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  auto parsed = detail::parse_call<Call>(module, args, nargs, names);
  if (!parsed) return nullptr;
  return awaitable_new(*parsed->result.state, Call::kName, nullptr,
                       detail::call_future(std::move(parsed->call)), std::move(parsed->result));
}

template <class Call>
PyObject* blocking_path_call(PyObject* module, PyObject* const* args, Py_ssize_t nargs,
                             PyObject* names) {
  auto parsed = detail::parse_call<Call>(module, args, nargs, names);
  if (!parsed || !may_block(*parsed->result.state, Call::kBlockingName)) return nullptr;
  const auto run = [&] {
    const Detached detached;
    return parsed->call();
  };
  return parsed->result(run());
}

}  // namespace blitzio::python
