// What every Python object with a descriptor has, the sockets of blitzio.net and the pipes of
// blitzio.process: closing, readiness, the number. Templates over `kOf`, the function that finds
// the C++ object (close, is_open, fd, into_fd, async_fd) in the Python one.
#pragma once

#include <blitzio/executor/async_fd.hpp>
#include <python/bindings/box.hpp>
#include <python/bridge/awaitable.hpp>
#include <python/bridge/blocking_form.hpp>
#include <python/bridge/io_context.hpp>
#include <python/bridge/ready.hpp>
#include <python/support/error.hpp>
#include <python/support/ft.hpp>
#include <python/support/integer.hpp>

#include <array>
#include <cerrno>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

namespace blitzio::python {

/// Any box: all begin alike.
[[nodiscard]] inline ModuleState& state_of_box(PyObject* self) noexcept {
  return *Box<int>::of(self).state;
}

/// raise_error(), but a closed socket says EBADF, as Python's own sockets do.
inline PyObject* raise_io_error(Error error, const char* what) noexcept {
  return raise_error(error.is(RuntimeErrc::closed) ? Error::os(EBADF) : error, what);
}

/// Reads a count of bytes, from 0 on; null leaves `*size` as it is. False with an error set.
[[nodiscard]] inline bool parse_size(PyObject* object, const char* what,
                                     std::size_t* size) noexcept {
  return object == nullptr || parse_integer(object, what, 0, PY_SSIZE_T_MAX, size);
}

/// What `__aenter__` returns: an awaitable of the object itself, which it keeps alive.
struct GiveSelf {
  using Output = PyObject*;
  PyObject* self;
  Poll<PyObject*> poll(Context& /*context*/) noexcept { return Py_NewRef(self); }
};
/// The conversion of futures whose output is the object, or null with an error set.
struct AsIs {
  PyObject* operator()(PyObject* result) const noexcept { return result; }
};

/// None, or null with the error set.
[[nodiscard]] inline PyObject* none_or_raise(const Result<void>& done, const char* what) noexcept {
  if (!done) return raise_io_error(done.error(), what);
  Py_RETURN_NONE;
}

/// `F` on the object's descriptor, polled with an IoContext and the object's lock: nobody closes it
/// between the look at its number and the call.
template <Future F>
class OnDescriptor : public OnLoop<F> {
 public:
  OnDescriptor(PyObject* self, F future) noexcept
      : OnLoop<F>(state_of_box(self), std::move(future)), self_(self) {}
  Poll<OutputOf<F>> poll(Context& context) {
    const ObjectLock lock(self_);
    return OnLoop<F>::poll(context);
  }

