// A client that tries again, tested against a server that a partition hides for an hour: a hundred
// runs, each in another order, in a moment. A seed brings its run back.
#include <blitzio/io/deterministic.hpp>
#include <blitzio/io/file_system.hpp>
#include <blitzio/io/io.hpp>
#include <blitzio/io/network.hpp>
#include <blitzio/task/async.hpp>

#include <array>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <set>
#include <string>
#include <utility>

using namespace blitzio;

namespace {

constexpr Address kServer = Address::v4({10, 0, 0, 1}, 80);
constexpr Address kClient = Address::v4({10, 0, 0, 2}, 0);

Async<void> serve(Io io) {
  io::TcpListener listener = io.net().listen(kServer).value();
  for (;;) {
    io::Accepted accepted = (co_await listener.accept()).value();
    static_cast<void>(co_await accepted.stream.write_all(io::bytes_of("welcome")));
  }
}

// What is tested. It knows nothing of the simulation.
Async<std::string> fetch(Io io, int& attempts) {
  for (;;) {
    ++attempts;
    if (auto stream = co_await io.timeout(10_s, io.net().connect(kServer))) {
      std::array<std::byte, 7> answer{};
      if (co_await io.timeout(10_s, stream->read_exact(answer))) {
        co_return std::string(io::text_of(answer));
      }
    }
    co_await io.sleep(5_min);
  }
}

Async<std::string> scenario(Io io, io::Deterministic& world, int& attempts) {
  world.partition(kServer, kClient);
  auto server = io.async_(serve, world.host(kServer));
  auto answer = io.async_(fetch, world.host(kClient), std::ref(attempts));
  co_await io.sleep(1_h);
  world.heal(kServer, kClient);
  co_return (co_await answer.await()).get();
}

}  // namespace

int main() {
  try {
    std::set<std::uint64_t> runs;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      int attempts = 0;
      io::Deterministic world({.seed = seed});
      if (world.run(scenario, std::ref(world), std::ref(attempts)) != "welcome" || attempts < 10) {
        std::printf("seed %llu fails\n", static_cast<unsigned long long>(seed));
        return 1;
      }
      runs.insert(world.fingerprint());
    }
    std::printf("%zu different runs of an hour each went well\n", runs.size());
    return runs.size() == 100 ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
