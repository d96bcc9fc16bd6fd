#include <blitzio/io/detail/sim_network.hpp>

#include <blitzio/io/detail/sim_connection.hpp>
#include <blitzio/io/detail/sim_host.hpp>
#include <blitzio/io/detail/sim_listener.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/time/sleep.hpp>

#include <netdb.h>

#include <algorithm>
#include <cerrno>

namespace blitzio::io::detail {

namespace {

std::unexpected<Error> os(int code) noexcept {
  return fail(Error::os(code));
}

void wake(Waker& waker) {
  Waker woken = std::move(waker);
  woken.wake();
}

}  // namespace

// ---- the network -----------------------------------------------------------------------------

Duration SimNetwork::latency() noexcept {
  const std::int64_t spread = (faults_.latency_max - faults_.latency_min).as_nanos();
  if (spread <= 0) return faults_.latency_min;
  return faults_.latency_min + Duration::from_nanos(static_cast<std::int64_t>(
                                   world_.random_below(static_cast<std::uint64_t>(spread) + 1)));
}

std::size_t SimNetwork::transfer(std::size_t count) noexcept {
  if (!faults_.short_transfers || count < 2) return count;
  // Every other one is short.
  return world_.random_below(2) == 0 ? count : 1 + world_.random_below(count);
}

bool SimNetwork::loses_datagram() noexcept {
  constexpr std::uint64_t kParts = 1 << 30;
  return static_cast<double>(world_.random_below(kParts)) <
         faults_.datagram_loss * static_cast<double>(kParts);
}

SimNetwork::Pair SimNetwork::pair_of(const Address& a, const Address& b) {
  return std::minmax(a.host(), b.host());
}

template <class Visit>
void SimNetwork::for_each_between(const Address& a, const Address& b, Visit visit) {
  const Pair wanted = pair_of(a, b);
  std::erase_if(connections_, [](const auto& connection) { return connection.expired(); });
  for (std::size_t at = 0; at < connections_.size(); ++at) {
    const auto connection = connections_[at].lock();
    if (connection == nullptr) continue;
    const Pair found =
        pair_of(connection->end(0).host->address(), connection->end(1).host->address());
    if (found == wanted) visit(*connection);
  }
}

void SimNetwork::partition(const Address& a, const Address& b) {
  partitions_.insert(pair_of(a, b));
}

void SimNetwork::heal(const Address& a, const Address& b) {
  partitions_.erase(pair_of(a, b));
  for_each_between(a, b, [](SimConnection& connection) { connection.go_on(); });
}

bool SimNetwork::is_partitioned(const SimHost& a, const SimHost& b) const {
  return partitions_.contains(pair_of(a.address(), b.address()));
}

void SimNetwork::reset_connections(const Address& a, const Address& b) {
  for_each_between(a, b, [](SimConnection& connection) { connection.reset(); });
}

void SimNetwork::add(const std::shared_ptr<SimConnection>& connection) {
  std::erase_if(connections_, [](const auto& known) { return known.expired(); });
  connections_.push_back(connection);
}

Result<std::vector<Address>> SimNetwork::resolve(const std::string& name,
                                                 std::uint16_t port) const {
  if (const auto numeric = Address::parse_ip(name, port)) return std::vector{*numeric};
  const auto found = names_.find(name);
  if (found == names_.end() || found->second.empty()) return fail(Error::resolver(EAI_NONAME));
  std::vector<Address> addresses;
  for (const Address& address : found->second) addresses.push_back(address.with_port(port));
  return addresses;
}

// ---- sockets ---------------------------------------------------------------------------------

class SimUdp final : public DatagramSocket::Backend {
 public:
  static constexpr std::size_t kQueueMax = 1024;       // datagrams
  static constexpr std::size_t kDatagramMax = 65'507;  // bytes

  SimUdp(SimSockets& sockets, const Address& address) : sockets_(sockets), address_(address) {
    sockets_.datagrams_.emplace(address.port(), this);
  }
  ~SimUdp() override { sockets_.datagrams_.erase(address_.port()); }

  AnyFuture<Result<net::Received>> recv_from(std::span<std::byte> buffer) override {
    return poll_fn([this, buffer](Context& context) { return poll_recv(buffer, context); });
  }
  AnyFuture<Result<std::size_t>> send_to(std::span<const std::byte> data,
                                         const Address& to) override {
    return lazy([this, data, to] { return send(data, to); });
  }
  [[nodiscard]] Result<Address> local_address() const override { return address_; }

  void take(op::Bytes bytes, const Address& from) {
    if (arrived_.size() >= kQueueMax) return;
    arrived_.emplace_back(std::move(bytes), from);
    wake(receiver_);
  }

