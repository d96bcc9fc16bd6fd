// bench_raw_epoll PORT [WORKERS]: an echo server as a C programmer would write it: level-triggered
// epoll, one buffer per thread, a read and a write per message, a listener per thread.
//
// What a socket does not take is kept, and the connection is not read from until it has taken it.
#include "../common/listen.hpp"

#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <memory>
#include <span>
#include <thread>
#include <vector>

namespace blitzio::bench {
namespace {

constexpr std::size_t kBufferBytes = 64 * 1024;

struct Connection {
  OwnedFd fd;
  std::vector<char> unsent;
};

class Server {
 public:
  explicit Server(OwnedFd listener)
      : listener_(std::move(listener)), epoll_(OwnedFd::adopt(::epoll_create1(EPOLL_CLOEXEC))) {
    require(epoll_.get() >= 0, "epoll_create1");
    control(EPOLL_CTL_ADD, listener_.get(), EPOLLIN, nullptr);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events;
    for (;;) {
      const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), -1);
      require(count >= 0 || errno == EINTR, "epoll_wait");
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.data.ptr == nullptr) {
          accept_one();
        } else if (auto* connection = static_cast<Connection*>(event.data.ptr);
                   !serve(*connection, event.events)) {
          delete connection;
        }
      }
    }
  }

 private:
  void control(int what, int fd, std::uint32_t events, Connection* connection) const {
    epoll_event event{};
    event.events = events;
    event.data.ptr = connection;
    require(::epoll_ctl(epoll_.get(), what, fd, &event) == 0, "epoll_ctl");
  }

  void accept_one() const {
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    set_no_delay(fd);
    control(EPOLL_CTL_ADD, fd, EPOLLIN, new Connection{OwnedFd::adopt(fd), {}});
  }

  // False: the connection is over.
  bool serve(Connection& connection, std::uint32_t events) {
    if ((events & EPOLLOUT) != 0) {
      const std::vector<char> rest = std::move(connection.unsent);
      connection.unsent.clear();
      if (!send(connection, rest)) return false;
      if (!connection.unsent.empty()) return true;
      control(EPOLL_CTL_MOD, connection.fd.get(), EPOLLIN, &connection);
      return true;
    }
    const ssize_t count = ::recv(connection.fd.get(), buffer_.get(), kBufferBytes, 0);
    if (count <= 0) return count < 0 && errno == EAGAIN;
    if (!send(connection, {buffer_.get(), static_cast<std::size_t>(count)})) return false;
    if (!connection.unsent.empty()) {
      control(EPOLL_CTL_MOD, connection.fd.get(), EPOLLOUT, &connection);
    }
    return true;
  }

  static bool send(Connection& connection, std::span<const char> data) {
    while (!data.empty()) {
      const ssize_t count = ::send(connection.fd.get(), data.data(), data.size(), MSG_NOSIGNAL);
      if (count < 0 && errno == EAGAIN) {
        connection.unsent.assign(data.begin(), data.end());
        return true;
      }
      if (count < 0) return false;
      data = data.subspan(static_cast<std::size_t>(count));
    }
    return true;
  }

  OwnedFd listener_;
  OwnedFd epoll_;
  std::unique_ptr<char[]> buffer_ = std::make_unique<char[]>(kBufferBytes);
};

}  // namespace
}  // namespace blitzio::bench

int main(int count, char** words) {
  using namespace blitzio::bench;  // NOLINT(google-build-using-namespace): the program's own names
  ServerArguments arguments = parse_server_arguments(count, words);
  allow_many_files();
  std::vector<std::unique_ptr<Server>> servers;
  for (unsigned i = 0; i == 0 || i < arguments.workers; ++i) {
    servers.push_back(std::make_unique<Server>(listen_on(arguments.port)));
  }
  say_port(arguments.port);
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < servers.size(); ++i) {
    threads.emplace_back([&server = *servers[i]] { server.run(); });
  }
  servers.front()->run();
}
