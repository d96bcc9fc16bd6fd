// The machine's network, processes and signals; see native.hpp.
#include <blitzio/dns/resolve.hpp>
#include <blitzio/io/detail/native.hpp>
#include <blitzio/net/udp.hpp>
#include <blitzio/net/unix.hpp>
#include <blitzio/signal/stream.hpp>
#include <blitzio/task/futures.hpp>

#include <memory>
#include <utility>

namespace blitzio::io::detail {

namespace {

// Each is a template over the type of blitzio::net that it stands on.

template <class N>
class NativeStream final : public StreamSocket::Backend {
 public:
  explicit NativeStream(N stream) noexcept : stream_(std::move(stream)) {}
  AnyFuture<Result<std::size_t>> read(std::span<std::byte> buffer) override {
    return stream_.read(buffer);
  }
  AnyFuture<Result<std::size_t>> write(std::span<const std::byte> data) override {
    return stream_.write(data);
  }
  Result<void> shutdown(net::Shutdown how) override { return stream_.shutdown(how); }
  [[nodiscard]] Result<Address> local_address() const override { return stream_.local_address(); }
  [[nodiscard]] Result<Address> peer_address() const override { return stream_.peer_address(); }

 private:
  N stream_;
};

template <class S, class N>
S wrap(N stream) {
  return S(std::make_unique<NativeStream<N>>(std::move(stream)));
}

// The future of `connecting`, which gives a Result of a stream of blitzio::net.
template <class S, Future F>
Async<Result<S>> wrap_connect(F connecting) {
  auto stream = co_await connecting;
  if (!stream) co_return fail(stream.error());
  co_return wrap<S>(std::move(*stream));
}

template <class S, class L>
class NativeListener final : public ListenerSocket<S>::Backend {
 public:
  explicit NativeListener(L listener) noexcept : listener_(std::move(listener)) {}
  AnyFuture<Result<Accepted<S>>> accept() override { return accept_one(); }
  [[nodiscard]] Result<Address> local_address() const override { return listener_.local_address(); }

 private:
  Async<Result<Accepted<S>>> accept_one() {
    auto accepted = co_await listener_.accept();
    if (!accepted) co_return fail(accepted.error());
    co_return Accepted<S>{wrap<S>(std::move(accepted->stream)), accepted->peer};
  }
  L listener_;
};

template <class S, class L>
Result<ListenerSocket<S>> wrap_listener(Result<L> listener) {
  return map_value(std::move(listener), [](L bound) {
    return ListenerSocket<S>(std::make_unique<NativeListener<S, L>>(std::move(bound)));
  });
}

template <class N>
class NativeDatagrams final : public DatagramSocket::Backend {
 public:
  explicit NativeDatagrams(N socket) noexcept : socket_(std::move(socket)) {}
  AnyFuture<Result<net::Received>> recv_from(std::span<std::byte> buffer) override {
    return socket_.recv_from(buffer);
  }
  AnyFuture<Result<std::size_t>> send_to(std::span<const std::byte> data,
                                         const Address& to) override {
    return socket_.send_to(data, to);
  }
  [[nodiscard]] Result<Address> local_address() const override { return socket_.local_address(); }

 private:
  N socket_;
};

template <class S, class N>
Result<S> wrap_datagrams(Result<N> socket) {
  return map_value(std::move(socket), [](N bound) {
    return S(std::make_unique<NativeDatagrams<N>>(std::move(bound)));
  });
}

class NativeSignalStream final : public SignalStream::Backend {
 public:
  explicit NativeSignalStream(signal::Stream stream) noexcept : stream_(std::move(stream)) {}
  AnyFuture<void> next() override { return stream_.next(); }
  [[nodiscard]] int number() const override { return stream_.number(); }

 private:
  signal::Stream stream_;
};

}  // namespace

AnyFuture<Result<TcpStream>> NativeNetwork::connect(const Address& address) {
  return wrap_connect<TcpStream>(net::TcpStream::connect(address));
}

AnyFuture<Result<TcpStream>> NativeNetwork::connect(std::string host, std::uint16_t port) {
  return wrap_connect<TcpStream>(net::TcpStream::connect(host, port));
}

Result<TcpListener> NativeNetwork::listen(const Address& address,
                                          const net::ListenOptions& options) {
  return wrap_listener<TcpStream>(net::TcpListener::bind(address, options));
}

Result<UdpSocket> NativeNetwork::bind_udp(const Address& address) {
  return wrap_datagrams<UdpSocket>(net::UdpSocket::bind(address));
}

AnyFuture<Result<UnixStream>> NativeNetwork::connect_unix(const Address& address) {
  return wrap_connect<UnixStream>(net::UnixStream::connect(address));
}

Result<UnixListener> NativeNetwork::listen_unix(const Address& address, int backlog) {
  return wrap_listener<UnixStream>(net::UnixListener::bind(address, backlog));
}

Result<UnixDatagram> NativeNetwork::bind_unix(const Address& address) {
  const bool is_named = address.family() != Address::Family::none;
  return wrap_datagrams<UnixDatagram>(is_named ? net::UnixDatagram::bind(address)
                                               : net::UnixDatagram::unbound());
}

AnyFuture<Result<std::vector<Address>>> NativeNetwork::resolve(std::string host,
                                                               std::uint16_t port) {
  return dns::resolve(host, port);
}

Result<process::Child> NativeProcesses::spawn(const process::Command& command) {
  return command.spawn();
}

AnyFuture<Result<process::Output>> NativeProcesses::output(process::Command command) {
  return command.output();
}

AnyFuture<Result<process::ExitStatus>> NativeProcesses::status(process::Command command) {
  return command.status();
}

Result<SignalStream> NativeSignals::stream(int number) {
  return map_value(signal::stream(number), [](signal::Stream stream) {
    return SignalStream(std::make_unique<NativeSignalStream>(std::move(stream)));
  });
}

AnyFuture<Result<void>> NativeSignals::wait(int number) {
  return signal::wait(number);
}

}  // namespace blitzio::io::detail
