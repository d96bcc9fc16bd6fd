// `Network` and its sockets: connections and datagrams, over IP and between processes of one
// machine, as `io.net()` has them: the machine's, or those of a simulation. Names and errors are
// those of blitzio::net.
//
//     auto listener = io.net().listen(Address::loopback_v4(0)).value();
//     auto accepted = co_await listener.accept();
//
// Buffers are the caller's until the future is dropped, and a dropped read, write, accept or
// receive has taken and given nothing.
//
// Threads: Network any. A socket: any; one reader and one writer may be at work at once.
#pragma once

#include <blitzio/base/address.hpp>
#include <blitzio/net/datagram_socket.hpp>
#include <blitzio/net/stream_socket.hpp>
#include <blitzio/net/tcp.hpp>
#include <blitzio/stream/transfer.hpp>
#include <blitzio/task/any_future.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace blitzio::io {

/// What connections have; a ReadStream and a WriteStream. Dropping it closes it.
class [[nodiscard]] StreamSocket {
 public:
  /// What an implementation gives.
  class Backend {
   public:
    Backend() = default;
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;
    virtual ~Backend() = default;
    virtual AnyFuture<Result<std::size_t>> read(std::span<std::byte> buffer) = 0;
    virtual AnyFuture<Result<std::size_t>> write(std::span<const std::byte> data) = 0;
    virtual Result<void> shutdown(net::Shutdown how) = 0;
    [[nodiscard]] virtual Result<Address> local_address() const = 0;
    [[nodiscard]] virtual Result<Address> peer_address() const = 0;
  };

  explicit StreamSocket(std::unique_ptr<Backend> backend) noexcept : backend_(std::move(backend)) {}

  /// Reads what is there, at most `buffer.size()` bytes, or waits for the first; 0: the end.
  AnyFuture<Result<std::size_t>> read(std::span<std::byte> buffer) {
    return backend_->read(buffer);
  }
  /// Fills `buffer`.   Errors   unexpected_end.   Cancel   not safe: bytes that came are in it.
  stream::ReadExact<StreamSocket> read_exact(std::span<std::byte> buffer) noexcept {
    return {*this, buffer};
  }
  /// Writes as much of `data` as there is room for, or waits for some.
  AnyFuture<Result<std::size_t>> write(std::span<const std::byte> data) {
    return backend_->write(data);
  }
  /// Writes all of `data`.   Cancel   not safe: part of it may be written.
  stream::WriteAll<StreamSocket> write_all(std::span<const std::byte> data) noexcept {
    return {*this, data};
  }
  /// Ends one way, or both.
  Result<void> shutdown(net::Shutdown how) { return backend_->shutdown(how); }
  /// shutdown(write) as a future that is ready at once, as streams have it.
  [[nodiscard]] Ready<Result<void>> finish() { return ready(shutdown(net::Shutdown::write)); }
  [[nodiscard]] Result<Address> local_address() const { return backend_->local_address(); }
  [[nodiscard]] Result<Address> peer_address() const { return backend_->peer_address(); }

 private:
  std::unique_ptr<Backend> backend_;
};

/// Over IP.
class [[nodiscard]] TcpStream final : public StreamSocket {
 public:
  using StreamSocket::StreamSocket;
};

/// Between processes of one machine.
class [[nodiscard]] UnixStream final : public StreamSocket {
 public:
  using StreamSocket::StreamSocket;
};

/// A new connection and who made it.
template <class S>
struct Accepted {
  S stream;
  Address peer;  ///< none for an unnamed Unix socket
};

/// Dropping it ends listening; connections that were not accepted are reset.
template <class S>
class [[nodiscard]] ListenerSocket {
 public:
  class Backend {
   public:
    Backend() = default;
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;
    virtual ~Backend() = default;
    virtual AnyFuture<Result<Accepted<S>>> accept() = 0;
    [[nodiscard]] virtual Result<Address> local_address() const = 0;
  };

