// `UnixStream`, `UnixListener`, `UnixDatagram`: between processes of one machine, at a path, an
// abstract name, or as a pair. Addresses come from Address::local().
//
// A path stays when its socket is closed; who bound it removes it.
#pragma once

#include <blitzio/net/connect.hpp>
#include <blitzio/net/datagram_socket.hpp>
#include <blitzio/net/listener.hpp>
#include <blitzio/net/stream_socket.hpp>

#include <sys/types.h>

#include <utility>

namespace blitzio::net {

/// The process at the other end, when it connected.
struct PeerCredentials {
  pid_t process;
  uid_t user;
  gid_t group;
};

/// Thread: any; reading and writing may go on at once. See StreamSocket.
class UnixStream final : public StreamSocket {
 public:
  class [[nodiscard]] Connect {
   public:
    using Output = Result<UnixStream>;
    Poll<Output> poll(Context& context) noexcept {
      auto answer = connect_.poll(context);
      if (answer.is_pending()) return pending;
      if (!answer.value()) return Output(fail(answer.value().error()));
      return Output(UnixStream(std::move(*answer.value())));
    }

   private:
    friend class UnixStream;
    explicit Connect(const Address& address) noexcept
        : connect_(detail::ConnectFd::Kind::local, address) {}
    detail::ConnectFd connect_;
  };
  /// Returns  future of the stream, ready at once.
  /// Errors   os (ENOENT, ECONNREFUSED, EACCES; EAGAIN if the listener's backlog is full);
  ///          invalid_argument for an address of another kind.
  [[nodiscard]] static Connect connect(const Address& address) noexcept { return Connect(address); }
  /// Two that are connected with each other.
  /// Errors   os (EMFILE, …).
  [[nodiscard]] static Result<std::pair<UnixStream, UnixStream>> pair() noexcept;
  /// Takes over a connected socket in non-blocking mode.
  /// Errors   ENOMEM; `fd` is as it was then.
  [[nodiscard]] static Result<UnixStream> from_fd(OwnedFd&& fd) noexcept;

  /// Who is at the other end.
  /// Errors   os errors of a socket that is closed.
  [[nodiscard]] Result<PeerCredentials> peer_credentials() const noexcept;

 private:
  explicit UnixStream(AsyncFd fd) noexcept : StreamSocket(std::move(fd), false) {}
};

/// Thread: any, several at a time. See ListenerSocket.
class UnixListener final : public ListenerSocket<UnixStream> {
 public:
  /// Errors   os (EADDRINUSE if the path exists, ENOENT, EACCES, …).
  [[nodiscard]] static Result<UnixListener> bind(const Address& address,
                                                 int backlog = 1024) noexcept;
  /// Takes over a listening socket in non-blocking mode.
  /// Errors   ENOMEM; `fd` is as it was then.
  [[nodiscard]] static Result<UnixListener> from_fd(OwnedFd&& fd) noexcept;

 private:
  using ListenerSocket::ListenerSocket;
};

/// Thread: any; sending and receiving may go on at once. See DatagramSocket.
class UnixDatagram final : public DatagramSocket {
 public:
  /// Errors   os (EADDRINUSE if the path exists, ENOENT, EACCES, …).
  [[nodiscard]] static Result<UnixDatagram> bind(const Address& address) noexcept;
  /// Without an address: it can send, but nobody can answer.
  [[nodiscard]] static Result<UnixDatagram> unbound() noexcept;
  /// Two that are connected with each other.
  [[nodiscard]] static Result<std::pair<UnixDatagram, UnixDatagram>> pair() noexcept;
  /// Takes over a socket in non-blocking mode.
  /// Errors   ENOMEM; `fd` is as it was then.
  [[nodiscard]] static Result<UnixDatagram> from_fd(OwnedFd&& fd) noexcept;

 private:
  using DatagramSocket::DatagramSocket;
};

}  // namespace blitzio::net
