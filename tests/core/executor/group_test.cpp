#include <blitzio/executor/group.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/time/sleep.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
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

Async<void> wait_for_ever() {
  co_await time::sleep(Duration::from_secs(3600));
}

TEST(Group, WaitEndsWhenEveryChildHas) {
  const auto runtime = make_runtime(3);
  std::atomic<int> ended{0};
  runtime->run([&]() -> Async<void> {
    Group group;
    co_await group.wait();  // nobody is there
    for (int round = 1; round <= 3; ++round) {
      for (int i = 0; i < 100; ++i) {
        group.spawn([&ended, i]() -> Async<void> {
          if (i % 3 == 0) co_await time::sleep(Duration::from_millis(1));
          co_await yield_now();
          ended.fetch_add(1);
        });
      }
      co_await group.wait();
      EXPECT_EQ(ended.load(), round * 100);
      EXPECT_EQ(group.pending_count(), 0U);
      EXPECT_FALSE(group.cancel_requested());
    }
  });
}

TEST(Group, AChildHasAHandleOfItsOwn) {
  const auto runtime = make_runtime(2);
  Group group(*runtime);
  auto answer = group.spawn([] { return 42; });
  auto cancelled = group.spawn(wait_for_ever());
  EXPECT_EQ(answer.blocking_join().get(), 42);
  cancelled.cancel();
  group.blocking_wait();  // a child that was cancelled is no failure
  EXPECT_FALSE(group.cancel_requested());
  EXPECT_TRUE(cancelled.blocking_join().is_cancelled());
}

TEST(Group, TheFirstFailureCancelsTheOthersAndReachesTheWaiter) {
  const auto runtime = make_runtime(3);
  const auto witness = std::make_shared<int>(0);
  Group group(*runtime);
  for (int i = 0; i < 50; ++i) {
    group.spawn([witness]() -> Async<void> { co_await wait_for_ever(); });
  }
  auto failing = group.spawn([]() -> Async<int> {
    co_await yield_now();
    throw std::runtime_error("no");
  });
  EXPECT_THROW(group.blocking_wait(), std::runtime_error);
  EXPECT_EQ(witness.use_count(), 1);
  EXPECT_TRUE(group.cancel_requested());
  EXPECT_THROW(static_cast<void>(failing.blocking_join().get()), std::runtime_error);
  auto late = group.spawn([witness] { return 1; });
  EXPECT_TRUE(late.blocking_join().is_cancelled()) << "a failed group takes none";
  EXPECT_THROW(group.blocking_wait(), std::runtime_error) << "each wait tells it";
}

TEST(Group, CancelEndsTheChildren) {
  const auto runtime = make_runtime(2);
  const auto witness = std::make_shared<int>(0);
  Group group(*runtime);
  std::vector<JoinHandle<void>> handles;
  for (int i = 0; i < 50; ++i) {
    handles.push_back(group.spawn([witness]() -> Async<void> { co_await wait_for_ever(); }));
  }
  group.cancel();
  group.cancel();
  group.blocking_wait();
  EXPECT_EQ(witness.use_count(), 1);
  for (auto& handle : handles) EXPECT_TRUE(handle.blocking_join().is_cancelled());
}

TEST(Group, DroppingItCancelsTheChildren) {
  const auto runtime = make_runtime(2);
  const auto witness = std::make_shared<int>(0);
  std::vector<JoinHandle<void>> handles;
  {
    Group group(*runtime);
    for (int i = 0; i < 50; ++i) {
      handles.push_back(group.spawn([witness]() -> Async<void> { co_await wait_for_ever(); }));
    }
  }
  for (auto& handle : handles) EXPECT_TRUE(handle.blocking_join().is_cancelled());
  while (witness.use_count() != 1) std::this_thread::yield();
}

TEST(Group, AChildMayCancelItsGroupAndSpawnIntoIt) {
  const auto runtime = make_runtime(2);
  Group group(*runtime);
  std::atomic<int> ran{0};
  group.spawn([&]() -> Async<void> {
    group.spawn([&] { ran.fetch_add(1); });
    co_await yield_now();
    group.spawn(wait_for_ever());
    group.cancel();
    ran.fetch_add(1);
  });
  group.blocking_wait();
  EXPECT_GE(ran.load(), 1);
}

