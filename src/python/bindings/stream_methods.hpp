// The methods that all streams of Python have, templates over S of PyStream<S>. The futures behind
// them are in stream.hpp.
#pragma once

#include <python/bindings/descriptor.hpp>
#include <python/bindings/stream.hpp>
#include <python/bridge/blocking_form.hpp>
#include <python/support/arguments.hpp>

#include <array>

namespace blitzio::python {

inline constexpr std::size_t kReadBytes = 64 * 1024;

template <class S>
PyStream<S>& stream_of(PyObject* self) noexcept {
  return Box<PyStream<S>>::of(self).value;
}

template <class S, Future F>
PyObject* await_on_loop(PyObject* self, const char* name, F future) noexcept {
  ModuleState& state = *Box<PyStream<S>>::of(self).state;
  return awaitable_new(state, name, self, OnLoop<F>(state, std::move(future)), AsIs());
}

// ---- reading -----------------------------------------------------------------------------------

template <class S>
PyObject* stream_read_or_peek(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                              PyObject* names, bool peeks) noexcept {
  static constexpr std::array kParameters{"n"};
  Arguments arguments(args, nargs, names);
  std::size_t count = kReadBytes;
  if (!arguments.bind_all(peeks ? "peek" : "read", kParameters, 0) ||
      !parse_size(arguments[0], "n", &count)) {
    return nullptr;
  }
  return await_on_loop<S>(self, peeks ? "peek" : "read",
                          StreamRead(stream_of<S>(self), count, peeks));
}
template <class S>
PyObject* stream_read(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  return stream_read_or_peek<S>(self, args, nargs, names, false);
}

template <class S>
PyObject* stream_read_into(PyObject* self, PyObject* object) {
  HeldBuffer buffer;
  if (!buffer.hold(object, PyBUF_WRITABLE)) return nullptr;
  return await_on_loop<S>(self, "read_into", StreamReadInto(stream_of<S>(self), std::move(buffer)));
}

template <class S>
PyObject* stream_gather(PyObject* self, const char* name, StreamGather::Until until,
                        std::size_t limit, std::string separator = "\n") noexcept {
  return await_on_loop<S>(self, name,
                          StreamGather(stream_of<S>(self), until, limit, std::move(separator)));
}

template <class S>
PyObject* stream_read_exact(PyObject* self, PyObject* object) {
  std::size_t count = 0;
  if (!parse_size(object, "n", &count)) return nullptr;
  return stream_gather<S>(self, "read_exact", StreamGather::Until::count, count);
}

template <class S>
PyObject* stream_read_until(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                            PyObject* names) {
  static constexpr std::array kParameters{"separator", "limit"};
  Arguments arguments(args, nargs, names);
  std::size_t limit = kReadBytes;
  HeldBuffer separator;
  if (!arguments.bind_all("read_until", kParameters, 1) ||
      !separator.hold(arguments[0], PyBUF_SIMPLE) || !parse_size(arguments[1], "limit", &limit)) {
    return nullptr;
  }
  const auto bytes = separator.bytes();
  if (bytes.empty()) {
    PyErr_SetString(PyExc_ValueError, "the separator must have at least one byte");
    return nullptr;
  }
  return stream_gather<S>(self, "read_until", StreamGather::Until::separator, limit,
                          std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

template <class S>
PyObject* stream_read_line(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                           PyObject* names) {
  static constexpr std::array kParameters{"limit"};
  Arguments arguments(args, nargs, names);
  std::size_t limit = kReadBytes;
  if (!arguments.bind_all("read_line", kParameters, 0) ||
      !parse_size(arguments[0], "limit", &limit)) {
    return nullptr;
  }
  return stream_gather<S>(self, "read_line", StreamGather::Until::line, limit);
}

template <class S>
PyObject* stream_read_to_end(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                             PyObject* names) {
  static constexpr std::array kParameters{"limit"};
  Arguments arguments(args, nargs, names);
  std::size_t limit = SIZE_MAX;
  if (!arguments.bind_all("read_to_end", kParameters, 0) ||
      !parse_size(arguments[0], "limit", &limit)) {
    return nullptr;
  }
  return stream_gather<S>(self, "read_to_end", StreamGather::Until::end, limit);
}

template <class S>
PyObject* stream_anext(PyObject* self) {
  return stream_gather<S>(self, "__anext__", StreamGather::Until::next_line, kReadBytes);
}

template <class S, bool kPeeks = false>
PyObject* stream_try_read(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                          PyObject* names) {
  static constexpr std::array kParameters{"n"};
  Arguments arguments(args, nargs, names);
  std::size_t count = kReadBytes;
  if (!arguments.bind_all(kPeeks ? "try_peek" : "try_read", kParameters, 0) ||
      !parse_size(arguments[0], "n", &count)) {
    return nullptr;
  }
  return stream_try_read_now(stream_of<S>(self), count, kPeeks);
}

// ---- writing -----------------------------------------------------------------------------------

template <class S>
PyObject* stream_write_held(PyObject* self, PyObject* object, bool is_all) noexcept {
  HeldBuffer data;
  if (!data.hold(object, PyBUF_SIMPLE)) return nullptr;
  return await_on_loop<S>(self, is_all ? "write_all" : "write",
                          StreamWrite(stream_of<S>(self), std::move(data), is_all));
}
template <class S>
PyObject* stream_write(PyObject* self, PyObject* object) {
  return stream_write_held<S>(self, object, false);
}
template <class S>
PyObject* stream_write_all(PyObject* self, PyObject* object) {
  return stream_write_held<S>(self, object, true);
}
template <class S>
PyObject* stream_try_write(PyObject* self, PyObject* object) {
  HeldBuffer data;
  if (!data.hold(object, PyBUF_SIMPLE)) return nullptr;
  return stream_try_write_now(stream_of<S>(self), data.bytes());
}

template <class S>
const std::array kReadMethods{
    PyMethodDef{"read", fast(stream_read<S>), METH_FASTCALL | METH_KEYWORDS,
                PyDoc_STR("read($self, n=65536)\n--\n\nRead what is there, or wait for some.")},
    PyMethodDef{"read_into", stream_read_into<S>, METH_O,
                PyDoc_STR("read_into($self, buffer, /)\n--\n\nread() into a writable buffer.")},
    PyMethodDef{"read_exact", stream_read_exact<S>, METH_O,
                PyDoc_STR("read_exact($self, n, /)\n--\n\nRead exactly n bytes.")},
    PyMethodDef{"read_until", fast(stream_read_until<S>), METH_FASTCALL | METH_KEYWORDS,
                PyDoc_STR("read_until($self, separator, limit=65536)\n--\n\n"
                          "Read up to and with the separator.")},
    PyMethodDef{"read_line", fast(stream_read_line<S>), METH_FASTCALL | METH_KEYWORDS,
                PyDoc_STR("read_line($self, limit=65536)\n--\n\nRead a line, with its end.")},
    PyMethodDef{"read_to_end", fast(stream_read_to_end<S>), METH_FASTCALL | METH_KEYWORDS,
                PyDoc_STR("read_to_end($self, limit=...)\n--\n\nRead all that is to come.")},
    PyMethodDef{"try_read", fast(stream_try_read<S>), METH_FASTCALL | METH_KEYWORDS,
                PyDoc_STR("try_read($self, n=65536)\n--\n\nread() now; None if nothing is there.")},
    blocking_form<stream_read<S>, "blocking_read">(
        PyDoc_STR("blocking_read($self, n=65536, *, timeout=None)\n--\n\nread() for threads.")),
    blocking_form<stream_read_into<S>, "blocking_read_into", 1>(PyDoc_STR(
        "blocking_read_into($self, buffer, /, *, timeout=None)\n--\n\nread_into() for threads.")),
    blocking_form<stream_read_exact<S>, "blocking_read_exact", 1>(PyDoc_STR(
        "blocking_read_exact($self, n, /, *, timeout=None)\n--\n\nread_exact() for threads.")),
    blocking_form<stream_read_until<S>, "blocking_read_until">(
        PyDoc_STR("blocking_read_until($self, separator, limit=65536, *, "
                  "timeout=None)\n--\n\nread_until() for threads.")),
    blocking_form<stream_read_line<S>, "blocking_read_line">(PyDoc_STR(
        "blocking_read_line($self, limit=65536, *, timeout=None)\n--\n\nread_line() for threads.")),
    blocking_form<stream_read_to_end<S>, "blocking_read_to_end">(
        PyDoc_STR("blocking_read_to_end($self, limit=..., *, timeout=None)\n--\n\nread_to_end() "
                  "for threads.")),
};

template <class S>
const std::array kWriteMethods{
    PyMethodDef{"write", stream_write<S>, METH_O,
                PyDoc_STR("write($self, data, /)\n--\n\nWrite some of data. Returns how much.")},
    PyMethodDef{"write_all", stream_write_all<S>, METH_O,
                PyDoc_STR("write_all($self, data, /)\n--\n\nWrite all of data.")},
    PyMethodDef{"try_write", stream_try_write<S>, METH_O,
                PyDoc_STR("try_write($self, data, /)\n--\n\nWrite now what there is room for.")},
    blocking_form<stream_write<S>, "blocking_write", 1>(
        PyDoc_STR("blocking_write($self, data, /, *, timeout=None)\n--\n\nwrite() for threads.")),
    blocking_form<stream_write_all<S>, "blocking_write_all", 1>(PyDoc_STR(
        "blocking_write_all($self, data, /, *, timeout=None)\n--\n\nwrite_all() for threads.")),
};

}  // namespace blitzio::python
