// Waiting and calculating in one program: a ticker keeps time on the workers while the processors
// are busy with prime numbers on threads of their own, and a group holds both together.
#include <blitzio/executor/cancel_token.hpp>
#include <blitzio/executor/group.hpp>
#include <blitzio/executor/parallel.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/time/sleep.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <ranges>

using namespace blitzio;

namespace {

constexpr int kLimit = 200'000;

bool is_prime(int number) {
  if (number < 2) return false;
  for (int divisor = 2; divisor * divisor <= number; ++divisor) {
    if (number % divisor == 0) return false;
  }
  return true;
}

Async<int> tick(CancelToken stop) {
  int ticks = 0;
  while (!stop.cancel_requested()) {
    co_await time::sleep(Duration::from_millis(1));
    ++ticks;
  }
  co_return ticks;
}

Async<long> count_primes() {
  const auto found = co_await parallel_map(std::views::iota(0, kLimit), is_prime);
  co_return std::ranges::count(found, true);
}

Async<bool> both() {
  const CancelToken stop;
  Group group;
  auto ticker = group.spawn(tick(stop));
  auto primes = group.spawn(count_primes());
  const long count = (co_await primes).get();
  stop.cancel();
  co_await group.wait();
  const int ticks = (co_await ticker).get();
  std::printf("%ld primes below %d, and %d ticks meanwhile\n", count, kLimit, ticks);
  co_return count == 17'984 && ticks > 0;
}

}  // namespace

int main() {
  try {
    return run(both) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
