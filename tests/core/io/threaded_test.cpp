// What is particular to Threaded and Evented: limits, running in place.
#include <blitzio/io/evented.hpp>
#include <blitzio/io/threaded.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/task/join_all.hpp>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace blitzio::io {
namespace {

std::thread::id here() {
  return std::this_thread::get_id();
}

TEST(Threaded, EachTaskHasAThreadUpToTheLimitAndThenRunsInPlace) {
  Threaded threaded({.async_limit = 2});
  threaded.io().run(
      [&](Io io) -> Async<void> {
        sync::Notify stop;
        const auto stay = [&]() -> Async<std::thread::id> {
          co_await stop.wait();
          co_return here();
        };
        auto first = io.async_(stay);
        auto second = io.async_(stay);
        EXPECT_EQ(threaded.metrics().busy, 2U);
        auto third = io.async_(here);
        EXPECT_TRUE(third.is_finished());
        EXPECT_EQ(third.try_await()->value(), here());
        EXPECT_EQ(threaded.metrics().busy, 2U);
        // concurrent() has a limit of its own.
        auto fourth = io.concurrent(here);
        EXPECT_TRUE(fourth.has_value());
        EXPECT_NE((co_await fourth->await()).get(), here());
        stop.notify_one();
        stop.notify_one();
        const auto one = (co_await first.await()).get();
        const auto two = (co_await second.await()).get();
        EXPECT_NE(one, here());
        EXPECT_NE(two, here());
        EXPECT_NE(one, two);
      },
      threaded.io());
  EXPECT_EQ(threaded.metrics().busy, 0U);
}

TEST(Threaded, WithoutThreadsEverythingRunsInPlaceInOrder) {
  Threaded threaded({.async_limit = 0, .concurrent_limit = 0});
  threaded.io().run(
      [](Io io) -> Async<void> {
        std::vector<int> order;
        auto first = io.async_([&]() -> Async<void> {
          co_await io.sleep(1_ms);
          order.push_back(1);
        });
        order.push_back(2);
        EXPECT_EQ(order, (std::vector<int>{1, 2}));
        EXPECT_TRUE(first.is_finished());
        auto refused = io.concurrent([&] { order.push_back(3); });
        EXPECT_EQ(refused.error(), Error::runtime(RuntimeErrc::concurrency_unavailable));
        IoGroup group = io.group();
        EXPECT_FALSE(group.concurrent([&] { order.push_back(4); }).has_value());
        group.async_([&] { order.push_back(5); });
        co_await group.wait();
        EXPECT_EQ(order, (std::vector<int>{1, 2, 5}));
      },
      threaded.io());
}

TEST(Threaded, ConcurrencyEndsAtItsLimitAndComesBack) {
  Threaded threaded({.concurrent_limit = 1});
  threaded.io().run(
      [&](Io io) -> Async<void> {
        sync::Notify stop;
        auto first = io.concurrent([&]() -> Async<void> { co_await stop.wait(); });
        EXPECT_TRUE(first.has_value());
        EXPECT_FALSE(io.concurrent(here).has_value());
        stop.notify_one();
        (co_await first->await()).get();
        EXPECT_TRUE(io.concurrent(here).has_value());
      },
      threaded.io());
}

// The wakes of what a thread is inside of must not get lost in a task that runs in place.
TEST(Threaded, ATaskThatRunsInPlaceDoesNotSwallowItsStartersWakes) {
  Threaded threaded({.async_limit = 0});
  for (int round = 0; round < 50; ++round) {
    threaded.io().run(
        [](Io io) -> Async<void> {
          sync::Notify outer;
          sync::Notify inner;
          auto waker = io.concurrent([&]() -> Async<void> {
            outer.notify_one();
            inner.notify_one();
            co_return;
          });
          // Both branches are polled on this thread; the second runs a task in place meanwhile.
          const auto wait_inside = [&]() -> Async<void> {
            (co_await io.async_([&]() -> Async<void> { co_await inner.wait(); }).await()).get();
          };
          const auto wait_outside = [&]() -> Async<void> { co_await outer.wait(); };
          std::vector<Async<void>> both;
          both.push_back(wait_outside());
          both.push_back(wait_inside());
          co_await join_all(std::move(both));
          (co_await waker->await()).get();
        },
        threaded.io());
  }
}

TEST(Threaded, AForkedChildCanDestroyIt) {
  auto threaded = std::make_unique<Threaded>();
  threaded->io().run(
      [&](Io io) -> Async<void> {
        auto waits = io.concurrent([](Io inner) -> Async<void> { co_await inner.sleep(1_h); }, io);
        EXPECT_TRUE(waits.has_value());
        const pid_t child = ::fork();
        if (child == 0) {
          threaded.reset();
          ::_exit(0);
        }
        int status = -1;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
        EXPECT_TRUE((co_await waits->cancel()).is_cancelled());
      },
      threaded->io());
}

TEST(Threaded, ManyThreadsStartAndCancelTasks) {
  Threaded threaded({.async_limit = 3});
  std::atomic<int> ended{0};
  std::vector<std::thread> starters;
  for (int i = 0; i < 3; ++i) {
    starters.emplace_back([&] {
      threaded.io().run(
          [&](Io io) -> Async<void> {
            for (int round = 0; round < 30; ++round) {
              auto done = io.async_([&] { ended.fetch_add(1); });
              auto waits = io.concurrent(
                  [](Io inner) -> Async<void> { co_await inner.sleep(Duration::from_hours(1)); },
                  io);
              (co_await done.await()).get();
              EXPECT_TRUE((co_await waits->cancel()).is_cancelled());
            }
          },
          threaded.io());
    });
  }
  for (std::thread& starter : starters) starter.join();
  EXPECT_EQ(ended.load(), 90);
}

TEST(Evented, WithOneWorkerThereIsNoConcurrency) {
  Config config;
  config.workers = 1;
  const auto evented = Evented::create(config).value();
  const Io io = evented->io();
  bool was_called = false;
  EXPECT_EQ(io.concurrent([&] { was_called = true; }).error(),
            Error::runtime(RuntimeErrc::concurrency_unavailable));
  EXPECT_FALSE(was_called);
  EXPECT_EQ(io.block_on(io.async_([] { return 1; })).get(), 1);
}

TEST(Evented, ServesARuntimeThatIsThere) {
  Config config;
  config.workers = 2;
  const auto runtime = Runtime::create(config).value();
  Evented evented(*runtime);
  EXPECT_EQ(&evented.runtime(), runtime.get());
  const int answer = runtime->run([&]() -> Async<int> {
    co_return (co_await evented.io().async_([] { return 42; }).await()).get();
  });
  EXPECT_EQ(answer, 42);
}

}  // namespace
}  // namespace blitzio::io
