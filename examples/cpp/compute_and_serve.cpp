// A server that calculates: clients ask over sockets how many primes there are below a number, the
// processors count them on threads of their own, and the workers go on serving: another client's
// pings are answered meanwhile. What was answered is appended to a file.
#include <blitzio/executor/parallel.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/fs/paths.hpp>
#include <blitzio/fs/temporary.hpp>
#include <blitzio/net/tcp.hpp>
#include <blitzio/stream/buffered_reader.hpp>
#include <blitzio/task/async.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <ranges>
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

bool is_prime(int number) {
  if (number < 2) return false;
  for (int divisor = 2; divisor * divisor <= number; ++divisor) {
    if (number % divisor == 0) return false;
  }
  return true;
}

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// Answers each line, which has a number, with how many primes are below it. While the processors
// count, this task waits, and others are served.
Async<> answer(TcpStream stream, std::string log) {
  stream::BufferedReader reader(stream);
  auto lines = reader.lines(64);
  while (const auto line = get(co_await lines.next(), "read")) {
    if (*line == "ping") {
      get(co_await stream.write_all(bytes("pong\n")), "write");
      continue;
    }
    int limit = 0;
    std::from_chars(line->data(), line->data() + line->size(), limit);
    const auto found =
        co_await parallel_map(std::views::iota(0, std::min(limit, 1'000'000)), is_prime);
    const std::string count = std::to_string(std::ranges::count(found, true)) + "\n";
    const std::string entry = *line + " " + count;
    get(co_await fs::append(log, {bytes(entry).begin(), bytes(entry).end()}), "append");
    get(co_await stream.write_all(bytes(count)), "write");
  }
}

Async<> serve(TcpListener listener, std::string log) {
  while (true) {
    auto accepted = get(co_await listener.accept(), "accept");
    spawn(answer(std::move(accepted.stream), log)).detach();
  }
}

Async<std::string> ask(stream::BufferedReader<TcpStream&>& answers, TcpStream& stream,
                       std::string question) {
  get(co_await stream.write_all(bytes(question + "\n")), "write");
  auto lines = answers.lines(64);
  co_return get(co_await lines.next(), "read").value_or("");
}

Async<int> ask_for_primes(net::Address server, int limit) {
  TcpStream stream = get(co_await TcpStream::connect(server), "connect");
  stream::BufferedReader<TcpStream&> answers(stream);
  co_return std::stoi(co_await ask(answers, stream, std::to_string(limit)));
}

// Until it is cancelled; the count of its pings goes on meanwhile.
Async<> ping(net::Address server, int& pings) {
  TcpStream stream = get(co_await TcpStream::connect(server), "connect");
  stream::BufferedReader<TcpStream&> answers(stream);
  while (co_await ask(answers, stream, "ping") == "pong") ++pings;
}

Async<bool> main_task() {
  const fs::TempPath folder = get(co_await fs::temp_dir(), "temp_dir");
  const std::string log = folder.path() + "/log";
  TcpListener listener = get(TcpListener::bind(net::Address::loopback_v4(0)), "bind");
  const net::Address address = get(listener.local_address(), "local_address");
  auto server = spawn(serve(std::move(listener), log));

  int pings = 0;
  auto pinger = spawn(ping(address, pings));
  std::vector<JoinHandle<int>> clients;
  for (const int limit : {50'000, 100'000, 150'000}) {
    clients.push_back(spawn(ask_for_primes(address, limit)));
  }
  std::vector<int> counts;
  for (auto& client : clients) counts.push_back((co_await client).get());
  pinger.cancel();
  static_cast<void>(co_await pinger);
  server.cancel();

  const auto logged = get(co_await fs::read_file(log), "read_file");
  const auto entries = std::ranges::count(logged, std::byte{'\n'});
  std::printf("%d, %d and %d primes, %d pings answered meanwhile, %td lines logged\n", counts[0],
              counts[1], counts[2], pings, entries);
  co_return counts == std::vector{5'133, 9'592, 13'848} && pings > 0 && entries == 3;
}

}  // namespace

int main() {
  try {
    return run(main_task) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
