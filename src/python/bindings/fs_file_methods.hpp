// What File and TextFile have in common: templates over the function that finds the file in the
// Python object, and how they await a turn at it.
#pragma once

#include <blitzio/fs/file.hpp>
#include <python/bindings/descriptor.hpp>
#include <python/bindings/fs_call.hpp>
#include <python/bindings/fs_operations.hpp>
#include <python/bridge/awaitable.hpp>
#include <python/bridge/blocking_form.hpp>
#include <python/support/arguments.hpp>

#include <unistd.h>

#include <array>

namespace blitzio::python {

/// A File: open, named `name`. Null with an error set.
[[nodiscard]] PyObject* make_file(ModuleState& state, fs::File file, FileMode mode,
                                  std::size_t buffer_bytes, PyRef name) noexcept;

/// An awaitable of `operation`'s result, on `file`; `self` is kept alive.
template <class Operation>
[[nodiscard]] PyObject* await_turn(PyObject* self, PyFile& file, const char* name,
                                   Operation operation) noexcept {
  return awaitable_new(state_of_box(self), name, self,
                       FileTurn<Operation>(file, std::move(operation)), AsIs());
}
/// An awaitable of what a future of the core's gives; see FileThen.
template <class Make, class Convert>
[[nodiscard]] PyObject* await_then(PyObject* self, PyFile& file, const char* name, Make make,
                                   Convert convert) noexcept {
  return await_turn(self, file, name, FileThen<Make, Convert>{std::move(make), std::move(convert)});
}

/// An optional size: None or left out is -1. False with an error set.
[[nodiscard]] inline bool parse_limit(PyObject* object, Py_ssize_t* limit) noexcept {
  *limit = -1;
  if (object == nullptr || object == Py_None) return true;
  *limit = PyNumber_AsSsize_t(object, PyExc_OverflowError);
  return *limit != -1 || PyErr_Occurred() == nullptr;
}
/// That, of a method whose only parameter it is.
[[nodiscard]] inline bool parse_limit(const char* method, PyObject* const* args, Py_ssize_t nargs,
                                      Py_ssize_t* limit) noexcept {
  if (nargs > 1) {
    PyErr_Format(PyExc_TypeError, "%s expected at most 1 argument, got %zd", method, nargs);
    return false;
  }
  return parse_limit(nargs == 0 ? nullptr : args[0], limit);
}

using FileOf = PyFile& (*)(PyObject* self) noexcept;

namespace detail {

/// None, or null with the error set.
inline PyObject* none_or_error(const Result<void>& done, const char* what) noexcept {
  return done ? Py_NewRef(Py_None) : raise_error(done.error(), what);
}

template <FileOf kFileOf>
PyObject* file_flush(PyObject* self, PyObject* /*unused*/) {
  return await_turn(self, kFileOf(self), "flush", FileFlush());
}
template <FileOf kFileOf>
PyObject* file_close(PyObject* self, PyObject* /*unused*/) {
  return await_turn(self, kFileOf(self), "close", FileClose());
}
template <FileOf kFileOf>
PyObject* file_aenter(PyObject* self, PyObject* /*unused*/) {
  if (!kFileOf(self).check_open()) return nullptr;
  return awaitable_new(state_of_box(self), "__aenter__", self, GiveSelf{self}, AsIs());
}
template <FileOf kFileOf>
PyObject* file_aexit(PyObject* self, PyObject* const* /*args*/, Py_ssize_t /*nargs*/) {
  return await_turn(self, kFileOf(self), "__aexit__", FileClose());
}

template <FileOf kFileOf>
PyObject* file_enter(PyObject* self, PyObject* /*unused*/) {
  // Leaving will block, which is to be said before.
  const bool may_enter = kFileOf(self).check_open() && may_block(state_of_box(self), "__exit__");
  return may_enter ? Py_NewRef(self) : nullptr;
}
template <FileOf kFileOf>
PyObject* file_exit(PyObject* self, PyObject* const* /*args*/, Py_ssize_t /*nargs*/) {
  return blocking_call<file_close<kFileOf>, "__exit__", 0>(self, nullptr, 0, nullptr);
}

template <FileOf kFileOf>
PyObject* file_sync_all(PyObject* self, PyObject* /*unused*/) {
  return await_then(
      self, kFileOf(self), "sync_all", [](PyFile& file) { return file.file.sync_all(); },
      [](PyFile&, const Result<void>& done) { return none_or_error(done, "sync_all"); });
}
template <FileOf kFileOf>
PyObject* file_sync_data(PyObject* self, PyObject* /*unused*/) {
  return await_then(
      self, kFileOf(self), "sync_data", [](PyFile& file) { return file.file.sync_data(); },
      [](PyFile&, const Result<void>& done) { return none_or_error(done, "sync_data"); });
}
template <FileOf kFileOf>
PyObject* file_metadata(PyObject* self, PyObject* /*unused*/) {
  return await_then(
      self, kFileOf(self), "metadata", [](PyFile& file) { return file.file.metadata(); },
      [](PyFile& file, const Result<fs::Metadata>& found) {
        return found ? make_metadata(state_of_box(file.self), *found)
                     : raise_error(found.error(), "metadata");
      });
}
template <FileOf kFileOf>
PyObject* file_set_permissions(PyObject* self, PyObject* object) {
  mode_t mode = 0;
  if (!parse_mode(object, &mode)) return nullptr;
  return await_then(
      self, kFileOf(self), "set_permissions",
      [mode](PyFile& file) { return file.file.set_permissions(mode); },
      [](PyFile&, const Result<void>& done) { return none_or_error(done, "set_permissions"); });
}

/// set_len(size), and truncate(size=None), which is from the position on and returns the size.
struct SetLen {
  Py_ssize_t size;
  auto operator()(PyFile& file) noexcept {
    if (size < 0) size = static_cast<Py_ssize_t>(file.position);
    file.forget_ahead();
    return file.file.set_len(static_cast<std::uint64_t>(size));
  }
};
struct Truncate {
  Py_ssize_t size;
  bool returns_size;
  std::unique_ptr<FileThen<SetLen, PyObject* (*)(PyFile&, Result<void>)>> then = nullptr;
  Answer step(PyFile& file, Context& context) {
    if (!file.check_writes()) return nullptr;
    if (!then) {
      then = std::make_unique<FileThen<SetLen, PyObject* (*)(PyFile&, Result<void>)>>(
          SetLen{size}, [](PyFile&, Result<void> done) { return none_or_error(done, "truncate"); });
    }
    Answer done = then->step(file, context);
    if (!done || *done == nullptr || !returns_size) return done;
    Py_DECREF(*done);
    return PyLong_FromSsize_t(then->make.size);
  }
};
template <FileOf kFileOf>
PyObject* file_truncate(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  Py_ssize_t size = 0;
  if (!parse_limit("truncate", args, nargs, &size)) return nullptr;
  if (size < 0 && nargs > 0 && args[0] != Py_None) {
    return raise_error(Error::os(EINVAL), "truncate");
  }
  return await_turn(self, kFileOf(self), "truncate", Truncate{size, true});
}
template <FileOf kFileOf>
PyObject* file_set_len(PyObject* self, PyObject* object) {
  std::size_t size = 0;
  if (!parse_size(object, "size", &size)) return nullptr;
  return await_turn(self, kFileOf(self), "set_len", Truncate{static_cast<Py_ssize_t>(size), false});
}

template <FileOf kFileOf>
PyObject* file_fileno(PyObject* self, PyObject* /*unused*/) {
  const PyFile& file = kFileOf(self);
  const ObjectLock lock(file.self);
  return file.check_open() ? PyLong_FromLong(file.file.fd()) : nullptr;
}
template <FileOf kFileOf>
PyObject* file_isatty(PyObject* self, PyObject* /*unused*/) {
  const PyFile& file = kFileOf(self);
  const ObjectLock lock(file.self);
  return file.check_open() ? PyBool_FromLong(::isatty(file.file.fd())) : nullptr;
}
template <FileOf kFileOf>
PyObject* file_readable(PyObject* self, PyObject* /*unused*/) {
  const PyFile& file = kFileOf(self);
  return file.check_open() ? PyBool_FromLong(file.mode.reads ? 1 : 0) : nullptr;
}
template <FileOf kFileOf>
PyObject* file_writable(PyObject* self, PyObject* /*unused*/) {
  const PyFile& file = kFileOf(self);
  return file.check_open() ? PyBool_FromLong(file.mode.writes ? 1 : 0) : nullptr;
}
template <FileOf kFileOf>
PyObject* file_seekable(PyObject* self, PyObject* /*unused*/) {
  const PyFile& file = kFileOf(self);
  const ObjectLock lock(file.self);
  return file.check_open() ? PyBool_FromLong(file.file.is_stream() ? 0 : 1) : nullptr;
}

template <FileOf kFileOf>
PyObject* file_name(PyObject* self, void* /*unused*/) {
  return Py_NewRef(kFileOf(self).name.get());
}
template <FileOf kFileOf>
PyObject* file_mode(PyObject* self, void* /*unused*/) {
  return PyUnicode_FromString(kFileOf(self).mode.text.c_str());
}
template <FileOf kFileOf>
PyObject* file_closed(PyObject* self, void* /*unused*/) {
  return PyBool_FromLong(kFileOf(self).is_closed ? 1 : 0);
}
template <FileOf kFileOf>
PyObject* file_repr(PyObject* self) {
  const PyFile& file = kFileOf(self);
  return PyUnicode_FromFormat("<%s name=%R mode='%s'%s>", Py_TYPE(self)->tp_name, file.name.get(),
                              file.mode.text.c_str(), file.is_closed ? " closed" : "");
}

}  // namespace detail

template <FileOf kFileOf>
inline const std::array kFileMethods{
    PyMethodDef{"flush", detail::file_flush<kFileOf>, METH_NOARGS,
                PyDoc_STR("flush($self)\n--\n\nWrite what is buffered.")},
    PyMethodDef{"close", detail::file_close<kFileOf>, METH_NOARGS,
                PyDoc_STR("close($self)\n--\n\nWrite what is buffered, and close.")},
    PyMethodDef{"__aenter__", detail::file_aenter<kFileOf>, METH_NOARGS, nullptr},
    PyMethodDef{"__aexit__", fast(detail::file_aexit<kFileOf>), METH_FASTCALL, nullptr},
    PyMethodDef{"sync_all", detail::file_sync_all<kFileOf>, METH_NOARGS,
                PyDoc_STR("sync_all($self)\n--\n\nWait until all of it is on the disk.")},
    PyMethodDef{"sync_data", detail::file_sync_data<kFileOf>, METH_NOARGS,
                PyDoc_STR("sync_data($self)\n--\n\nWait until its content is on the disk.")},
    PyMethodDef{"metadata", detail::file_metadata<kFileOf>, METH_NOARGS,
                PyDoc_STR("metadata($self)\n--\n\nWhat stat() gives.")},
    PyMethodDef{"set_permissions", detail::file_set_permissions<kFileOf>, METH_O,
                PyDoc_STR("set_permissions($self, mode, /)\n--\n\nAs chmod().")},
    PyMethodDef{"truncate", fast(detail::file_truncate<kFileOf>), METH_FASTCALL,
                PyDoc_STR("truncate($self, size=None, /)\n--\n\nCut, or lengthen with zeros.")},
    PyMethodDef{"set_len", detail::file_set_len<kFileOf>, METH_O,
                PyDoc_STR("set_len($self, size, /)\n--\n\nCut, or lengthen with zeros.")},
    PyMethodDef{"fileno", detail::file_fileno<kFileOf>, METH_NOARGS,
                PyDoc_STR("fileno($self)\n--\n\nThe descriptor.")},
    PyMethodDef{"isatty", detail::file_isatty<kFileOf>, METH_NOARGS,
                PyDoc_STR("isatty($self)\n--\n\nWhether it is a terminal.")},
    PyMethodDef{"readable", detail::file_readable<kFileOf>, METH_NOARGS,
                PyDoc_STR("readable($self)\n--\n\nWhether it was opened for reading.")},
    PyMethodDef{"writable", detail::file_writable<kFileOf>, METH_NOARGS,
                PyDoc_STR("writable($self)\n--\n\nWhether it was opened for writing.")},
    PyMethodDef{"seekable", detail::file_seekable<kFileOf>, METH_NOARGS,
                PyDoc_STR("seekable($self)\n--\n\nWhether it has positions.")},
};

/// The forms for threads.
template <FileOf kFileOf>
inline const std::array kBlockingFileMethods{
    PyMethodDef{"__enter__", detail::file_enter<kFileOf>, METH_NOARGS, nullptr},
    PyMethodDef{"__exit__", fast(detail::file_exit<kFileOf>), METH_FASTCALL, nullptr},
    blocking_form<detail::file_flush<kFileOf>, "blocking_flush">(
        PyDoc_STR("blocking_flush($self, timeout=None)\n--\n\nflush() for threads.")),
    blocking_form<detail::file_close<kFileOf>, "blocking_close">(
        PyDoc_STR("blocking_close($self, timeout=None)\n--\n\nclose() for threads.")),
    blocking_form<detail::file_sync_all<kFileOf>, "blocking_sync_all">(
        PyDoc_STR("blocking_sync_all($self, timeout=None)\n--\n\nsync_all() for threads.")),
    blocking_form<detail::file_sync_data<kFileOf>, "blocking_sync_data">(
        PyDoc_STR("blocking_sync_data($self, timeout=None)\n--\n\nsync_data() for threads.")),
    blocking_form<detail::file_metadata<kFileOf>, "blocking_metadata">(
        PyDoc_STR("blocking_metadata($self, timeout=None)\n--\n\nmetadata() for threads.")),
    blocking_form<detail::file_set_permissions<kFileOf>, "blocking_set_permissions", 1>(
        PyDoc_STR("blocking_set_permissions($self, mode, /, *, timeout=None)\n--\n\n"
                  "set_permissions() for threads.")),
    blocking_form<detail::file_truncate<kFileOf>, "blocking_truncate", kAnyCount>(
        PyDoc_STR("blocking_truncate($self, size=None, /, *, timeout=None)\n--\n\n"
                  "truncate() for threads.")),
    blocking_form<detail::file_set_len<kFileOf>, "blocking_set_len", 1>(
        PyDoc_STR("blocking_set_len($self, size, /, *, timeout=None)\n--\n\n"
                  "set_len() for threads.")),
};

template <FileOf kFileOf>
inline const std::array kFileAttributes{
    PyGetSetDef{"name", detail::file_name<kFileOf>, nullptr,
                PyDoc_STR("What it was opened by: a path, or a descriptor."), nullptr},
    PyGetSetDef{"mode", detail::file_mode<kFileOf>, nullptr, nullptr, nullptr},
    PyGetSetDef{"closed", detail::file_closed<kFileOf>, nullptr, nullptr, nullptr},
};

}  // namespace blitzio::python