 private:
  PyObject* self_;  // borrowed: the owner of the awaitable
};

/// Runs `end`, which closes or gives up the descriptor: at once, also where the loop is not ours.
template <class End>
void end_on_loop(PyObject* self, End end) noexcept {
  PyRef exception = take_exception();
  {
    const IoContext io(state_of_box(self));
    PyErr_Clear();  // Without a running loop it is ended by the one that waited on it.
    end();
  }
  if (exception) restore_exception(std::move(exception));
}

template <class D>
void close_on_loop(PyObject* self, D& descriptor) noexcept {
  const ObjectLock lock(self);
  if (descriptor.is_open()) end_on_loop(self, [&]() noexcept { descriptor.close(); });
}

template <auto kOf>
PyObject* descriptor_close(PyObject* self, PyObject* /*unused*/) {
  close_on_loop(self, kOf(self));
  Py_RETURN_NONE;
}
template <auto kOf>
PyObject* descriptor_fileno(PyObject* self, PyObject* /*unused*/) {
  const ObjectLock lock(self);
  return PyLong_FromLong(kOf(self).fd());
}
template <auto kOf>
PyObject* descriptor_detach(PyObject* self, PyObject* /*unused*/) {
  const ObjectLock lock(self);
  OwnedFd fd;
  end_on_loop(self, [&]() noexcept { fd = std::move(kOf(self)).into_fd(); });
  return PyLong_FromLong(fd.release());
}
template <auto kOf>
PyObject* descriptor_aenter(PyObject* self, PyObject* /*unused*/) {
  return awaitable_new(state_of_box(self), "__aenter__", self, GiveSelf{self}, AsIs());
}
template <auto kOf>
PyObject* descriptor_aexit(PyObject* self, PyObject* const* /*args*/, Py_ssize_t /*nargs*/) {
  close_on_loop(self, kOf(self));
  return ready_none(state_of_box(self));
}
template <auto kOf, IoDirection kDirection>
PyObject* descriptor_ready(PyObject* self, PyObject* /*unused*/) {
  ModuleState& state = state_of_box(self);
  const AsyncFd& fd = kOf(self).async_fd();
  constexpr bool kIsRead = kDirection == IoDirection::read;
  using F = AsyncFd::Ready;
  return awaitable_new(state, kIsRead ? "readable" : "writable", self,
                       OnDescriptor<F>(self, kIsRead ? fd.readable() : fd.writable()),
                       [](const Result<void>& done) noexcept {
                         return none_or_raise(done, kIsRead ? "readable" : "writable");
                       });
}
template <auto kOf>
PyObject* descriptor_is_closed(PyObject* self, void* /*unused*/) {
  return PyBool_FromLong(kOf(self).is_open() ? 0 : 1);
}

template <auto kOf>
inline const std::array kReadableMethods{
    PyMethodDef{"readable", descriptor_ready<kOf, IoDirection::read>, METH_NOARGS,
                PyDoc_STR("readable($self)\n--\n\nWait until reading would not block.")},
    blocking_form<descriptor_ready<kOf, IoDirection::read>, "blocking_readable">(
        PyDoc_STR("blocking_readable($self, timeout=None)\n--\n\nreadable() for threads.")),
};
template <auto kOf>
inline const std::array kWritableMethods{
    PyMethodDef{"writable", descriptor_ready<kOf, IoDirection::write>, METH_NOARGS,
                PyDoc_STR("writable($self)\n--\n\nWait until writing would not block.")},
    blocking_form<descriptor_ready<kOf, IoDirection::write>, "blocking_writable">(
        PyDoc_STR("blocking_writable($self, timeout=None)\n--\n\nwritable() for threads.")),
};

template <auto kOf>
inline const std::array kDescriptorMethods{
    PyMethodDef{"close", descriptor_close<kOf>, METH_NOARGS,
                PyDoc_STR("close($self)\n--\n\nClose it now; what waits on it ends with OSError.")},
    PyMethodDef{"fileno", descriptor_fileno<kOf>, METH_NOARGS,
                PyDoc_STR("fileno($self)\n--\n\nThe descriptor; -1 once closed.")},
    PyMethodDef{"detach", descriptor_detach<kOf>, METH_NOARGS,
                PyDoc_STR("detach($self)\n--\n\nGive the descriptor to the caller.")},
    PyMethodDef{"__aenter__", descriptor_aenter<kOf>, METH_NOARGS, nullptr},
    PyMethodDef{"__aexit__", fast(descriptor_aexit<kOf>), METH_FASTCALL, nullptr},
};

/// One table of several, ended as tables are. Types keep pointers into it.
[[nodiscard]] inline std::vector<PyMethodDef> methods_of(
    std::initializer_list<std::span<const PyMethodDef>> parts) {
  std::vector<PyMethodDef> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  all.push_back({nullptr, nullptr, 0, nullptr});
  return all;
}
/// The same of attributes.
[[nodiscard]] inline std::vector<PyGetSetDef> attributes_of(
    std::initializer_list<std::span<const PyGetSetDef>> parts) {
  std::vector<PyGetSetDef> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  all.push_back({nullptr, nullptr, nullptr, nullptr, nullptr});
  return all;
}

}  // namespace blitzio::python
