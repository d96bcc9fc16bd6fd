// `ListenerSocket<S>`: accepting; the base of TcpListener and UnixListener.
#pragma once

#include <blitzio/net/socket.hpp>

#include <optional>
#include <utility>

namespace blitzio::net {

/// A new connection and who made it.
template <class S>
struct Accepted {
  S stream;
  Address peer;  ///< none for an unnamed Unix socket
};

namespace detail {

/// What accept(2) gave.
struct AcceptedFd {
  OwnedFd fd;
  Address peer;
};

/// accept(2) until it is over: what went wrong with single connections while they waited is passed
/// over. Returns 0, or -errno.
int accept_now(int listener, AcceptedFd& accepted) noexcept;

/// The part of ListenerSocket::Accept that knows no type of stream.
class [[nodiscard]] AcceptFd {
 public:
  using Output = Result<AcceptedFd>;
  explicit AcceptFd(const AsyncFd& fd) noexcept : wait_(fd, IoDirection::read) {}
  Poll<Output> poll(Context& context) noexcept;

 private:
  IoWait wait_;
};

Result<std::optional<AcceptedFd>> try_accept_fd(int listener) noexcept;

}  // namespace detail

/// What TcpListener and UnixListener share. `S`: the stream that accepting gives.
template <class S>
class ListenerSocket : public Socket {
 public:
  /// Closes it now, whoever waits on it: nobody can connect any more, and the address is free.
  /// As does dropping it, for clones of its async_fd() too.
  void close() noexcept { fd_.close_listener(); }

  class [[nodiscard]] Accept {
   public:
    using Output = Result<Accepted<S>>;
    Poll<Output> poll(Context& context) noexcept {
      auto answer = accept_.poll(context);
      if (answer.is_pending()) return pending;
      if (!answer.value()) return Output(fail(answer.value().error()));
      return ListenerSocket::adopt(std::move(*answer.value()));
    }

   private:
    friend class ListenerSocket;
    explicit Accept(const AsyncFd& fd) noexcept : accept_(fd) {}
    detail::AcceptFd accept_;
  };
  /// Waits for a connection. Several tasks may wait: each connection goes to one of them.
  /// Returns  future of the stream and its peer.
  /// Errors   os (EMFILE, ENFILE, ENOMEM: the connection is still there for the next call); closed
  ///          after close().
  /// Cancel   safe: no connection is taken by a future that is dropped.
  [[nodiscard]] Accept accept() noexcept { return Accept(fd_); }
  /// As accept(), now.
  /// Returns  none if no connection is there.
  [[nodiscard]] Result<std::optional<Accepted<S>>> try_accept() noexcept {
    auto accepted = detail::try_accept_fd(fd());
    if (!accepted) return fail(accepted.error());
    if (!*accepted) return std::nullopt;
    return adopt(std::move(**accepted));
  }

 protected:
  using Socket::Socket;
  ListenerSocket(ListenerSocket&&) noexcept = default;
  ListenerSocket& operator=(ListenerSocket&& other) noexcept {
    if (this != &other) {
      close();
      Socket::operator=(std::move(other));
    }
    return *this;
  }
  ~ListenerSocket() { close(); }

 private:
  static Result<Accepted<S>> adopt(detail::AcceptedFd accepted) noexcept {
    Result<S> stream = S::from_fd(std::move(accepted.fd));
    if (!stream) return fail(stream.error());
    return Accepted<S>{std::move(*stream), accepted.peer};
  }
};

}  // namespace blitzio::net
