// Whole files: read_file(), write_file(), append() and their forms for text.
//
// What can be had on the spot is read straight into the result, and written straight from the
// argument; what cannot is copied, for a thread may go on after its future was dropped.
#include <blitzio/executor/blocking_call.hpp>
#include <blitzio/fs/paths.hpp>
#include <python/bindings/fs.hpp>
#include <python/bindings/fs_call.hpp>
#include <python/bindings/fs_encoding.hpp>
#include <python/bindings/held_buffer.hpp>

namespace blitzio::python {

namespace {

PyObject* bytes_of(const op::Bytes& bytes) noexcept {
  return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(bytes.data()),
                                   static_cast<Py_ssize_t>(bytes.size()));
}

// ---- reading -----------------------------------------------------------------------------------

/// What becomes of the content.
struct Decoding {
  Encoding encoding;
  Newline newline;
};

struct ReadRequest {
  ModuleState* state;
  const char* name;
  PathArgument path;
  std::unique_ptr<Decoding> decoding;  ///< none: bytes

  [[nodiscard]] PyObject* failed(Error error) const noexcept {
    return raise_path_error(error, name, path.object.get());
  }
  [[nodiscard]] PyObject* finish(PyRef bytes) const noexcept {
    if (!decoding) return bytes.release();
    return decode_text(*state, std::move(bytes), decoding->encoding, decoding->newline).release();
  }
};

struct ReadJob {
  std::string path;
  Result<op::Bytes> operator()() const { return fs::blocking_read_file(path); }
};

class ReadWhole {
 public:
  using Output = PyObject*;
  explicit ReadWhole(ReadRequest request) noexcept : request_(std::move(request)) {}

  Poll<PyObject*> poll(Context& context) {
    if (!slow_) {
      PyRef bytes;
      const auto count = fs::detail::try_read_whole(
          request_.path.bytes, [&](std::size_t size) noexcept -> std::byte* {
            bytes = PyRef::steal(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size)));
            if (!bytes) return nullptr;
            return reinterpret_cast<std::byte*>(PyBytes_AS_STRING(bytes.get()));
          });
      if (count) {
        if (*count) return request_.finish(std::move(bytes));
        // Memory that was short has its error set.
        return PyErr_Occurred() != nullptr ? nullptr : request_.failed(count->error());
      }
      slow_ = std::make_unique<BlockingCall<ReadJob>>(ReadJob{request_.path.bytes});
    }
    auto answer = slow_->poll(context);
    if (answer.is_pending()) return pending;
    const auto content = std::move(answer).take();
    if (!content) return request_.failed(content.error());
    return request_.finish(PyRef::steal(bytes_of(*content)));
  }

 private:
  ReadRequest request_;
  std::unique_ptr<BlockingCall<ReadJob>> slow_;
};

PyObject* blocking_read(const ReadRequest& request) noexcept {
  if (!may_block(*request.state, request.name)) return nullptr;
  const auto read = [&] {
    const Detached detached;
    return fs::blocking_read_file(request.path.bytes);
  };
  const auto content = read();
  if (!content) return request.failed(content.error());
  return request.finish(PyRef::steal(bytes_of(*content)));
}

ModuleState& state_of_module(PyObject* module) noexcept {
  return *static_cast<ModuleState*>(PyModule_GetState(module));
}

enum class Form : bool { awaitable, blocking };

template <Form kForm>
PyObject* finish_read(ReadRequest request) noexcept {
  if constexpr (kForm == Form::blocking) {
    return blocking_read(request);
  } else {
    ModuleState& state = *request.state;
    const char* name = request.name;
    return awaitable_new(state, name, nullptr, ReadWhole(std::move(request)), AsIs());
  }
}

template <Form kForm>
PyObject* read_file(PyObject* module, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  static constexpr std::array kParameters{"path"};
  static constexpr const char* kName = kForm == Form::blocking ? "blocking_read_file" : "read_file";
  Arguments arguments(args, nargs, names);
  ReadRequest request{&state_of_module(module), kName, {}, nullptr};
  if (!arguments.bind_all(kName, kParameters, 1) || !request.path.parse(arguments[0])) {
    return nullptr;
  }
  return finish_read<kForm>(std::move(request));
}

