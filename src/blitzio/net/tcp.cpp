#include <blitzio/net/tcp.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <blitzio/base/check.hpp>

#include <algorithm>
#include <cerrno>
#include <limits>

namespace blitzio::net {

namespace {

/// In whole seconds, rounded up, within what the option takes.
int to_seconds(Duration duration) noexcept {
  const Duration rounded = duration + Duration::from_nanos(999'999'999);
  return static_cast<int>(std::clamp<std::int64_t>(rounded.as_secs(), 0, 32'767));
}

int ttl_level(const Socket& socket) noexcept {
  return socket.option(SOL_SOCKET, SO_DOMAIN) == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
}

int ttl_name(int level) noexcept {
  return level == IPPROTO_IPV6 ? IPV6_UNICAST_HOPS : IP_TTL;
}

}  // namespace

Result<TcpStream> TcpStream::from_fd(OwnedFd&& fd) noexcept {
  return map_value(AsyncFd::adopt(std::move(fd)),
                   [](AsyncFd adopted) { return TcpStream(std::move(adopted)); });
}

Result<void> TcpStream::set_nodelay(bool is_on) const noexcept {
  return set_option(IPPROTO_TCP, TCP_NODELAY, is_on ? 1 : 0);
}

Result<bool> TcpStream::nodelay() const noexcept {
  return map_value(option(IPPROTO_TCP, TCP_NODELAY), [](int value) { return value != 0; });
}

Result<void> TcpStream::set_keepalive(const std::optional<KeepAlive>& keepalive) const noexcept {
  if (keepalive) {
    const std::pair<int, int> settings[] = {{TCP_KEEPIDLE, to_seconds(keepalive->idle)},
                                            {TCP_KEEPINTVL, to_seconds(keepalive->interval)},
                                            {TCP_KEEPCNT, keepalive->probes}};
    for (const auto& [name, value] : settings) {
      if (auto set = set_option(IPPROTO_TCP, name, value); !set) return set;
    }
  }
  return set_option(SOL_SOCKET, SO_KEEPALIVE, keepalive ? 1 : 0);
}

Result<std::optional<KeepAlive>> TcpStream::keepalive() const noexcept {
  const Result<int> is_on = option(SOL_SOCKET, SO_KEEPALIVE);
  if (!is_on) return fail(is_on.error());
  if (*is_on == 0) return std::nullopt;
  const Result<int> idle = option(IPPROTO_TCP, TCP_KEEPIDLE);
  const Result<int> interval = option(IPPROTO_TCP, TCP_KEEPINTVL);
  const Result<int> probes = option(IPPROTO_TCP, TCP_KEEPCNT);
  for (const Result<int>* part : {&idle, &interval, &probes}) {
    if (!*part) return fail(part->error());
  }
  return KeepAlive{Duration::from_secs(*idle), Duration::from_secs(*interval), *probes};
}

Result<void> TcpStream::set_linger(std::optional<Duration> linger) const noexcept {
  // Zero, which resets the connection, is asked for by its name.
  if (linger && linger->is_negative()) return fail(Error::runtime(RuntimeErrc::invalid_argument));
  const ::linger value{linger ? 1 : 0, linger ? to_seconds(*linger) : 0};
  if (::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &value, sizeof value) != 0) {
    return fail(Error::os(errno));
  }
  async_fd().set_lingers(value.l_linger > 0);
  return {};
}

Result<std::optional<Duration>> TcpStream::linger() const noexcept {
  struct ::linger value{};
  socklen_t length = sizeof value;
  if (::getsockopt(fd(), SOL_SOCKET, SO_LINGER, &value, &length) != 0) {
    return fail(Error::os(errno));
  }
  if (value.l_onoff == 0) return std::nullopt;
  return Duration::from_secs(value.l_linger);
}

Result<void> TcpStream::set_ttl(int ttl) const noexcept {
  if (ttl < 1) return fail(Error::os(EINVAL));  // -1 is the system's way to say "your default"
  const int level = ttl_level(*this);
  return set_option(level, ttl_name(level), ttl);
}

Result<int> TcpStream::ttl() const noexcept {
  const int level = ttl_level(*this);
  return option(level, ttl_name(level));
}

Result<TcpListener> TcpListener::from_fd(OwnedFd&& fd) noexcept {
  return map_value(AsyncFd::adopt(std::move(fd)),
                   [](AsyncFd adopted) { return TcpListener(std::move(adopted)); });
}

Result<TcpListener> TcpListener::bind(const Address& address,
                                      const ListenOptions& options) noexcept {
  if (!address.is_v4() && !address.is_v6()) {
    return fail(Error::runtime(RuntimeErrc::invalid_argument));
  }
  auto fd = detail::open_socket(address.native_family(), SOCK_STREAM);
  if (!fd) return fail(fd.error());
  auto listener = from_fd(std::move(*fd));
  if (!listener) return fail(listener.error());
  const auto set = [&listener](bool is_wanted, int level, int name) noexcept -> Result<void> {
    if (!is_wanted) return {};
    return listener->set_option(level, name, 1);
  };
  Result<void> done = set(options.reuse_address, SOL_SOCKET, SO_REUSEADDR);
  if (done) done = set(options.reuse_port, SOL_SOCKET, SO_REUSEPORT);
  if (done) done = set(options.v6_only && address.is_v6(), IPPROTO_IPV6, IPV6_V6ONLY);
  if (done) done = detail::bind_to(listener->fd(), address);
  if (!done) return fail(done.error());
  const int own = listener->fd();
  BLITZIO_CHECK(own >= 0);  // Adopted just now.
  if (::listen(own, options.backlog) != 0) return fail(Error::os(errno));
  return listener;
}

}  // namespace blitzio::net
