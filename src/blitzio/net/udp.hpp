// `UdpSocket`: datagrams over IPv4 and IPv6.
#pragma once

#include <blitzio/net/datagram_socket.hpp>

#include <array>
#include <cstdint>

namespace blitzio::net {

/// How UdpSocket::bind() binds.
struct UdpOptions {
  bool reuse_address = false;  ///< for multicast: several sockets of one address, all of which hear
  bool reuse_port = false;     ///< several sockets share the port; the system spreads senders
  bool v6_only = false;        ///< an IPv6 socket hears no IPv4
};

/// Thread: any; sending and receiving may go on at once. See DatagramSocket.
class UdpSocket final : public DatagramSocket {
 public:
  /// Port 0 takes a free one, which local_address() tells.
  /// Errors   os (EADDRINUSE, …); invalid_argument for another address than IPv4 and IPv6.
  [[nodiscard]] static Result<UdpSocket> bind(const Address& address,
                                              const UdpOptions& options = {}) noexcept;
  /// Takes over a socket in non-blocking mode.
  /// Errors   ENOMEM; `fd` is as it was then.
  [[nodiscard]] static Result<UdpSocket> from_fd(OwnedFd&& fd) noexcept;

  /// Whether it may send to broadcast addresses.
  Result<void> set_broadcast(bool is_on) const noexcept;
  [[nodiscard]] Result<bool> broadcast() const noexcept;
  /// How many routers what it sends may pass. 1 to 255.
  Result<void> set_ttl(int ttl) const noexcept;
  [[nodiscard]] Result<int> ttl() const noexcept;
  /// The same for multicasts. 0 to 255; 1 at first.
  Result<void> set_multicast_ttl(int ttl) const noexcept;
  [[nodiscard]] Result<int> multicast_ttl() const noexcept;
  /// Whether this machine hears its own multicasts; on at first.
  Result<void> set_multicast_loop(bool is_on) const noexcept;
  [[nodiscard]] Result<bool> multicast_loop() const noexcept;

  /// Hears what is sent to `group` on one interface: that with the index `interface_index`, or the
  /// one that the system chooses (0).
  /// Errors   os (EADDRINUSE if it has joined already, ENODEV, …); invalid_argument if `group` is
  ///          no multicast address.
  Result<void> join_multicast(const Address& group, unsigned interface_index = 0) const noexcept;
  /// The opposite.
  Result<void> leave_multicast(const Address& group, unsigned interface_index = 0) const noexcept;

 private:
  using DatagramSocket::DatagramSocket;
  [[nodiscard]] bool is_v6() const noexcept;
  Result<void> change_membership(const Address& group, unsigned interface_index,
                                 bool joins) const noexcept;
};

}  // namespace blitzio::net