template <Form kForm>
PyObject* read_text(PyObject* module, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  static constexpr std::array kParameters{"path", "encoding", "errors", "newline"};
  static constexpr const char* kName = kForm == Form::blocking ? "blocking_read_text" : "read_text";
  Arguments arguments(args, nargs, names);
  auto decoding = std::make_unique<Decoding>();
  ReadRequest request{&state_of_module(module), kName, {}, nullptr};
  if (!arguments.bind_all(kName, kParameters, 1) || !request.path.parse(arguments[0]) ||
      !decoding->encoding.parse(arguments[1], arguments[2]) ||
      !decoding->newline.parse(arguments[3])) {
    return nullptr;
  }
  request.decoding = std::move(decoding);
  return finish_read<kForm>(std::move(request));
}

// ---- writing -----------------------------------------------------------------------------------

struct WriteRequest {
  ModuleState* state;
  const char* name;
  PathArgument path;
  fs::WriteMode how;
  mode_t mode = 0666;

  [[nodiscard]] PyObject* finish(const Result<void>& done) const noexcept {
    if (!done) return raise_path_error(done.error(), name, path.object.get());
    Py_RETURN_NONE;
  }
};

struct WriteJob {
  std::string path;
  op::Bytes data;
  fs::WriteMode how;
  mode_t mode;
  Result<void> operator()() const { return fs::blocking_write_file(path, data, how, mode); }
};

class WriteWhole {
 public:
  using Output = PyObject*;
  WriteWhole(WriteRequest request, HeldBuffer data) noexcept
      : request_(std::move(request)), data_(std::move(data)) {}

  Poll<PyObject*> poll(Context& context) {
    if (!slow_) {
      const auto data = data_.bytes();
      const auto done = fs::try_write_file(request_.path.bytes, data, request_.how, request_.mode);
      if (done) return request_.finish(*done);
      slow_ = std::make_unique<BlockingCall<WriteJob>>(
          WriteJob{request_.path.bytes, {data.begin(), data.end()}, request_.how, request_.mode});
    }
    auto answer = slow_->poll(context);
    if (answer.is_pending()) return pending;
    return request_.finish(std::move(answer).take());
  }
  int traverse(visitproc visit, void* arg) noexcept { return data_.traverse(visit, arg); }

 private:
  WriteRequest request_;
  HeldBuffer data_;
  std::unique_ptr<BlockingCall<WriteJob>> slow_;
};

template <Form kForm>
PyObject* finish_write(WriteRequest request, HeldBuffer data) noexcept {
  ModuleState& state = *request.state;
  const char* name = request.name;
  if constexpr (kForm == Form::awaitable) {
    return awaitable_new(state, name, nullptr, WriteWhole(std::move(request), std::move(data)),
                         AsIs());
  } else {
    if (!may_block(state, name)) return nullptr;
    const auto write = [&] {
      const Detached detached;
      return fs::blocking_write_file(request.path.bytes, data.bytes(), request.how, request.mode);
    };
    return request.finish(write());
  }
}

template <Form kForm, fs::WriteMode kHow>
PyObject* write_file(PyObject* module, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  static constexpr std::array kParameters{"path", "data", "mode"};
  static constexpr const char* kName =
      kHow == fs::WriteMode::append
          ? (kForm == Form::blocking ? "blocking_append" : "append")
          : (kForm == Form::blocking ? "blocking_write_file" : "write_file");
  Arguments arguments(args, nargs, names);
  WriteRequest request{&state_of_module(module), kName, {}, kHow};
  HeldBuffer data;
  if (!arguments.bind_all(kName, kParameters, 2) || !request.path.parse(arguments[0]) ||
      !data.hold(arguments[1], PyBUF_SIMPLE) || !parse_mode(arguments[2], &request.mode)) {
    return nullptr;
  }
  return finish_write<kForm>(std::move(request), std::move(data));
}

