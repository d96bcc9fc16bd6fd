// Fetches a page over HTTP/1.0 and prints its status, headers and size.
// Usage: cpp_http_client [HOST PORT PATH]; without arguments it fetches from a server of its own.
#include <blitzio/executor/runtime.hpp>
#include <blitzio/net/tcp.hpp>
#include <blitzio/stream/buffered_reader.hpp>
#include <blitzio/task/async.hpp>

#include <cstdio>
#include <cstdlib>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using namespace blitzio;
using net::TcpListener;
using net::TcpStream;
using stream::BufferedReader;

namespace {

template <class T>
T get(Result<T> result, const char* what) {
  if (!result) throw std::runtime_error(what + (": " + result.error().message()));
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

Async<std::size_t> fetch(std::string host, std::uint16_t port, std::string path) {
  TcpStream stream = get(co_await TcpStream::connect(host, port), "connect");
  const std::string request = "GET " + path + " HTTP/1.0\r\nHost: " + host + "\r\n\r\n";
  get(co_await stream.write_all(bytes(request)), "write");
  BufferedReader reader(stream);
  auto lines = reader.lines(8'192);
  while (true) {
    const auto line = get(co_await lines.next(), "read");
    if (!line || line->empty()) break;  // the headers' end
    std::printf("%s\n", line->c_str());
  }
  std::vector<std::byte> body;
  co_return get(co_await reader.read_to_end(body), "read");
}

Async<> serve_one(TcpListener listener) {
  TcpStream stream = get(co_await listener.accept(), "accept").stream;
  BufferedReader reader(stream);
  auto lines = reader.lines(8'192);
  while (true) {
    const auto line = get(co_await lines.next(), "read");
    if (!line || line->empty()) break;
  }
  get(co_await stream.write_all(bytes("HTTP/1.0 200 OK\r\nServer: example\r\n\r\n<p>Hello.</p>\n")),
      "write");
}

Async<std::size_t> fetch_from_own_server() {
  TcpListener listener = get(TcpListener::bind(net::Address::loopback_v4(0)), "bind");
  const std::uint16_t port = get(listener.local_address(), "local_address").port();
  auto server = spawn(serve_one(std::move(listener)));
  const std::size_t size = co_await fetch("localhost", port, "/");
  (co_await server).get();
  co_return size;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::size_t size = run([&] {
      if (argc < 4) return fetch_from_own_server();
      return fetch(argv[1], static_cast<std::uint16_t>(std::atoi(argv[2])), argv[3]);
    });
    std::printf("\n%zu bytes\n", size);
    return argc >= 4 || size == 14 ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
