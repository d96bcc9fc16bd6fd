#include <blitzio/channel/channel.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/sync/mutex.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/time/sleep.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

namespace blitzio {
namespace {

Config with(unsigned workers, Strategy strategy = Strategy::automatic) {
  Config config;
  config.workers = workers;
  config.strategy = strategy;
  return config;
}

class EveryStrategy : public testing::TestWithParam<Config> {
 protected:
  void SetUp() override {
    auto made = Runtime::create(GetParam());
    ASSERT_TRUE(made) << made.error().message();
    runtime_ = std::move(*made);
  }
  std::unique_ptr<Runtime> runtime_;
};

std::string name_of(const testing::TestParamInfo<Config>& info) {
  constexpr std::array kNames{"automatic", "work_stealing", "thread_per_core", "single_threaded"};
  return kNames[static_cast<std::size_t>(info.param.strategy)] + std::string("_") +
         std::to_string(info.param.workers);
}

INSTANTIATE_TEST_SUITE_P(Runtime, EveryStrategy,
                         testing::Values(with(1, Strategy::single_threaded),
                                         with(1, Strategy::work_stealing),
                                         with(4, Strategy::work_stealing),
                                         with(3, Strategy::thread_per_core)),
                         name_of);

TEST_P(EveryStrategy, ATasksResultReachesItsJoiner) {
  auto handle = runtime_->spawn([] { return 42; });
  EXPECT_EQ(handle.blocking_join().get(), 42);
}

TEST_P(EveryStrategy, AnExceptionReachesTheJoiner) {
  auto handle = runtime_->spawn([]() -> Async<int> {
    throw std::runtime_error("no");
    co_return 1;
  });
  EXPECT_THROW(static_cast<void>(handle.blocking_join().get()), std::runtime_error);
}

TEST_P(EveryStrategy, BlockOnRunsOnTheCallingThread) {
  const auto caller = std::this_thread::get_id();
  const auto ran = runtime_->run([&]() -> Async<std::thread::id> {
    const auto other = (co_await runtime_->spawn([] { return std::this_thread::get_id(); })).get();
    EXPECT_NE(other, std::this_thread::get_id());
    co_return std::this_thread::get_id();
  });
  EXPECT_EQ(ran, caller);
}

TEST_P(EveryStrategy, TasksSpawnTasksByTheFreeFunction) {
  std::atomic<int> count{0};
  EXPECT_EQ(Runtime::current(), nullptr);
  runtime_->run([&]() -> Async<void> {
    EXPECT_EQ(Runtime::current(), runtime_.get());
    std::vector<JoinHandle<void>> handles;
    for (int i = 0; i < 50; ++i) {
      handles.push_back(spawn([&]() -> Async<void> {
        EXPECT_EQ(Runtime::current(), runtime_.get());
        std::vector<JoinHandle<void>> inner;
        for (int j = 0; j < 40; ++j) inner.push_back(spawn([&] { count.fetch_add(1); }));
        for (auto& handle : inner) static_cast<void>(co_await handle);
      }));
    }
    for (auto& handle : handles) static_cast<void>(co_await handle);
  });
  EXPECT_EQ(count.load(), 2000);
}

TEST_P(EveryStrategy, ManyTasksFromOutsideAllRun) {
  constexpr int kTasks = 20'000;
  std::atomic<int> count{0};
  std::vector<JoinHandle<void>> handles;
  for (int i = 0; i < kTasks; ++i) handles.push_back(runtime_->spawn([&] { count.fetch_add(1); }));
  for (auto& handle : handles) handle.blocking_join().get();
  EXPECT_EQ(count.load(), kTasks);
}

TEST_P(EveryStrategy, ATaskThatYieldsLetsOthersRun) {
  std::atomic<bool> stop{false};
  auto spinner = runtime_->spawn([&]() -> Async<int> {
    int yields = 0;
    while (!stop.load()) {
      co_await yield_now();
      ++yields;
    }
    co_return yields;
  });
  for (int i = 0; i < 100; ++i) runtime_->spawn([] {}).blocking_join().get();
  stop.store(true);
  EXPECT_GT(spinner.blocking_join().get(), 0);
}

TEST_P(EveryStrategy, TasksMeetThroughChannelsAndLocks) {
  channel::Channel<int> channel(8);
  sync::Mutex mutex;
  long sum = 0;
  std::atomic<int> senders{4};
  runtime_->run([&]() -> Async<void> {
    std::vector<JoinHandle<void>> handles;
    for (int s = 0; s < 4; ++s) {
      handles.push_back(spawn([&]() -> Async<void> {
        for (int i = 1; i <= 500; ++i) static_cast<void>(co_await channel.send(i));
        if (senders.fetch_sub(1) == 1) channel.close();
      }));
      handles.push_back(spawn([&]() -> Async<void> {
        while (const auto value = co_await channel.recv()) {
          const sync::MutexGuard guard = co_await mutex.lock();
          sum += *value;
        }
      }));
    }
    for (auto& handle : handles) (co_await handle).get();
  });
  EXPECT_EQ(sum, 4L * 500 * 501 / 2);
}

TEST_P(EveryStrategy, SleepsEndInOrderAndNeverEarly) {
  runtime_->run([&]() -> Async<void> {
    std::vector<JoinHandle<bool>> handles;
    for (int i = 0; i < 200; ++i) {
      handles.push_back(spawn([i]() -> Async<bool> {
        const Instant deadline = Instant::now() + Duration::from_millis(i % 7);
        co_await time::sleep_until(deadline);
        co_return Instant::now() >= deadline;
      }));
    }
    for (auto& handle : handles) EXPECT_TRUE((co_await handle).get());
    // On the thread of block_on(), too.
    const Instant deadline = Instant::now() + Duration::from_millis(3);
    co_await time::sleep_until(deadline);
    EXPECT_GE(Instant::now(), deadline);
  });
}

TEST_P(EveryStrategy, ASleepThatMovedToAnotherWorkerCanBeDropped) {
  runtime_->run([&]() -> Async<void> {
    std::vector<JoinHandle<void>> handles;
    for (int i = 0; i < 100; ++i) {
      handles.push_back(spawn([]() -> Async<void> {
        for (int round = 0; round < 10; ++round) {
          auto sleep = std::make_unique<time::Sleep>(Instant::now() + Duration::from_secs(60));
          co_await poll_fn([&](Context& context) {
            EXPECT_TRUE(sleep->poll(context).is_pending());
            return Poll<void>(ready);
          });
          co_await yield_now();
          sleep.reset();
        }
      }));
    }
    for (auto& handle : handles) (co_await handle).get();
  });
}

TEST_P(EveryStrategy, ACancelledTaskDropsItsFuture) {
  const auto witness = std::make_shared<int>(0);
  auto handle = runtime_->spawn([witness]() -> Async<void> { co_await Pending<void>(); });
  handle.cancel();
  EXPECT_TRUE(handle.blocking_join().is_cancelled());
  while (witness.use_count() != 1) std::this_thread::yield();
}

TEST_P(EveryStrategy, SpawnBlockingRunsOnAThreadOfItsOwn) {
  auto handle = runtime_->spawn_blocking([&] {
    EXPECT_EQ(Runtime::current(), runtime_.get());
    return std::this_thread::get_id();
  });
  const auto worker =
      runtime_->spawn([] { return std::this_thread::get_id(); }).blocking_join().get();
  EXPECT_NE(handle.blocking_join().get(), worker);
}

TEST_P(EveryStrategy, ShutdownCancelsWhatIsLeftAndFreesIt) {
  const auto witness = std::make_shared<int>(0);
  std::vector<JoinHandle<void>> handles;
  for (int i = 0; i < 500; ++i) {
    handles.push_back(runtime_->spawn([witness, i]() -> Async<void> {
      if (i % 3 == 0) co_await time::sleep(Duration::from_secs(3600));
      if (i % 3 == 1) co_await Pending<void>();
      for (;;) co_await yield_now();
    }));
  }
  runtime_->shutdown();
  EXPECT_EQ(witness.use_count(), 1);
  for (auto& handle : handles) EXPECT_TRUE(handle.blocking_join().is_cancelled());
  EXPECT_TRUE(runtime_->spawn([] {}).blocking_join().is_cancelled()) << "after the end";
  EXPECT_TRUE(runtime_->spawn_blocking([] {}).blocking_join().is_cancelled());
}

TEST_P(EveryStrategy, AWakerMayOutliveTheRuntime) {
  auto notify = std::make_unique<sync::Notify>();
  std::atomic<bool> stop{false};
  std::thread notifier([&] {
    while (!stop.load()) notify->notify_all();
  });
  std::vector<JoinHandle<void>> handles;
  for (int i = 0; i < 50; ++i) {
    handles.push_back(runtime_->spawn([&]() -> Async<void> {
      for (;;) co_await notify->wait();
    }));
  }
  runtime_->shutdown();
  runtime_.reset();
  stop.store(true);
  notifier.join();
}

TEST(Runtime, SeveralLiveInOneProcess) {
  auto first = Runtime::create(with(2)).value();
  auto second = Runtime::create(with(2)).value();
  const auto where = [] { return Runtime::current(); };
  EXPECT_EQ(first->spawn(where).blocking_join().get(), first.get());
  EXPECT_EQ(second->spawn(where).blocking_join().get(), second.get());
  // A task of one awaits a task of the other.
  const int answer = first->run([&]() -> Async<int> {
    co_return (co_await first->spawn([&]() -> Async<int> {
      co_return (co_await second->spawn([] { return 7; })).get();
    })).get();
  });
  EXPECT_EQ(answer, 7);
}

TEST(Runtime, WorkOfOneWorkerIsStolenByOthers) {
  auto runtime = Runtime::create(with(4, Strategy::work_stealing)).value();
  std::atomic<int> waiting{0};
  // Tasks that keep their workers until three run at once: two of them were stolen.
  runtime->run([&]() -> Async<void> {
    const auto spawned = co_await runtime->spawn([&]() -> Async<void> {
      std::vector<JoinHandle<void>> handles;
      for (int i = 0; i < 4; ++i) {
        handles.push_back(spawn([&] {
          waiting.fetch_add(1);
          while (waiting.load() < 3) std::this_thread::yield();
        }));
      }
      for (auto& handle : handles) (co_await handle).get();
    });
    EXPECT_TRUE(spawned.has_value());
  });
  std::uint64_t steals = 0;
  for (const WorkerMetrics& worker : runtime->metrics().workers) steals += worker.steals;
  EXPECT_GT(steals, 0U);
}

TEST(Runtime, TasksThatKeepAWorkerBusyAreSharedThoughEachIsShort) {
  auto runtime = Runtime::create(with(2, Strategy::work_stealing)).value();
  std::mutex mutex;
  std::set<std::thread::id> threads;
  const auto add_this_thread = [&] {
    const std::lock_guard lock(mutex);
    threads.insert(std::this_thread::get_id());
    return threads.size();
  };
  runtime->run([&]() -> Async<void> {
    const auto spawned = co_await runtime->spawn([&]() -> Async<void> {
      std::vector<JoinHandle<void>> handles;
      for (int i = 0; i < 8; ++i) {
        handles.push_back(spawn([&]() -> Async<void> {
          while (add_this_thread() < 2) co_await yield_now();
        }));
      }
      for (auto& handle : handles) (co_await handle).get();
    });
    EXPECT_TRUE(spawned.has_value());
  });
  EXPECT_EQ(threads.size(), 2U);
}

TEST(Runtime, TasksStayWithTheirWorkerWithThreadPerCore) {
  auto runtime = Runtime::create(with(3, Strategy::thread_per_core)).value();
  std::vector<JoinHandle<std::size_t>> handles;
  for (int i = 0; i < 30; ++i) {
    handles.push_back(runtime->spawn([]() -> Async<std::size_t> {
      std::set<std::thread::id> threads;
      for (int round = 0; round < 50; ++round) {
        threads.insert(std::this_thread::get_id());
        co_await yield_now();
        if (round % 10 == 0) co_await time::sleep(Duration::from_millis(1));
      }
      co_return threads.size();
    }));
  }
  for (auto& handle : handles) EXPECT_EQ(handle.blocking_join().get(), 1U);
}

TEST(Runtime, MoreReadyTasksThanARingHolds) {
  auto runtime = Runtime::create(with(1, Strategy::work_stealing)).value();
  std::atomic<int> count{0};
  runtime->run([&]() -> Async<void> {
    const auto spawned = co_await runtime->spawn([&]() -> Async<void> {
      std::vector<JoinHandle<void>> handles;
      for (int i = 0; i < 5000; ++i) handles.push_back(spawn([&] { count.fetch_add(1); }));
      for (auto& handle : handles) (co_await handle).get();
    });
    EXPECT_TRUE(spawned.has_value());
  });
  EXPECT_EQ(count.load(), 5000);
}

TEST(Runtime, RunAndRunWithMakeOneForAWhile) {
  EXPECT_EQ(run([] { return 1; }), 1);
  EXPECT_EQ(run_with(with(2), []() -> Async<int> { co_return 2; }), 2);
  EXPECT_THROW(run_with(with(1000), [] {}), std::invalid_argument);
  EXPECT_THROW(run([]() -> Async<void> {
                 throw std::runtime_error("no");
                 co_return;
               }),
               std::runtime_error);
}

}  // namespace
}  // namespace blitzio