 private:
  Poll<Result<net::Received>> poll_recv(std::span<std::byte> buffer, Context& context) {
    if (arrived_.empty()) {
      receiver_ = context.waker().clone();
      return pending;
    }
    const auto [bytes, from] = std::move(arrived_.front());
    arrived_.pop_front();
    const std::size_t count = std::min(bytes.size(), buffer.size());
    std::copy_n(bytes.begin(), count, buffer.begin());
    return Result<net::Received>(net::Received{count, from});
  }
  Result<std::size_t> send(std::span<const std::byte> data, const Address& to) {
    if (data.size() > kDatagramMax) return os(EMSGSIZE);
    SimWorld& world = sockets_.world_;
    SimNetwork& network = world.network();
    SimHost* target = sockets_.find(to);
    if (target == nullptr || network.loses_datagram()) {
      world.note(TraceEntry::Kind::lose, data.size());
      return data.size();
    }
    const Address from = sockets_.own_address(to).with_port(address_.port());
    world.call_at(world.now() + network.latency(), [&world, &network, target, to, from,
                                                    source = &sockets_.host_,
                                                    bytes = op::Bytes(data.begin(), data.end())] {
      auto& sockets = target->sockets().datagrams_;
      const auto socket = sockets.find(to.port());
      const bool is_lost = socket == sockets.end() || network.is_partitioned(*source, *target);
      world.note(is_lost ? TraceEntry::Kind::lose : TraceEntry::Kind::deliver, bytes.size());
      if (!is_lost) socket->second->take(bytes, from);
    });
    return data.size();
  }

  SimSockets& sockets_;
  const Address address_;
  std::deque<std::pair<op::Bytes, Address>> arrived_;
  Waker receiver_;
};

SimHost* SimSockets::find(const Address& address) {
  if (address.is_loopback() || address.is_unspecified()) return &host_;
  return world_.find_host(address);
}

Address SimSockets::own_address(const Address& peer) {
  if (peer.is_loopback() || peer.is_unspecified()) return peer.with_port(0);
  return host_.address();
}

template <class Socket>
Result<Address> SimSockets::claim(const Address& address,
                                  const std::map<std::uint16_t, Socket*>& taken) {
  if (!address.is_v4() && !address.is_v6()) {
    return fail(Error::runtime(RuntimeErrc::invalid_argument));
  }
  if (find(address) != &host_) return os(EADDRNOTAVAIL);
  if (address.port() != 0) {
    if (taken.contains(address.port())) return os(EADDRINUSE);
    return address;
  }
  for (unsigned tries = 0; tries < 16'384; ++tries) {
    const std::uint16_t port = next_port_;
    next_port_ = port == UINT16_MAX ? 49'152 : static_cast<std::uint16_t>(port + 1);
    if (!taken.contains(port)) return address.with_port(port);
  }
  return os(EADDRINUSE);
}

Result<TcpListener> SimSockets::listen(const Address& address, const net::ListenOptions& options) {
  const auto own = claim(address, listeners_);
  if (!own) return fail(own.error());
  auto listener = std::make_unique<SimListener<TcpStream>>(
      *own, options.backlog, [this, port = own->port()] { listeners_.erase(port); });
  listeners_.emplace(own->port(), &listener->backlog());
  return TcpListener(std::move(listener));
}

Result<UdpSocket> SimSockets::bind_udp(const Address& address) {
  const auto own = claim(address, datagrams_);
  if (!own) return fail(own.error());
  return UdpSocket(std::make_unique<SimUdp>(*this, *own));
}

AnyFuture<Result<TcpStream>> SimSockets::connect(const Address& address) {
  return connect_to(address);
}

AnyFuture<Result<TcpStream>> SimSockets::connect(std::string host, std::uint16_t port) {
  return connect_by_name(std::move(host), port);
}

AnyFuture<Result<std::vector<Address>>> SimSockets::resolve(std::string host, std::uint16_t port) {
  return lazy(
      [this, host = std::move(host), port] { return world_.network().resolve(host, port); });
}

// One address after the other.
Async<Result<TcpStream>> SimSockets::connect_by_name(std::string host, std::uint16_t port) {
  const auto addresses = world_.network().resolve(host, port);
  if (!addresses) co_return fail(addresses.error());
  std::optional<Error> first;
  for (const Address& address : *addresses) {
    auto stream = co_await connect_to(address);
    if (stream) co_return std::move(stream);
    if (!first) first = stream.error();
  }
  co_return fail(*first);
}

// As TCP does it: a message there, which is repeated while it gets lost or finds no room, and one
// back.
Async<Result<TcpStream>> SimSockets::connect_to(Address address) {
  if (!address.is_v4() && !address.is_v6()) {
    co_return fail(Error::runtime(RuntimeErrc::invalid_argument));
  }
  constexpr Duration kGivesUpAfter = Duration::from_secs(127);
  SimNetwork& network = world_.network();
  const Instant start = world_.now();
  Duration pause = Duration::from_secs(1);
  for (;;) {
    co_await time::sleep_until(world_.now() + network.latency());
    SimHost* target = find(address);
    if (target == nullptr) co_return os(EHOSTUNREACH);
    if (!network.is_partitioned(host_, *target)) {
      const auto listener = target->sockets().listeners_.find(address.port());
      if (listener == target->sockets().listeners_.end()) {
        co_await time::sleep_until(world_.now() + network.latency());
        co_return os(ECONNREFUSED);
      }
      const auto own = claim(own_address(address), listeners_);
      if (!own) co_return fail(own.error());
      auto connection = std::make_shared<SimConnection>(network, SimConnection::End{&host_, *own},
                                                        SimConnection::End{target, address});
      if (listener->second->offer(connection)) {
        network.add(connection);
        TcpStream stream(make_end(std::move(connection), SimConnection::kClient));
        co_await time::sleep_until(world_.now() + network.latency());
        co_return std::move(stream);
      }
    }
    if (world_.now() + pause - start > kGivesUpAfter) {
      co_await time::sleep_until(start + kGivesUpAfter);
      co_return os(ETIMEDOUT);
    }
    co_await time::sleep_until(world_.now() + pause);
    pause = pause * 2;
  }
}

}  // namespace blitzio::io::detail
