// The end of a Runtime, in good order and in bad, and what it makes of wrong calls. What becomes of
// tasks that wait: runtime_end_test.cpp.
#include <core/executor/support.hpp>

#include <blitzio/executor/group.hpp>
#include <blitzio/executor/parallel.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <set>
#include <string>
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

TEST(RuntimeEnd, FinishesBlockingFunctionsThatRunAndDropsThoseThatWait) {
  std::atomic<int> alive{0};
  std::atomic<bool> go_on{false};
  std::atomic<bool> begun{false};
  std::atomic<int> ran{0};
  Config config;
  config.workers = 1;
  config.blocking_threads_max = 1;
  auto runtime = Runtime::create(config).value();
  auto first = runtime->spawn_blocking([&, counted = Counted(alive)] {
    begun = true;
    while (!go_on.load()) std::this_thread::yield();
    ran.fetch_add(1);
  });
  while (!begun.load()) std::this_thread::yield();
  std::vector<JoinHandle<void>> waiting;
  for (int i = 0; i < 10; ++i) {
    waiting.push_back(runtime->spawn_blocking([&, counted = Counted(alive)] { ran.fetch_add(1); }));
  }
  std::thread ender([&] { runtime.reset(); });
  for (auto& handle : waiting) EXPECT_TRUE(handle.blocking_join().is_cancelled());
  go_on = true;
  ender.join();
  EXPECT_TRUE(first.blocking_join().has_value());
  EXPECT_EQ(ran.load(), 1);
  EXPECT_EQ(alive.load(), 0);
}

TEST(RuntimeEnd, AJoinerOnAnotherRuntimeSeesTheCancel) {
  auto first = make_runtime(1);
  const auto second = make_runtime(1);
  std::atomic<bool> is_waiting{false};
  auto joiner = second->spawn([&]() -> Async<bool> {
    auto handle = first->spawn([] { return Pending<>(); });
    is_waiting = true;
    co_return (co_await handle).is_cancelled();
  });
  while (!is_waiting) std::this_thread::yield();
  first.reset();
  EXPECT_TRUE(joiner.blocking_join().get());
}

TEST(RuntimeEnd, DroppedFuturesMaySpawnAndWake) {
  auto runtime = make_runtime(2);
  auto notify = std::make_shared<sync::Notify>();
  std::atomic<int> late{0};
  struct Spawner {
    Runtime* runtime;
    std::shared_ptr<sync::Notify> notify;
    std::atomic<int>* late;
    ~Spawner() {
      notify->notify_all();
      auto handle = runtime->spawn([] { return 1; });
      if (handle.blocking_join().is_cancelled()) late->fetch_add(1);
    }
  };
  for (int i = 0; i < 20; ++i) {
    runtime
        ->spawn([&]() -> Async<void> {
          const Spawner spawner{runtime.get(), notify, &late};
          for (;;) co_await notify->wait();
        })
        .detach();
  }
  while (runtime->metrics().workers[0].polls + runtime->metrics().workers[1].polls < 20) {
    std::this_thread::yield();
  }
  runtime->shutdown();
  runtime->shutdown();
  EXPECT_EQ(late.load(), 20);
}

TEST(RuntimeEnd, AFutureInBlockOnMayEndItsRuntime) {
  auto runtime = make_runtime(2);
  auto* const raw = runtime.get();
  const int answer = raw->block_on([&]() -> Async<int> {
    (co_await spawn([] {})).get();
    runtime.reset();
    co_return 7;
  }());
  EXPECT_EQ(answer, 7);
  EXPECT_EQ(Runtime::current(), nullptr);
}

// ---- wrong calls -----------------------------------------------------------------------------

TEST(RuntimeDeath, ATaskThatEndsItsOwnRuntimeIsToldSo) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        auto runtime = make_runtime(1);
        runtime->spawn([&] { runtime->shutdown(); }).blocking_join().get();
      },
      "check failed");
  EXPECT_DEATH(
      {
        auto runtime = make_runtime(1);
        runtime->spawn_blocking([&] { runtime.reset(); }).blocking_join().get();
      },
      "is_own_thread");
}

