// Producer and consumer with a mutex and a condition. Each waits for the other, so they are started
// with concurrent(), and the program must say what it does where that is not to be had.
#include <blitzio/io/evented.hpp>
#include <blitzio/io/io.hpp>
#include <blitzio/io/sync.hpp>
#include <blitzio/io/threaded.hpp>
#include <blitzio/task/async.hpp>

#include <cstdio>
#include <deque>
#include <exception>
#include <functional>
#include <utility>

using namespace blitzio;

namespace {

constexpr int kItems = 1000;

struct Queue {
  static constexpr std::size_t kRoom = 8;

  io::Mutex mutex;
  io::Condition not_empty;
  io::Condition not_full;
  std::deque<int> items;  // protected by mutex
};

Async<void> produce(Queue& queue) {
  for (int item = 1; item <= kItems; ++item) {
    io::MutexGuard guard = co_await queue.mutex.lock();
    while (queue.items.size() == Queue::kRoom) {
      guard = co_await queue.not_full.wait(std::move(guard));
    }
    queue.items.push_back(item);
    queue.not_empty.signal();
  }
}

Async<long> consume(Queue& queue) {
  long sum = 0;
  for (int taken = 0; taken < kItems; ++taken) {
    io::MutexGuard guard = co_await queue.mutex.lock();
    while (queue.items.empty()) guard = co_await queue.not_empty.wait(std::move(guard));
    sum += queue.items.front();
    queue.items.pop_front();
    queue.not_full.signal();
  }
  co_return sum;
}

// The sum, or -1 without concurrency.
Async<long> program(Io io) {
  Queue queue;
  auto producer = io.concurrent(produce, std::ref(queue));
  if (!producer) {
    std::printf("no: %s\n", producer.error().message().c_str());
    co_return -1;
  }
  const long sum = co_await consume(queue);
  (co_await producer->await()).get();
  std::printf("consumed %d items, their sum is %ld\n", kItems, sum);
  co_return sum;
}

}  // namespace

int main() {
  try {
    io::Threaded threaded;
    bool is_right = threaded.io().run(program, threaded.io()) == 500'500;
    // A single thread cannot promise that two things get ahead at once.
    io::Threaded without({.concurrent_limit = 0});
    is_right &= without.io().run(program, without.io()) == -1;
    Config config;
    config.workers = 2;
    const auto evented = io::Evented::create(config).value();
    is_right &= evented->io().run(program, evented->io()) == 500'500;
    return is_right ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
