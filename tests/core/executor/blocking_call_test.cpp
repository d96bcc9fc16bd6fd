// spawn_blocking() and call_blocking() where there is a Runtime and where there is none.
#include <blitzio/executor/blocking_call.hpp>
#include <blitzio/executor/local_executor.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/block_on.hpp>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace blitzio {
namespace {

std::string thread_name() {
  std::array<char, 16> name{};
  pthread_getname_np(pthread_self(), name.data(), name.size());
  return name.data();
}

TEST(SpawnBlocking, NeedsNoRuntime) {
  EXPECT_TRUE(spawn_blocking(thread_name).blocking_join().get().starts_with("blitzio-blk"));
  spawn_blocking([] {}).blocking_join().get();
}

TEST(SpawnBlocking, WorksFromALocalExecutor) {
  const auto executor = LocalExecutor::create().value();
  const std::thread::id own = std::this_thread::get_id();
  executor->block_on([&]() -> Async<void> {
    std::vector<JoinHandle<std::thread::id>> handles;
    for (int i = 0; i < 50; ++i) {
      handles.push_back(spawn_blocking([] { return std::this_thread::get_id(); }));
    }
    for (auto& handle : handles) EXPECT_NE((co_await handle).get(), own);
  }());
}

// What the function holds is part of the job: it waits for another one when it goes.
TEST(SpawnBlocking, WhatTheFunctionHoldsMayWaitForAnother) {
  struct Waits {
    Waits() = default;
    Waits(Waits&& other) noexcept : is_own(std::exchange(other.is_own, false)) {}
    Waits(const Waits&) = delete;
    Waits& operator=(const Waits&) = delete;
    Waits& operator=(Waits&&) = delete;
    ~Waits() {
      if (is_own) spawn_blocking([] {}).blocking_join().get();
    }
    bool is_own = true;
  };
  for (int i = 0; i < 20; ++i) {
    spawn_blocking([held = Waits()] {}).blocking_join().get();
    EXPECT_EQ(spawn_blocking([held = Waits()] { return 1; }).blocking_join().get(), 1);
  }
}

TEST(SpawnBlocking, WhatTheFunctionThrowsReachesTheJoiner) {
  auto handle = spawn_blocking([]() -> int { throw std::runtime_error("no"); });
  EXPECT_THROW(handle.blocking_join().get(), std::runtime_error);
}

TEST(SpawnBlocking, UsesThePoolOfTheCurrentRuntime) {
  const auto runtime = Runtime::create().value();
  const auto used = [&] { return runtime->metrics().blocking.threads; };
  spawn_blocking([] {}).blocking_join().get();
  EXPECT_EQ(used(), 0U);
  runtime->block_on([&]() -> Async<void> { (co_await spawn_blocking([] {})).get(); }());
  EXPECT_EQ(used(), 1U);
}

TEST(CallBlocking, BeginsWhenItIsPolledAndGivesTheResult) {
  std::atomic<int> calls{0};
  auto call = call_blocking([&]() -> Result<int> { return ++calls; });
  EXPECT_EQ(calls.load(), 0);
  EXPECT_EQ(block_on(call).value(), 1);
  EXPECT_EQ(block_on(call_blocking([]() -> Result<void> { return fail(Error::os(EIO)); })).error(),
            Error::os(EIO));
}

TEST(CallBlocking, DroppedWhileItRunsItsResultIsDestroyedThere) {
  std::latch running(1);
  std::latch may_end(1);
  std::atomic<bool> destroyed{false};
  {
    auto call = call_blocking([&]() -> Result<std::shared_ptr<int>> {
      running.count_down();
      may_end.wait();
      return std::shared_ptr<int>(new int(1), [&](int* value) {
        delete value;
        destroyed = true;
        destroyed.notify_one();
      });
    });
    const auto executor = LocalExecutor::create().value();
    executor->block_on([&]() -> Async<void> {
      auto handle = executor->spawn(std::move(call));
      while (!running.try_wait()) co_await yield_now();
      handle.cancel();
      EXPECT_TRUE((co_await handle).is_cancelled());
    }());
  }
  EXPECT_FALSE(destroyed.load());
  may_end.count_down();
  destroyed.wait(false);
}

}  // namespace
}  // namespace blitzio
