// A TCP proxy: what comes in goes to another server, and back, until both sides are done. Here the
// other server echoes in capitals, and a client talks to it through the proxy.
#include <blitzio/executor/runtime.hpp>
#include <blitzio/net/tcp.hpp>
#include <blitzio/stream/copy.hpp>
#include <blitzio/task/async.hpp>

#include <cctype>
#include <cstdio>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace blitzio;
using net::Address;
using net::TcpListener;
using net::TcpStream;

namespace {

template <class T>
T get(Result<T> result, const char* what) {
  if (!result) throw std::runtime_error(what + (": " + result.error().message()));
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

Async<> relay(TcpStream client, Address upstream) {
  TcpStream server = get(co_await TcpStream::connect(upstream), "connect");
  const auto copied = get(co_await stream::copy_bidirectional(client, server), "copy");
  std::printf("relayed %llu bytes there, %llu back\n",
              static_cast<unsigned long long>(copied.a_to_b),
              static_cast<unsigned long long>(copied.b_to_a));
}

Async<> proxy(TcpListener listener, Address upstream) {
  // One connection is enough here; a real one would spawn relay() for each.
  co_await relay(get(co_await listener.accept(), "accept").stream, upstream);
}

Async<> shout(TcpListener listener) {
  TcpStream stream = get(co_await listener.accept(), "accept").stream;
  std::string text(1'024, ' ');
  while (const std::size_t count =
             get(co_await stream.read(std::as_writable_bytes(std::span(text))), "read")) {
    for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    get(co_await stream.write_all(std::as_bytes(std::span(text).first(count))), "write");
  }
}

Async<std::string> main_task() {
  TcpListener upstream = get(TcpListener::bind(Address::loopback_v4(0)), "bind");
  TcpListener front = get(TcpListener::bind(Address::loopback_v4(0)), "bind");
  const Address front_address = get(front.local_address(), "local_address");
  const Address upstream_address = get(upstream.local_address(), "local_address");
  auto server = spawn(shout(std::move(upstream)));
  auto relaying = spawn(proxy(std::move(front), upstream_address));

  TcpStream client = get(co_await TcpStream::connect(front_address), "connect");
  const std::string_view text = "can you hear me?";
  get(co_await client.write_all(std::as_bytes(std::span(text))), "write");
  get(co_await client.finish(), "finish");
  std::vector<std::byte> answer;
  get(co_await stream::read_to_end(client, answer), "read");
  (co_await relaying).get();
  (co_await server).get();
  co_return std::string(reinterpret_cast<const char*>(answer.data()), answer.size());
}

}  // namespace

int main() {
  try {
    const std::string answer = run(main_task);
    std::printf("%s\n", answer.c_str());
    return answer == "CAN YOU HEAR ME?" ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
