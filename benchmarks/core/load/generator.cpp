#include "generator.hpp"

#include "../common/listen.hpp"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace blitzio::bench {

namespace {

constexpr std::size_t kBufferBytes = 256 * 1024;
constexpr int kCheckMillis = 50;  // how often a thread without events looks at the phase

OwnedFd connect_to(std::uint16_t port) {
  OwnedFd fd = OwnedFd::adopt(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  require(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0,
          "connect");
  set_no_delay(fd.get());
  return fd;
}

}  // namespace

struct Generator::Connection {
  OwnedFd fd;
  std::vector<std::int64_t> sent_at;  ///< of the messages in flight, a ring
  std::size_t oldest = 0;             ///< its first
  std::size_t unsent_bytes = 0;       ///< of messages in flight: what the socket did not take yet
  std::uint64_t sent_bytes = 0;
  std::uint64_t received_bytes = 0;
  std::uint64_t messages = 0;  ///< back
  std::size_t in_flight = 0;
  bool is_blocked = false;  ///< the socket is full
};

Generator::Generator(std::uint16_t port, const Load& load)
    : load_(load),
      epoll_(OwnedFd::adopt(::epoll_create1(EPOLL_CLOEXEC))),
      outgoing_(load.depth * load.payload_bytes),
      incoming_(kBufferBytes) {
  // A pattern whose period is no divisor of anything, so that bytes out of place are seen.
  for (std::size_t i = 0; i < outgoing_.size(); ++i) {
    outgoing_[i] = static_cast<char>(i % load_.payload_bytes % 251);
  }
  for (std::size_t i = 0; i < load_.connections; ++i) {
    connections_.push_back(
        new Connection{connect_to(port), std::vector<std::int64_t>(load_.depth)});
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = connections_.back();
    require(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connections_.back()->fd.get(), &event) == 0,
            "epoll_ctl");
  }
}

Generator::~Generator() {
  for (const Connection* connection : connections_) delete connection;
}

void Generator::run(const std::atomic<Phase>& phase) {
  for (Connection* connection : connections_) send_messages(*connection, load_.depth);
  for (;;) {
    const Phase now = phase.load(std::memory_order_relaxed);
    if (now == Phase::stop) return;
    turn(now == Phase::measure);
  }
}

void Generator::run_once() {
  is_closed_loop_ = false;
  for (Connection* connection : connections_) send_messages(*connection, 1);
  while (total_ < connections_.size()) turn(false);
}

void Generator::turn(bool is_measuring) {
  std::array<epoll_event, 256> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), kCheckMillis);
  require(count >= 0 || errno == EINTR, "epoll_wait");
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    auto& connection = *static_cast<Connection*>(event.data.ptr);
    if ((event.events & EPOLLOUT) != 0) flush(connection);
    if ((event.events & ~std::uint32_t{EPOLLOUT}) != 0) receive(connection, is_measuring);
  }
}

void Generator::send_messages(Connection& connection, std::size_t count) {
  const std::int64_t now = Instant::now().as_nanos();
  for (std::size_t i = 0; i < count; ++i) {
    connection.sent_at[(connection.oldest + connection.in_flight) % load_.depth] = now;
    ++connection.in_flight;
  }
  const bool was_blocked = connection.unsent_bytes != 0;
  connection.unsent_bytes += count * load_.payload_bytes;
  if (!was_blocked) flush(connection);
}

void Generator::flush(Connection& connection) {
  bool was_short = false;
  while (connection.unsent_bytes != 0 && !was_short) {
    // The place in the pattern at which the last send ended.
    const std::size_t first = connection.sent_bytes % load_.payload_bytes;
    const std::size_t size = std::min(connection.unsent_bytes, outgoing_.size() - first);
    const ssize_t sent =
        ::send(connection.fd.get(), outgoing_.data() + first, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    require(sent > 0 || errno == EAGAIN, "send");
    if (sent > 0) {
      connection.unsent_bytes -= static_cast<std::size_t>(sent);
      connection.sent_bytes += static_cast<std::uint64_t>(sent);
    }
    was_short = sent < static_cast<ssize_t>(size);
  }
  set_blocked(connection, was_short);
}

void Generator::set_blocked(Connection& connection, bool is_blocked) {
  if (connection.is_blocked == is_blocked) return;
  connection.is_blocked = is_blocked;
  epoll_event event{};
  event.events = is_blocked ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.ptr = &connection;
  require(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.fd.get(), &event) == 0, "epoll_ctl");
}

void Generator::receive(Connection& connection, bool is_measuring) {
  const ssize_t count =
      ::recv(connection.fd.get(), incoming_.data(), incoming_.size(), MSG_DONTWAIT);
  if (count < 0 && errno == EAGAIN) return;
  require(count > 0, "recv: the server closed the connection");
  if (load_.is_verifying) verify(connection, static_cast<std::size_t>(count));
  connection.received_bytes += static_cast<std::uint64_t>(count);
  const std::uint64_t complete = connection.received_bytes / load_.payload_bytes;
  if (complete == connection.messages) return;
  const std::int64_t now = Instant::now().as_nanos();
  const std::size_t back = complete - connection.messages;
  require(back <= connection.in_flight, "more came back than was sent");
  for (std::size_t i = 0; i < back; ++i) {
    const std::int64_t sent = connection.sent_at[connection.oldest];
    connection.oldest = (connection.oldest + 1) % load_.depth;
    if (is_measuring) latencies_.add(static_cast<std::uint64_t>(now - sent));
  }
  connection.messages = complete;
  connection.in_flight -= back;
  total_ += back;
  if (is_closed_loop_) send_messages(connection, back);
}

void Generator::verify(Connection& connection, std::size_t count) const {
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t place = (connection.received_bytes + i) % load_.payload_bytes;
    require(incoming_[i] == static_cast<char>(place % 251), "a byte came back changed");
  }
}

}  // namespace blitzio::bench
