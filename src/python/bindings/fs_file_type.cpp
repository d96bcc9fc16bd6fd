// The type File.
#include <python/bindings/fs.hpp>
#include <python/bindings/fs_file_at.hpp>
#include <python/bindings/fs_file_methods.hpp>
#include <python/support/thread_state.hpp>

#include <vector>

namespace blitzio::python {

namespace {

PyFile& file_of(PyObject* self) noexcept {
  return PyFile::of(self);
}

// ---- reading -----------------------------------------------------------------------------------

template <bool kIsOne>
PyObject* file_read(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  static constexpr const char* kName = kIsOne ? "read1" : "read";
  Py_ssize_t size = 0;
  if (!parse_limit(kName, args, nargs, &size)) return nullptr;
  // One piece of any size is one of the usual size.
  if (kIsOne && size < 0) size = static_cast<Py_ssize_t>(kBufferBytes);
  return await_turn(self, file_of(self), kName, FileRead{size, kIsOne});
}

template <bool kIsOne>
PyObject* file_readinto(PyObject* self, PyObject* object) {
  HeldBuffer buffer;
  if (!buffer.hold(object, PyBUF_WRITABLE)) return nullptr;
  return await_turn(self, file_of(self), kIsOne ? "readinto1" : "readinto",
                    FileReadInto{std::move(buffer), kIsOne});
}

PyObject* file_readline(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  Py_ssize_t limit = 0;
  if (!parse_limit("readline", args, nargs, &limit)) return nullptr;
  return await_turn(self, file_of(self), "readline", FileReadLine{limit});
}

PyObject* file_anext(PyObject* self) {
  return await_turn(self, file_of(self), "__anext__", FileReadLine{-1, true});
}

PyObject* file_readlines(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  Py_ssize_t hint = 0;
  if (!parse_limit("readlines", args, nargs, &hint)) return nullptr;
  return await_turn(self, file_of(self), "readlines", FileReadLines{hint, {}});
}

PyObject* file_peek(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  Py_ssize_t size = 0;
  // As io.BufferedReader has it, the size says nothing.
  if (!parse_limit("peek", args, nargs, &size)) return nullptr;
  return await_turn(self, file_of(self), "peek", FilePeek());
}

// ---- writing -----------------------------------------------------------------------------------

PyObject* file_write(PyObject* self, PyObject* object) {
  HeldBuffer data;
  if (!data.hold(object, PyBUF_SIMPLE)) return nullptr;
  return await_turn(self, file_of(self), "write", FileWrite{std::move(data)});
}

PyObject* file_writelines(PyObject* self, PyObject* lines) {
  const PyRef empty = PyRef::steal(PyBytes_FromStringAndSize(nullptr, 0));
  if (!empty) return nullptr;
  const PyRef joined = PyRef::steal(PyObject_CallMethod(empty.get(), "join", "O", lines));
  HeldBuffer data;
  if (!joined || !data.hold(joined.get(), PyBUF_SIMPLE)) return nullptr;
  return await_turn(self, file_of(self), "writelines", FileWrite{std::move(data), false});
}

// ---- the position ------------------------------------------------------------------------------

PyObject* file_seek(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs < 1 || nargs > 2) {
    return PyErr_Format(PyExc_TypeError, "seek expected 1 or 2 arguments, got %zd", nargs);
  }
  const long long offset = PyLong_AsLongLong(args[0]);
  if (offset == -1 && PyErr_Occurred() != nullptr) return nullptr;
  const long whence = nargs == 2 ? PyLong_AsLong(args[1]) : SEEK_SET;
  if (whence == -1 && PyErr_Occurred() != nullptr) return nullptr;
  PyFile& file = file_of(self);
  switch (whence) {
    case SEEK_SET:
    case SEEK_CUR:
      return await_turn(self, file, "seek", FileSeek{offset, whence == SEEK_CUR});
    case SEEK_END:
      return await_then(
          self, file, "seek", [](PyFile& own) { return own.file.metadata(); },
          [offset](PyFile& own, const Result<fs::Metadata>& found) -> PyObject* {
            if (!found) return raise_error(found.error(), "seek");
            return own.check_seekable() ? move_to(own, found->size(), offset) : nullptr;
          });
    default:
      return PyErr_Format(PyExc_ValueError, "whence value %ld unsupported", whence);
  }
}

PyObject* file_tell(PyObject* self, PyObject* /*unused*/) {
  return await_turn(self, file_of(self), "tell", FileTell());
}

// ---- at an offset ------------------------------------------------------------------------------

bool parse_at(const char* name, PyObject* const* args, Py_ssize_t nargs, std::size_t* offset) {
  if (nargs != 2) {
    PyErr_Format(PyExc_TypeError, "%s expected 2 arguments, got %zd", name, nargs);
    return false;
  }
  return parse_size(args[1], "offset", offset);
}

bool parse_read_at(const char* name, PyObject* const* args, Py_ssize_t nargs, std::size_t* size,
                   std::size_t* offset) {
  return parse_at(name, args, nargs, offset) && parse_size(args[0], "size", size);
}
bool parse_write_at(const char* name, PyObject* const* args, Py_ssize_t nargs, HeldBuffer* data,
                    std::size_t* offset) {
  return parse_at(name, args, nargs, offset) && data->hold(args[0], PyBUF_SIMPLE);
}

PyObject* file_read_at(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  std::size_t size = 0;
  std::size_t offset = 0;
  if (!parse_read_at("read_at", args, nargs, &size, &offset)) return nullptr;
  return awaitable_new(state_of_box(self), "read_at", self, FileReadAt(file_of(self), size, offset),
                       AsIs());
}
PyObject* file_write_at(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  HeldBuffer data;
  std::size_t offset = 0;
  if (!parse_write_at("write_at", args, nargs, &data, &offset)) return nullptr;
  return awaitable_new(state_of_box(self), "write_at", self,
                       FileWriteAt(file_of(self), std::move(data), offset), AsIs());
}

PyObject* file_try_read_at(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  std::size_t size = 0;
  std::size_t offset = 0;
  if (!parse_read_at("try_read_at", args, nargs, &size, &offset)) return nullptr;
  return try_read_at(file_of(self), size, offset);
}
PyObject* file_try_write_at(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  HeldBuffer data;
  std::size_t offset = 0;
  if (!parse_write_at("try_write_at", args, nargs, &data, &offset)) return nullptr;
  return try_write_at(file_of(self), data.bytes(), offset);
}
/// Writes what is pending before a blocking call at an offset. False with an error set.
bool flush_for_blocking(PyObject* self) noexcept {
  {
    const ObjectLock lock(self);
    if (file_of(self).pending().empty()) return true;
  }
  return static_cast<bool>(
      PyRef::steal(detail::blocking_call<detail::file_flush<file_of>, "blocking_flush", 0>(
          self, nullptr, 0, nullptr)));
}

PyObject* file_blocking_read_at(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  std::size_t size = 0;
  std::size_t offset = 0;
  if (!parse_read_at("blocking_read_at", args, nargs, &size, &offset) ||
      !may_block(state_of_box(self), "blocking_read_at") || !flush_for_blocking(self)) {
    return nullptr;
  }
  return blocking_read_at(file_of(self), size, offset);
}
PyObject* file_blocking_write_at(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  HeldBuffer data;
  std::size_t offset = 0;
  if (!parse_write_at("blocking_write_at", args, nargs, &data, &offset) ||
      !may_block(state_of_box(self), "blocking_write_at") || !flush_for_blocking(self)) {
    return nullptr;
  }
  return blocking_write_at(file_of(self), data.bytes(), offset);
}

const std::array kOwnMethods{
    PyMethodDef{"read", fast(file_read<false>), METH_FASTCALL,
                PyDoc_STR("read($self, size=-1, /)\n--\n\nRead size bytes, or all.")},
    PyMethodDef{"read1", fast(file_read<true>), METH_FASTCALL,
                PyDoc_STR("read1($self, size=-1, /)\n--\n\nRead what one read gives.")},
    PyMethodDef{"readinto", file_readinto<false>, METH_O,
                PyDoc_STR("readinto($self, buffer, /)\n--\n\nRead into a writable buffer.")},
    PyMethodDef{"readinto1", file_readinto<true>, METH_O,
                PyDoc_STR("readinto1($self, buffer, /)\n--\n\nThat, with one read.")},
    PyMethodDef{"readline", fast(file_readline), METH_FASTCALL,
                PyDoc_STR("readline($self, size=-1, /)\n--\n\nRead a line, with its end.")},
    PyMethodDef{"readlines", fast(file_readlines), METH_FASTCALL,
                PyDoc_STR("readlines($self, hint=-1, /)\n--\n\nRead the lines that are left.")},
    PyMethodDef{"peek", fast(file_peek), METH_FASTCALL,
                PyDoc_STR("peek($self, size=0, /)\n--\n\nWhat is read ahead, left there.")},
    PyMethodDef{"write", file_write, METH_O,
                PyDoc_STR("write($self, data, /)\n--\n\nWrite all of data.")},
    PyMethodDef{"writelines", file_writelines, METH_O,
                PyDoc_STR("writelines($self, lines, /)\n--\n\nWrite each of the lines.")},
    PyMethodDef{"seek", fast(file_seek), METH_FASTCALL,
                PyDoc_STR("seek($self, offset, whence=0, /)\n--\n\nMove the position.")},
    PyMethodDef{"tell", file_tell, METH_NOARGS, PyDoc_STR("tell($self)\n--\n\nThe position.")},
    PyMethodDef{"read_at", fast(file_read_at), METH_FASTCALL,
                PyDoc_STR("read_at($self, size, offset, /)\n--\n\nRead at an offset.")},
    PyMethodDef{"write_at", fast(file_write_at), METH_FASTCALL,
                PyDoc_STR("write_at($self, data, offset, /)\n--\n\nWrite at an offset.")},
    PyMethodDef{"try_read_at", fast(file_try_read_at), METH_FASTCALL,
                PyDoc_STR("try_read_at($self, size, offset, /)\n--\n\n"
                          "read_at() now; None if it would wait.")},
    PyMethodDef{"try_write_at", fast(file_try_write_at), METH_FASTCALL,
                PyDoc_STR("try_write_at($self, data, offset, /)\n--\n\n"
                          "write_at() now; None if it would wait.")},
    PyMethodDef{"blocking_read_at", fast(file_blocking_read_at), METH_FASTCALL,
                PyDoc_STR("blocking_read_at($self, size, offset, /)\n--\n\n"
                          "read_at() for threads.")},
    PyMethodDef{"blocking_write_at", fast(file_blocking_write_at), METH_FASTCALL,
                PyDoc_STR("blocking_write_at($self, data, offset, /)\n--\n\n"
                          "write_at() for threads.")},
};

const std::array kBlockingMethods{
    blocking_form<file_read<false>, "blocking_read", kAnyCount>(
        PyDoc_STR("blocking_read($self, size=-1, /, *, timeout=None)\n--\n\n"
                  "read() for threads.")),
    blocking_form<file_read<true>, "blocking_read1", kAnyCount>(
        PyDoc_STR("blocking_read1($self, size=-1, /, *, timeout=None)\n--\n\n"
                  "read1() for threads.")),
    blocking_form<file_readinto<false>, "blocking_readinto", 1>(
        PyDoc_STR("blocking_readinto($self, buffer, /, *, timeout=None)\n--\n\n"
                  "readinto() for threads.")),
    blocking_form<file_readinto<true>, "blocking_readinto1", 1>(
        PyDoc_STR("blocking_readinto1($self, buffer, /, *, timeout=None)\n--\n\n"
                  "readinto1() for threads.")),
    blocking_form<file_readline, "blocking_readline", kAnyCount>(
        PyDoc_STR("blocking_readline($self, size=-1, /, *, timeout=None)\n--\n\n"
                  "readline() for threads.")),
    blocking_form<file_readlines, "blocking_readlines", kAnyCount>(
        PyDoc_STR("blocking_readlines($self, hint=-1, /, *, timeout=None)\n--\n\n"
                  "readlines() for threads.")),
    blocking_form<file_peek, "blocking_peek", kAnyCount>(
        PyDoc_STR("blocking_peek($self, size=0, /, *, timeout=None)\n--\n\n"
                  "peek() for threads.")),
    blocking_form<file_write, "blocking_write", 1>(
        PyDoc_STR("blocking_write($self, data, /, *, timeout=None)\n--\n\n"
                  "write() for threads.")),
    blocking_form<file_writelines, "blocking_writelines", 1>(
        PyDoc_STR("blocking_writelines($self, lines, /, *, timeout=None)\n--\n\n"
                  "writelines() for threads.")),
    blocking_form<file_seek, "blocking_seek", kAnyCount>(
        PyDoc_STR("blocking_seek($self, offset, whence=0, /, *, timeout=None)\n--\n\n"
                  "seek() for threads.")),
    blocking_form<file_tell, "blocking_tell">(PyDoc_STR("blocking_tell($self, timeout=None)\n--\n\n"
                                                        "tell() for threads.")),
};

/// A file that nobody closed: a warning, and what was written is not lost.
void file_finalize(PyObject* self) {
  PyFile& file = file_of(self);
  if (file.is_closed) return;
  PyRef exception = take_exception();
  if (PyErr_ResourceWarning(self, 1, "unclosed file %R", self) != 0) {
    PyErr_WriteUnraisable(self);
  }
  const auto flush = [&] {
    const Detached detached;
    return file.blocking_flush();
  };
  if (const auto done = flush(); !done) {
    raise_error(done.error(), "close");
    PyErr_WriteUnraisable(self);
  }
  if (exception) restore_exception(std::move(exception));
}

bool fetch_io(ModuleState& state) noexcept {
  const PyRef io = PyRef::steal(PyImport_ImportModule("io"));
  if (!io) return false;
  state.unsupported_operation = PyObject_GetAttrString(io.get(), "UnsupportedOperation");
  state.newline_decoder = PyObject_GetAttrString(io.get(), "IncrementalNewlineDecoder");
  return state.unsupported_operation != nullptr && state.newline_decoder != nullptr;
}

}  // namespace

