// The Unix sockets of a simulated host: what SimSockets has of them. Their connections are
// SimConnections whose ends are on one host; datagrams arrive at once, and none gets lost.
#include <blitzio/io/detail/sim_connection.hpp>
#include <blitzio/io/detail/sim_host.hpp>
#include <blitzio/io/detail/sim_listener.hpp>
#include <blitzio/io/detail/sim_network.hpp>
#include <blitzio/task/futures.hpp>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace blitzio::io::detail {

namespace {

std::unexpected<Error> os(int code) noexcept {
  return fail(Error::os(code));
}

}  // namespace

// ---- names -----------------------------------------------------------------------------------

Result<std::string> SimSockets::unix_key(const Address& address) {
  if (!address.is_local()) return fail(Error::runtime(RuntimeErrc::invalid_argument));
  if (address.is_abstract()) return std::string(address.path());
  return map_value(host_.files().find_socket(address.path()),
                   [](std::uint64_t number) { return std::to_string(number); });
}

template <class Socket>
Result<std::string> SimSockets::claim_unix(const Address& address,
                                           const std::map<std::string, Socket*>& taken) {
  if (!address.is_local()) return fail(Error::runtime(RuntimeErrc::invalid_argument));
  if (address.is_abstract()) {
    std::string name(address.path());
    if (taken.contains(name)) return os(EADDRINUSE);
    return name;
  }
  return map_value(host_.files().make_socket(address.path()),
                   [](std::uint64_t number) { return std::to_string(number); });
}

// ---- streams ---------------------------------------------------------------------------------

Result<UnixListener> SimSockets::listen_unix(const Address& address, int backlog) {
  const auto key = claim_unix(address, unix_listeners_);
  if (!key) return fail(key.error());
  auto listener = std::make_unique<SimListener<UnixStream>>(
      address, backlog, [this, name = *key] { unix_listeners_.erase(name); });
  unix_listeners_.emplace(*key, &listener->backlog());
  return UnixListener(std::move(listener));
}

AnyFuture<Result<UnixStream>> SimSockets::connect_unix(const Address& address) {
  return lazy([this, address]() -> Result<UnixStream> {
    const auto key = unix_key(address);
    if (!key) return fail(key.error());
    const auto listener = unix_listeners_.find(*key);
    if (listener == unix_listeners_.end()) {
      return os(unix_datagrams_.contains(*key) ? EPROTOTYPE : ECONNREFUSED);
    }
    SimNetwork& network = world_.network();
    auto connection = std::make_shared<SimConnection>(
        network, SimConnection::End{&host_, Address()}, SimConnection::End{&host_, address});
    if (!listener->second->offer(connection)) return os(EAGAIN);
    network.add(connection);
    return UnixStream(make_end(std::move(connection), SimConnection::kClient));
  });
}

// ---- datagrams -------------------------------------------------------------------------------

class SimUnixDatagram final : public DatagramSocket::Backend {
 public:
  static constexpr std::size_t kQueueMax = 256;            // datagrams
  static constexpr std::size_t kDatagramMax = 200 * 1024;  // bytes

  /// `key`: empty for one without an address.
  SimUnixDatagram(SimSockets& sockets, const Address& address, std::string key)
      : sockets_(sockets), address_(address), key_(std::move(key)) {
    if (!key_.empty()) sockets_.unix_datagrams_.emplace(key_, this);
  }
  ~SimUnixDatagram() override {
    if (!key_.empty()) sockets_.unix_datagrams_.erase(key_);
    for (Waker& sender : senders_) std::move(sender).wake();
  }

  AnyFuture<Result<net::Received>> recv_from(std::span<std::byte> buffer) override {
    return poll_fn([this, buffer](Context& context) { return poll_recv(buffer, context); });
  }
  AnyFuture<Result<std::size_t>> send_to(std::span<const std::byte> data,
                                         const Address& to) override {
    return poll_fn([this, data, to](Context& context) { return poll_send(data, to, context); });
  }
  [[nodiscard]] Result<Address> local_address() const override { return address_; }

 private:
  Poll<Result<net::Received>> poll_recv(std::span<std::byte> buffer, Context& context) {
    if (arrived_.empty()) {
      receiver_ = context.waker().clone();
      return pending;
    }
    const auto [bytes, from] = std::move(arrived_.front());
    arrived_.pop_front();
    for (Waker& sender : std::exchange(senders_, {})) std::move(sender).wake();
    const std::size_t count = std::min(bytes.size(), buffer.size());
    std::copy_n(bytes.begin(), count, buffer.begin());
    return Result<net::Received>(net::Received{count, from});
  }
  Poll<Result<std::size_t>> poll_send(std::span<const std::byte> data, const Address& to,
                                      Context& context) {
    using Answer = Result<std::size_t>;
    if (data.size() > kDatagramMax) return Answer(os(EMSGSIZE));
    const auto key = sockets_.unix_key(to);
    if (!key) return Answer(fail(key.error()));
    const auto found = sockets_.unix_datagrams_.find(*key);
    if (found == sockets_.unix_datagrams_.end()) {
      return Answer(os(sockets_.unix_listeners_.contains(*key) ? EPROTOTYPE : ECONNREFUSED));
    }
    SimUnixDatagram& target = *found->second;
    if (target.arrived_.size() >= kQueueMax) {
      target.senders_.push_back(context.waker().clone());
      return pending;
    }
    sockets_.world_.note(TraceEntry::Kind::deliver, data.size());
    target.arrived_.emplace_back(op::Bytes(data.begin(), data.end()), address_);
    Waker receiver = std::move(target.receiver_);
    receiver.wake();
    return Answer(data.size());
  }

  SimSockets& sockets_;
  const Address address_;
  const std::string key_;
  std::deque<std::pair<op::Bytes, Address>> arrived_;
  Waker receiver_;
  std::vector<Waker> senders_;
};

Result<UnixDatagram> SimSockets::bind_unix(const Address& address) {
  if (address.family() == Address::Family::none) {
    return UnixDatagram(std::make_unique<SimUnixDatagram>(*this, address, std::string()));
  }
  auto key = claim_unix(address, unix_datagrams_);
  if (!key) return fail(key.error());
  return UnixDatagram(std::make_unique<SimUnixDatagram>(*this, address, std::move(*key)));
}

}  // namespace blitzio::io::detail
