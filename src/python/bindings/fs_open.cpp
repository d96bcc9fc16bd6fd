// open() in Python's sense, and the opening of temporary files.
#include <blitzio/fs/temporary.hpp>
#include <python/bindings/fs.hpp>
#include <python/bindings/fs_encoding.hpp>
#include <python/bindings/fs_file_methods.hpp>
#include <python/bindings/fs_opening.hpp>
#include <python/bindings/fs_text.hpp>

#include <sys/stat.h>

#include <string_view>

namespace blitzio::python {

namespace {

/// How open() was told to open.
struct OpenMode {
  FileMode file;
  fs::OpenOptions options;
  bool is_text = true;
};

PyObject* refuse(const char* message) noexcept {
  PyErr_SetString(PyExc_ValueError, message);
  return nullptr;
}

/// "r", "wb+", …: worded as the standard library's. False with TypeError or ValueError set.
bool parse_open_mode(PyObject* object, OpenMode* mode) noexcept {
  std::string_view text = "r";
  if (object != nullptr) {
    if (!PyUnicode_Check(object)) {
      PyErr_Format(PyExc_TypeError, "open() argument 'mode' must be str, not %.200s",
                   Py_TYPE(object)->tp_name);
      return false;
    }
    Py_ssize_t size = 0;
    const char* chars = PyUnicode_AsUTF8AndSize(object, &size);
    if (chars == nullptr) return false;
    text = {chars, static_cast<std::size_t>(size)};
  }
  unsigned seen = 0;
  for (const char letter : text) {
    constexpr std::string_view kLetters = "rwax+bt";
    const auto index = kLetters.find(letter);
    if (index == std::string_view::npos || (seen & (1U << index)) != 0) {
      PyErr_Format(PyExc_ValueError, "invalid mode: '%U'", object);
      return false;
    }
    seen |= 1U << index;
  }
  const auto has = [seen](unsigned index) { return (seen & (1U << index)) != 0; };
  const bool reads = has(0);
  const bool replaces = has(1);
  const bool appends = has(2);
  const bool creates = has(3);
  const bool updates = has(4);
  if (has(5) && has(6)) return refuse("can't have text and binary mode at once") != nullptr;
  if (reads + replaces + appends + creates != 1) {
    return refuse("must have exactly one of create/read/write/append mode") != nullptr;
  }
  mode->is_text = !has(5);
  mode->file.reads = reads || updates;
  mode->file.writes = !reads || updates;
  mode->file.appends = appends;
  mode->options.read = mode->file.reads;
  mode->options.write = mode->file.writes;
  mode->options.append = appends;
  mode->options.truncate = replaces;
  mode->options.create = replaces || appends;
  mode->options.create_new = creates;
  if (mode->is_text) {
    mode->file.text = text;
  } else {
    // As io.FileIO names them: "rb+", "ab", …
    mode->file.text = std::string(1, reads ? 'r' : replaces ? 'w' : appends ? 'a' : 'x') + 'b';
    if (updates) mode->file.text += '+';
  }
  return true;
}

/// Everything that open() needs to make a file of a descriptor.
struct OpenRequest {
  ModuleState* state = nullptr;
  OpenMode mode = {};
  std::size_t buffer_bytes = kBufferBytes;
  bool is_line_buffered = false;
  Encoding encoding = {};
  Newline newline = {};
  PyRef name;