PyObject* make_file(ModuleState& state, fs::File file, FileMode mode, std::size_t buffer_bytes,
                    PyRef name) noexcept {
  PyObject* self = Box<PyFile>::make(state, state.file_type, std::move(file), std::move(mode),
                                     buffer_bytes, std::move(name));
  if (self != nullptr) file_of(self).self = self;
  return self;
}

int fs_file_register(PyObject* module, ModuleState& state) noexcept {
  static auto methods = methods_of(
      {kOwnMethods, kBlockingMethods, kFileMethods<file_of>, kBlockingFileMethods<file_of>});
  static auto attributes = attributes_of({kFileAttributes<file_of>});
  static PyType_Slot slots[] = {
      {Py_tp_repr, slot(detail::file_repr<file_of>)},
      {Py_tp_finalize, slot(file_finalize)},
      {Py_am_aiter, slot(PyObject_SelfIter)},
      {Py_am_anext, slot(file_anext)},
      {0, nullptr},
  };
  if (!fetch_io(state)) return -1;
  state.file_type = box_register<PyFile>(module, {.name = "blitzio.fs.File",
                                                  .doc = "An open file of bytes; see blitzio.fs.",
                                                  .methods = methods.data(),
                                                  .attributes = attributes.data(),
                                                  .more = slots,
                                                  .home = state.fs_module});
  return state.file_type == nullptr ? -1 : 0;
}

}  // namespace blitzio::python
