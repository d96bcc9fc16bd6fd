// The types PipeReader and PipeWriter of blitzio.process.
#include <python/bindings/process.hpp>

#include <python/bindings/adopt.hpp>
#include <python/bindings/descriptor.hpp>
#include <python/bindings/stream.hpp>
#include <python/bindings/stream_methods.hpp>

#include <array>
#include <utility>

namespace blitzio::python {

namespace {

template <class P>
process::Pipe& pipe_of(PyObject* self) noexcept {
  return stream_of<P>(self).stream;
}

template <class P>
PyObject* pipe_repr(PyObject* self) {
  process::Pipe& pipe = pipe_of<P>(self);
  if (!pipe.is_open()) return PyUnicode_FromFormat("<%s closed>", Py_TYPE(self)->tp_name);
  return PyUnicode_FromFormat("<%s fd=%d>", Py_TYPE(self)->tp_name, pipe.fd());
}

// For blitzio.net.copy(), which ends what it writes to.
PyObject* writer_shutdown(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                          PyObject* names) {
  static constexpr std::array kParameters{"how"};
  Arguments arguments(args, nargs, names);
  if (!arguments.bind_all("shutdown", kParameters, 0)) return nullptr;
  if (arguments[0] != nullptr && (!PyUnicode_Check(arguments[0]) ||
                                  PyUnicode_CompareWithASCIIString(arguments[0], "write") != 0)) {
    return PyErr_Format(PyExc_ValueError, "how must be 'write', got %R", arguments[0]);
  }
  return descriptor_close<pipe_of<process::PipeWriter>>(self, nullptr);
}

PyObject* writer_finish(PyObject* self, PyObject* /*unused*/) {
  using F = process::PipeWriter::Finish;
  return awaitable_new(state_of_box(self), "finish", self,
                       OnDescriptor<F>(self, stream_of<process::PipeWriter>(self).stream.finish()),
                       [](const Result<void>& done) noexcept { return none_or_raise(done, ""); });
}

template <class P>
PyObject* pipe_adopt(PyObject* type, PyObject* object) {
  int fd = -1;
  if (!parse_fd(object, &fd) || !check_pipe(fd, std::is_same_v<P, process::PipeWriter>)) {
    return nullptr;
  }
  auto* own = reinterpret_cast<PyTypeObject*>(type);
  return take_over<P>(fd, P::adopt, [own](P&& pipe) noexcept {
    return make_py_stream(state_of_type(own), own, std::move(pipe), StreamKind::pipe);
  });
}

template <class P>
const std::array kAdoptMethod{
    PyMethodDef{"adopt", pipe_adopt<P>, METH_O | METH_CLASS,
                PyDoc_STR("adopt($type, fd, /)\n--\n\nTake over one end of a pipe.")},
};

const std::array kEndMethods{
    PyMethodDef{"finish", writer_finish, METH_NOARGS,
                PyDoc_STR("finish($self)\n--\n\nclose(), as streams have it.")},
    blocking_form<writer_finish, "blocking_finish">(
        PyDoc_STR("blocking_finish($self, timeout=None)\n--\n\nfinish() for threads.")),
    PyMethodDef{"shutdown", fast(writer_shutdown), METH_FASTCALL | METH_KEYWORDS,
                PyDoc_STR("shutdown($self, how='write')\n--\n\nclose(), as streams have it.")},
};

template <class P>
PyGetSetDef pipe_attributes[] = {
    {"is_closed", descriptor_is_closed<pipe_of<P>>, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyTypeObject* register_reader(PyObject* module) noexcept {
  using P = process::PipeReader;
  static constexpr auto kOf = pipe_of<P>;
  static auto methods = methods_of(
      {kReadMethods<P>, kReadableMethods<kOf>, kDescriptorMethods<kOf>, kAdoptMethod<P>});
  static PyType_Slot slots[] = {
      {Py_tp_repr, slot(pipe_repr<P>)},
      {Py_am_aiter, slot(PyObject_SelfIter)},
      {Py_am_anext, slot(stream_anext<P>)},
      {0, nullptr},
  };
  return box_register<PyStream<P>>(module,
                                   {.name = "blitzio.process.PipeReader",
                                    .doc = "Reads what a child writes; see blitzio.process.",
                                    .methods = methods.data(),
                                    .attributes = pipe_attributes<P>,
                                    .more = slots});
}

PyTypeObject* register_writer(PyObject* module) noexcept {
  using P = process::PipeWriter;
  static constexpr auto kOf = pipe_of<P>;
  static auto methods = methods_of({kWriteMethods<P>, kEndMethods, kWritableMethods<kOf>,
                                    kDescriptorMethods<kOf>, kAdoptMethod<P>});
  static PyType_Slot slots[] = {
      {Py_tp_repr, slot(pipe_repr<P>)},
      {0, nullptr},
  };
  return box_register<PyStream<P>>(module,
                                   {.name = "blitzio.process.PipeWriter",
                                    .doc = "Writes what a child reads; see blitzio.process.",
                                    .methods = methods.data(),
                                    .attributes = pipe_attributes<P>,
                                    .more = slots});
}

template <class P>
PyObject* make_pipe(ModuleState& state, PyTypeObject* type, OwnedFd fd) noexcept {
  auto pipe = P::adopt(std::move(fd));
  if (!pipe) return raise_error(pipe.error(), "pipe");
  return make_py_stream(state, type, std::move(*pipe), StreamKind::pipe);
}

}  // namespace

PyObject* make_pipe_reader(ModuleState& state, OwnedFd fd) noexcept {
  return make_pipe<process::PipeReader>(state, state.pipe_reader_type, std::move(fd));
}

PyObject* make_pipe_writer(ModuleState& state, OwnedFd fd) noexcept {
  return make_pipe<process::PipeWriter>(state, state.pipe_writer_type, std::move(fd));
}

int process_pipe_register(PyObject* module, ModuleState& state) noexcept {
  state.pipe_reader_type = register_reader(module);
  state.pipe_writer_type = register_writer(module);
  return state.pipe_reader_type == nullptr || state.pipe_writer_type == nullptr ? -1 : 0;
}

}  // namespace blitzio::python
