// Two tasks that send datagrams to each other.
#include <blitzio/executor/runtime.hpp>
#include <blitzio/net/udp.hpp>
#include <blitzio/task/async.hpp>

#include <array>
#include <cstdio>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

using namespace blitzio;
using net::Address;
using net::UdpSocket;

namespace {

template <class T>
T get(Result<T> result, const char* what) {
  if (!result) throw std::runtime_error(what + (": " + result.error().message()));
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

Async<> answer(UdpSocket socket, int count) {
  std::array<std::byte, 1'500> buffer{};
  for (int i = 0; i < count; ++i) {
    const net::Received received = get(co_await socket.recv_from(buffer), "recv_from");
    const auto datagram = std::span(buffer).first(received.count);
    get(co_await socket.send_to(datagram, received.from), "send_to");
  }
}

Async<int> main_task() {
  constexpr int kCount = 100;
  UdpSocket server = get(UdpSocket::bind(Address::loopback_v4(0)), "bind");
  const Address address = get(server.local_address(), "local_address");
  auto answering = spawn(answer(std::move(server), kCount));
  UdpSocket client = get(UdpSocket::bind(Address::loopback_v4(0)), "bind");
  get(client.connect(address), "connect");
  int right = 0;
  for (int i = 0; i < kCount; ++i) {
    const std::string text = "datagram " + std::to_string(i);
    get(co_await client.send(std::as_bytes(std::span(text))), "send");
    std::string back(64, ' ');
    back.resize(get(co_await client.recv(std::as_writable_bytes(std::span(back))), "recv"));
    right += back == text ? 1 : 0;
  }
  (co_await answering).get();
  co_return right;
}

}  // namespace

int main() {
  try {
    const int right = run(main_task);
    std::printf("%d datagrams came back\n", right);
    return right == 100 ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
