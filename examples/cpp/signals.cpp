// Signals as a stream: reload with SIGHUP, end with SIGTERM. It sends itself both.
#include <blitzio/executor/runtime.hpp>
#include <blitzio/signal/signal_set.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/task/async.hpp>

#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>

using namespace blitzio;

namespace {

// Returns how often it reloaded.
Async<int> serve(signal::SignalSet& arrivals, sync::Notify& reloaded) {
  int reloads = 0;
  while (const std::optional<int> number = co_await arrivals.next()) {
    if (*number == SIGTERM) break;
    std::puts("reloading");
    ++reloads;
    reloaded.notify_one();
  }
  co_return reloads;
}

Async<int> main_task(signal::SignalSet& arrivals) {
  sync::Notify reloaded;
  auto serving = spawn(serve(arrivals, reloaded));
  // What `kill <pid>` or a supervisor would do.
  ::kill(::getpid(), SIGHUP);
  co_await reloaded.wait();
  ::kill(::getpid(), SIGTERM);
  co_return (co_await serving).get();
}

}  // namespace

int main() {
  try {
    const auto arrivals = signal::SignalSet::listen(std::array{SIGHUP, SIGTERM});
    if (!arrivals) {
      std::fprintf(stderr, "no signals: %s\n", arrivals.error().message().c_str());
      return 1;
    }
    const int reloads = run([&] { return main_task(**arrivals); });
    std::printf("reloaded %d time(s), then told to end\n", reloads);
    return reloads == 1 ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
