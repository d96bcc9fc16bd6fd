#include <blitzio/base/check.hpp>
#include <python/loop/sock_address.hpp>

#include <arpa/inet.h>
#include <sys/un.h>

#include <cstddef>

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

}  // namespace

PyRef address_object(const sockaddr_storage& address, socklen_t bytes) noexcept {
  if (bytes == 0) return PyRef::borrow(Py_None);
  BLITZIO_CHECK(is_plain_family(address.ss_family), address.ss_family);
  char text[INET6_ADDRSTRLEN];
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    return PyRef::steal(Py_BuildValue("(si)", text, static_cast<int>(ntohs(v4.sin_port))));
  }
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    return PyRef::steal(Py_BuildValue("(siII)", text, static_cast<int>(ntohs(v6.sin6_port)),
                                      ntohl(v6.sin6_flowinfo), v6.sin6_scope_id));
  }
  return unix_address(reinterpret_cast<const sockaddr_un&>(address), bytes);
}

}  // namespace blitzio::python
