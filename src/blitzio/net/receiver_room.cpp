#include <blitzio/net/receiver_room.hpp>

#include <blitzio/net/socket.hpp>

#include <linux/sockios.h>
#include <sys/ioctl.h>

namespace blitzio::net {

namespace {

// Not what poll(2) says: "writable" begins at a quarter, so that datagrams that lie at somebody who
// never reads would hide that another one has room again.
bool is_own_buffer_full(int fd) noexcept {
  int queued = 0;
  int most = 0;
  socklen_t bytes = sizeof most;
  return ::ioctl(fd, SIOCOUTQ, &queued) == 0 &&
         ::getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &most, &bytes) == 0 && queued >= most;
}

}  // namespace

Result<OwnedFd> receiver_room(int fd, const sockaddr* to, socklen_t length) noexcept {
  if (length == 0 || to->sa_family != AF_UNIX || is_own_buffer_full(fd)) return OwnedFd();
  auto room = detail::open_socket(AF_UNIX, SOCK_DGRAM);
  // Refused: the receiver is gone, or is somebody else's alone. Sending says so, too.
  if (room && ::connect(room->get(), to, length) != 0) return OwnedFd();
  return room;
}

}  // namespace blitzio::net
