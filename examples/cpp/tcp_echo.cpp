// A TCP echo server on a Runtime, one task per connection, and its clients. Prints what went
// through. Usage: cpp_tcp_echo [PORT]; with a port it serves until it is stopped.
#include <blitzio/executor/runtime.hpp>
#include <blitzio/net/tcp.hpp>
#include <blitzio/task/async.hpp>

#include <cstdio>
#include <cstdlib>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace blitzio;
using net::TcpListener;
using net::TcpStream;

namespace {

template <class T>
T get(Result<T> result, const char* what) {
  if (!result) throw std::runtime_error(what + (": " + result.error().message()));
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

Async<> echo(TcpStream stream) {
  std::vector<std::byte> buffer(16 * 1024);
  while (true) {
    const std::size_t count = get(co_await stream.read(buffer), "read");
    if (count == 0) co_return;  // the client is done
    get(co_await stream.write_all(std::span(buffer).first(count)), "write");
  }
}

Async<> serve(TcpListener listener) {
  while (true) {
    auto accepted = get(co_await listener.accept(), "accept");
    spawn(echo(std::move(accepted.stream))).detach();
  }
}

Async<std::size_t> talk(net::Address server, std::string_view message, int rounds) {
  TcpStream stream = get(co_await TcpStream::connect(server), "connect");
  std::string answer(message.size(), ' ');
  std::size_t total = 0;
  for (int round = 0; round < rounds; ++round) {
    get(co_await stream.write_all(std::as_bytes(std::span(message))), "write");
    get(co_await stream.read_exact(std::as_writable_bytes(std::span(answer))), "read");
    if (answer != message) throw std::runtime_error("the echo differs");
    total += answer.size();
  }
  co_return total;
}

Async<std::size_t> main_task(std::uint16_t port) {
  TcpListener listener = get(TcpListener::bind(net::Address::any_v4(port)), "bind");
  const std::uint16_t bound = get(listener.local_address(), "local_address").port();
  auto server = spawn(serve(std::move(listener)));
  if (port != 0) (co_await server).get();
  std::vector<JoinHandle<std::size_t>> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(spawn(talk(net::Address::loopback_v4(bound), "hello!", 100)));
  }
  std::size_t total = 0;
  for (auto& client : clients) total += (co_await client).get();
  server.cancel();
  co_return total;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto port = static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 0);
    const std::size_t total = run([port] { return main_task(port); });
    std::printf("10 clients had %zu bytes echoed\n", total);
    return total == 6'000 ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
