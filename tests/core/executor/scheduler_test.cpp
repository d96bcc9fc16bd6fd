// What the scheduler promises (docs/internals/scheduler.md): order, fairness, budget, stealing.
#include <blitzio/executor/runtime.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/time/sleep.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

namespace blitzio {
namespace {

std::unique_ptr<Runtime> make_runtime(unsigned workers, Strategy strategy = Strategy::automatic) {
  Config config;
  config.workers = workers;
  config.strategy = strategy;
  return Runtime::create(config).value();
}

WorkerMetrics only_worker(Runtime& runtime) {
  return runtime.metrics().workers.front();
}

TEST(Scheduler, TheSlotRunsNextButThreeTimesInARowOnly) {
  const auto runtime = make_runtime(1);
  // `first` and `second` wake each other for ever through the slot; the ring's tasks still run, one
  // after each three of theirs.
  std::vector<int> order;
  runtime
      ->spawn([&]() -> Async<void> {
        sync::Notify first;
        sync::Notify second;
        bool is_over = false;
        std::vector<JoinHandle<void>> handles;
        for (int i = 0; i < 4; ++i) {
          handles.push_back(spawn([&order, i] { order.push_back(i); }));
        }
        auto ping = spawn([&]() -> Async<void> {
          while (!is_over) {
            order.push_back(-1);
            second.notify_one();
            co_await first.wait();
          }
          second.notify_one();
        });
        auto pong = spawn([&]() -> Async<void> {
          while (!is_over) {
            co_await second.wait();
            order.push_back(-1);
            first.notify_one();
          }
        });
        for (auto& handle : handles) (co_await handle).get();
        is_over = true;
        first.notify_one();
        second.notify_one();
        (co_await ping).get();
        (co_await pong).get();
      })
      .blocking_join()
      .get();
  int in_a_row = 0;
  int seen = 0;
  for (const int entry : order) {
    if (entry >= 0) {
      in_a_row = 0;
      if (++seen == 4) break;
    } else {
      ++in_a_row;
      EXPECT_LE(in_a_row, 4) << "the slot has starved the ring";
    }
  }
  EXPECT_EQ(seen, 4);
}

TEST(Scheduler, TasksFromOutsideAreNotStarvedByTasksThatWakeEachOther) {
  const auto runtime = make_runtime(1);
  std::atomic<bool> stop{false};
  std::vector<JoinHandle<void>> busy;
  for (int i = 0; i < 10; ++i) {
    busy.push_back(runtime->spawn([&]() -> Async<void> {
      while (!stop.load()) co_await yield_now();
    }));
  }
  for (int i = 0; i < 20; ++i) runtime->spawn([] {}).blocking_join().get();
  stop = true;
  for (auto& handle : busy) handle.blocking_join().get();
  EXPECT_GT(only_worker(*runtime).yields, 0U) << "the budget ended ticks";
}

// The ring has 256 slots. It used to be refilled from an inbox that was walked through each time.
TEST(Scheduler, ManyMoreTasksThanARingHoldsTakeTurns) {
  constexpr int kTasks = 3000;
  for (const Strategy strategy : {Strategy::single_threaded, Strategy::thread_per_core}) {
    const auto runtime = make_runtime(1, strategy);
    std::vector<int> order;
    runtime
        ->spawn([&]() -> Async<void> {
          std::vector<JoinHandle<void>> handles;
          for (int i = 0; i < kTasks; ++i) {
            handles.push_back(spawn([&order, i]() -> Async<void> {
              order.push_back(i);
              co_await yield_now();
              order.push_back(i);
            }));
          }
          EXPECT_GE(only_worker(*runtime).queued, kTasks - 1U) << "all but the slot's";
          for (auto& handle : handles) (co_await handle).get();
        })
        .blocking_join()
        .get();
    ASSERT_EQ(order.size(), 2U * kTasks);
    // Every task has had its first turn before any has its second; the slot's may be early.
    const auto half = order.begin() + kTasks;
    std::vector<int> first(order.begin(), half);
    std::vector<int> second(half, order.end());
    for (std::vector<int>* turns : {&first, &second}) {
      EXPECT_TRUE(std::is_sorted(turns->begin() + 1, turns->end() - 1));
      std::ranges::sort(*turns);
      for (int i = 0; i < kTasks; ++i) ASSERT_EQ((*turns)[static_cast<std::size_t>(i)], i);
    }
    EXPECT_EQ(only_worker(*runtime).queued, 0U);
  }
}

TEST(Scheduler, TasksThatAreLeftBehindTheRingEndWithTheRuntime) {
  for (const Strategy strategy :
       {Strategy::single_threaded, Strategy::thread_per_core, Strategy::work_stealing}) {
    std::atomic<int> dropped{0};
    struct Counted {
      std::atomic<int>* dropped;
      explicit Counted(std::atomic<int>& count) : dropped(&count) {}
      Counted(Counted&& other) noexcept : dropped(std::exchange(other.dropped, nullptr)) {}
      Counted& operator=(Counted&&) = delete;
      Counted(const Counted&) = delete;
      Counted& operator=(const Counted&) = delete;
      ~Counted() {
        if (dropped != nullptr) dropped->fetch_add(1);
      }
    };
    {
      const auto runtime = make_runtime(1, strategy);
      runtime
          ->spawn([&] {
            for (int i = 0; i < 1000; ++i) {
              spawn([counted = Counted(dropped)]() -> Async<void> {
                for (;;) co_await yield_now();
              }).detach();
            }
          })
          .blocking_join()
          .get();
    }
    EXPECT_EQ(dropped.load(), 1000);
  }
}

TEST(Scheduler, TimersFireWhileTasksAreAlwaysReady) {
  const auto runtime = make_runtime(1);
  std::atomic<bool> stop{false};
  auto busy = runtime->spawn([&]() -> Async<void> {
    while (!stop.load()) co_await yield_now();
  });
  runtime->spawn(time::sleep(Duration::from_millis(2))).blocking_join().get();
  stop = true;
  busy.blocking_join().get();
}

TEST(Scheduler, TheRingOfAWorkerThatComputesIsStolen) {
  const auto runtime = make_runtime(2, Strategy::work_stealing);
  std::atomic<int> ran{0};
  runtime
      ->spawn([&]() -> Async<void> {
        std::vector<JoinHandle<void>> handles;
        for (int i = 0; i < 100; ++i) handles.push_back(spawn([&] { ran.fetch_add(1); }));
        // All but the one in the slot get ahead without this worker.
        while (ran.load() < 99) std::this_thread::yield();
        for (auto& handle : handles) (co_await handle).get();
      })
      .blocking_join()
      .get();
  EXPECT_EQ(ran.load(), 100);
}

TEST(Scheduler, WhatIsBehindTheRingOfAWorkerThatComputesIsStolen) {
  constexpr int kTasks = 3000;
  const auto runtime = make_runtime(2, Strategy::work_stealing);
  std::atomic<int> ran{0};
  runtime
      ->spawn([&]() -> Async<void> {
        std::vector<JoinHandle<void>> handles;
        for (int i = 0; i < kTasks; ++i) handles.push_back(spawn([&] { ran.fetch_add(1); }));
        while (ran.load() < kTasks - 1) std::this_thread::yield();
        for (auto& handle : handles) (co_await handle).get();
      })
      .blocking_join()
      .get();
  EXPECT_EQ(ran.load(), kTasks);
}

TEST(Scheduler, TasksThatYieldLetThoseBehindTheRingHaveTheirTurn) {
  constexpr int kTasks = 1000;
  const auto runtime = make_runtime(1, Strategy::work_stealing);
  std::atomic<int> begun{0};
  runtime
      ->spawn([&]() -> Async<void> {
        std::vector<JoinHandle<void>> handles;
        for (int i = 0; i < kTasks; ++i) {
          handles.push_back(spawn([&]() -> Async<void> {
            begun.fetch_add(1);
            // Goes on until all have begun, and keeps the ring full until then.
            while (begun.load() < kTasks) co_await yield_now();
          }));
        }
        for (auto& handle : handles) (co_await handle).get();
      })
      .blocking_join()
      .get();
  EXPECT_EQ(begun.load(), kTasks);
}

TEST(Scheduler, AnIdleRuntimeSleeps) {
  const auto runtime = make_runtime(2, Strategy::work_stealing);
  runtime->spawn([] {}).blocking_join().get();
  const auto parks = [&] {
    std::uint64_t total = 0;
    for (const WorkerMetrics& worker : runtime->metrics().workers) total += worker.parks;
    return total;
  };
  // Once asleep it stays so: no look, no timer. What goes on elsewhere takes a moment.
  std::uint64_t before = parks();
  for (int calm = 0; calm < 3;) {
    runtime->block_on(time::sleep(Duration::from_millis(5)));
    const std::uint64_t now = parks();
    calm = now - std::exchange(before, now) <= 2 ? calm + 1 : 0;
  }
}

TEST(Scheduler, SaysWhatItIs) {
  const auto runtime = make_runtime(3, Strategy::thread_per_core);
  while (runtime->scheduler().sleeping != 3) std::this_thread::yield();
  EXPECT_EQ(runtime->scheduler().workers, 3U);
  EXPECT_EQ(runtime->scheduler().strategy, Strategy::thread_per_core);
  EXPECT_EQ(runtime->scheduler().queued, 0U);
  EXPECT_EQ(runtime->spawn_future(ready(3)).blocking_join().get(), 3);
  EXPECT_EQ(runtime->run([]() -> Async<int> { co_return (co_await spawn_future(ready(4))).get(); }),
            4);
}

TEST(Scheduler, MetricsCountPollsParksAndBlockingThreads) {
  const auto runtime = make_runtime(1);
  const WorkerMetrics before = only_worker(*runtime);
  std::vector<JoinHandle<void>> handles;
  for (int i = 0; i < 100; ++i) handles.push_back(runtime->spawn([] {}));
  for (auto& handle : handles) handle.blocking_join().get();
  const WorkerMetrics after = only_worker(*runtime);
  EXPECT_GE(after.polls - before.polls, 100U);
  EXPECT_EQ(after.steals, 0U);
  while (only_worker(*runtime).parks == 0) std::this_thread::yield();
  std::atomic<bool> go_on{false};
  auto blocking = runtime->spawn_blocking([&] {
    while (!go_on.load()) std::this_thread::yield();
  });
  auto computing = runtime->compute([&] {
    while (!go_on.load()) std::this_thread::yield();
  });
  EXPECT_EQ(runtime->metrics().blocking.threads, 1U);
  EXPECT_EQ(runtime->metrics().blocking.idle, 0U);
  EXPECT_EQ(runtime->metrics().compute.threads, 1U);
  go_on = true;
  blocking.blocking_join().get();
  computing.blocking_join().get();
}

}  // namespace
}  // namespace blitzio
