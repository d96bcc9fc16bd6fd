#include <core/sync/support.hpp>

#include <blitzio/base/result.hpp>
#include <blitzio/sync/barrier.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/sync/once_cell.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/block_on.hpp>
#include <blitzio/task/futures.hpp>

#include <gtest/gtest.h>

#include <cerrno>
#include <deque>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

namespace blitzio::sync {
namespace {

using test::on_threads;
using test::WakeCounter;

TEST(Notify, ANotificationWithoutAWaiterIsRememberedOnce) {
  Notify notify;
  notify.notify_one();
  notify.notify_one();
  WakeCounter wakes;
  auto first = notify.wait();
  auto second = notify.wait();
  EXPECT_TRUE(wakes.poll(first).is_ready());
  EXPECT_TRUE(wakes.poll(second).is_pending());
}

TEST(Notify, WakesTheWaiterThatCameFirst) {
  Notify notify;
  WakeCounter first_wakes;
  WakeCounter second_wakes;
  auto first = notify.wait();
  auto second = notify.wait();
  EXPECT_TRUE(first_wakes.poll(first).is_pending());
  EXPECT_TRUE(second_wakes.poll(second).is_pending());
  notify.notify_one();
  EXPECT_EQ(first_wakes.count(), 1);
  EXPECT_EQ(second_wakes.count(), 0);
  notify.notify_one();
  EXPECT_EQ(second_wakes.count(), 1);
  EXPECT_TRUE(first_wakes.poll(first).is_ready());
  EXPECT_TRUE(second_wakes.poll(second).is_ready());
  EXPECT_FALSE(notify.try_wait());
}

TEST(Notify, TellsWhetherItRemembersAndHowManyWait) {
  Notify notify;
  WakeCounter wakes;
  {
    auto first = notify.wait();
    auto second = notify.wait();
    EXPECT_TRUE(wakes.poll(first).is_pending());
    EXPECT_TRUE(wakes.poll(second).is_pending());
    EXPECT_EQ(notify.waiter_count(), 2U);
    EXPECT_FALSE(notify.is_notified());
  }
  EXPECT_EQ(notify.waiter_count(), 0U);
  notify.notify_one();
  EXPECT_TRUE(notify.is_notified());
}

TEST(Notify, NotifyAllWakesEverybodyAndRemembersNothing) {
  Notify notify;
  WakeCounter wakes;
  std::deque<Notify::Wait> waiting;
  for (int i = 0; i < 20; ++i) {
    waiting.push_back(notify.wait());
    EXPECT_TRUE(wakes.poll(waiting.back()).is_pending());
  }
  notify.notify_all();
  EXPECT_EQ(wakes.count(), 20);
  for (auto& wait : waiting) EXPECT_TRUE(wakes.poll(wait).is_ready());
  EXPECT_FALSE(notify.try_wait());
}

TEST(Notify, ANotificationGivenToADroppedWaiterIsPassedOn) {
  Notify notify;
  WakeCounter wakes;
  std::optional<Notify::Wait> first(notify.wait());
  EXPECT_TRUE(wakes.poll(*first).is_pending());
  notify.notify_one();
  first.reset();
  EXPECT_TRUE(notify.try_wait());
}

TEST(Notify, ADroppedWaiterThatWasNotChosenLeavesNothing) {
  Notify notify;
  WakeCounter wakes;
  {
    auto wait = notify.wait();
    EXPECT_TRUE(wakes.poll(wait).is_pending());
  }
  notify.notify_one();
  EXPECT_TRUE(notify.try_wait()) << "remembered: nobody waits any more";
  EXPECT_EQ(wakes.count(), 0);
}

TEST(Notify, PingPongBetweenThreadsLosesNoWake) {
  Notify ping;
  Notify pong;
  on_threads(2, [&](int index) {
    for (int i = 0; i < 5000; ++i) {
      if (index == 0) {
        ping.notify_one();
        block_on(pong.wait());
      } else {
        block_on(ping.wait());
        pong.notify_one();
      }
    }
  });
}

TEST(Barrier, TheLastToArriveIsTheLeader) {
  Barrier barrier(3);
  WakeCounter wakes;
  auto first = barrier.wait();
  auto second = barrier.wait();
  auto third = barrier.wait();
  EXPECT_TRUE(wakes.poll(first).is_pending());
  EXPECT_TRUE(wakes.poll(second).is_pending());
  EXPECT_TRUE(wakes.poll(third).take().is_leader);
  EXPECT_EQ(wakes.count(), 2);
  EXPECT_FALSE(wakes.poll(first).take().is_leader);
  EXPECT_FALSE(wakes.poll(second).take().is_leader);
}

TEST(Barrier, ForOnePartyDoesNotWait) {
  Barrier barrier(1);
  EXPECT_TRUE(block_on(barrier.wait()).is_leader);
  EXPECT_TRUE(block_on(barrier.wait()).is_leader);
  EXPECT_EQ(Barrier(0).parties(), 1U);
}

TEST(Barrier, ADroppedWaiterHasNotArrived) {
  Barrier barrier(2);
  WakeCounter wakes;
  {
    auto gone = barrier.wait();
    EXPECT_TRUE(wakes.poll(gone).is_pending());
  }
  auto first = barrier.wait();
  EXPECT_TRUE(wakes.poll(first).is_pending());
  EXPECT_TRUE(block_on(barrier.wait()).is_leader);
  EXPECT_TRUE(wakes.poll(first).is_ready());
}

TEST(Barrier, KeepsThreadsInStep) {
  constexpr int kThreads = 4;
  Barrier barrier(kThreads);
  std::atomic<int> arrived{0};
  std::atomic<int> leaders{0};
  on_threads(kThreads, [&](int) {
    for (int round = 1; round <= 300; ++round) {
      arrived.fetch_add(1);
      if (block_on(barrier.wait()).is_leader) leaders.fetch_add(1);
      ASSERT_GE(arrived.load(), round * kThreads);
    }
  });
  EXPECT_EQ(leaders.load(), 300);
}

TEST(OnceCell, IsSetOnce) {
  OnceCell<std::string> cell;
  EXPECT_EQ(cell.get(), nullptr);
  EXPECT_TRUE(cell.set("first"));
  EXPECT_FALSE(cell.set("second"));
  ASSERT_NE(cell.get(), nullptr);
  EXPECT_EQ(*cell.get(), "first");
}

TEST(OnceCell, GetOrInitCallsTheFactoryOnce) {
  OnceCell<int> cell;
  int calls = 0;
  const auto factory = [&] { return ++calls * 42; };
  EXPECT_EQ(*block_on(cell.get_or_init(factory)), 42);
  EXPECT_EQ(*block_on(cell.get_or_init(factory)), 42);
  EXPECT_EQ(calls, 1);
}

TEST(OnceCell, OthersWaitForTheOneThatMakesTheValue) {
  OnceCell<int> cell;
  Notify go;
  const auto slow = [&]() -> Async<int> {
    co_await go.wait();
    co_return 7;
  };
  WakeCounter maker_wakes;
  WakeCounter other_wakes;
  auto maker = cell.get_or_init(slow);
  auto other = cell.get_or_init([] { return 8; });
  EXPECT_TRUE(maker_wakes.poll(maker).is_pending());
  EXPECT_TRUE(other_wakes.poll(other).is_pending());
  EXPECT_FALSE(cell.set(9)) << "somebody is making the value";
  go.notify_one();
  EXPECT_EQ(*maker_wakes.poll(maker).take(), 7);
  EXPECT_EQ(other_wakes.count(), 1);
  EXPECT_EQ(*other_wakes.poll(other).take(), 7);
}

TEST(OnceCell, WhenTheMakerIsDroppedTheNextTakesOver) {
  OnceCell<int> cell;
  auto never = [] { return Pending<int>(); };
  WakeCounter wakes;
  auto maker = std::make_unique<OnceCell<int>::GetOrInit<decltype(never)>>(cell.get_or_init(never));
  auto next = cell.get_or_init([] { return 8; });
  EXPECT_TRUE(wakes.poll(*maker).is_pending());
  EXPECT_TRUE(wakes.poll(next).is_pending());
  maker.reset();
  EXPECT_EQ(wakes.count(), 1);
  EXPECT_EQ(*wakes.poll(next).take(), 8);
}

TEST(OnceCell, WhenTheChosenSuccessorIsDroppedTheOneAfterTakesOver) {
  OnceCell<int> cell;
  auto never = [] { return Pending<int>(); };
  using Never = OnceCell<int>::GetOrInit<decltype(never)>;
  WakeCounter wakes;
  auto maker = std::make_unique<Never>(cell.get_or_init(never));
  auto second = std::make_unique<Never>(cell.get_or_init(never));
  auto third = cell.get_or_init([] { return 3; });
  EXPECT_TRUE(wakes.poll(*maker).is_pending());
  EXPECT_TRUE(wakes.poll(*second).is_pending());
  EXPECT_TRUE(wakes.poll(third).is_pending());
  maker.reset();
  second.reset();
  EXPECT_EQ(wakes.count(), 2);
  EXPECT_EQ(*wakes.poll(third).take(), 3);
}

TEST(OnceCell, AFactoryThatThrowsLeavesItEmpty) {
  OnceCell<int> cell;
  const auto fails = []() -> int { throw std::runtime_error("no value"); };
  EXPECT_THROW(block_on(cell.get_or_init(fails)), std::runtime_error);
  EXPECT_FALSE(cell.is_set());
  EXPECT_EQ(*block_on(cell.get_or_init([] { return 5; })), 5);
}

TEST(OnceCell, AFactoryThatFailsLeavesItEmptyAndTheNextTries) {
  OnceCell<int> cell;
  const auto fails = [] { return Result<int>(fail(Error::os(EAGAIN))); };
  EXPECT_TRUE(block_on(cell.get_or_init(fails)).error().is_os(EAGAIN));
  EXPECT_FALSE(cell.is_set());
  Notify go;
  const auto fails_later = [&]() -> Async<Result<int>> {
    co_await go.wait();
    co_return fail(Error::os(EBUSY));
  };
  WakeCounter first_wakes;
  WakeCounter next_wakes;
  auto first = cell.get_or_init(fails_later);
  auto next = cell.get_or_init([] { return Result<int>(5); });
  EXPECT_TRUE(first_wakes.poll(first).is_pending());
  EXPECT_TRUE(next_wakes.poll(next).is_pending());
  go.notify_one();
  EXPECT_TRUE(first_wakes.poll(first).take().error().is_os(EBUSY));
  EXPECT_EQ(next_wakes.count(), 1);
  EXPECT_EQ(**next_wakes.poll(next).take(), 5);
  EXPECT_EQ(**block_on(cell.get_or_init(fails)), 5) << "set: nobody is asked";
}

TEST(OnceCell, ACellOfResultsKeepsErrorsToo) {
  OnceCell<Result<int>> cell;
  const Result<int>* kept =
      block_on(cell.get_or_init([] { return Result<int>(fail(Error::os(EAGAIN))); }));
  EXPECT_TRUE(kept->error().is_os(EAGAIN));
}

TEST(OnceCell, ThreadsAgreeOnOneValue) {
  for (int round = 0; round < 200; ++round) {
    OnceCell<int> cell;
    std::atomic<int> calls{0};
    on_threads(4, [&](int index) {
      const int value = *block_on(cell.get_or_init([&] {
        calls.fetch_add(1);
        return index;
      }));
      ASSERT_EQ(value, *cell.get());
    });
    ASSERT_EQ(calls.load(), 1);
  }
}

}  // namespace
}  // namespace blitzio::sync
