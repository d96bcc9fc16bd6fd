// `DatagramSocket`: sending and receiving of datagrams; the base of UdpSocket and UnixDatagram.
//
// A datagram is sent and received whole. One that is longer than the receiver's buffer loses its
// end, as the system has it.
#pragma once

#include <blitzio/net/receiver_room.hpp>
#include <blitzio/net/socket.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <utility>

namespace blitzio::net {

/// A datagram that came, and from where.
struct Received {
  std::size_t count;
  Address from;  ///< none for an unnamed Unix socket
};

/// Future of recv(), peek().
class [[nodiscard]] DatagramRecv {
 public:
  using Output = Result<std::size_t>;
  DatagramRecv(const AsyncFd& fd, std::span<std::byte> buffer, int flags) noexcept
      : wait_(fd, IoDirection::read), buffer_(buffer), flags_(flags) {}
  Poll<Output> poll(Context& context) noexcept;

 private:
  IoWait wait_;
  std::span<std::byte> buffer_;
  int flags_;
};

/// Future of recv_from(), peek_from().
class [[nodiscard]] DatagramRecvFrom {
 public:
  using Output = Result<Received>;
  DatagramRecvFrom(const AsyncFd& fd, std::span<std::byte> buffer, int flags) noexcept
      : wait_(fd, IoDirection::read), buffer_(buffer), flags_(flags) {}
  Poll<Output> poll(Context& context) noexcept;

 private:
  IoWait wait_;
  std::span<std::byte> buffer_;
  int flags_;
};

/// Future of send(), send_to().
class [[nodiscard]] DatagramSend {
 public:
  using Output = Result<std::size_t>;
  DatagramSend(const AsyncFd& fd, std::span<const std::byte> data, const Address& to) noexcept
      : wait_(fd, IoDirection::write), data_(data), to_(to) {}
  Poll<Output> poll(Context& context) noexcept;

 private:
  [[nodiscard]] Result<std::unique_ptr<detail::ReceiverRoom>> find_room(int fd) const noexcept;

  IoWait wait_;
  std::span<const std::byte> data_;
  Address to_;
  std::unique_ptr<detail::ReceiverRoom> room_;  ///< while the receiver of a Unix socket has none
};

/// What UdpSocket and UnixDatagram share: whole datagrams, sent and received one at a time. One
/// that is longer than the buffer it is received into is cut off, without a word.
class DatagramSocket : public Socket {
 public:
  /// From now on sends to `peer` and receives from it alone.
  /// Errors   os (ENETUNREACH, for Unix ECONNREFUSED, ENOENT, …).
  Result<void> connect(const Address& peer) noexcept;

  /// Waits for a datagram.
  /// Returns  future of its length, at most `buffer.size()`, and its sender.
  /// Errors   os; closed after close(). Of a connected UDP socket ECONNREFUSED, if the peer's
  ///          system refused what was sent before.
  /// Cancel   safe: no datagram is taken by a future that is dropped.
  DatagramRecvFrom recv_from(std::span<std::byte> buffer) noexcept { return {fd_, buffer, 0}; }
  /// recv_from() that does not tell the sender.
  DatagramRecv recv(std::span<std::byte> buffer) noexcept { return {fd_, buffer, 0}; }
  /// As recv_from(), but the datagram stays.   Cancel   safe.
  DatagramRecvFrom peek_from(std::span<std::byte> buffer) noexcept {
    return {fd_, buffer, MSG_PEEK};
  }
  /// As recv(), but the datagram stays.   Cancel   safe.
  DatagramRecv peek(std::span<std::byte> buffer) noexcept { return {fd_, buffer, MSG_PEEK}; }
  /// recv_from(), now.
  /// Returns  none if no datagram is there.
  [[nodiscard]] Result<std::optional<Received>> try_recv_from(std::span<std::byte> buffer) noexcept;
  /// recv(), now.
  [[nodiscard]] Result<std::optional<std::size_t>> try_recv(std::span<std::byte> buffer) noexcept;
  /// peek_from(), now.
  [[nodiscard]] Result<std::optional<Received>> try_peek_from(std::span<std::byte> buffer) noexcept;
  /// peek(), now.
  [[nodiscard]] Result<std::optional<std::size_t>> try_peek(std::span<std::byte> buffer) noexcept;

  /// Sends a datagram to `to`, waiting for room.
  /// Returns  future of its length.
  /// Errors   os (EMSGSIZE, EACCES for a broadcast that is not allowed, …); closed after close().
  ///          Where a Unix receiver has no room, for which a second socket waits: also EMFILE,
  ///          ENFILE.
  /// Cancel   safe: a future that is dropped has sent nothing.
  DatagramSend send_to(std::span<const std::byte> data, const Address& to) noexcept {
    return {fd_, data, to};
  }
  /// The same to the peer of connect().
  DatagramSend send(std::span<const std::byte> data) noexcept { return {fd_, data, Address()}; }
  /// send_to(), now.
  /// Returns  none if there is no room.
  [[nodiscard]] Result<std::optional<std::size_t>> try_send_to(std::span<const std::byte> data,
                                                               const Address& to) noexcept;
  /// send(), now.
  [[nodiscard]] Result<std::optional<std::size_t>> try_send(
      std::span<const std::byte> data) noexcept {
    return try_send_to(data, Address());
  }

 protected:
  using Socket::Socket;
  DatagramSocket(DatagramSocket&&) noexcept = default;
  DatagramSocket& operator=(DatagramSocket&&) noexcept = default;
  ~DatagramSocket() = default;
};

}  // namespace blitzio::net
