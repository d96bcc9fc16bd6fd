// What all types of blitzio.net's sockets have besides descriptor.hpp: addresses, and options by
// number. Those by name are in net_options.hpp.
#pragma once

#include <blitzio/net/socket.hpp>
#include <python/bindings/descriptor.hpp>
#include <python/bindings/net_address.hpp>

#include <array>
#include <climits>

namespace blitzio::python {

using SocketOf = net::Socket& (*)(PyObject* self) noexcept;

/// Any int of C.
[[nodiscard]] inline bool parse_int(PyObject* object, const char* what, int* value) noexcept {
  return parse_integer(object, what, INT_MIN, INT_MAX, value);
}

template <SocketOf kSocketOf>
PyObject* socket_option(PyObject* self, PyObject* args) {
  PyObject *level_object = nullptr, *name_object = nullptr;
  int level = 0;
  int name = 0;
  if (!PyArg_ParseTuple(args, "OO:option", &level_object, &name_object) ||
      !parse_int(level_object, "level", &level) || !parse_int(name_object, "name", &name)) {
    return nullptr;
  }
  const ObjectLock lock(self);
  const Result<int> value = kSocketOf(self).option(level, name);
  return value ? PyLong_FromLong(*value) : raise_error(value.error(), "option");
}
template <SocketOf kSocketOf>
PyObject* socket_set_option(PyObject* self, PyObject* args) {
  PyObject *level_object = nullptr, *name_object = nullptr, *value_object = nullptr;
  int level = 0;
  int name = 0;
  int value = 0;
  if (!PyArg_ParseTuple(args, "OOO:set_option", &level_object, &name_object, &value_object) ||
      !parse_int(level_object, "level", &level) || !parse_int(name_object, "name", &name) ||
      !parse_int(value_object, "value", &value)) {
    return nullptr;
  }
  const ObjectLock lock(self);
  return none_or_raise(kSocketOf(self).set_option(level, name, value), "set_option");
}
template <SocketOf kSocketOf>
PyObject* socket_local_address(PyObject* self, void* /*unused*/) {
  const ObjectLock lock(self);
  const Result<Address> address = kSocketOf(self).local_address();
  if (!address) return raise_error(address.error(), "local_address");
  return make_address(state_of_box(self), *address);
}
template <SocketOf kSocketOf>
PyObject* socket_peer_address(PyObject* self, void* /*unused*/) {
  const ObjectLock lock(self);
  const Result<Address> address = kSocketOf(self).peer_address();
  if (!address) return raise_error(address.error(), "peer_address");
  return make_address(state_of_box(self), *address);
}
template <SocketOf kSocketOf>
PyObject* socket_repr(PyObject* self) {
  const ObjectLock lock(self);
  net::Socket& socket = kSocketOf(self);
  if (!socket.is_open()) return PyUnicode_FromFormat("<%s closed>", Py_TYPE(self)->tp_name);
  const std::string local = socket.local_address().value_or(Address()).to_string();
  const std::string peer = socket.peer_address().value_or(Address()).to_string();
  return PyUnicode_FromFormat("<%s fd=%d local=%s peer=%s>", Py_TYPE(self)->tp_name, socket.fd(),
                              local.c_str(), peer.c_str());
}

template <SocketOf kSocketOf>
inline const std::array kRawOptionMethods{
    PyMethodDef{"option", socket_option<kSocketOf>, METH_VARARGS,
                PyDoc_STR("option($self, level, name, /)\n--\n\ngetsockopt() of an int.")},
    PyMethodDef{"set_option", socket_set_option<kSocketOf>, METH_VARARGS,
                PyDoc_STR("set_option($self, level, name, value, /)\n--\n\n"
                          "setsockopt() of an int.")},
};

template <SocketOf kSocketOf>
inline PyGetSetDef socket_attributes[] = {
    {"local_address", socket_local_address<kSocketOf>, nullptr,
     PyDoc_STR("The Address of this end."), nullptr},
    {"peer_address", socket_peer_address<kSocketOf>, nullptr,
     PyDoc_STR("The Address of the other end."), nullptr},
    {"is_closed", descriptor_is_closed<kSocketOf>, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

}  // namespace blitzio::python
