// The type TextFile.
#include <python/bindings/fs_file_methods.hpp>
#include <python/bindings/fs_text.hpp>

namespace blitzio::python {

namespace {

PyText& text_of(PyObject* self) noexcept {
  return Box<PyText>::of(self).value;
}
PyFile& file_of(PyObject* self) noexcept {
  return text_of(self).file();
}

PyObject* text_read(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  Py_ssize_t count = 0;
  if (!parse_limit("read", args, nargs, &count)) return nullptr;
  return await_turn(self, file_of(self), "read", TextRead{&text_of(self), count});
}
PyObject* text_readline(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  Py_ssize_t limit = 0;
  if (!parse_limit("readline", args, nargs, &limit)) return nullptr;
  return await_turn(self, file_of(self), "readline", TextReadLine{&text_of(self), limit});
}
PyObject* text_anext(PyObject* self) {
  return await_turn(self, file_of(self), "__anext__", TextReadLine{&text_of(self), -1, true});
}
PyObject* text_readlines(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  Py_ssize_t hint = 0;
  if (!parse_limit("readlines", args, nargs, &hint)) return nullptr;
  return await_turn(self, file_of(self), "readlines", TextReadLines{&text_of(self), hint});
}

PyObject* text_write(PyObject* self, PyObject* object) {
  if (!PyUnicode_Check(object)) {
    return PyErr_Format(PyExc_TypeError, "write() argument must be str, not %.200s",
                        Py_TYPE(object)->tp_name);
  }
  return await_turn(self, file_of(self), "write", TextWrite{&text_of(self), PyRef::borrow(object)});
}
PyObject* text_writelines(PyObject* self, PyObject* lines) {
  const PyRef empty = PyRef::steal(PyUnicode_FromStringAndSize(nullptr, 0));
  if (!empty) return nullptr;
  PyRef joined = PyRef::steal(PyUnicode_Join(empty.get(), lines));
  if (!joined) return nullptr;
  return await_turn(self, file_of(self), "writelines",
                    TextWrite{&text_of(self), std::move(joined), false});
}

PyObject* text_tell(PyObject* self, PyObject* /*unused*/) {
  return await_turn(self, file_of(self), "tell", TextTell{&text_of(self)});
}

/// Splits what tell() gave. False with TypeError, ValueError or OverflowError set.
bool parse_cookie(PyObject* cookie, std::uint64_t* position, long long* flags) noexcept {
  int overflow = 0;
  const long long small = PyLong_AsLongLongAndOverflow(cookie, &overflow);
  if (small == -1 && overflow == 0 && PyErr_Occurred() != nullptr) return false;
  if (small < 0 && overflow <= 0) {
    PyErr_Format(PyExc_ValueError, "negative seek position %R", cookie);
    return false;
  }
  *position = PyLong_AsUnsignedLongLongMask(cookie);
  *flags = 0;
  if (overflow == 0) return true;
  const PyRef bits = PyRef::steal(PyLong_FromLong(64));
  const PyRef high = PyRef::steal(bits ? PyNumber_Rshift(cookie, bits.get()) : nullptr);
  if (!high) return false;
  *flags = PyLong_AsLongLong(high.get());
  return *flags != -1 || PyErr_Occurred() == nullptr;
}

PyObject* unsupported(PyObject* self, const char* what) noexcept {
  PyErr_SetString(state_of_box(self).unsupported_operation, what);
  return nullptr;
}

PyObject* text_seek(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs < 1 || nargs > 2) {
    return PyErr_Format(PyExc_TypeError, "seek expected 1 or 2 arguments, got %zd", nargs);
  }
  const long whence = nargs == 2 ? PyLong_AsLong(args[1]) : SEEK_SET;
  if (whence == -1 && PyErr_Occurred() != nullptr) return nullptr;
  std::uint64_t position = 0;
  long long flags = 0;
  PyText& text = text_of(self);
  if (whence == SEEK_SET) {
    if (!parse_cookie(args[0], &position, &flags)) return nullptr;
    return await_turn(self, text.file(), "seek", TextSeek{&text, position, flags});
  }
  const int is_moving = PyObject_IsTrue(args[0]);
  if (is_moving < 0) return nullptr;
  if (whence == SEEK_CUR) {
    if (is_moving > 0) return unsupported(self, "can't do nonzero cur-relative seeks");
    return await_turn(self, text.file(), "seek", TextTell{&text});
  }
  if (whence != SEEK_END) {
    return PyErr_Format(PyExc_ValueError, "invalid whence (%ld, should be 0, 1 or 2)", whence);
  }
  if (is_moving > 0) return unsupported(self, "can't do nonzero end-relative seeks");
  return await_then(
      self, text.file(), "seek", [](PyFile& file) { return file.file.metadata(); },
      [&text](PyFile& file, const Result<fs::Metadata>& found) -> PyObject* {
        if (!found) return raise_error(found.error(), "seek");
        if (!file.check_seekable()) return nullptr;
        PyObject* moved = move_to(file, found->size(), 0);
        if (moved == nullptr || text.restart(found->size(), 0)) return moved;
        Py_DECREF(moved);
        return nullptr;
      });
}

PyObject* get_encoding(PyObject* self, void* /*unused*/) {
  return PyUnicode_FromString(text_of(self).encoding.name.c_str());
}
PyObject* get_errors(PyObject* self, void* /*unused*/) {
  return PyUnicode_FromString(text_of(self).encoding.errors.c_str());
}
PyObject* get_line_buffering(PyObject* self, void* /*unused*/) {
  return PyBool_FromLong(text_of(self).is_line_buffered ? 1 : 0);
}
PyObject* get_buffer(PyObject* self, void* /*unused*/) {
  return Py_NewRef(text_of(self).binary.get());
}

const std::array kOwnMethods{
    PyMethodDef{"read", fast(text_read), METH_FASTCALL,
                PyDoc_STR("read($self, size=-1, /)\n--\n\nRead size characters, or all.")},
    PyMethodDef{"readline", fast(text_readline), METH_FASTCALL,
                PyDoc_STR("readline($self, size=-1, /)\n--\n\nRead a line, with its end.")},
    PyMethodDef{"readlines", fast(text_readlines), METH_FASTCALL,
                PyDoc_STR("readlines($self, hint=-1, /)\n--\n\nRead the lines that are left.")},
    PyMethodDef{"write", text_write, METH_O,
                PyDoc_STR("write($self, text, /)\n--\n\nWrite all of text.")},
    PyMethodDef{"writelines", text_writelines, METH_O,
                PyDoc_STR("writelines($self, lines, /)\n--\n\nWrite each of the lines.")},
    PyMethodDef{"seek", fast(text_seek), METH_FASTCALL,
                PyDoc_STR("seek($self, cookie, whence=0, /)\n--\n\nMove to what tell() gave.")},
    PyMethodDef{"tell", text_tell, METH_NOARGS,
                PyDoc_STR("tell($self)\n--\n\nThe position, for seek().")},
};

const std::array kBlockingMethods{
    blocking_form<text_read, "blocking_read", kAnyCount>(
        PyDoc_STR("blocking_read($self, size=-1, /, *, timeout=None)\n--\n\n"
                  "read() for threads.")),
    blocking_form<text_readline, "blocking_readline", kAnyCount>(
        PyDoc_STR("blocking_readline($self, size=-1, /, *, timeout=None)\n--\n\n"
                  "readline() for threads.")),
    blocking_form<text_readlines, "blocking_readlines", kAnyCount>(
        PyDoc_STR("blocking_readlines($self, hint=-1, /, *, timeout=None)\n--\n\n"
                  "readlines() for threads.")),
    blocking_form<text_write, "blocking_write", 1>(
        PyDoc_STR("blocking_write($self, text, /, *, timeout=None)\n--\n\n"
                  "write() for threads.")),
    blocking_form<text_writelines, "blocking_writelines", 1>(
        PyDoc_STR("blocking_writelines($self, lines, /, *, timeout=None)\n--\n\n"
                  "writelines() for threads.")),
    blocking_form<text_seek, "blocking_seek", kAnyCount>(
        PyDoc_STR("blocking_seek($self, cookie, whence=0, /, *, timeout=None)\n--\n\n"
                  "seek() for threads.")),
    blocking_form<text_tell, "blocking_tell">(PyDoc_STR("blocking_tell($self, timeout=None)\n--\n\n"
                                                        "tell() for threads.")),
};

const std::array kOwnAttributes{
    PyGetSetDef{"encoding", get_encoding, nullptr, nullptr, nullptr},
    PyGetSetDef{"errors", get_errors, nullptr, nullptr, nullptr},
    PyGetSetDef{"line_buffering", get_line_buffering, nullptr, nullptr, nullptr},
    PyGetSetDef{"buffer", get_buffer, nullptr, PyDoc_STR("The File of bytes below."), nullptr},
};

}  // namespace

