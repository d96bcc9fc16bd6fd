// A listening socket for the echo servers, and their command line.
#pragma once

#include "arguments.hpp"
#include "measure.hpp"

#include <blitzio/base/owned_fd.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>

namespace blitzio::bench {

/// As many connections as the system lets this process have.
inline void allow_many_files() {
  rlimit limit{};
  require(::getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
  limit.rlim_cur = limit.rlim_max;
  require(::setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
}

inline void set_no_delay(int fd) {
  const int on = 1;
  require(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "TCP_NODELAY");
}

/// Listens on the loopback address; several sockets may listen on one port, and the kernel divides
/// the connections among them. `port` 0: any, and then says which.
[[nodiscard]] inline OwnedFd listen_on(std::uint16_t& port) {
  OwnedFd fd = OwnedFd::adopt(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  require(fd.get() >= 0, "socket");
  const int on = 1;
  require(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0, "SO_REUSEADDR");
  require(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0, "SO_REUSEPORT");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  require(::bind(fd.get(), raw, length) == 0, "bind");
  require(::getsockname(fd.get(), raw, &length) == 0, "getsockname");
  port = ntohs(address.sin_port);
  require(::listen(fd.get(), 4'096) == 0, "listen");
  return fd;
}

/// What an echo server is called with: PORT [WORKERS].
struct ServerArguments {
  std::uint16_t port = 0;
  unsigned workers = 1;
};
inline constexpr unsigned kWorkersMax = 64;

[[noreturn]] inline void exit_with_usage(const char* program) {
  std::fprintf(stderr, "usage: %s PORT [WORKERS, up to %u] [options of its own]\n", program,
               kWorkersMax);
  std::exit(kUsage);
}

/// Exits if the words make no sense.
[[nodiscard]] inline ServerArguments parse_server_arguments(int count, char** words) {
  const auto port = count > 1 ? parse_number<std::uint16_t>(words[1]) : std::nullopt;
  const auto workers = count > 2 ? parse_number<unsigned>(words[2]) : 1;
  if (count > 3 || !port || !workers || *workers > kWorkersMax) exit_with_usage(words[0]);
  return {*port, *workers};
}

/// Tells whoever started the server where it listens.
inline void say_port(std::uint16_t port) {
  std::printf("%u\n", static_cast<unsigned>(port));
  std::fflush(stdout);
}

}  // namespace blitzio::bench
