// `TcpStream` and `TcpListener`.
//
//     auto listener = TcpListener::bind(Address::any_v4(8080)).value();
//     for (;;) {
//       auto accepted = co_await listener.accept();
//       if (accepted) spawn(serve(std::move(accepted->stream)));
//     }
#pragma once

#include <blitzio/base/duration.hpp>
#include <blitzio/net/connect.hpp>
#include <blitzio/net/listener.hpp>
#include <blitzio/net/stream_socket.hpp>
#include <blitzio/task/async.hpp>

#include <cstdint>
#include <optional>
#include <string_view>

namespace blitzio::net {

/// When the system asks a silent peer whether it is still there.
struct KeepAlive {
  Duration idle = Duration::from_secs(7200);    ///< silence before the first question
  Duration interval = Duration::from_secs(75);  ///< between questions
  int probes = 9;                               ///< unanswered ones until the peer counts as gone
};

/// Thread: any; reading and writing may go on at once. See StreamSocket.
class TcpStream final : public StreamSocket {
 public:
  class [[nodiscard]] Connect {
   public:
    using Output = Result<TcpStream>;
    Poll<Output> poll(Context& context) noexcept {
      auto answer = connect_.poll(context);
      if (answer.is_pending()) return pending;
      if (!answer.value()) return Output(fail(answer.value().error()));
      return Output(TcpStream(std::move(*answer.value())));
    }

   private:
    friend class TcpStream;
    explicit Connect(const Address& to, const Address& from = {}) noexcept
        : connect_(detail::ConnectFd::Kind::internet, to, from) {}
    detail::ConnectFd connect_;
  };
  /// Connects to an IPv4 or IPv6 address.
  /// Returns  future of the stream.
  /// Errors   os (ECONNREFUSED, ETIMEDOUT, ENETUNREACH, …); invalid_argument for another address.
  /// Cancel   gives up the attempt.
  [[nodiscard]] static Connect connect(const Address& address) noexcept { return Connect(address); }
  /// The same from the address `from` of this machine; its port may be 0.
  [[nodiscard]] static Connect connect(const Address& address, const Address& from) noexcept {
    return Connect(address, from);
  }
  /// Resolves `host` and connects to the first of its addresses that answers: attempts begin
  /// kAttemptDelay apart, IPv6 and IPv4 in turn, and the others are given up when one succeeds
  /// ("happy eyeballs", RFC 8305).
  /// Errors   resolver errors; the first attempt's error if all fail.
  /// Throws   std::system_error (EAGAIN) if an attempt is not over at once and the executor may
  ///          have no timer for the next (Config::timers_max).
  /// Cancel   gives up all attempts.
  [[nodiscard]] static Async<Result<TcpStream>> connect(std::string_view host, std::uint16_t port);
  /// How long an attempt is alone before the next begins.
  static constexpr Duration kAttemptDelay = Duration::from_millis(250);

  /// Takes over a connected socket in non-blocking mode.
  /// Errors   ENOMEM; `fd` is as it was then.
  [[nodiscard]] static Result<TcpStream> from_fd(OwnedFd&& fd) noexcept;

  /// Whether small writes leave at once (TCP_NODELAY) instead of waiting for an answer on the way.
  Result<void> set_nodelay(bool is_on) const noexcept;
  [[nodiscard]] Result<bool> nodelay() const noexcept;
  /// Whether a silent peer is asked if it is still there; in whole seconds, rounded up. None turns
  /// it off.
  Result<void> set_keepalive(const std::optional<KeepAlive>& keepalive) const noexcept;
  [[nodiscard]] Result<std::optional<KeepAlive>> keepalive() const noexcept;
  /// How long closing may go on sending what is unsent, in the background; zero resets the
  /// connection. In whole seconds, rounded up. None: as long as the system likes.
  /// Errors   invalid_argument if it is negative.
  Result<void> set_linger(std::optional<Duration> linger) const noexcept;
  [[nodiscard]] Result<std::optional<Duration>> linger() const noexcept;
  /// Of the packets sent: how many routers they may pass. 1 to 255.
  Result<void> set_ttl(int ttl) const noexcept;
  [[nodiscard]] Result<int> ttl() const noexcept;

 private:
  explicit TcpStream(AsyncFd fd) noexcept : StreamSocket(std::move(fd), true) {}
};

/// How TcpListener::bind() listens.
struct ListenOptions {
  int backlog = 1024;         ///< connections that may wait to be accepted
  bool reuse_address = true;  ///< bind although old connections of the address linger
  bool reuse_port = false;    ///< several sockets share the port; the system spreads connections
  bool v6_only = false;       ///< an IPv6 socket takes no IPv4 connections
};

/// Thread: any, several at a time. See ListenerSocket.
class TcpListener final : public ListenerSocket<TcpStream> {
 public:
  /// Listens at `address`; port 0 takes a free one, which local_address() tells.
  /// Errors   os (EADDRINUSE, EACCES, EADDRNOTAVAIL, …).
  [[nodiscard]] static Result<TcpListener> bind(const Address& address,
                                                const ListenOptions& options = {}) noexcept;
  /// Takes over a listening socket in non-blocking mode.
  /// Errors   ENOMEM; `fd` is as it was then.
  [[nodiscard]] static Result<TcpListener> from_fd(OwnedFd&& fd) noexcept;

 private:
  using ListenerSocket::ListenerSocket;
};

}  // namespace blitzio::net
