#include <blitzio/base/check.hpp>
#include <python/loop/sock_address.hpp>

#include <arpa/inet.h>
#include <sys/un.h>

#include <array>
#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdint>

namespace blitzio::python {

namespace {

PyRef unix_address(const sockaddr_un& address, socklen_t bytes) noexcept {
  constexpr socklen_t kHeaderBytes = offsetof(sockaddr_un, sun_path);
  const socklen_t path_bytes = bytes > kHeaderBytes ? bytes - kHeaderBytes : 0;
  if (path_bytes == 0) return PyRef::steal(PyUnicode_FromStringAndSize(nullptr, 0));
  if (address.sun_path[0] == '\0') {  // Linux's abstract name space; not text.
    return PyRef::steal(
        PyBytes_FromStringAndSize(address.sun_path, static_cast<Py_ssize_t>(path_bytes)));
  }
  const std::size_t length = ::strnlen(address.sun_path, path_bytes);
  return PyRef::steal(
      PyUnicode_DecodeFSDefaultAndSize(address.sun_path, static_cast<Py_ssize_t>(length)));
}

/// As inet_ntop(3), which goes through printf(3): most of what a datagram's address costs.
PyRef inet_host(const in_addr& address) noexcept {
  const auto octets = std::bit_cast<std::array<std::uint8_t, sizeof address>>(address);
  std::array<char, INET_ADDRSTRLEN> text;
  char* end = text.data();
  for (const std::uint8_t octet : octets) {
    if (end != text.data()) *end++ = '.';
    end = std::to_chars(end, text.data() + text.size(), octet).ptr;
  }
  return PyRef::steal(PyUnicode_FromStringAndSize(text.data(), end - text.data()));
}

}  // namespace

PyRef inet_address_object(const sockaddr_in& address) noexcept {
  const PyRef host = inet_host(address.sin_addr);
  const PyRef port = PyRef::steal(PyLong_FromLong(ntohs(address.sin_port)));
  return host && port ? PyRef::steal(PyTuple_Pack(2, host.get(), port.get())) : PyRef();
}

PyRef inet6_address_object(const sockaddr_in6& address) noexcept {
  std::array<char, INET6_ADDRSTRLEN> host;
  ::inet_ntop(AF_INET6, &address.sin6_addr, host.data(), host.size());
  return PyRef::steal(Py_BuildValue("(siII)", host.data(),
                                    static_cast<int>(ntohs(address.sin6_port)),
                                    ntohl(address.sin6_flowinfo), address.sin6_scope_id));
}

PyRef address_object(const sockaddr_storage& address, socklen_t bytes) noexcept {
  if (bytes == 0) return PyRef::borrow(Py_None);
  BLITZIO_CHECK(is_plain_family(address.ss_family), address.ss_family);
  if (address.ss_family == AF_INET) {
    return inet_address_object(reinterpret_cast<const sockaddr_in&>(address));
  }
  if (address.ss_family == AF_INET6) {
    return inet6_address_object(reinterpret_cast<const sockaddr_in6&>(address));
  }
  return unix_address(reinterpret_cast<const sockaddr_un&>(address), bytes);
}

}  // namespace blitzio::python
