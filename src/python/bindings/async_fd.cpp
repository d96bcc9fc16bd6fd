// The type blitzio.AsyncFd: readiness of a descriptor that another library reads and writes.
#include <python/bindings/async_fd.hpp>

#include <python/bindings/adopt.hpp>
#include <python/bindings/descriptor.hpp>

#include <sys/stat.h>

#include <utility>

namespace blitzio::python {

namespace {

/// What descriptor.hpp asks of an object.
class Waitable {
 public:
  explicit Waitable(AsyncFd fd) noexcept : fd_(std::move(fd)) {}
  [[nodiscard]] static Result<Waitable> adopt(OwnedFd&& fd) noexcept {
    return map_value(AsyncFd::adopt(std::move(fd)),
                     [](AsyncFd adopted) { return Waitable(std::move(adopted)); });
  }
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  [[nodiscard]] bool is_open() const noexcept { return fd() >= 0; }
  void close() noexcept { fd_.close(); }
  [[nodiscard]] OwnedFd into_fd() && noexcept { return fd_.release(); }
  [[nodiscard]] const AsyncFd& async_fd() const noexcept { return fd_; }

 private:
  AsyncFd fd_;
};

Waitable& waitable_of(PyObject* self) noexcept {
  return Box<Waitable>::of(self).value;
}

PyObject* async_fd_adopt(PyObject* type, PyObject* object) {
  int fd = -1;
  if (!parse_fd(object, &fd)) return nullptr;
  struct stat what{};
  if (::fstat(fd, &what) != 0) return raise_error(Error::os(errno), "");
  if (S_ISREG(what.st_mode) || S_ISDIR(what.st_mode)) {
    return PyErr_Format(PyExc_ValueError,
                        "the descriptor %d is of a file or directory, which is always ready; "
                        "blitzio.fs has functions for these",
                        fd);
  }
  auto* own = reinterpret_cast<PyTypeObject*>(type);
  return take_over<Waitable>(fd, Waitable::adopt, [own](Waitable&& made) noexcept {
    return Box<Waitable>::make(state_of_type(own), own, std::move(made));
  });
}

PyObject* async_fd_repr(PyObject* self) {
  const Waitable& waitable = waitable_of(self);
  if (!waitable.is_open()) return PyUnicode_FromString("<blitzio.AsyncFd closed>");
  return PyUnicode_FromFormat("<blitzio.AsyncFd fd=%d>", waitable.fd());
}

const std::array kAdoptMethod{
    PyMethodDef{"adopt", async_fd_adopt, METH_O | METH_CLASS,
                PyDoc_STR("adopt($type, fd, /)\n--\n\nTake over a descriptor.")},
};

PyGetSetDef attributes[] = {
    {"is_closed", descriptor_is_closed<waitable_of>, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot slots[] = {
    {Py_tp_repr, slot(async_fd_repr)},
    {0, nullptr},
};

}  // namespace

int async_fd_register(PyObject* module, ModuleState& /*state*/) noexcept {
  static auto methods =
      methods_of({kAdoptMethod, kReadableMethods<waitable_of>, kWritableMethods<waitable_of>,
                  kDescriptorMethods<waitable_of>});
  // The module keeps it.
  const PyRef type = PyRef::steal(reinterpret_cast<PyObject*>(
      box_register<Waitable>(module, {.name = "blitzio.AsyncFd",
                                      .doc = "Waits for a descriptor that others read and write.",
                                      .methods = methods.data(),
                                      .attributes = attributes,
                                      .more = slots})));
  return type ? 0 : -1;
}

}  // namespace blitzio::python
