// Waiting no longer than one likes: a timeout, one deadline for several tries, a steady tick.
#include <blitzio/channel/channel.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/time/interval.hpp>
#include <blitzio/time/sleep.hpp>
#include <blitzio/time/timeout.hpp>

#include <cerrno>
#include <cstdio>
#include <exception>

using namespace blitzio;

namespace {

// Answers at its third try.
Async<Result<int>> flaky(int& tries) {
  if (++tries < 3) {
    co_await time::sleep(1_ms);
    co_return fail(Error::os(ECONNREFUSED));
  }
  co_return 42;
}

// Tries again until it works or the time is over.
Async<Result<int>> retry(time::Deadline deadline) {
  int tries = 0;
  Duration pause = 1_ms;
  for (;;) {
    const Result<int> result = co_await time::deadline(deadline, flaky(tries));
    if (result || result.error().is(RuntimeErrc::timed_out)) co_return result;
    std::printf("try %d: %s\n", tries, result.error().message().c_str());
    co_await time::sleep(pause);
    pause *= 2;
  }
}

Async<int> demonstrate() {
  channel::Channel<int> silent(1);
  const auto nothing = co_await time::timeout(5_ms, silent.recv());
  std::printf("receiving: %s\n", nothing ? "a value" : nothing.error().message().c_str());

  const Result<int> answer = co_await retry(time::Deadline::after(30_s));
  std::printf("the answer is %d\n", answer.value_or(0));

  time::Interval interval = time::interval(2_ms);
  interval.set_missed(time::MissedTicks::skip);
  const Instant first = co_await interval.tick();
  for (int i = 0; i < 4; ++i) co_await interval.tick();
  const Duration elapsed = first.elapsed();
  std::printf("five ticks of 2 ms\n");
  co_return !nothing && answer == 42 && elapsed >= 8_ms ? 0 : 1;
}

}  // namespace

int main() {
  try {
    return run(demonstrate);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
