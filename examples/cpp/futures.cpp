// A pipeline of futures, and several tasks at once: all of them, each of them, the fastest.
#include <blitzio/channel/oneshot.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/compose.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/task/join_all.hpp>
#include <blitzio/task/select.hpp>
#include <blitzio/task/try_join_all.hpp>

#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

using namespace blitzio;

namespace {

struct Reading {
  double celsius;
  bool is_in_range;
};

// Raw counts of a sensor become a temperature, and that a reading that was looked at.
auto pipeline(channel::Oneshot<int>& sensor) {
  return compose(sensor.recv())
      .map([](std::optional<int> raw) { return raw.value_or(0) / 4095.0 * 165.0 - 40.0; })
      .and_then(
          [](double celsius) { return ready(Reading{celsius, celsius > -20 && celsius < 80}); });
}

Async<std::string> fetch(std::string what) {
  co_await yield_now();
  if (what == "missing") throw std::runtime_error("no such thing");
  co_return "the " + what;
}

Async<int> coordinate() {
  channel::Oneshot<int> sensor;
  sensor.send(2048);
  const Reading reading = co_await pipeline(sensor);
  std::printf("%.1f degrees, %s\n", reading.celsius, reading.is_in_range ? "fine" : "out of range");

  // All of them, or the first failure, which ends the others.
  auto [user, posts] = co_await join_all(spawn(fetch("user")), spawn(fetch("posts")));
  std::printf("%s and %s\n", user.c_str(), posts.c_str());

  // What became of each, failures included.
  std::vector<JoinHandle<std::string>> handles;
  for (const char* what : {"profile", "missing", "photos"}) handles.push_back(spawn(fetch(what)));
  int failures = 0;
  for (auto& result : co_await try_join_all(std::move(handles))) {
    if (!result.has_value()) ++failures;
  }
  std::printf("%d of 3 failed\n", failures);

  // The fastest; the replica that never answers is cancelled.
  const auto fastest = co_await race(spawn(fetch("primary")), spawn(Pending<std::string>()));
  std::printf("%s\n", fastest.has_value() ? "the primary was faster" : "nobody answered");
  co_return reading.is_in_range&& failures == 1 && fastest.has_value() ? 0 : 1;
}

}  // namespace

int main() {
  try {
    return run(coordinate);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