PyObject* make_text_file(ModuleState& state, PyRef file, const Encoding& encoding,
                         const Newline& newline, bool is_line_buffered) noexcept {
  const bool flushes_lines = is_line_buffered || ::isatty(PyFile::of(file.get()).file.fd()) == 1;
  return Box<PyText>::make(state, state.text_file_type, std::move(file), encoding, newline,
                           flushes_lines);
}

int fs_text_register(PyObject* module, ModuleState& state) noexcept {
  static auto methods = methods_of(
      {kOwnMethods, kBlockingMethods, kFileMethods<file_of>, kBlockingFileMethods<file_of>});
  static auto attributes = attributes_of({kOwnAttributes, kFileAttributes<file_of>});
  static PyType_Slot slots[] = {
      {Py_tp_repr, slot(detail::file_repr<file_of>)},
      {Py_am_aiter, slot(PyObject_SelfIter)},
      {Py_am_anext, slot(text_anext)},
      {0, nullptr},
  };
  state.text_file_type =
      box_register<PyText>(module, {.name = "blitzio.fs.TextFile",
                                    .doc = "An open file of text; see blitzio.fs.",
                                    .methods = methods.data(),
                                    .attributes = attributes.data(),
                                    .more = slots,
                                    .home = state.fs_module});
  return state.text_file_type == nullptr ? -1 : 0;
}

}  // namespace blitzio::python
