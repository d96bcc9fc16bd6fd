// From threads to tasks, one thing after the other: each function with `threads` does it as one
// does without a runtime, and its neighbour with `tasks` does the same without holding a thread.
#include <blitzio/channel/channel.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/sync/mutex.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/task/join_all.hpp>

#include <condition_variable>
#include <cstdio>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace blitzio;

namespace {

constexpr int kWorkers = 4;

// ---- std::thread, std::mutex ▸ spawn, sync::Mutex
// ------------------------------------------------

int count_with_threads() {
  std::mutex mutex;
  int count = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kWorkers; ++i) {
    threads.emplace_back([&] {
      const std::lock_guard guard(mutex);  // blocks the thread
      ++count;
    });
  }
  for (std::thread& thread : threads) thread.join();
  return count;
}

Async<int> count_with_tasks() {
  sync::Mutex mutex;
  int count = 0;
  std::vector<JoinHandle<void>> tasks;
  for (int i = 0; i < kWorkers; ++i) {
    tasks.push_back(spawn([&]() -> Async<> {
      if (mutex.try_lock()) {  // the first tier: now, or not
        const sync::MutexGuard guard = mutex.adopt();
        ++count;
        co_return;
      }
      const sync::MutexGuard guard = co_await mutex.lock();  // the second: others run meanwhile
      ++count;
    }));
  }
  co_await join_all(std::move(tasks));
  co_return count;
}

// ---- std::condition_variable ▸ sync::Notify
// ------------------------------------------------------

bool notify_with_threads() {
  std::mutex mutex;
  std::condition_variable changed;
  bool is_ready = false;
  std::thread producer([&] {
    const std::lock_guard guard(mutex);
    is_ready = true;
    changed.notify_one();
  });
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return is_ready; });
  lock.unlock();
  producer.join();
  return is_ready;
}

Async<bool> notify_with_tasks() {
  sync::Notify arrived;  // remembers a notification that came first
  auto producer = spawn([&] { arrived.notify_one(); });
  co_await arrived.wait();
  (co_await producer).get();
  co_return true;
}

// ---- a queue with a lock ▸ channel::Channel
// ------------------------------------------------------

int queue_with_threads() {
  std::mutex mutex;
  std::deque<int> queue;
  std::thread producer([&] {
    for (int i = 1; i <= 100; ++i) {
      const std::lock_guard guard(mutex);
      queue.push_back(i);
    }
  });
  int sum = 0;
  for (int taken = 0; taken < 100;) {
    const std::lock_guard guard(mutex);
    if (queue.empty()) continue;
    sum += queue.front();
    queue.pop_front();
    ++taken;
  }
  producer.join();
  return sum;
}

Async<int> queue_with_tasks() {
  channel::Channel<int> queue(16);
  auto producer = spawn([&]() -> Async<> {
    for (int i = 1; i <= 100; ++i) {
      // The first tier says what it found; the second waits for room.
      if (queue.try_send(i) == channel::SendStatus::full) {
        static_cast<void>(co_await queue.send(i));
      }
    }
    queue.close();
  });
  int sum = 0;
  while (const std::optional<int> item = co_await queue.recv()) sum += *item;
  (co_await producer).get();
  co_return sum;
}

// ---- what blocks
// ---------------------------------------------------------------------------------

std::string blocking_call() {
  return "done";  // a driver of a database, say
}

Async<bool> block_in_a_thread_that_may() {
  co_return (co_await spawn_blocking(blocking_call)).get() == "done";
}

Async<bool> tasks() {
  const bool is_counted = co_await count_with_tasks() == kWorkers;
  const bool is_notified = co_await notify_with_tasks();
  const bool is_queued = co_await queue_with_tasks() == 5050;
  co_return is_counted&& is_notified&& is_queued&& co_await block_in_a_thread_that_may();
}

}  // namespace

int main() {
  try {
    const bool threads =
        count_with_threads() == kWorkers && notify_with_threads() && queue_with_threads() == 5050;
    const bool same = threads && run(tasks);
    std::puts(same ? "tasks did what threads did" : "something differs");
    return same ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
