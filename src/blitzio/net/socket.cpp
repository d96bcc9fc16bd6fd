#include <blitzio/net/socket.hpp>

#include <blitzio/base/address_buffer.hpp>

#include <limits>

namespace blitzio::net {

namespace {

std::size_t to_bytes(int bytes) noexcept {
  return static_cast<std::size_t>(bytes);
}

using NameCall = int (*)(int fd, sockaddr* address, socklen_t* length);

Result<Address> name_of(int fd, NameCall call) noexcept {
  AddressBuffer name{};
  if (call(fd, name.generic(), &name.length) != 0) return fail(Error::os(errno));
  return Address::from_sockaddr(name.generic(), name.length);
}

}  // namespace

Result<Address> Socket::local_address() const noexcept {
  return name_of(fd(), [](int fd, sockaddr* address, socklen_t* length) {
    return ::getsockname(fd, address, length);
  });
}

Result<Address> Socket::peer_address() const noexcept {
  return name_of(fd(), [](int fd, sockaddr* address, socklen_t* length) {
    return ::getpeername(fd, address, length);
  });
}

Result<void> Socket::set_option(int level, int name, int value) const noexcept {
  if (::setsockopt(fd(), level, name, &value, sizeof value) != 0) return fail(Error::os(errno));
  return {};
}

Result<int> Socket::option(int level, int name) const noexcept {
  int value = 0;
  socklen_t length = sizeof value;
  if (::getsockopt(fd(), level, name, &value, &length) != 0) return fail(Error::os(errno));
  return value;
}

Result<std::optional<Error>> Socket::take_error() const noexcept {
  const Result<int> code = option(SOL_SOCKET, SO_ERROR);
  if (!code) return fail(code.error());
  if (*code == 0) return std::nullopt;
  return Error::os(*code);
}

Result<void> Socket::set_send_buffer_bytes(std::size_t bytes) const noexcept {
  if (bytes > std::numeric_limits<int>::max()) return fail(Error::os(EINVAL));
  return set_option(SOL_SOCKET, SO_SNDBUF, static_cast<int>(bytes));
}

Result<std::size_t> Socket::send_buffer_bytes() const noexcept {
  return map_value(option(SOL_SOCKET, SO_SNDBUF), to_bytes);
}

Result<void> Socket::set_recv_buffer_bytes(std::size_t bytes) const noexcept {
  if (bytes > std::numeric_limits<int>::max()) return fail(Error::os(EINVAL));
  return set_option(SOL_SOCKET, SO_RCVBUF, static_cast<int>(bytes));
}

Result<std::size_t> Socket::recv_buffer_bytes() const noexcept {
  return map_value(option(SOL_SOCKET, SO_RCVBUF), to_bytes);
}

Result<OwnedFd> detail::open_socket(int family, int type) noexcept {
  const int fd = ::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(Error::os(errno));
  return OwnedFd::adopt(fd);
}

Result<void> detail::bind_to(int fd, const Address& address) noexcept {
  const Address::Native native = address.to_native();
  if (::bind(fd, native.get(), native.length) != 0) return fail(Error::os(errno));
  return {};
}

}  // namespace blitzio::net