template <Form kForm, fs::WriteMode kHow>
PyObject* write_text(PyObject* module, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  static constexpr std::array kParameters{"path", "text", "encoding", "errors", "newline"};
  static constexpr const char* kName =
      kHow == fs::WriteMode::append
          ? (kForm == Form::blocking ? "blocking_append_text" : "append_text")
          : (kForm == Form::blocking ? "blocking_write_text" : "write_text");
  Arguments arguments(args, nargs, names);
  WriteRequest request{&state_of_module(module), kName, {}, kHow};
  Encoding encoding;
  Newline newline;
  if (!arguments.bind_all(kName, kParameters, 2) || !request.path.parse(arguments[0]) ||
      !encoding.parse(arguments[2], arguments[3]) || !newline.parse(arguments[4])) {
    return nullptr;
  }
  if (!PyUnicode_Check(arguments[1])) {
    return PyErr_Format(PyExc_TypeError, "text must be str, not %.200s",
                        Py_TYPE(arguments[1])->tp_name);
  }
  const PyRef bytes = encode_text(arguments[1], encoding, newline);
  HeldBuffer data;
  if (!bytes || !data.hold(bytes.get(), PyBUF_SIMPLE)) return nullptr;
  return finish_write<kForm>(std::move(request), std::move(data));
}

// ---- the table ---------------------------------------------------------------------------------

constexpr int kFlags = METH_FASTCALL | METH_KEYWORDS;
constexpr auto kReplace = fs::WriteMode::replace;
constexpr auto kAppend = fs::WriteMode::append;

PyMethodDef functions[] = {
    {"read_file", fast(read_file<Form::awaitable>), kFlags,
     PyDoc_STR("read_file(path)\n--\n\nSee blitzio.fs.")},
    {"blocking_read_file", fast(read_file<Form::blocking>), kFlags,
     PyDoc_STR("blocking_read_file(path)\n--\n\nSee blitzio.fs.")},
    {"read_text", fast(read_text<Form::awaitable>), kFlags,
     PyDoc_STR("read_text(path, encoding=None, errors=None, newline=None)\n--\n\n"
               "See blitzio.fs.")},
    {"blocking_read_text", fast(read_text<Form::blocking>), kFlags,
     PyDoc_STR("blocking_read_text(path, encoding=None, errors=None, newline=None)\n--\n\n"
               "See blitzio.fs.")},
    {"write_file", fast(write_file<Form::awaitable, kReplace>), kFlags,
     PyDoc_STR("write_file(path, data, mode=0o666)\n--\n\nSee blitzio.fs.")},
    {"blocking_write_file", fast(write_file<Form::blocking, kReplace>), kFlags,
     PyDoc_STR("blocking_write_file(path, data, mode=0o666)\n--\n\nSee blitzio.fs.")},
    {"append", fast(write_file<Form::awaitable, kAppend>), kFlags,
     PyDoc_STR("append(path, data, mode=0o666)\n--\n\nSee blitzio.fs.")},
    {"blocking_append", fast(write_file<Form::blocking, kAppend>), kFlags,
     PyDoc_STR("blocking_append(path, data, mode=0o666)\n--\n\nSee blitzio.fs.")},
    {"write_text", fast(write_text<Form::awaitable, kReplace>), kFlags,
     PyDoc_STR("write_text(path, text, encoding=None, errors=None, newline=None)\n--\n\n"
               "See blitzio.fs.")},
    {"blocking_write_text", fast(write_text<Form::blocking, kReplace>), kFlags,
     PyDoc_STR("blocking_write_text(path, text, encoding=None, errors=None, newline=None)\n--\n\n"
               "See blitzio.fs.")},
    {"append_text", fast(write_text<Form::awaitable, kAppend>), kFlags,
     PyDoc_STR("append_text(path, text, encoding=None, errors=None, newline=None)\n--\n\n"
               "See blitzio.fs.")},
    {"blocking_append_text", fast(write_text<Form::blocking, kAppend>), kFlags,
     PyDoc_STR("blocking_append_text(path, text, encoding=None, errors=None, newline=None)\n--\n\n"
               "See blitzio.fs.")},
};

}  // namespace

std::span<PyMethodDef> fs_whole_functions() noexcept {
  return functions;
}

}  // namespace blitzio::python
