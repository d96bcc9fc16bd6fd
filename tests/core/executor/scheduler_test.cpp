// What the scheduler promises (docs/internals/scheduler.md): order, fairness, budget, stealing.
#include <core/executor/support.hpp>

#include <blitzio/executor/runtime.hpp>
#include <blitzio/net/unix.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/time/sleep.hpp>

#include <gtest/gtest.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
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

TEST(Scheduler, TheSlotRunsNextThreeTimesInARow) {
  const auto runtime = make_runtime(1);
  // Two tasks wake each other for ever through the slot, and two others go round in the ring.
  enum class Place : std::uint8_t { slot, ring };
  std::vector<Place> order;
  runtime
      ->spawn([&]() -> Async<void> {
        sync::Notify first;
        sync::Notify second;
        bool is_over = false;
        std::vector<JoinHandle<void>> handles;
        handles.push_back(spawn([&]() -> Async<void> {
          while (!is_over) {
            order.push_back(Place::slot);
            second.notify_one();
            co_await first.wait();
          }
          second.notify_one();
        }));
        handles.push_back(spawn([&]() -> Async<void> {
          while (!is_over) {
            co_await second.wait();
            order.push_back(Place::slot);
            first.notify_one();
          }
        }));
        for (int i = 0; i < 2; ++i) {
          handles.push_back(spawn([&]() -> Async<void> {
            while (order.size() < 400) {
              order.push_back(Place::ring);
              co_await yield_now();
            }
            is_over = true;
          }));
        }
        for (auto& handle : handles) (co_await handle).get();
      })
      .blocking_join()
      .get();
  // From where all four are under way, to the last that the ring's are.
  order.resize(400);
  const auto begin = std::find(order.begin() + 20, order.end(), Place::ring);
  int in_a_row = 0;
  for (auto entry = begin + 1; entry != order.end(); ++entry) {
    if (*entry == Place::slot) {
      ++in_a_row;
      ASSERT_LE(in_a_row, 3) << "the slot starves the ring";
    } else {
      ASSERT_EQ(std::exchange(in_a_row, 0), 3) << "the slot does not run next";
    }
  }
}

// Tasks that are always ready: I/O, timers and other threads' tasks have their turn after so many.
TEST(Scheduler, ATickIs128PollsLong) {
  const auto runtime = make_runtime(1);
  std::vector<std::uint64_t> ends;
  runtime
      ->spawn([&]() -> Async<void> {
        std::uint64_t yields = only_worker(*runtime).yields;
        while (ends.size() < 5) {
          co_await yield_now();
          const WorkerMetrics now = only_worker(*runtime);
          if (std::exchange(yields, now.yields) != now.yields) ends.push_back(now.polls);
        }
      })
      .blocking_join()
      .get();
  for (std::size_t i = 1; i < ends.size(); ++i) EXPECT_EQ(ends[i] - ends[i - 1], 128U);
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

TEST(Scheduler, MetricsCountTasksThatWaitForAnyWorker) {
  const auto runtime = make_runtime(2, Strategy::work_stealing);
  std::atomic<int> busy{0};
  std::atomic<bool> go_on{false};
  std::vector<JoinHandle<void>> handles;
  for (int i = 0; i < 2; ++i) {
    handles.push_back(runtime->spawn([&] {
      busy.fetch_add(1);
      while (!go_on.load()) std::this_thread::yield();
    }));
  }
  while (busy.load() < 2) std::this_thread::yield();
  EXPECT_EQ(runtime->metrics().injected, 0U);
  for (int i = 0; i < 3; ++i) handles.push_back(runtime->spawn([] {}));
  EXPECT_EQ(runtime->metrics().injected, 3U);
  EXPECT_EQ(runtime->scheduler().queued, 3U);
  go_on = true;
  for (auto& handle : handles) handle.blocking_join().get();
  EXPECT_EQ(runtime->metrics().injected, 0U);
}

using SchedulerOnEachBackend = OnEachBackend;
INSTANTIATE_TEST_SUITE_P(Executor, SchedulerOnEachBackend, testing::ValuesIn(usable_backends()),
                         backend_name);

bool reader_has_bytes(const net::UnixStream& reader) {
  int count = 0;
  EXPECT_EQ(::ioctl(reader.fd(), FIONREAD, &count), 0);
  return count > 0;
}

TEST_P(SchedulerOnEachBackend, MetricsCountOperationsAndCompletions) {
  constexpr int kReads = 20;
  Config config;
  config.workers = 1;
  config.driver.backend = GetParam();
  const auto runtime = Runtime::create(config).value();
  const WorkerMetrics before = only_worker(*runtime);
  runtime
      ->spawn([&]() -> Async<void> {
        auto [reader, writer] = net::UnixStream::pair().value();
        // Each read has to wait, and a completion ends its wait.
        const auto read = [&]() -> Async<void> {
          std::array<std::byte, 1> byte{};
          for (int i = 0; i < kReads; ++i) EXPECT_EQ(co_await reader.read(byte), 1U);
        };
        auto reading = spawn(read());
        int written = 0;
        while (written < kReads) {
          co_await yield_now();
          const std::array<std::byte, 1> byte{};
          EXPECT_EQ(co_await writer.write(byte), 1U);
          ++written;
          // Until it was taken.
          while (reader_has_bytes(reader)) co_await yield_now();
        }
        (co_await reading).get();
      })
      .blocking_join()
      .get();
  // They are counted in the tick that follows.
  while (only_worker(*runtime).io_completed - before.io_completed < kReads) {
    std::this_thread::yield();
  }
  EXPECT_GE(only_worker(*runtime).io_submitted - before.io_submitted, 1U);
}

}  // namespace
}  // namespace blitzio
