// bench_load [OPTIONS] -- SERVER WORDS…: starts an echo server and loads it.
//
// The server prints the port it listens on as its first line. Options, with their defaults:
//   --connections 1  --depth 1  --payload 64     messages of so many bytes in flight on each
//   --seconds 3      of which a fifth more before measuring warms up
//   --threads 1      the connections are divided among them
//   --server-cpus, --load-cpus 0,1               processors to stay on; default: wherever
//   --idle N         instead: N connections that have sent one message and then rest
//   --verify         compares every byte
//
// Prints a JSON object: requests and their latencies; of the server its processor time per request
// or, with --idle, its memory per connection. A message and its echo are one request.
#include "../common/listen.hpp"
#include "generator.hpp"
#include "server.hpp"

#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>
#include <thread>

namespace blitzio::bench {
namespace {

struct Options {
  Load load;
  double seconds = 3;
  std::size_t threads = 1;
  std::size_t idle = 0;
  std::vector<int> server_cpus;
  std::vector<int> load_cpus;
  char** server = nullptr;
};

class Threads {
 public:
  Threads(std::uint16_t port, const Options& options) {
    for (std::size_t i = 0; i < options.threads; ++i) {
      Load load = options.load;
      load.connections =
          load.connections / options.threads + (i < load.connections % options.threads ? 1 : 0);
      generators_.push_back(std::make_unique<Generator>(port, load));
    }
    for (const auto& generator : generators_) {
      threads_.emplace_back([this, &generator] { generator->run(phase_); });
    }
  }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  ~Threads() { stop(); }

  void measure() { phase_ = Phase::measure; }
  void stop() {
    phase_ = Phase::stop;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  /// After stop().
  [[nodiscard]] Histogram latencies() const {
    Histogram all;
    for (const auto& generator : generators_) all.merge(generator->latencies());
    return all;
  }
  [[nodiscard]] std::uint64_t total() const {
    std::uint64_t total = 0;
    for (const auto& generator : generators_) total += generator->total();
    return total;
  }

 private:
  std::atomic<Phase> phase_{Phase::warm_up};
  std::vector<std::unique_ptr<Generator>> generators_;
  std::vector<std::thread> threads_;
};

void sleep_for(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

void run_load(const ServerProcess& server, const Options& options) {
  Threads threads(server.port(), options);
  sleep_for(options.seconds / 4);
  const std::int64_t cpu_before = server.cpu_nanos();
  const Instant start = Instant::now();
  threads.measure();
  sleep_for(options.seconds);
  const std::int64_t cpu = server.cpu_nanos() - cpu_before;
  const double seconds = static_cast<double>((Instant::now() - start).as_nanos()) / 1e9;
  threads.stop();
  const Histogram latencies = threads.latencies();
  const auto requests = static_cast<double>(latencies.total());
  require(latencies.total() > 0, "at least one request");
  const auto micros = [&](double share) {
    return static_cast<double>(latencies.quantile(share)) / 1e3;
  };
  std::printf(
      "{\"connections\": %zu, \"depth\": %zu, \"payload\": %zu, \"requests\": %.0f, "
      "\"requests_with_warm_up\": %.0f, \"requests_per_second\": %.1f, \"p50_us\": %.1f, "
      "\"p99_us\": %.1f, \"p999_us\": %.1f, \"server_cpu_us_per_request\": %.4f}\n",
      options.load.connections, options.load.depth, options.load.payload_bytes, requests,
      static_cast<double>(threads.total()), requests / seconds, micros(0.5), micros(0.99),
      micros(0.999), static_cast<double>(cpu) / 1e3 / requests);
}

void run_idle(const ServerProcess& server, const Options& options) {
  const std::int64_t before = server.resident_bytes();
  Load load = options.load;
  load.connections = options.idle;
  Generator generator(server.port(), load);
  generator.run_once();
  const std::int64_t growth = server.resident_bytes() - before;
  std::printf("{\"connections\": %zu, \"bytes_per_connection\": %.1f}\n", options.idle,
              static_cast<double>(growth) / static_cast<double>(options.idle));
}

std::vector<int> parse_cpus(std::string_view text) {
  std::vector<int> cpus;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    int cpu = 0;
    const auto [next, error] = std::from_chars(at, end, cpu);
    require(error == std::errc(), "a list of processors");
    cpus.push_back(cpu);
    at = next + 1;
  }
  return cpus;
}

// False: the words make no sense.
bool parse(int count, char** words, Options& options) {
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--") {
      options.server = words + i + 1;
      return i + 1 < count;
    }
    if (word == "--verify") {
      options.load.is_verifying = true;
      continue;
    }
    if (i + 1 == count) return false;
    const char* value = words[++i];
    const auto number = [&] { return std::strtoul(value, nullptr, 10); };
    if (word == "--connections") {
      options.load.connections = number();
    } else if (word == "--depth") {
      options.load.depth = number();
    } else if (word == "--payload") {
      options.load.payload_bytes = number();
    } else if (word == "--seconds") {
      options.seconds = std::strtod(value, nullptr);
    } else if (word == "--threads") {
      options.threads = number();
    } else if (word == "--idle") {
      options.idle = number();
    } else if (word == "--server-cpus") {
      options.server_cpus = parse_cpus(value);
    } else if (word == "--load-cpus") {
      options.load_cpus = parse_cpus(value);
    } else {
      return false;
    }
  }
  return false;
}

}  // namespace
}  // namespace blitzio::bench

int main(int count, char** words) {
  using namespace blitzio::bench;  // NOLINT(google-build-using-namespace): the program's own names
  Options options;
  const bool is_valid = parse(count, words, options) && options.load.connections > 0 &&
                        options.load.depth > 0 && options.load.payload_bytes > 0 &&
                        options.threads > 0;
  if (!is_valid) {
    std::fprintf(stderr,
                 "usage: bench_load [--connections N] [--depth N] [--payload BYTES] [--seconds S]\n"
                 "                  [--threads N] [--idle N] [--server-cpus 0] [--load-cpus 1]\n"
                 "                  [--verify] -- SERVER WORDS...\n");
    return kUsage;
  }
  allow_many_files();
  const ServerProcess server(options.server, options.server_cpus);
  pin_to(options.load_cpus);
  if (options.idle != 0) {
    run_idle(server, options);
  } else {
    run_load(server, options);
  }
  return 0;
}
