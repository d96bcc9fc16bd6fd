#include <blitzio/net/udp.hpp>

#include <netinet/in.h>

#include <cerrno>
#include <cstring>

namespace blitzio::net {

namespace {

bool to_bool(int value) noexcept {
  return value != 0;
}

}  // namespace

Result<UdpSocket> UdpSocket::from_fd(OwnedFd&& fd) noexcept {
  return map_value(AsyncFd::adopt(std::move(fd)),
                   [](AsyncFd adopted) { return UdpSocket(std::move(adopted)); });
}

Result<UdpSocket> UdpSocket::bind(const Address& address, const UdpOptions& options) noexcept {
  if (!address.is_v4() && !address.is_v6()) {
    return fail(Error::runtime(RuntimeErrc::invalid_argument));
  }
  auto fd = detail::open_socket(address.native_family(), SOCK_DGRAM);
  if (!fd) return fail(fd.error());
  auto socket = from_fd(std::move(*fd));
  if (!socket) return fail(socket.error());
  const auto set = [&socket](bool is_wanted, int level, int name) noexcept -> Result<void> {
    if (!is_wanted) return {};
    return socket->set_option(level, name, 1);
  };
  Result<void> done = set(options.reuse_address, SOL_SOCKET, SO_REUSEADDR);
  if (done) done = set(options.reuse_port, SOL_SOCKET, SO_REUSEPORT);
  if (done) done = set(options.v6_only && address.is_v6(), IPPROTO_IPV6, IPV6_V6ONLY);
  if (done) done = detail::bind_to(socket->fd(), address);
  if (!done) return fail(done.error());
  return socket;
}

bool UdpSocket::is_v6() const noexcept {
  return option(SOL_SOCKET, SO_DOMAIN) == AF_INET6;
}

Result<void> UdpSocket::set_broadcast(bool is_on) const noexcept {
  return set_option(SOL_SOCKET, SO_BROADCAST, is_on ? 1 : 0);
}

Result<bool> UdpSocket::broadcast() const noexcept {
  return map_value(option(SOL_SOCKET, SO_BROADCAST), to_bool);
}

Result<void> UdpSocket::set_ttl(int ttl) const noexcept {
  if (ttl < 1) return fail(Error::os(EINVAL));
  return is_v6() ? set_option(IPPROTO_IPV6, IPV6_UNICAST_HOPS, ttl)
                 : set_option(IPPROTO_IP, IP_TTL, ttl);
}

Result<int> UdpSocket::ttl() const noexcept {
  return is_v6() ? option(IPPROTO_IPV6, IPV6_UNICAST_HOPS) : option(IPPROTO_IP, IP_TTL);
}

Result<void> UdpSocket::set_multicast_ttl(int ttl) const noexcept {
  if (ttl < 0) return fail(Error::os(EINVAL));  // -1 is the system's way to say "your default"
  return is_v6() ? set_option(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, ttl)
                 : set_option(IPPROTO_IP, IP_MULTICAST_TTL, ttl);
}

Result<int> UdpSocket::multicast_ttl() const noexcept {
  return is_v6() ? option(IPPROTO_IPV6, IPV6_MULTICAST_HOPS) : option(IPPROTO_IP, IP_MULTICAST_TTL);
}

Result<void> UdpSocket::set_multicast_loop(bool is_on) const noexcept {
  return is_v6() ? set_option(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, is_on ? 1 : 0)
                 : set_option(IPPROTO_IP, IP_MULTICAST_LOOP, is_on ? 1 : 0);
}

Result<bool> UdpSocket::multicast_loop() const noexcept {
  return map_value(
      is_v6() ? option(IPPROTO_IPV6, IPV6_MULTICAST_LOOP) : option(IPPROTO_IP, IP_MULTICAST_LOOP),
      to_bool);
}

Result<void> UdpSocket::change_membership(const Address& group, unsigned interface_index,
                                          bool joins) const noexcept {
  if (!group.is_multicast()) return fail(Error::runtime(RuntimeErrc::invalid_argument));
  // One request for both families (RFC 3678).
  group_req request{};
  request.gr_interface = interface_index;
  const Address::Native native = group.to_native();
  std::memcpy(&request.gr_group, &native.storage, sizeof request.gr_group);
  const int level = group.is_v6() ? IPPROTO_IPV6 : IPPROTO_IP;
  const int name = joins ? MCAST_JOIN_GROUP : MCAST_LEAVE_GROUP;
  if (::setsockopt(fd(), level, name, &request, sizeof request) != 0) {
    return fail(Error::os(errno));
  }
  return {};
}

Result<void> UdpSocket::join_multicast(const Address& group,
                                       unsigned interface_index) const noexcept {
  return change_membership(group, interface_index, true);
}

Result<void> UdpSocket::leave_multicast(const Address& group,
                                        unsigned interface_index) const noexcept {
  return change_membership(group, interface_index, false);
}

}  // namespace blitzio::net
