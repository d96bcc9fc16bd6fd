// Tasks that share a channel or a lock, on a Runtime that serves all iterations. Timed: spawning
// them, all that they do, and joining them.
#include "../common/allocations.hpp"
#include "benchmarks.hpp"

#include <blitzio/channel/channel.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/sync/mutex.hpp>
#include <blitzio/sync/rw_lock.hpp>
#include <blitzio/sync/semaphore.hpp>
#include <blitzio/task/async.hpp>

#include <atomic>
#include <memory>
#include <vector>

namespace blitzio::bench {

namespace {

using Queue = channel::Channel<std::uint64_t>;
using Handles = std::vector<JoinHandle<void>>;
constexpr std::size_t kTasksMax = 8;

Async<> join_all(Handles& handles) {
  for (auto& handle : handles) (co_await handle).get();
}

// ---- the channel -----------------------------------------------------------------------------

Async<> produce(Queue& queue, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    require((co_await queue.send(i)).has_value(), "send");
  }
}

Async<> consume(Queue& queue, std::atomic<std::size_t>& received) {
  std::size_t count = 0;
  while (const auto value = co_await queue.recv()) {
    keep(*value);
    ++count;
  }
  received.fetch_add(count, std::memory_order_relaxed);
}

Async<> pass_through(Runtime& runtime, std::size_t total, std::size_t capacity) {
  constexpr std::size_t kSides = 4;
  Queue queue(capacity);
  std::atomic<std::size_t> received{0};
  Handles producers;
  Handles consumers;
  producers.reserve(kSides);
  consumers.reserve(kSides);
  for (std::size_t i = 0; i < kSides; ++i) {
    producers.push_back(runtime.spawn(produce(queue, total / kSides)));
  }
  for (std::size_t i = 0; i < kSides; ++i) {
    consumers.push_back(runtime.spawn(consume(queue, received)));
  }
  co_await join_all(producers);
  queue.close();
  co_await join_all(consumers);
  require(received.load() == total, "every message once");
}

// ---- locks -----------------------------------------------------------------------------------

/// A lock and what it protects: nothing but a counter that shows that all operations were done.
template <class Lock>
struct Shared {
  Lock lock;
  std::atomic<std::uint64_t> counter{0};
  void count() noexcept { counter.fetch_add(1, std::memory_order_relaxed); }
};

Async<> lock_often(Shared<sync::Mutex>& shared, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto guard = co_await shared.lock.lock();
    shared.count();
  }
}
Async<> read_often(Shared<sync::RwLock>& shared, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto guard = co_await shared.lock.read();
    shared.count();
  }
}
Async<> write_often(Shared<sync::RwLock>& shared, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto guard = co_await shared.lock.write();
    shared.count();
  }
}
struct TwoPermits : sync::Semaphore {
  TwoPermits() noexcept : Semaphore(2) {}
};
Async<> acquire_often(Shared<TwoPermits>& shared, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto permit = co_await shared.lock.acquire();
    require(permit.has_value(), "acquire");
    shared.count();
  }
}

template <class Lock, class Spawn>
auto with_shared(const std::shared_ptr<std::unique_ptr<Runtime>>& runtime, std::size_t expected,
                 Spawn spawn_all) {
  return [=, shared = std::make_shared<Shared<Lock>>()] {
    reset_allocations();
    shared->counter.store(0);
    const std::int64_t time = time_of([&] {
      Handles handles;
      handles.reserve(kTasksMax);
      (*runtime)->block_on([&]() -> Async<> {
        spawn_all(**runtime, *shared, handles);
        return join_all(handles);
      }());
    });
    require(shared->counter.load() == expected, "every operation once");
    return time;
  };
}

}  // namespace

void add_contended(std::vector<SyncBenchmark>& list, const Sizes& sizes) {
  // Made with the first benchmark that needs it, so that the others run without its threads.
  const auto holder = std::make_shared<std::unique_ptr<Runtime>>();
  const auto with_runtime = [&](std::string_view name, std::size_t ops, auto iterate) {
    list.push_back({name, ops, [=, workers = sizes.workers] {
                      if (*holder == nullptr) {
                        Config config;
                        config.workers = workers;
                        auto made = Runtime::create(config);
                        require(made.has_value(), "Runtime::create");
                        *holder = std::move(*made);
                      }
                      return iterate();
                    }});
  };
  const std::size_t total = sizes.async_ops;
  with_runtime("channel_mpmc", total, [=, capacity = sizes.mpmc_buffer] {
    reset_allocations();
    return time_of([&] { (*holder)->block_on(pass_through(**holder, total, capacity)); });
  });
  with_runtime("mutex_contended", total,
               with_shared<sync::Mutex>(
                   holder, total, [=](Runtime& runtime, auto& shared, Handles& handles) {
                     for (int i = 0; i < 4; ++i) {
                       handles.push_back(runtime.spawn(lock_often(shared, total / 4)));
                     }
                   }));
  const std::size_t each = total / 6;
  with_runtime("rwlock_contended", 6 * each,
               with_shared<sync::RwLock>(
                   holder, 6 * each, [=](Runtime& runtime, auto& shared, Handles& handles) {
                     for (int i = 0; i < 4; ++i) {
                       handles.push_back(runtime.spawn(read_often(shared, each)));
                     }
                     for (int i = 0; i < 2; ++i) {
                       handles.push_back(runtime.spawn(write_often(shared, each)));
                     }
                   }));
  with_runtime(
      "semaphore_contended", total,
      with_shared<TwoPermits>(holder, total, [=](Runtime& runtime, auto& shared, Handles& handles) {
        for (int i = 0; i < 8; ++i) {
          handles.push_back(runtime.spawn(acquire_often(shared, total / 8)));
        }
      }));
}

}  // namespace blitzio::bench
