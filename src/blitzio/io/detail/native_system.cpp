// The machine's network, processes and signals; see native.hpp.
#include <blitzio/dns/resolve.hpp>
#include <blitzio/io/detail/native.hpp>
#include <blitzio/net/udp.hpp>
#include <blitzio/signal/stream.hpp>
#include <blitzio/task/futures.hpp>

#include <memory>
#include <utility>

namespace blitzio::io::detail {

namespace {

class NativeStream final : public TcpStream::Backend {
 public:
  explicit NativeStream(net::TcpStream stream) noexcept : stream_(std::move(stream)) {}
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
  net::TcpStream stream_;
};

TcpStream wrap(net::TcpStream stream) {
  return TcpStream(std::make_unique<NativeStream>(std::move(stream)));
}

// The future of `connecting`, which gives a Result<net::TcpStream>.
template <Future F>
Async<Result<TcpStream>> wrap_connect(F connecting) {
  Result<net::TcpStream> stream = co_await connecting;
  if (!stream) co_return fail(stream.error());
  co_return wrap(std::move(*stream));
}

class NativeListener final : public TcpListener::Backend {
 public:
  explicit NativeListener(net::TcpListener listener) noexcept : listener_(std::move(listener)) {}
  AnyFuture<Result<Accepted>> accept() override { return accept_one(); }
  [[nodiscard]] Result<Address> local_address() const override { return listener_.local_address(); }

 private:
  Async<Result<Accepted>> accept_one() {
    auto accepted = co_await listener_.accept();
    if (!accepted) co_return fail(accepted.error());
    co_return Accepted{wrap(std::move(accepted->stream)), accepted->peer};
  }
  net::TcpListener listener_;
};

class NativeUdp final : public UdpSocket::Backend {
 public:
  explicit NativeUdp(net::UdpSocket socket) noexcept : socket_(std::move(socket)) {}
  AnyFuture<Result<net::Received>> recv_from(std::span<std::byte> buffer) override {
    return socket_.recv_from(buffer);
  }
  AnyFuture<Result<std::size_t>> send_to(std::span<const std::byte> data,
                                         const Address& to) override {
    return socket_.send_to(data, to);
  }
  [[nodiscard]] Result<Address> local_address() const override { return socket_.local_address(); }

 private:
  net::UdpSocket socket_;
};

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
  return wrap_connect(net::TcpStream::connect(address));
}

AnyFuture<Result<TcpStream>> NativeNetwork::connect(std::string host, std::uint16_t port) {
  return wrap_connect(net::TcpStream::connect(host, port));
}

Result<TcpListener> NativeNetwork::listen(const Address& address,
                                          const net::ListenOptions& options) {
  return map_value(net::TcpListener::bind(address, options), [](net::TcpListener listener) {
    return TcpListener(std::make_unique<NativeListener>(std::move(listener)));
  });
}

Result<UdpSocket> NativeNetwork::bind_udp(const Address& address) {
  return map_value(net::UdpSocket::bind(address), [](net::UdpSocket socket) {
    return UdpSocket(std::make_unique<NativeUdp>(std::move(socket)));
  });
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
