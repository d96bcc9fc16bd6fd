#include <blitzio/net/unix.hpp>

#include <sys/socket.h>

#include <cerrno>

namespace blitzio::net {

namespace {

template <class S>
Result<std::pair<S, S>> make_pair_of(int type) noexcept {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
    return fail(Error::os(errno));
  }
  OwnedFd one = OwnedFd::adopt(ends[0]);
  OwnedFd other = OwnedFd::adopt(ends[1]);
  auto first = S::from_fd(std::move(one));
  auto second = S::from_fd(std::move(other));
  if (!first) return fail(first.error());
  if (!second) return fail(second.error());
  return std::pair<S, S>(std::move(*first), std::move(*second));
}

Result<OwnedFd> open_bound(int type, const Address& address) noexcept {
  if (!address.is_local()) return fail(Error::runtime(RuntimeErrc::invalid_argument));
  auto fd = detail::open_socket(AF_UNIX, type);
  if (!fd) return fd;
  if (auto bound = detail::bind_to(fd->get(), address); !bound) return fail(bound.error());
  return fd;
}

}  // namespace

Result<UnixStream> UnixStream::from_fd(OwnedFd&& fd) noexcept {
  return map_value(AsyncFd::adopt(std::move(fd)),
                   [](AsyncFd adopted) { return UnixStream(std::move(adopted)); });
}

Result<std::pair<UnixStream, UnixStream>> UnixStream::pair() noexcept {
  return make_pair_of<UnixStream>(SOCK_STREAM);
}

Result<PeerCredentials> UnixStream::peer_credentials() const noexcept {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(fd(), SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
    return fail(Error::os(errno));
  }
  return PeerCredentials{credentials.pid, credentials.uid, credentials.gid};
}

Result<UnixListener> UnixListener::from_fd(OwnedFd&& fd) noexcept {
  return map_value(AsyncFd::adopt(std::move(fd)),
                   [](AsyncFd adopted) { return UnixListener(std::move(adopted)); });
}

Result<UnixListener> UnixListener::bind(const Address& address, int backlog) noexcept {
  auto fd = open_bound(SOCK_STREAM, address);
  if (!fd) return fail(fd.error());
  if (::listen(fd->get(), backlog) != 0) return fail(Error::os(errno));
  return from_fd(std::move(*fd));
}

Result<UnixDatagram> UnixDatagram::from_fd(OwnedFd&& fd) noexcept {
  return map_value(AsyncFd::adopt(std::move(fd)),
                   [](AsyncFd adopted) { return UnixDatagram(std::move(adopted)); });
}

Result<UnixDatagram> UnixDatagram::bind(const Address& address) noexcept {
  auto fd = open_bound(SOCK_DGRAM, address);
  if (!fd) return fail(fd.error());
  return from_fd(std::move(*fd));
}

Result<UnixDatagram> UnixDatagram::unbound() noexcept {
  auto fd = detail::open_socket(AF_UNIX, SOCK_DGRAM);
  if (!fd) return fail(fd.error());
  return from_fd(std::move(*fd));
}

Result<std::pair<UnixDatagram, UnixDatagram>> UnixDatagram::pair() noexcept {
  return make_pair_of<UnixDatagram>(SOCK_DGRAM);
}

}  // namespace blitzio::net
