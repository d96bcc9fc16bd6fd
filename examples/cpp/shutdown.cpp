// A program that ends in good order: jobs run until SIGTERM comes, and each is finished.
// It sends itself the signal; press Ctrl-C to be faster.
#include <blitzio/executor/runtime.hpp>
#include <blitzio/signal/shutdown.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/time/sleep.hpp>

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <exception>
#include <utility>

using namespace blitzio;

namespace {

std::atomic<int> finished{0};

// The guard goes with the job, so the shutdown waits for it.
Async<> job(WorkGuard /*guard*/) {
  co_await time::sleep(Duration::from_millis(20));
  finished.fetch_add(1);
}

Async<int> serve(Shutdown& shutdown) {
  int accepted = 0;
  while (!shutdown.is_shutdown()) {
    spawn(job(shutdown.start_work())).detach();
    if (++accepted == 30) ::kill(::getpid(), SIGTERM);
    co_await time::sleep(Duration::from_millis(1));
  }
  std::printf("told to end by signal %d, with %zu jobs under way\n", shutdown.signal().value_or(0),
              shutdown.pending_count());
  const bool is_drained = co_await shutdown.wait_pending(Duration::from_secs(10));
  co_return is_drained ? accepted : -1;
}

}  // namespace

int main() {
  try {
    auto shutdown = Shutdown::create();
    if (!shutdown) {
      std::fprintf(stderr, "no shutdown: %s\n", shutdown.error().message().c_str());
      return 1;
    }
    const int accepted = run([&] { return serve(**shutdown); });
    std::printf("%d jobs accepted, %d finished\n", accepted, finished.load());
    return accepted == finished.load() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
