// A server as it goes into production: a configuration, a task for each connection, a worker in the
// background that writes to disk now and then, and an end in good order: no new connections, those
// that are there are finished. Without arguments it serves three clients of its own and stops.
// Usage: cpp_web_server [PORT]
#include <blitzio/executor/runtime.hpp>
#include <blitzio/net/tcp.hpp>
#include <blitzio/signal/shutdown.hpp>
#include <blitzio/stream/buffered_reader.hpp>
#include <blitzio/stream/transfer.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/select.hpp>
#include <blitzio/time/interval.hpp>

#include <atomic>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

using namespace blitzio;

namespace {

struct Statistics {
  std::atomic<int> served{0};
  std::atomic<int> flushes{0};
};

constexpr std::string_view kAnswer = "HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";

// The guard goes with the connection, so the shutdown waits for it.
Async<> serve_one(net::TcpStream stream, WorkGuard /*guard*/, Statistics& statistics) {
  stream::BufferedReader reader(stream);
  auto lines = reader.lines(8192);
  for (;;) {
    const auto line = co_await lines.next();
    if (!line || !*line) co_return;  // an error, or gone
    if ((*line)->empty()) break;     // the end of the request's head
  }
  if (co_await stream.write_all(std::as_bytes(std::span(kAnswer)))) ++statistics.served;
}

// What blocks runs in a thread that may.
Async<> flush_now_and_then(Shutdown& shutdown, Statistics& statistics) {
  time::Interval tick = time::interval(5_ms);
  for (;;) {
    const auto first = co_await select_biased(shutdown.wait(), tick.tick());
    if (first.index() == 0) co_return;
    (co_await spawn_blocking([&] { ++statistics.flushes; })).get();
  }
}

Async<bool> serve(net::TcpListener& listener, Shutdown& shutdown, Statistics& statistics) {
  auto flusher = spawn(flush_now_and_then(shutdown, statistics));
  for (;;) {
    auto first = co_await select(shutdown.wait(), listener.accept());
    if (first.index() == 0) break;
    auto& accepted = std::get<1>(first);
    if (!accepted) continue;  // out of descriptors, say: the connection waits
    spawn(serve_one(std::move(accepted->stream), shutdown.start_work(), statistics)).detach();
  }
  const bool is_drained = co_await shutdown.wait_pending(10_s);
  (co_await flusher).get();
  co_return is_drained;
}

Async<> be_clients(Address address, Shutdown& shutdown) {
  for (int i = 0; i < 3; ++i) {
    net::TcpStream stream = (co_await net::TcpStream::connect(address)).value();
    const std::string_view request = "GET / HTTP/1.0\r\n\r\n";
    static_cast<void>(co_await stream.write_all(std::as_bytes(std::span(request))));
    std::vector<std::byte> answer;
    static_cast<void>(co_await stream::read_to_end(stream, answer));
  }
  shutdown.trigger();  // as SIGTERM and SIGINT do
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::uint16_t port = 0;
    if (argc > 1) std::from_chars(argv[1], argv[1] + std::strlen(argv[1]), port);
    // Before the runtime, so that a signal is heard from the first moment on.
    const auto shutdown = Shutdown::create().value();
    auto listener = net::TcpListener::bind(Address::loopback_v4(port)).value();
    std::printf("listening on %s\n", listener.local_address().value().to_string().c_str());
    Statistics statistics;
    Config config;
    config.blocking_threads_max = 128;
    const bool is_drained = run_with(config, [&]() -> Async<bool> {
      if (argc == 1) {
        spawn(be_clients(listener.local_address().value(), *shutdown)).detach();
      }
      co_return co_await serve(listener, *shutdown, statistics);
    });
    std::printf("served %d, flushed %s\n", statistics.served.load(),
                statistics.flushes > 0 ? "meanwhile" : "never");
    const bool is_right = argc > 1 || (statistics.served == 3 && statistics.flushes > 0);
    return is_drained && is_right ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