TEST(RuntimeDeath, AResultIsTakenOnce) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        auto handle = make_runtime(1)->spawn([] { return 1; });
        static_cast<void>(handle.blocking_join());
        static_cast<void>(handle.try_join());
      },
      "task_ != nullptr");
}

TEST(RuntimeDeath, SpawningNeedsARuntime) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(spawn([] {}).detach(), "runtime != nullptr");
  EXPECT_DEATH(compute([] {}).detach(), "runtime != nullptr");
  EXPECT_DEATH(static_cast<void>(parallel_for(std::vector<int>(3), [](int) {})),
               "runtime != nullptr");
}

TEST(RuntimeMistakes, AWorkerThatBlocksSharesItsSlotAndDebugBuildsSaySo) {
  const auto runtime = make_runtime(2, Strategy::work_stealing);
  testing::internal::CaptureStderr();
  // The task that is waited for lies in the slot of the worker that waits.
  const int answer =
      runtime->spawn([&] { return runtime->spawn([] { return 7; }).blocking_join().get(); })
          .blocking_join()
          .get();
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(answer, 7);
#if BLITZIO_DEBUG
  EXPECT_EQ(said, "blitzio: a worker blocks, and its other tasks cannot run meanwhile\n");
#else
  EXPECT_EQ(said, "");
#endif
  // Threads that may block say nothing.
  testing::internal::CaptureStderr();
  runtime->spawn_blocking([&] { runtime->spawn([] {}).blocking_join().get(); })
      .blocking_join()
      .get();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

// ---- several runtimes, forking ---------------------------------------------------------------

TEST(Runtime, SpawningFromAnotherRuntimesWorkerSpreadsWithThreadPerCore) {
  const auto outer = make_runtime(1);
  const auto inner = make_runtime(2, Strategy::thread_per_core);
  auto threads = outer->spawn([&]() -> Async<std::size_t> {
    std::set<std::thread::id> seen;
    for (int i = 0; i < 8; ++i) {
      auto handle = inner->spawn([&] {
        EXPECT_EQ(Runtime::current(), inner.get());
        return std::this_thread::get_id();
      });
      seen.insert((co_await handle).get());
    }
    EXPECT_EQ(Runtime::current(), outer.get());
    co_return seen.size();
  });
  EXPECT_EQ(threads.blocking_join().get(), 2U);
}

TEST(Runtime, AForkedChildLeavesItsParentsRuntimeAlone) {
  auto runtime = make_runtime(2);
  auto parked = runtime->spawn([] { return Pending<>(); });
  Group group(*runtime);
  group.spawn([] { return Pending<>(); });
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // Nothing runs here any more, and nothing waits for threads that do not exist.
    auto refused = runtime->spawn([] { return 1; });
    if (!refused.is_finished() || !refused.try_join()->is_cancelled()) ::_exit(1);
    auto blocking = runtime->spawn_blocking([] { return 1; });
    if (!blocking.is_finished() || !blocking.try_join()->is_cancelled()) ::_exit(2);
    if (runtime->block_on(ready(3)) != 3) ::_exit(3);
    parked.cancel();
    parked.detach();
    runtime->shutdown();
    runtime.reset();
#if !BLITZIO_TSAN  // which forbids a thread in a child of many
    auto own = make_runtime(2);
    if (own->spawn([] { return 4; }).blocking_join().get() != 4) ::_exit(4);
#endif
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(runtime->spawn([] { return 5; }).blocking_join().get(), 5);
}

TEST(Runtime, ATaskThatForksEndsInTheChildWithItsPoll) {
  const auto runtime = make_runtime(2);
  const pid_t child = runtime->spawn([] { return ::fork(); }).blocking_join().get();
  ASSERT_GT(child, 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(runtime->spawn([] { return 5; }).blocking_join().get(), 5);
}

}  // namespace
}  // namespace blitzio
