#include <blitzio/net/receiver_room.hpp>

#include <blitzio/net/socket.hpp>

#include <poll.h>

namespace blitzio::net {

OwnedFd receiver_room(int fd, const sockaddr* to, socklen_t length) noexcept {
  if (length == 0 || to->sa_family != AF_UNIX) return {};
  pollfd own{fd, POLLOUT, 0};
  if (::poll(&own, 1, 0) != 1) return {};
  auto room = detail::open_socket(AF_UNIX, SOCK_DGRAM);
  // Refused: the receiver is gone, or is somebody else's alone. Sending says so, too.
  if (!room || ::connect(room->get(), to, length) != 0) return {};
  return std::move(*room);
}

}  // namespace blitzio::net
