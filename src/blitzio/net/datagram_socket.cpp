#include <blitzio/net/datagram_socket.hpp>

#include <blitzio/base/syscalls.hpp>
#include <blitzio/net/detail/uninterrupted.hpp>

#include <cerrno>
#include <new>
#include <utility>

namespace blitzio::net {

namespace {

using detail::uninterrupted;
using detail::unless_blocked;

/// By edge: who waits does, and who does not takes "nothing" for the state of the socket.
std::int64_t receive(int fd, std::span<std::byte> buffer, int flags, Address* from) noexcept {
  if (fd < 0) return -EBADF;  // Closed.
  sockaddr_storage sender{};
  socklen_t length = sizeof sender;
  auto* generic = from == nullptr ? nullptr : reinterpret_cast<sockaddr*>(&sender);
  const std::int64_t result = uninterrupted([&] {
    return sys::recvfrom(fd, buffer.data(), buffer.size(), flags | MSG_DONTWAIT, generic,
                         from == nullptr ? nullptr : &length, sys::Wait::edge);
  });
  if (result >= 0 && from != nullptr) {
    *from = Address::from_sockaddr(generic, length).value_or(Address());
  }
  return result;
}

Result<std::optional<Received>> receive_from_now(int fd, std::span<std::byte> buffer,
                                                 int flags) noexcept {
  Received received{};
  const auto count = unless_blocked(receive(fd, buffer, flags, &received.from));
  if (!count) return fail(count.error());
  if (!*count) return std::nullopt;
  received.count = **count;
  return received;
}

std::int64_t send(int fd, std::span<const std::byte> data, const Address& to) noexcept {
  constexpr int kFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
  if (to.family() == Address::Family::none) {
    return uninterrupted([&] { return sys::send(fd, data.data(), data.size(), kFlags); });
  }
  const Address::Native native = to.to_native();
  return uninterrupted([&] {
    return sys::sendto(fd, data.data(), data.size(), kFlags, native.get(), native.length);
  });
}

}  // namespace

Poll<Result<std::size_t>> DatagramRecv::poll(Context& context) noexcept {
  return wait_.poll(context, [this](int fd) noexcept -> IoAttempt {
    return {receive(fd, buffer_, flags_, nullptr)};
  });
}

Poll<Result<Received>> DatagramRecvFrom::poll(Context& context) noexcept {
  Received received{};
  auto answer = wait_.poll(context, [&](int fd) noexcept -> IoAttempt {
    return {receive(fd, buffer_, flags_, &received.from)};
  });
  if (answer.is_pending()) return pending;
  if (!answer.value()) return Output(fail(answer.value().error()));
  received.count = *answer.value();
  return Output(received);
}

Poll<Result<std::size_t>> DatagramSend::poll(Context& context) noexcept {
  return wait_.poll(context, [&](int fd) noexcept -> IoAttempt {
    for (;;) {
      const std::int64_t result = net::send(fd, data_, to_);
      if (BLITZIO_LIKELY(result != -EAGAIN)) return {result};
      if (!room_) {
        auto found = find_room(fd);
        if (!found) return {-std::int64_t{found.error().code()}};
        if (*found == nullptr) return {-EAGAIN};
        room_ = std::move(*found);
      }
      auto answer = room_->poll(context);
      if (answer.is_pending()) return {.result = -EAGAIN, .waits_elsewhere = true};
      room_.reset();
      if (!answer.value()) return {-std::int64_t{answer.value().error().code()}};
    }
  });
}

// Null: to be waited for as ever.
Result<std::unique_ptr<detail::ReceiverRoom>> DatagramSend::find_room(int fd) const noexcept {
  if (to_.family() != Address::Family::local) return nullptr;
  const Address::Native native = to_.to_native();
  auto room = receiver_room(fd, native.get(), native.length);
  if (!room) return fail(room.error());
  if (!*room) return nullptr;
  auto adopted = AsyncFd::adopt(std::move(*room));
  if (!adopted) return fail(adopted.error());
  std::unique_ptr<detail::ReceiverRoom> made(new (std::nothrow)
                                                 detail::ReceiverRoom(std::move(*adopted)));
  if (made == nullptr) return fail(Error::os(ENOMEM));
  return made;
}

Result<void> DatagramSocket::connect(const Address& peer) noexcept {
  const int own = fd();
  if (own < 0) return fail(Error::os(EBADF));  // Closed.
  const Address::Native native = peer.to_native();
  const std::int64_t result =
      uninterrupted([&] { return ssize_t{::connect(own, native.get(), native.length)}; });
  if (result < 0) return fail(Error::os(static_cast<int>(-result)));
  return {};
}

Result<std::optional<Received>> DatagramSocket::try_recv_from(
    std::span<std::byte> buffer) noexcept {
  return receive_from_now(fd(), buffer, 0);
}

Result<std::optional<std::size_t>> DatagramSocket::try_recv(std::span<std::byte> buffer) noexcept {
  return unless_blocked(receive(fd(), buffer, 0, nullptr));
}

Result<std::optional<Received>> DatagramSocket::try_peek_from(
    std::span<std::byte> buffer) noexcept {
  return receive_from_now(fd(), buffer, MSG_PEEK);
}

Result<std::optional<std::size_t>> DatagramSocket::try_peek(std::span<std::byte> buffer) noexcept {
  return unless_blocked(receive(fd(), buffer, MSG_PEEK, nullptr));
}

Result<std::optional<std::size_t>> DatagramSocket::try_send_to(std::span<const std::byte> data,
                                                               const Address& to) noexcept {
  return unless_blocked(net::send(fd(), data, to));
}

}  // namespace blitzio::net
