#include <python/loop/datagram_address.hpp>

#include <blitzio/base/platform.hpp>

#include <arpa/inet.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace blitzio::python {

namespace {

/// Element `index` of a tuple as an int of at most `largest`. False if it is anything else.
bool read_number(PyObject* tuple, Py_ssize_t index, unsigned long largest,
                 std::uint32_t* number) noexcept {
  PyObject* item = PyTuple_GET_ITEM(tuple, index);
  if (!PyLong_CheckExact(item)) return false;
  int overflow = 0;
  const long long value = PyLong_AsLongLongAndOverflow(item, &overflow);
  if (overflow != 0 || value < 0 || static_cast<unsigned long long>(value) > largest) return false;
  *number = static_cast<std::uint32_t>(value);
  return true;
}

/// Element 0 as a numeric host. False: a name, or nothing that could be a host.
bool read_host(PyObject* tuple, int family, void* binary) noexcept {
  PyObject* item = PyTuple_GET_ITEM(tuple, 0);
  if (!PyUnicode_CheckExact(item) || !PyUnicode_IS_COMPACT_ASCII(item)) return false;
  const char* text = reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(item));
  // A zero within would end the text early.
  return std::strlen(text) == static_cast<std::size_t>(PyUnicode_GET_LENGTH(item)) &&
         ::inet_pton(family, text, binary) == 1;
}

socklen_t parse_inet(PyObject* object, sockaddr_storage* storage) noexcept {
  std::uint32_t port = 0;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (!PyTuple_CheckExact(object) || PyTuple_GET_SIZE(object) != 2 ||
      !read_host(object, AF_INET, &address.sin_addr) || !read_number(object, 1, 0xFFFF, &port)) {
    return 0;
  }
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  std::memcpy(storage, &address, sizeof address);
  return sizeof address;
}

socklen_t parse_inet6(PyObject* object, sockaddr_storage* storage) noexcept {
  std::uint32_t port = 0;
  std::uint32_t flow = 0;
  std::uint32_t scope = 0;
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  if (!PyTuple_CheckExact(object)) return 0;
  const Py_ssize_t size = PyTuple_GET_SIZE(object);
  if (size < 2 || size > 4 || !read_host(object, AF_INET6, &address.sin6_addr) ||
      !read_number(object, 1, 0xFFFF, &port) ||
      (size > 2 && !read_number(object, 2, 0xFFFFF, &flow)) ||
      (size > 3 && !read_number(object, 3, 0xFFFF'FFFF, &scope))) {
    return 0;
  }
  address.sin6_port = htons(static_cast<std::uint16_t>(port));
  address.sin6_flowinfo = htonl(flow);
  address.sin6_scope_id = scope;
  std::memcpy(storage, &address, sizeof address);
  return sizeof address;
}

socklen_t parse_unix(PyObject* object, sockaddr_storage* storage) noexcept {
  PyRef encoded;
  if (PyUnicode_CheckExact(object)) {
    encoded = PyRef::steal(PyUnicode_EncodeFSDefault(object));
    if (!encoded) PyErr_Clear();  // The socket's method says it again.
  } else if (PyBytes_CheckExact(object)) {
    encoded = PyRef::borrow(object);
  }
  if (!encoded) return 0;
  const char* path = PyBytes_AS_STRING(encoded.get());
  const auto size = static_cast<std::size_t>(PyBytes_GET_SIZE(encoded.get()));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (size == 0 || size >= sizeof address.sun_path) return 0;
  const bool is_abstract = path[0] == '\0';
  if (!is_abstract && std::memchr(path, '\0', size) != nullptr) return 0;
  std::memcpy(address.sun_path, path, size);
  std::memcpy(storage, &address, sizeof address);
  // An abstract name is as long as it is; a path ends with a zero.
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size + (is_abstract ? 0 : 1));
}

}  // namespace

PyRef KnownAddress::object_for(const sockaddr_storage& address, socklen_t bytes) noexcept {
  if (BLITZIO_LIKELY(object_ && bytes == bytes_ && std::memcmp(&address, &address_, bytes) == 0)) {
    return PyRef::borrow(object_.get());
  }
  PyRef object = address_object(address, bytes);
  // A sender without a name: None is everybody's, and cannot be answered.
  if (!object || bytes <= sizeof address.ss_family) return object;
  std::memcpy(&address_, &address, bytes);
  bytes_ = bytes;
  object_ = PyRef::borrow(object.get());
  return object;
}

bool KnownAddress::parse(int family, PyObject* object) noexcept {
  sockaddr_storage parsed{};
  const socklen_t bytes = family == AF_INET    ? parse_inet(object, &parsed)
                          : family == AF_INET6 ? parse_inet6(object, &parsed)
                          : family == AF_UNIX  ? parse_unix(object, &parsed)
                                               : 0;
  if (bytes == 0) return false;
  std::memcpy(&address_, &parsed, bytes);
  bytes_ = bytes;
  object_ = PyRef::borrow(object);
  return true;
}

int KnownAddress::traverse(visitproc visit, void* arg) const noexcept {
  Py_VISIT(object_.get());
  return 0;
}

}  // namespace blitzio::python
