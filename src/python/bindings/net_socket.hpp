// What all types of blitzio.net's sockets have: templates over the function that finds the socket
// in the Python object.
#pragma once

#include <blitzio/net/socket.hpp>
#include <python/bindings/net_address.hpp>
#include <python/bridge/awaitable.hpp>
#include <python/bridge/io_context.hpp>
#include <python/bridge/ready.hpp>
#include <python/support/arguments.hpp>
#include <python/support/error.hpp>

#include <array>
#include <cerrno>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <vector>

namespace blitzio::python {

/// Any box: all begin alike.
[[nodiscard]] inline ModuleState& state_of_box(PyObject* self) noexcept {
  return *Box<int>::of(self).state;
}

/// raise_error(), but a closed socket says EBADF, as Python's own sockets do.
inline PyObject* raise_socket_error(Error error, const char* what) noexcept {
  return raise_error(error.is(RuntimeErrc::closed) ? Error::os(EBADF) : error, what);
}

/// Reads a count of bytes, from 0 on; null leaves `*size` as it is. False with an error set.
[[nodiscard]] inline bool parse_size(PyObject* object, const char* what,
                                     std::size_t* size) noexcept {
  if (object == nullptr) return true;
  const Py_ssize_t value = PyNumber_AsSsize_t(object, PyExc_OverflowError);
  if (value == -1 && PyErr_Occurred() != nullptr) return false;
  if (value < 0) {
    PyErr_Format(PyExc_ValueError, "%s must be at least 0, got %zd", what, value);
    return false;
  }
  *size = static_cast<std::size_t>(value);
  return true;
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

using SocketOf = net::Socket& (*)(PyObject* self) noexcept;

/// None, or null with the error set.
[[nodiscard]] inline PyObject* none_or_raise(const Result<void>& done, const char* what) noexcept {
  if (!done) return raise_socket_error(done.error(), what);
  Py_RETURN_NONE;
}

/// Closes at once, also where the loop is not ours.
inline void close_socket(PyObject* self, net::Socket& socket) noexcept {
  if (!socket.is_open()) return;
  PyRef exception = take_exception();
  {
    const IoContext io(state_of_box(self));
    PyErr_Clear();  // Without a running loop it is closed by the one that waited on it.
    socket.close();
  }
  if (exception) restore_exception(std::move(exception));
}

template <SocketOf kSocketOf>
PyObject* socket_close(PyObject* self, PyObject* /*unused*/) {
  close_socket(self, kSocketOf(self));
  Py_RETURN_NONE;
}
template <SocketOf kSocketOf>
PyObject* socket_fileno(PyObject* self, PyObject* /*unused*/) {
  return PyLong_FromLong(kSocketOf(self).fd());
}
template <SocketOf kSocketOf>
PyObject* socket_detach(PyObject* self, PyObject* /*unused*/) {
  return PyLong_FromLong(std::move(kSocketOf(self)).into_fd().release());
}
template <SocketOf kSocketOf>
PyObject* socket_aenter(PyObject* self, PyObject* /*unused*/) {
  return awaitable_new(state_of_box(self), "__aenter__", self, GiveSelf{self}, AsIs());
}
template <SocketOf kSocketOf>
PyObject* socket_aexit(PyObject* self, PyObject* const* /*args*/, Py_ssize_t /*nargs*/) {
  close_socket(self, kSocketOf(self));
  return ready_none(state_of_box(self));
}
template <SocketOf kSocketOf, IoDirection kDirection>
PyObject* socket_ready(PyObject* self, PyObject* /*unused*/) {
  ModuleState& state = state_of_box(self);
  net::Socket& socket = kSocketOf(self);
  constexpr bool kIsRead = kDirection == IoDirection::read;
  using F = AsyncFd::Ready;
  return awaitable_new(
      state, kIsRead ? "readable" : "writable", self,
      OnLoop<F>(state, kIsRead ? socket.readable() : socket.writable()),
      [](const Result<void>& done) noexcept { return none_or_raise(done, "socket"); });
}
template <SocketOf kSocketOf>
PyObject* socket_option(PyObject* self, PyObject* args) {
  int level = 0;
  int name = 0;
  if (!PyArg_ParseTuple(args, "ii:option", &level, &name)) return nullptr;
  const Result<int> value = kSocketOf(self).option(level, name);
  return value ? PyLong_FromLong(*value) : raise_error(value.error(), "option");
}
template <SocketOf kSocketOf>
PyObject* socket_set_option(PyObject* self, PyObject* args) {
  int level = 0;
  int name = 0;
  int value = 0;
  if (!PyArg_ParseTuple(args, "iii:set_option", &level, &name, &value)) return nullptr;
  return none_or_raise(kSocketOf(self).set_option(level, name, value), "set_option");
}
template <SocketOf kSocketOf>
PyObject* socket_local_address(PyObject* self, void* /*unused*/) {
  const Result<Address> address = kSocketOf(self).local_address();
  if (!address) return raise_error(address.error(), "local_address");
  return make_address(state_of_box(self), *address);
}
template <SocketOf kSocketOf>
PyObject* socket_peer_address(PyObject* self, void* /*unused*/) {
  const Result<Address> address = kSocketOf(self).peer_address();
  if (!address) return raise_error(address.error(), "peer_address");
  return make_address(state_of_box(self), *address);
}
template <SocketOf kSocketOf>
PyObject* socket_is_closed(PyObject* self, void* /*unused*/) {
  return PyBool_FromLong(kSocketOf(self).is_open() ? 0 : 1);
}
template <SocketOf kSocketOf>
PyObject* socket_repr(PyObject* self) {
  net::Socket& socket = kSocketOf(self);
  if (!socket.is_open()) return PyUnicode_FromFormat("<%s closed>", Py_TYPE(self)->tp_name);
  const std::string local = socket.local_address().value_or(Address()).to_string();
  const std::string peer = socket.peer_address().value_or(Address()).to_string();
  return PyUnicode_FromFormat("<%s fd=%d local=%s peer=%s>", Py_TYPE(self)->tp_name, socket.fd(),
                              local.c_str(), peer.c_str());
}

template <SocketOf kSocketOf>
inline const std::array kSocketMethods{
    PyMethodDef{"close", socket_close<kSocketOf>, METH_NOARGS,
                PyDoc_STR("close($self)\n--\n\nClose it now; what waits on it ends with OSError.")},
    PyMethodDef{"fileno", socket_fileno<kSocketOf>, METH_NOARGS,
                PyDoc_STR("fileno($self)\n--\n\nThe descriptor; -1 once closed.")},
    PyMethodDef{"detach", socket_detach<kSocketOf>, METH_NOARGS,
                PyDoc_STR("detach($self)\n--\n\nGive the descriptor to the caller.")},
    PyMethodDef{"readable", socket_ready<kSocketOf, IoDirection::read>, METH_NOARGS,
                PyDoc_STR("readable($self)\n--\n\nWait until reading would not block.")},
    PyMethodDef{"writable", socket_ready<kSocketOf, IoDirection::write>, METH_NOARGS,
                PyDoc_STR("writable($self)\n--\n\nWait until writing would not block.")},
    PyMethodDef{"option", socket_option<kSocketOf>, METH_VARARGS,
                PyDoc_STR("option($self, level, name, /)\n--\n\ngetsockopt() of an int.")},
    PyMethodDef{"set_option", socket_set_option<kSocketOf>, METH_VARARGS,
                PyDoc_STR("set_option($self, level, name, value, /)\n--\n\n"
                          "setsockopt() of an int.")},
    PyMethodDef{"__aenter__", socket_aenter<kSocketOf>, METH_NOARGS, nullptr},
    PyMethodDef{"__aexit__", fast(socket_aexit<kSocketOf>), METH_FASTCALL, nullptr},
};

template <SocketOf kSocketOf>
inline PyGetSetDef socket_attributes[] = {
    {"local_address", socket_local_address<kSocketOf>, nullptr,
     PyDoc_STR("The Address of this end."), nullptr},
    {"peer_address", socket_peer_address<kSocketOf>, nullptr,
     PyDoc_STR("The Address of the other end."), nullptr},
    {"is_closed", socket_is_closed<kSocketOf>, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

/// One table of several, ended as tables are. Types keep pointers into it.
[[nodiscard]] inline std::vector<PyMethodDef> methods_of(
    std::initializer_list<std::span<const PyMethodDef>> parts) {
  std::vector<PyMethodDef> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  all.push_back({nullptr, nullptr, 0, nullptr});
  return all;
}

}  // namespace blitzio::python
