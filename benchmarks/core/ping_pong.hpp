// The game of ping_pong_bench.cpp: its connections and rules. Each arm plays it in its own way.
#pragma once

#include "support.hpp"

#include <blitzio/base/owned_fd.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace blitzio::bench {

inline constexpr std::size_t kMessageBytes = 1024;
inline constexpr std::array<std::byte, kMessageBytes> kMessage{};

enum class Transport : std::uint8_t { tcp, unix_socket };

struct Connection {
  OwnedFd client;
  OwnedFd server;
};

inline Connection connect_pair(Transport transport) {
  constexpr int kFlags = SOCK_NONBLOCK | SOCK_CLOEXEC;
  if (transport == Transport::unix_socket) {
    int ends[2];
    require(::socketpair(AF_UNIX, SOCK_STREAM | kFlags, 0, ends) == 0, "socketpair");
    return {OwnedFd::adopt(ends[0]), OwnedFd::adopt(ends[1])};
  }
  const OwnedFd listener = OwnedFd::adopt(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  require(::bind(listener.get(), generic, length) == 0, "bind");
  require(::listen(listener.get(), 1) == 0, "listen");
  require(::getsockname(listener.get(), generic, &length) == 0, "getsockname");
  OwnedFd client = OwnedFd::adopt(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  require(::connect(client.get(), generic, length) == 0, "connect");
  OwnedFd server = OwnedFd::adopt(::accept4(listener.get(), nullptr, nullptr, kFlags));
  require(server.get() >= 0, "accept");
  require(::fcntl(client.get(), F_SETFL, O_NONBLOCK) == 0, "fcntl");
  const int one = 1;
  for (const int fd : {client.get(), server.get()}) {
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  return {std::move(client), std::move(server)};
}

inline std::vector<Connection> connect_pairs(Transport transport, std::size_t count) {
  std::vector<Connection> all;
  for (std::size_t i = 0; i < count; ++i) all.push_back(connect_pair(transport));
  return all;
}

/// A send tried at once. A message of the game always fits into an empty socket.
inline void send_now(int fd, const std::byte* data, std::size_t size) {
  const ssize_t sent = ::send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  require(sent == static_cast<ssize_t>(size), "send");
}

/// The rules. A server returns every piece as it comes; a client that has a whole message back
/// counts a round trip and sends the next. Returns how many bytes of `piece` to send, from where.
struct Player {
  int fd;
  bool is_client;
  std::size_t received = 0;

  [[nodiscard]] std::span<const std::byte> on_piece(std::span<const std::byte> piece,
                                                    std::size_t& trips) noexcept {
    if (!is_client) return piece;
    received += piece.size();
    if (received < kMessageBytes) return {};
    received = 0;
    ++trips;
    return kMessage;
  }
};

/// Both players of each connection: client, server, client, server…
inline std::vector<Player> players_of(const std::vector<Connection>& connections) {
  std::vector<Player> players;
  for (const Connection& each : connections) {
    players.push_back({each.client.get(), true});
    players.push_back({each.server.get(), false});
  }
  return players;
}

/// Runs `turn()` until the benchmark has enough round trips.
template <class Turn>
void play(benchmark::State& state, std::size_t connections, std::size_t& trips, Turn&& turn) {
  std::size_t goal = trips;
  while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(connections))) {
    goal += connections;
    while (trips < goal) turn();
  }
}

}  // namespace blitzio::bench
