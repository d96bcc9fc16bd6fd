// `SimNetwork`: the network between the hosts of a simulation, and `SimSockets`, a host's end of
// it.
//
// A connection is two wires, one for each direction:
//
//     write ─▶ [ on the way: packets with their times of arrival ] ─▶ [ arrived: bytes ] ─▶ read
//               └──────────── together at most kWindowBytes ────────────────────┘
//
// A packet becomes readable when its time has come, those before it have arrived, and the two hosts
// are not partitioned; so a connection keeps its order, and loses nothing. The end of a stream is a
// packet, too. A reset ends both directions at once, and discards what is on them.
//
// An end that goes with bytes unread, or that gets some after it has gone, resets the connection,
// as TCP does.
//
// Threads: the world's.
#pragma once

#include <blitzio/base/address.hpp>
#include <blitzio/io/detail/sim_world.hpp>
#include <blitzio/io/network.hpp>
#include <blitzio/task/async.hpp>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace blitzio::io::detail {

class SimBacklog;
class SimConnection;
class SimHost;
class SimUdp;
class SimUnixDatagram;

class SimNetwork {
 public:
  static constexpr std::size_t kWindowBytes = 64 * 1024;

  explicit SimNetwork(SimWorld& world) noexcept : world_(world) {}
  SimNetwork(const SimNetwork&) = delete;
  SimNetwork& operator=(const SimNetwork&) = delete;

  [[nodiscard]] SimWorld& world() noexcept { return world_; }
  void set_faults(const Deterministic::Faults& faults) noexcept { faults_ = faults; }
  [[nodiscard]] const Deterministic::Faults& faults() const noexcept { return faults_; }

  /// What a message takes.
  [[nodiscard]] Duration latency() noexcept;
  /// How many of at most `count` bytes, at least 1, a transfer takes.
  [[nodiscard]] std::size_t transfer(std::size_t count) noexcept;
  [[nodiscard]] bool loses_datagram() noexcept;

  void partition(const Address& a, const Address& b);
  void heal(const Address& a, const Address& b);
  [[nodiscard]] bool is_partitioned(const SimHost& a, const SimHost& b) const;
  void reset_connections(const Address& a, const Address& b);
  void add(const std::shared_ptr<SimConnection>& connection);

  void add_name(const std::string& name, std::vector<Address> addresses) {
    names_[name] = std::move(addresses);
  }
  [[nodiscard]] Result<std::vector<Address>> resolve(const std::string& name,
                                                     std::uint16_t port) const;

 private:
  using Pair = std::pair<std::string, std::string>;
  [[nodiscard]] static Pair pair_of(const Address& a, const Address& b);
  template <class Visit>
  void for_each_between(const Address& a, const Address& b, Visit visit);

  SimWorld& world_;
  Deterministic::Faults faults_;
  std::set<Pair> partitions_;
  std::vector<std::weak_ptr<SimConnection>> connections_;
  std::map<std::string, std::vector<Address>> names_;
};

class SimSockets final : public Network {
 public:
  SimSockets(SimWorld& world, SimHost& host) noexcept : world_(world), host_(host) {}

  AnyFuture<Result<TcpStream>> connect(const Address& address) override;
  AnyFuture<Result<TcpStream>> connect(std::string host, std::uint16_t port) override;
  Result<TcpListener> listen(const Address& address, const net::ListenOptions& options) override;
  Result<UdpSocket> bind_udp(const Address& address) override;
  // sim_unix.cpp
  AnyFuture<Result<UnixStream>> connect_unix(const Address& address) override;
  Result<UnixListener> listen_unix(const Address& address, int backlog) override;
  Result<UnixDatagram> bind_unix(const Address& address) override;
  AnyFuture<Result<std::vector<Address>>> resolve(std::string host, std::uint16_t port) override;

 private:
  friend class SimUdp;
  friend class SimUnixDatagram;

  Async<Result<TcpStream>> connect_to(Address address);
  Async<Result<TcpStream>> connect_by_name(std::string host, std::uint16_t port);
  /// The host that `address` leads to from here; null if there is none.
  [[nodiscard]] SimHost* find(const Address& address);
  /// `address` for a socket of this host, with a free port if it has none.
  /// Errors   EADDRNOTAVAIL, EADDRINUSE.
  template <class Socket>
  [[nodiscard]] Result<Address> claim(const Address& address,
                                      const std::map<std::uint16_t, Socket*>& taken);
  /// By what a Unix socket is known: its abstract name, or the number of its path, which outlives
  /// renaming and is not that of a later one.
  /// Errors   as SimFiles::find_socket(); invalid_argument for another family.
  [[nodiscard]] Result<std::string> unix_key(const Address& address);
  /// That of a new one. `taken`: the abstract names of its kind.
  /// Errors   as SimFiles::make_socket(); EADDRINUSE.
  template <class Socket>
  [[nodiscard]] Result<std::string> claim_unix(const Address& address,
                                               const std::map<std::string, Socket*>& taken);
  /// This host's end of what goes to `peer`.
  [[nodiscard]] Address own_address(const Address& peer);

  SimWorld& world_;
  SimHost& host_;
  std::uint16_t next_port_ = 49'152;
  std::map<std::uint16_t, SimBacklog*> listeners_;
  std::map<std::uint16_t, SimUdp*> datagrams_;
  std::map<std::string, SimBacklog*> unix_listeners_;  // by what unix_key() gives
  std::map<std::string, SimUnixDatagram*> unix_datagrams_;
};

}  // namespace blitzio::io::detail