  /// The file, or null with an error set.
  PyObject* operator()(Result<fs::File> opened) const noexcept;
};

/// Where reading or writing begins; EISDIR for a directory.
Result<std::uint64_t> begin_of(const fs::File& file, bool appends) noexcept {
  // Known to be a regular file, whose end nobody needs.
  if (file.is_local() && !appends) return file.position();
  struct stat status{};
  if (::fstat(file.fd(), &status) != 0) return fail(Error::os(errno));
  if (S_ISDIR(status.st_mode)) return fail(Error::os(EISDIR));
  const bool at_end = appends && !file.is_stream();
  return at_end ? static_cast<std::uint64_t>(status.st_size) : file.position();
}

PyObject* OpenRequest::operator()(Result<fs::File> opened) const noexcept {
  if (!opened) return raise_path_error(opened.error(), "open", name.get());
  const auto begin = begin_of(*opened, mode.file.appends);
  if (!begin) return raise_path_error(begin.error(), "open", name.get());
  PyRef file = PyRef::steal(
      make_file(*state, std::move(*opened), mode.file, buffer_bytes, PyRef::borrow(name.get())));
  if (!file) return nullptr;
  PyFile::of(file.get()).position = *begin;
  if (!mode.is_text) return file.release();
  return make_text_file(*state, std::move(file), encoding, newline, is_line_buffered);
}

bool parse_buffering(PyObject* object, OpenRequest* request) noexcept {
  if (object == nullptr) return true;
  const long buffering = PyLong_AsLong(object);
  if (buffering == -1 && PyErr_Occurred() != nullptr) return false;
  if (buffering < -1) return refuse("invalid buffering size") != nullptr;
  const bool is_text = request->mode.is_text;
  if (buffering == 0 && is_text) return refuse("can't have unbuffered text I/O") != nullptr;
  request->is_line_buffered = buffering == 1 && is_text;
  if (buffering == 0 || buffering > 1) request->buffer_bytes = static_cast<std::size_t>(buffering);
  return true;
}

bool parse_text(const Arguments& arguments, OpenRequest* request) noexcept {
  if (request->mode.is_text) {
    return request->encoding.parse(arguments[3], arguments[4]) &&
           request->newline.parse(arguments[5]);
  }
  static constexpr std::array kNames{"an encoding", "an errors", "a newline"};
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (arguments[3 + i] == nullptr || arguments[3 + i] == Py_None) continue;
    PyErr_Format(PyExc_ValueError, "binary mode doesn't take %s argument", kNames[i]);
    return false;
  }
  return true;
}

/// A descriptor, taken over.
Result<fs::File> adopt(long number) noexcept {
  return fs::File::adopt_fd(static_cast<int>(number));
}

/// A future of the file, to be finished by `request`, or null with an error set.
template <class Finish>
PyObject* parse_open(const char* name, PyObject* module, PyObject* const* args, Py_ssize_t nargs,
                     PyObject* names, Finish finish) noexcept {
  static constexpr std::array kParameters{"file",     "mode",   "buffering",
                                          "encoding", "errors", "newline"};
  Arguments arguments(args, nargs, names);
  OpenRequest request;
  request.state = static_cast<ModuleState*>(PyModule_GetState(module));
  if (!arguments.bind_all(name, kParameters, 1) || !parse_open_mode(arguments[1], &request.mode) ||
      !parse_buffering(arguments[2], &request) || !parse_text(arguments, &request)) {
    return nullptr;
  }
  if (PyLong_Check(arguments[0])) {
    const long number = PyLong_AsLong(arguments[0]);
    if (number == -1 && PyErr_Occurred() != nullptr) return nullptr;
    if (number < 0 || number > INT_MAX) return refuse("negative file descriptor");
    request.name = PyRef::borrow(arguments[0]);
    return finish(poll_fn([number](Context&) { return Poll<Result<fs::File>>(adopt(number)); }),
                  std::move(request));
  }
  PathArgument path;
  if (!path.parse(arguments[0])) return nullptr;
  request.name = std::move(path.object);
  const fs::OpenOptions options = request.mode.options;
  return finish(fs::File::open(std::move(path.bytes), options), std::move(request));
}

PyObject* open(PyObject* module, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  return parse_open("open", module, args, nargs, names, [](auto future, OpenRequest request) {
    ModuleState& state = *request.state;
    return make_opening(
        state, awaitable_new(state, "open", nullptr, std::move(future), std::move(request)));
  });
}

PyObject* blocking_open(PyObject* module, PyObject* const* args, Py_ssize_t nargs,
                        PyObject* names) {
  return parse_open("blocking_open", module, args, nargs, names,
                    [](auto future, OpenRequest request) {
                      ModuleState& state = *request.state;
                      return wait_blocking(state, "blocking_open", std::move(future), TimeLimit{},
                                           std::move(request));
                    });
}

// ---- temporary files ---------------------------------------------------------------------------

FileMode temporary_mode() {
  return {.reads = true, .writes = true, .text = "wb+"};
}

/// temp_file(parent): a File without a name.
PyObject* temp_file(PyObject* module, PyObject* parent) {
  auto& state = *static_cast<ModuleState*>(PyModule_GetState(module));
  PathArgument path;
  if (!path.parse(parent)) return nullptr;
  return awaitable_new(
      state, "temp_file", nullptr, fs::temp_file(path.bytes),
      [&state, folder = std::move(path.object)](Result<fs::File> made) -> PyObject* {
        if (!made) return raise_path_error(made.error(), "temp_file", folder.get());
        const int fd = made->fd();
        return make_file(state, std::move(*made), temporary_mode(), kBufferBytes,
                         PyRef::steal(PyLong_FromLong(fd)));
      });
}

/// blocking_named_temp_file(parent, prefix): (File, path).
PyObject* blocking_named_temp_file(PyObject* module, PyObject* const* args, Py_ssize_t nargs) {
  static constexpr const char* kName = "blocking_named_temp_file";
  auto& state = *static_cast<ModuleState*>(PyModule_GetState(module));
  PathArgument path;
  PathArgument prefix;
  if (nargs != 2) {
    return PyErr_Format(PyExc_TypeError, "%s expected 2 arguments, got %zd", kName, nargs);
  }
  if (!path.parse(args[0]) || !prefix.parse(args[1]) || !may_block(state, kName)) return nullptr;
  const auto make = [&] {
    const Detached detached;
    return fs::blocking_named_temp_file(prefix.bytes, path.bytes);
  };
  auto made = make();
  if (!made) return raise_path_error(made.error(), kName, path.object.get());
  PyRef name = PyRef::steal(make_path(made->path.path(), path.is_bytes()));
  if (!name) return nullptr;
  const PyRef file = PyRef::steal(make_file(state, std::move(made->file), temporary_mode(),
                                            kBufferBytes, PyRef::borrow(name.get())));
  if (!file) return nullptr;
  PyObject* pair = PyTuple_Pack(2, file.get(), name.get());
  if (pair != nullptr) static_cast<void>(made->path.keep());
  return pair;
}

PyMethodDef functions[] = {
    {"open", fast(open), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("open(file, mode='r', buffering=-1, encoding=None, errors=None, newline=None)\n"
               "--\n\nSee blitzio.fs.")},
    {"blocking_open", fast(blocking_open), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("blocking_open(file, mode='r', buffering=-1, encoding=None, errors=None, "
               "newline=None)\n--\n\nSee blitzio.fs.")},
    {"temp_file", temp_file, METH_O, PyDoc_STR("temp_file(parent, /)\n--\n\nSee blitzio.fs.")},
    blocking_form<temp_file, "blocking_temp_file", 1>(
        PyDoc_STR("blocking_temp_file(parent, /, *, timeout=None)\n--\n\nSee blitzio.fs.")),
    {"blocking_named_temp_file", fast(blocking_named_temp_file), METH_FASTCALL,
     PyDoc_STR("blocking_named_temp_file(parent, prefix, /)\n--\n\nSee blitzio.fs.")},
};

}  // namespace

std::span<PyMethodDef> fs_open_functions() noexcept {
  return functions;
}

}  // namespace blitzio::python
