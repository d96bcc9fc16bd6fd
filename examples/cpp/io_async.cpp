// One program on every implementation of Io: start two tasks, wait for both, cancel a third.
#include <blitzio/io/deterministic.hpp>
#include <blitzio/io/evented.hpp>
#include <blitzio/io/io.hpp>
#include <blitzio/io/threaded.hpp>
#include <blitzio/task/async.hpp>

#include <cstdio>
#include <exception>

using namespace blitzio;

namespace {

Async<int> do_work(Io io, int number) {
  co_await io.sleep(20_ms);
  co_return number * 10;
}

Async<bool> program(Io io) {
  const Instant start = io.now();
  // These may run at the same time.
  IoFuture<int> first = io.async_(do_work, io, 1);
  IoFuture<int> second = io.async_(do_work, io, 2);
  const int sum = (co_await first.await()).get() + (co_await second.await()).get();
  // Awaiting again gives the same result again.
  const bool is_same = (co_await first.await()).get() == 10;
  std::printf("  results add up to %d after %lld ms\n", sum,
              static_cast<long long>((io.now() - start).as_millis()));

  // What must run while its starter goes on may not be to be had.
  bool was_cancelled = true;
  if (auto endless =
          io.concurrent([](Io inner) -> Async<void> { co_await inner.sleep(1000_h); }, io)) {
    was_cancelled = (co_await endless->cancel()).is_cancelled();
  }
  co_return sum == 30 && is_same&& was_cancelled;
}

}  // namespace

int main() {
  try {
    std::puts("threads:");
    io::Threaded threaded;
    bool is_right = threaded.io().run(program, threaded.io());

    std::puts("events:");
    const auto evented = io::Evented::create().value();
    is_right &= evented->io().run(program, evented->io());

    std::puts("simulated:");
    io::Deterministic world({.seed = 42});
    is_right &= world.run(program);
    return is_right ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