TEST(Group, GroupsNest) {
  const auto runtime = make_runtime(2);
  const auto witness = std::make_shared<int>(0);
  Group outer(*runtime);
  std::atomic<bool> begun{false};
  outer.spawn([&, witness]() -> Async<void> {
    Group inner;
    inner.spawn([witness]() -> Async<void> { co_await wait_for_ever(); });
    begun = true;
    co_await inner.wait();
  });
  while (!begun) std::this_thread::yield();
  outer.cancel();
  outer.blocking_wait();
  while (witness.use_count() != 1) std::this_thread::yield();
}

TEST(Group, ShuttingTheRuntimeDownEndsTheWait) {
  auto runtime = make_runtime(2);
  Group group(*runtime);
  for (int i = 0; i < 20; ++i) group.spawn(wait_for_ever());
  runtime->shutdown();
  group.blocking_wait();
  EXPECT_TRUE(group.spawn([] {}).blocking_join().is_cancelled());
  runtime.reset();
}

TEST(Group, ADroppedWaitLeavesTheChildrenAlone) {
  const auto runtime = make_runtime(2);
  Group group(*runtime);
  sync::Notify go;
  group.spawn([&]() -> Async<void> { co_await go.wait(); });
  runtime->run([&]() -> Async<void> {
    auto wait = std::make_unique<Group::Wait>(group.wait());
    co_await poll_fn([&](Context& context) {
      EXPECT_TRUE(wait->poll(context).is_pending());
      return Poll<void>(ready);
    });
    wait.reset();
    EXPECT_EQ(group.pending_count(), 1U);
    go.notify_one();
    co_await group.wait();
  });
}

TEST(Group, FailuresAndCancelsFromEverywhereAtOnce) {
  const auto runtime = make_runtime(4);
  for (int round = 0; round < 30; ++round) {
    Group group(*runtime);
    for (int i = 0; i < 20; ++i) {
      group.spawn([i, round]() -> Async<void> {
        for (int k = 0; k < i % 5; ++k) co_await yield_now();
        if (i == round % 20) throw std::logic_error("first");
        if (i % 2 == 0) co_await wait_for_ever();
      });
    }
    if (round % 3 == 0) group.cancel();
    try {
      group.blocking_wait();
      EXPECT_EQ(round % 3, 0) << "cancelled before it could fail";
    } catch (const std::logic_error&) {
    }
  }
}

// ---- concurrent ------------------------------------------------------------------------------

TEST(Concurrent, IsRefusedByASingleWorker) {
  const auto runtime = make_runtime(1);
  Group group(*runtime);
  const auto alone = runtime->concurrent([] {});
  const auto child = group.concurrent([] {});
  ASSERT_FALSE(alone);
  EXPECT_TRUE(alone.error().is(RuntimeErrc::concurrency_unavailable));
  EXPECT_NE(alone.error().message().find("a single thread"), std::string::npos);
  ASSERT_FALSE(child);
  EXPECT_TRUE(child.error().is(RuntimeErrc::concurrency_unavailable));
  EXPECT_EQ(group.pending_count(), 0U);
}

TEST(Concurrent, RunsWhileTheSpawnerKeepsItsWorker) {
  for (const Strategy strategy : {Strategy::work_stealing, Strategy::thread_per_core}) {
    const auto runtime = make_runtime(2, strategy);
    auto spawner = runtime->spawn([&] {
      std::atomic<bool> met{false};
      Group group;
      auto first = concurrent([&] { met = true; });
      EXPECT_TRUE(first.has_value());
      while (!met) std::this_thread::yield();  // no await: the worker stays here
      met = false;
      auto second = group.concurrent([&] { met = true; });
      EXPECT_TRUE(second.has_value());
      while (!met) std::this_thread::yield();
    });
    spawner.blocking_join().get();
  }
}

}  // namespace
}  // namespace blitzio
