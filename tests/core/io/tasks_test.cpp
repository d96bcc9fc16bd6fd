// Tasks of an Io: one suite over every implementation.
#include <blitzio/io/io.hpp>
#include <blitzio/io/sync.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>

#include <gtest/gtest.h>
#include <core/io/implementations.hpp>

#include <atomic>
#include <deque>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

namespace blitzio::io {
namespace {

class Tasks : public testing::EveryIo {};

int add(int a, int b) {
  return a + b;
}

Async<int> add_later(Io io, int a, int b) {
  co_await io.sleep(1_ms);
  co_return a + b;
}

Async<void> wait_for_ever(Io io, std::shared_ptr<int> /*held*/) {
  co_await io.sleep(Duration::from_hours(1000));
}

TEST_P(Tasks, AsyncRunsFunctionsAndCoroutinesWithTheirArguments) {
  const int sum = io().run(
      [](Io io) -> Async<int> {
        IoFuture<int> now = io.async_(add, 1, 2);
        IoFuture<int> later = io.async_(add_later, io, 10, 20);
        IoFuture<int> future = io.async_(add_later(io, 100, 200));
        const std::string text = "a text that is too long to be kept in place";
        IoFuture<std::size_t> length = io.async_(
            [](const std::string& copied) -> Async<std::size_t> {
              co_await yield_now();
              co_return copied.size();
            },
            text);
        co_return (co_await now.await()).get() + (co_await later.await()).get() +
            (co_await future.await()).get() + static_cast<int>((co_await length.await()).get());
      },
      io());
  EXPECT_EQ(sum, 3 + 30 + 300 + 43);
}

TEST_P(Tasks, AwaitAndCancelCanBeCalledAgain) {
  io().run(
      [](Io io) -> Async<void> {
        IoFuture<int> future = io.async_(add_later, io, 1, 2);
        for (int i = 0; i < 3; ++i) EXPECT_EQ((co_await future.await()).get(), 3);
        EXPECT_EQ((co_await future.cancel()).get(), 3);
        EXPECT_EQ(future.try_await()->value(), 3);
        EXPECT_TRUE(future.is_finished());
      },
      io());
}

TEST_P(Tasks, AResultThatCannotBeCopiedIsGivenOnce) {
  io().run(
      [](Io io) -> Async<void> {
        auto future = io.async_([] { return std::make_unique<int>(7); });
        const std::unique_ptr<int> value = (co_await future.await()).get();
        EXPECT_EQ(*value, 7);
      },
      io());
}

TEST_P(Tasks, WhatAFunctionThrowsReachesItsAwaiter) {
  io().run(
      [](Io io) -> Async<void> {
        auto future = io.async_(
            [](Io inner) -> Async<int> {
              co_await inner.sleep(1_ms);
              throw std::runtime_error("no");
            },
            io);
        JoinResult<int> result = co_await future.await();
        EXPECT_NE(result.exception(), nullptr);
        EXPECT_THROW(static_cast<void>(std::move(result).get()), std::runtime_error);
      },
      io());
}

TEST_P(Tasks, CancelEndsACoroutineWhereItWaitsAndDropsWhatItHolds) {
  io().run(
      [](Io io) -> Async<void> {
        auto held = std::make_shared<int>(1);
        auto future = io.concurrent(wait_for_ever, io, held);
        EXPECT_TRUE(future.has_value());
        EXPECT_TRUE((co_await future->cancel()).is_cancelled());
        EXPECT_TRUE((co_await future->await()).is_cancelled());
        EXPECT_EQ(held.use_count(), 1);
      },
      io());
}

TEST_P(Tasks, DroppingAFutureCancelsAndDetachingDoesNot) {
  io().run(
      [](Io io) -> Async<void> {
        auto held = std::make_shared<int>(1);
        {
          auto dropped = io.concurrent(wait_for_ever, io, held);
          EXPECT_TRUE(dropped.has_value());
        }
        while (held.use_count() > 1) co_await io.sleep(1_ms);
        auto done = std::make_shared<std::atomic<bool>>(false);
        auto detached = io.concurrent(
            [](Io inner, std::shared_ptr<std::atomic<bool>> flag) -> Async<void> {
              co_await inner.sleep(1_ms);
              flag->store(true);
            },
            io, done);
        EXPECT_TRUE(detached.has_value());
        detached->detach();
        while (!done->load()) co_await io.sleep(1_ms);
      },
      io());
}

TEST_P(Tasks, AFunctionThatDoesNotWaitCanAskWhetherItShallEnd) {
  if (GetParam().is_simulated) GTEST_SKIP() << "there nothing runs beside a plain function";
  EXPECT_FALSE(io().cancel_requested());
  io().run(
      [](Io io) -> Async<void> {
        sync::Notify runs;
        auto spinning = io.concurrent([&] {
          runs.notify_one();
          while (!Io::cancel_requested()) std::this_thread::yield();
          return 7;
        });
        EXPECT_TRUE(spinning.has_value());
        co_await runs.wait();
        EXPECT_FALSE(io.cancel_requested());
        EXPECT_EQ((co_await spinning->cancel()).get(), 7);  // it ended by itself
      },
      io());
}

TEST_P(Tasks, ConcurrentTasksWaitForOneAnother) {
  io().run(
      [](Io io) -> Async<void> {
        constexpr int kItems = 200;
        Mutex mutex;
        Condition added;
        std::deque<int> queue;
        const auto produce = [&](int first) -> Async<void> {
          for (int i = first; i < kItems; i += 2) {
            const MutexGuard guard = co_await mutex.lock();
            queue.push_back(i);
            added.signal();
          }
        };
        const auto consume = [&]() -> Async<int> {
          int sum = 0;
          for (int i = 0; i < kItems; ++i) {
            MutexGuard guard = co_await mutex.lock();
            while (queue.empty()) guard = co_await added.wait(std::move(guard));
            sum += queue.front();
            queue.pop_front();
          }
          co_return sum;
        };
        auto consumer = io.concurrent(consume);
        auto odd = io.concurrent(produce, 1);
        auto even = io.concurrent(produce, 0);
        EXPECT_TRUE(consumer.has_value() && odd.has_value() && even.has_value());
        EXPECT_EQ((co_await consumer->await()).get(), kItems * (kItems - 1) / 2);
        (co_await odd->await()).get();
        (co_await even->await()).get();
      },
      io());
}

TEST_P(Tasks, SelectGivesTheFirstAndLeavesTheOthers) {
  io().run(
      [](Io io) -> Async<void> {
        auto never = io.concurrent(wait_for_ever, io, nullptr);
        auto soon = io.concurrent(add_later, io, 1, 2);
        EXPECT_TRUE(never.has_value() && soon.has_value());
        auto first = co_await io.select(*never, *soon, io.sleep(Duration::from_hours(1000)));
        EXPECT_EQ(first.index(), 1U);
        EXPECT_EQ(std::get<1>(first).value(), 3);
        auto second = co_await io.select(*never, io.sleep(1_ms));
        EXPECT_EQ(second.index(), 1U);
        EXPECT_FALSE(never->is_finished());
        EXPECT_TRUE((co_await never->cancel()).is_cancelled());
      },
      io());
}

TEST_P(Tasks, TimePassesOnItsOwnClock) {
  io().run(
      [](Io io) -> Async<void> {
        const Instant start = io.now();
        co_await io.sleep(2_ms);
        EXPECT_GE(io.now() - start, 2_ms);
        const auto late = co_await io.timeout(1_ms, io.sleep(Duration::from_hours(1000)));
        EXPECT_TRUE(!late && late.error().is(RuntimeErrc::timed_out));
        time::Interval tick = io.interval(1_ms);
        const Instant first = co_await tick.tick();
        EXPECT_EQ(co_await tick.tick(), first + 1_ms);
      },
      io());
}

TEST_P(Tasks, AGroupWaitsForItsTasks) {
  io().run(
      [](Io io) -> Async<void> {
        std::atomic<int> ended{0};
        IoGroup group = io.group();
        co_await group.wait();
        for (int i = 0; i < 20; ++i) {
          group.async_(
              [&ended, i](Io inner) -> Async<void> {
                if (i % 3 == 0) co_await inner.sleep(1_ms);
                ended.fetch_add(1);
              },
              io);
        }
        EXPECT_TRUE(group.concurrent(add, 1, 2).has_value());
        co_await group.wait();
        EXPECT_EQ(ended.load(), 20);
        EXPECT_EQ(group.pending_count(), 0U);
      },
      io());
}

TEST_P(Tasks, AFailureCancelsTheRestOfItsGroup) {
  io().run(
      [](Io io) -> Async<void> {
        auto held = std::make_shared<int>(1);
        IoGroup group = io.group();
        EXPECT_TRUE(group.concurrent(wait_for_ever, io, held).has_value());
        EXPECT_TRUE(group
                        .concurrent(
                            [](Io inner) -> Async<void> {
                              co_await inner.sleep(1_ms);
                              throw std::runtime_error("no");
                            },
                            io)
                        .has_value());
        bool has_thrown = false;
        try {
          co_await group.wait();
        } catch (const std::runtime_error&) {
          has_thrown = true;
        }
        EXPECT_TRUE(has_thrown);
        EXPECT_TRUE(group.cancel_requested());
        EXPECT_EQ(held.use_count(), 1);
      },
      io());
}

TEST_P(Tasks, CancellingAGroupWaitsForTheEndOfAll) {
  io().run(
      [](Io io) -> Async<void> {
        auto held = std::make_shared<int>(1);
        IoGroup group = io.group();
        for (int i = 0; i < 3; ++i) {
          EXPECT_TRUE(group.concurrent(wait_for_ever, io, held).has_value());
        }
        co_await group.cancel();
        EXPECT_EQ(held.use_count(), 1);
      },
      io());
}

TEST_P(Tasks, WhatStillRunsAtTheEndIsCancelled) {
  auto held = std::make_shared<int>(1);
  {
    const testing::Made made = GetParam().make();
    made.io.run(
        [&](Io io) -> Async<void> {
          auto future = io.concurrent(wait_for_ever, io, held);
          EXPECT_TRUE(future.has_value());
          future->detach();
          co_return;
        },
        made.io);
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST_P(Tasks, TheCallersThreadGetsWhatTheProgramThrows) {
  EXPECT_THROW(io().run([]() -> Async<void> {
    co_await yield_now();
    throw std::runtime_error("no");
  }),
               std::runtime_error);
  EXPECT_EQ(io().run(add, 1, 2), 3);
}

BLITZIO_OVER_EVERY_IO(Tasks);

}  // namespace
}  // namespace blitzio::io