  explicit ListenerSocket(std::unique_ptr<Backend> backend) noexcept
      : backend_(std::move(backend)) {}

  /// Waits for a connection.
  AnyFuture<Result<Accepted<S>>> accept() { return backend_->accept(); }
  [[nodiscard]] Result<Address> local_address() const { return backend_->local_address(); }

 private:
  std::unique_ptr<Backend> backend_;
};

using TcpListener = ListenerSocket<TcpStream>;
/// Its path stays when it is dropped; who listened removes it, by `io.fs().remove()`.
using UnixListener = ListenerSocket<UnixStream>;

/// What sockets of datagrams have.
class [[nodiscard]] DatagramSocket {
 public:
  class Backend {
   public:
    Backend() = default;
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;
    virtual ~Backend() = default;
    virtual AnyFuture<Result<net::Received>> recv_from(std::span<std::byte> buffer) = 0;
    virtual AnyFuture<Result<std::size_t>> send_to(std::span<const std::byte> data,
                                                   const Address& to) = 0;
    [[nodiscard]] virtual Result<Address> local_address() const = 0;
  };

  explicit DatagramSocket(std::unique_ptr<Backend> backend) noexcept
      : backend_(std::move(backend)) {}

  /// Waits for a datagram; what is longer than `buffer` loses its end.
  AnyFuture<Result<net::Received>> recv_from(std::span<std::byte> buffer) {
    return backend_->recv_from(buffer);
  }
  AnyFuture<Result<std::size_t>> send_to(std::span<const std::byte> data, const Address& to) {
    return backend_->send_to(data, to);
  }
  [[nodiscard]] Result<Address> local_address() const { return backend_->local_address(); }

 private:
  std::unique_ptr<Backend> backend_;
};

/// Over IP: a datagram may get lost, or overtake another.
class [[nodiscard]] UdpSocket final : public DatagramSocket {
 public:
  using DatagramSocket::DatagramSocket;
};

/// Between processes of one machine: each arrives, in order; sending waits for room at the
/// receiver.
class [[nodiscard]] UnixDatagram final : public DatagramSocket {
 public:
  using DatagramSocket::DatagramSocket;
};

class Network {
 public:
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  /// Connects to an IPv4 or IPv6 address.
  /// Errors   os (ECONNREFUSED, ETIMEDOUT, …).   Cancel   gives up the attempt.
  virtual AnyFuture<Result<TcpStream>> connect(const Address& address) = 0;
  /// Resolves `host` and connects to one of its addresses.
  virtual AnyFuture<Result<TcpStream>> connect(std::string host, std::uint16_t port) = 0;
  /// Listens at `address`; port 0 takes a free one.
  /// Errors   os (EADDRINUSE, EADDRNOTAVAIL, …).
  virtual Result<TcpListener> listen(const Address& address,
                                     const net::ListenOptions& options = {}) = 0;
  virtual Result<UdpSocket> bind_udp(const Address& address) = 0;

  // ---- Unix sockets: `address` is an Address::local(), else it is invalid_argument --------------

  /// Errors   os (ENOENT, ECONNREFUSED, EACCES; EAGAIN if the listener's backlog is full).
  virtual AnyFuture<Result<UnixStream>> connect_unix(const Address& address) = 0;
  /// Errors   os (EADDRINUSE if the path exists, ENOENT, EACCES, …).
  virtual Result<UnixListener> listen_unix(const Address& address, int backlog = 1024) = 0;
  /// Without an address it can send, but nobody can answer.
  /// Errors   as listen_unix(). Of sending: as connect_unix().
  virtual Result<UnixDatagram> bind_unix(const Address& address = {}) = 0;

  /// As dns::resolve().
  virtual AnyFuture<Result<std::vector<Address>>> resolve(std::string host, std::uint16_t port) = 0;

 protected:
  Network() = default;
  ~Network() = default;
};

}  // namespace blitzio::io
