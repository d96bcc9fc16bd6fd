// A TCP echo server and its clients, as coroutines of one thread. Prints what went through.
// Usage: cpp_echo [io_uring | epoll | poll]
#include <blitzio/base/owned_fd.hpp>
#include <blitzio/executor/local_executor.hpp>
#include <blitzio/executor/operations.hpp>
#include <blitzio/task/async.hpp>

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

using namespace blitzio;

namespace {

[[noreturn]] void raise(Error error, const char* what) {
  throw std::system_error(error.code(), std::generic_category(), what);
}
template <class T>
T check(Result<T> result, const char* what) {
  if (!result) raise(result.error(), what);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}
OwnedFd make_socket() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) raise(Error::os(errno), "socket");
  return OwnedFd::adopt(fd);
}

struct Listener {
  Listener() : fd(make_socket()) {
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (bind(fd.get(), generic, length) != 0 || listen(fd.get(), SOMAXCONN) != 0 ||
        getsockname(fd.get(), generic, &length) != 0) {
      raise(Error::os(errno), "listen");
    }
  }
  OwnedFd fd;
  sockaddr_in address{};
};

Async<> send_all(int fd, op::Bytes& buffer, std::size_t count) {
  for (std::size_t sent = 0; sent < count;) {
    auto done = co_await op::send(fd, std::move(buffer), sent, count - sent);
    buffer = std::move(done.buffer);
    sent += check(done.count, "send");
  }
}

Async<> echo(OwnedFd connection) {
  op::Bytes buffer(16 * 1024);
  while (true) {
    auto received = co_await op::recv(connection.get(), std::move(buffer));
    buffer = std::move(received.buffer);
    const std::size_t count = check(received.count, "recv");
    if (count == 0) co_return;  // the client is done
    co_await send_all(connection.get(), buffer, count);
  }
}

Async<> serve(LocalExecutor& executor, int listener) {
  while (true) {
    OwnedFd connection = check(co_await op::accept(listener), "accept");
    executor.spawn(echo(std::move(connection))).detach();
  }
}

Async<std::size_t> talk(const Listener& server, std::string_view message, int rounds) {
  const OwnedFd fd = make_socket();
  check(co_await op::connect(fd.get(), reinterpret_cast<const sockaddr*>(&server.address),
                             sizeof server.address),
        "connect");
  op::Bytes outgoing(message.size());
  std::memcpy(outgoing.data(), message.data(), message.size());
  op::Bytes incoming(message.size());
  std::size_t total = 0;
  for (int round = 0; round < rounds; ++round) {
    co_await send_all(fd.get(), outgoing, outgoing.size());
    for (std::size_t have = 0; have < message.size();) {
      auto received = co_await op::recv(fd.get(), std::move(incoming));
      incoming = std::move(received.buffer);
      const std::size_t count = check(received.count, "recv");
      if (count == 0 || have + count > message.size() ||
          std::memcmp(incoming.data(), message.data() + have, count) != 0) {
        throw std::runtime_error("the echo differs");
      }
      have += count;
      total += count;
    }
  }
  co_return total;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    driver::Config config;
    if (argc > 1) config.backend = check(driver::parse_backend(argv[1]), "backend");
    const auto executor = check(LocalExecutor::create(config), "LocalExecutor");
    const Listener listener;
    auto server = executor->spawn(serve(*executor, listener.fd.get()));
    std::vector<JoinHandle<std::size_t>> clients;
    for (int i = 0; i < 10; ++i) clients.push_back(executor->spawn(talk(listener, "hello!", 100)));
    std::size_t total = 0;
    for (auto& client : clients) total += executor->block_on(client).get();
    server.cancel();
    const auto backend = driver::name(executor->driver().backend());
    std::printf("10 clients had %zu bytes echoed over %.*s\n", total,
                static_cast<int>(backend.size()), backend.data());
    return total == 6'000 ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
