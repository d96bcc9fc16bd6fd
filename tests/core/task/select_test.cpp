#include <core/sync/support.hpp>

#include <blitzio/channel/broadcast.hpp>
#include <blitzio/channel/channel.hpp>
#include <blitzio/channel/oneshot.hpp>
#include <blitzio/channel/watch.hpp>
#include <blitzio/executor/local_executor.hpp>
#include <blitzio/sync/mutex.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/sync/semaphore.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/block_on.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/task/select.hpp>
#include <blitzio/time/sleep.hpp>

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace blitzio {
namespace {

using channel::Channel;
using channel::SendStatus;
using sync::Mutex;
using sync::Notify;
using sync::Semaphore;
using test::on_threads;
using test::WakeCounter;

using Box = std::unique_ptr<int>;

TEST(Select, TellsWhichWasFirstAndItsValue) {
  const auto first = block_on(select(pending, ready(std::string("value")), Pending<int>()));
  ASSERT_EQ(first.index(), 1U);
  EXPECT_EQ(std::get<1>(first), "value");
}

TEST(Select, OfOneTypeTellsThemApart) {
  Channel<int> left(1);
  Channel<int> right(1);
  EXPECT_EQ(right.try_send(2), SendStatus::sent);
  auto first = block_on(select(left.recv(), right.recv()));
  ASSERT_EQ(first.index(), 1U);
  EXPECT_EQ(std::get<1>(first), 2);
}

TEST(Select, EachThatIsReadyWinsAtTimes) {
  std::array<int, 3> wins{};
  for (int i = 0; i < 300; ++i) {
    ++wins.at(block_on(select(ready(1), ready(2), ready(3))).index());
  }
  for (const int count : wins) EXPECT_GT(count, 30);
}

TEST(Select, BiasedPrefersTheEarlierArgument) {
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(block_on(select_biased(pending, ready(1), ready(2))).index(), 1U);
  }
}

TEST(Select, ASendAndAReceiveHaveOneEffectTogether) {
  Channel<int> in(1);
  Channel<int> out(1);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(in.try_send(1), SendStatus::sent);
    const auto first = block_on(select(in.recv(), out.send(2)));
    EXPECT_EQ(in.size(), out.size()) << "either was received or sent, not both and not neither";
    EXPECT_EQ(first.index(), out.size());
    static_cast<void>(in.try_recv());
    static_cast<void>(out.try_recv());
  }
}

TEST(Select, ASendThatLosesIsNotSentAndLeavesItsQueue) {
  Channel<int> full(1);
  Channel<int> other(1);
  EXPECT_EQ(full.try_send(1), SendStatus::sent);
  WakeCounter wakes;
  auto first = select(full.send(2), other.recv());
  EXPECT_TRUE(wakes.poll(first).is_pending());
  EXPECT_EQ(other.try_send(3), SendStatus::sent);
  EXPECT_EQ(std::get<1>(wakes.poll(first).take()), 3);
  EXPECT_EQ(*full.try_recv(), 1);
  EXPECT_EQ(full.try_recv().error(), channel::RecvStatus::empty);
}

TEST(Select, ALentSendThatLosesGivesItsValueBack) {
  Channel<Box> full(1);
  EXPECT_EQ(full.try_send(std::make_unique<int>(1)), SendStatus::sent);
  auto send = full.send(std::make_unique<int>(2));
  EXPECT_EQ(block_on(select(send, ready(0))).index(), 1U);
  WakeCounter wakes;
  EXPECT_TRUE(wakes.poll(send).is_pending()) << "it may also wait on";
  auto value = send.take_back();
  ASSERT_TRUE(value);
  EXPECT_EQ(**value, 2);
  EXPECT_EQ(**full.try_recv(), 1);
  EXPECT_EQ(wakes.count(), 0);
  EXPECT_TRUE(full.is_empty());
}

TEST(Select, ASendThatIsOverHasNothingToGiveBack) {
  Channel<Box> channel(1);
  auto send = channel.send(std::make_unique<int>(1));
  EXPECT_EQ(block_on(select(send, pending)).index(), 0U);
  EXPECT_FALSE(send.take_back());
  channel.close();
  auto refused = channel.send(std::make_unique<int>(2));
  EXPECT_EQ(*block_on(refused).error(), 2);
  EXPECT_FALSE(refused.take_back());
}

TEST(Select, ASendTakenBackPassesItsWakeOn) {
  Channel<int> channel(1);
  EXPECT_EQ(channel.try_send(1), SendStatus::sent);
  WakeCounter wakes;
  WakeCounter next_wakes;
  auto first = channel.send(2);
  auto next = channel.send(3);
  EXPECT_TRUE(wakes.poll(first).is_pending());
  EXPECT_TRUE(next_wakes.poll(next).is_pending());
  EXPECT_EQ(*channel.try_recv(), 1);
  EXPECT_EQ(wakes.count(), 1);
  EXPECT_EQ(first.take_back(), 2);
  EXPECT_EQ(next_wakes.count(), 1);
  EXPECT_TRUE(next_wakes.poll(next).is_ready());
}

TEST(Select, WhatALoserWasGrantedGoesToTheNext) {
  Semaphore semaphore(0);
  Mutex mutex;
  Notify notify;
  Channel<int> channel(1);
  WakeCounter wakes;
  ASSERT_TRUE(mutex.try_lock());
  auto first = select_biased(channel.recv(), semaphore.acquire(), mutex.lock(), notify.wait());
  EXPECT_TRUE(wakes.poll(first).is_pending());
  // All four become ready before the next poll; one wins.
  EXPECT_EQ(channel.try_send(1), SendStatus::sent);
  semaphore.release();
  mutex.unlock();
  notify.notify_one();
  EXPECT_EQ(wakes.poll(first).take().index(), 0U);
  EXPECT_EQ(semaphore.available_permits(), 1U);
  EXPECT_TRUE(mutex.try_lock());
  EXPECT_TRUE(notify.try_wait());
  mutex.unlock();
}

TEST(Select, LosersAreDroppedBeforeTheWinnersValueIsGivenOut) {
  const auto witness = std::make_shared<int>(0);
  auto body = [](std::shared_ptr<int> kept) -> Async<> {
    co_await pending;
    static_cast<void>(kept);
  };
  auto first = select(body(witness), yield_now());
  WakeCounter wakes;
  EXPECT_TRUE(wakes.poll(first).is_pending());
  EXPECT_EQ(witness.use_count(), 2);
  EXPECT_EQ(wakes.poll(first).take().index(), 1U);
  EXPECT_EQ(witness.use_count(), 1);
}

TEST(Select, AnExceptionDropsTheOthers) {
  Notify notify;
  WakeCounter wakes;
  auto throws = []() -> Async<int> {
    co_await yield_now();
    throw std::runtime_error("select");
  };
  auto first = select_biased(notify.wait(), throws());
  EXPECT_TRUE(wakes.poll(first).is_pending());
  EXPECT_THROW(static_cast<void>(wakes.poll(first)), std::runtime_error);
  notify.notify_one();
  EXPECT_TRUE(notify.try_wait());
}

TEST(Select, OfARangeGivesIndexAndValue) {
  for (const std::size_t count : {1U, 16U, 17U, 100U}) {
    std::deque<Channel<std::size_t>> channels;
    std::vector<Channel<std::size_t>::Recv> receives;
    for (std::size_t i = 0; i < count; ++i) receives.push_back(channels.emplace_back(1).recv());
    auto first = select(receives);
    WakeCounter wakes;
    EXPECT_TRUE(wakes.poll(first).is_pending());
    EXPECT_EQ(channels[count / 2].try_send(count + 0), SendStatus::sent);
    EXPECT_EQ(wakes.count(), 1);
    const auto [index, value] = wakes.poll(first).take();
    EXPECT_EQ(index, count / 2);
    EXPECT_EQ(value, count);
  }
}

TEST(Select, OfAnEmptyRangeIsRefused) {
  EXPECT_THROW(static_cast<void>(select(std::vector<Ready<int>>())), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(race(std::vector<Ready<int>>())), std::invalid_argument);
}

TEST(Select, LentReceivesThatLoseKeepTheirPlace) {
  Channel<int> channel(1);
  auto recv = channel.recv();
  WakeCounter wakes;
  {
    auto first = select_biased(recv, ready(1));
    EXPECT_EQ(wakes.poll(first).take().index(), 1U);
  }
  EXPECT_EQ(channel.try_send(7), SendStatus::sent);
  EXPECT_EQ(wakes.count(), 1);
  EXPECT_EQ(wakes.poll(recv).take(), 7);
}

TEST(Select, OverThreadsEveryValueHasOneEffect) {
  // Two threads move values from `in` to `out`, selecting over both directions at once; what a
  // losing send kept is carried on. Nothing is lost or doubled.
  constexpr int kValues = 1500;
  Channel<int> in(4);
  Channel<int> out(4);
  std::vector<std::atomic<int>> seen(kValues);
  on_threads(4, [&](int index) {
    if (index == 0) {
      for (int i = 0; i < kValues; ++i) ASSERT_TRUE(block_on(in.send(i)).has_value());
      in.close();
      return;
    }
    if (index == 1) {
      for (int i = 0; i < kValues; ++i) {
        const auto value = block_on(out.recv());
        ASSERT_TRUE(value);
        seen[static_cast<std::size_t>(*value)].fetch_add(1);
      }
      return;
    }
    std::deque<int> carried;
    for (bool is_open = true; is_open || !carried.empty();) {
      if (carried.empty()) {
        const auto value = block_on(in.recv());
        is_open = value.has_value();
        if (value) carried.push_back(*value);
        continue;
      }
      auto send = out.send(carried.front());
      if (!is_open) {
        ASSERT_TRUE(block_on(send).has_value());
        carried.pop_front();
        continue;
      }
      auto first = block_on(select(send, in.recv()));
      if (first.index() == 0) {
        carried.pop_front();
        continue;
      }
      const auto& value = std::get<1>(first);
      is_open = value.has_value();
      if (value) carried.push_back(*value);
      ASSERT_TRUE(send.take_back());
    }
  });
  for (const auto& count : seen) ASSERT_EQ(count.load(), 1);
}

// ---- over every kind of channel ----------------------------------------------------------------

// One channel of each kind, and a select() that receives from all.
class SelectOverChannels : public testing::Test {
 protected:
  SelectOverChannels() : news_(broadcast_.subscribe()), changes_(watch_.subscribe()) {}

  auto receive() {
    return select_biased(channel_.recv(), news_.recv(), changes_.changed(), oneshot_.recv());
  }
  // Each arm's value, one after the other.
  void expect_all_are_there() {
    auto first = block_on(receive());
    EXPECT_EQ(std::get<0>(first), 1);
    first = block_on(receive());
    ASSERT_EQ(first.index(), 1U);
    EXPECT_EQ(std::get<1>(first), "two");
    first = block_on(receive());
    ASSERT_EQ(first.index(), 2U);
    EXPECT_TRUE(std::get<2>(first));
    EXPECT_EQ(changes_.get(), 3);
    first = block_on(receive());
    ASSERT_EQ(first.index(), 3U);
    EXPECT_EQ(std::get<3>(first), 4);
  }
  void send_to_all() {
    EXPECT_EQ(channel_.try_send(1), SendStatus::sent);
    EXPECT_TRUE(broadcast_.send("two"));
    EXPECT_TRUE(watch_.send(3));
    EXPECT_TRUE(oneshot_.send(4));
  }

  Channel<int> channel_{2};
  channel::Broadcast<std::string> broadcast_{2};
  channel::Watch<int> watch_{0};
  channel::Oneshot<int> oneshot_;
  channel::Broadcast<std::string>::Receiver news_;
  channel::Watch<int>::Receiver changes_;
  WakeCounter wakes_;
};

TEST_F(SelectOverChannels, WhatIsThereIsTakenFromOneAndLeftInTheOthers) {
  send_to_all();
  expect_all_are_there();
}

TEST_F(SelectOverChannels, EachWakesIt) {
  const auto expect_wake = [&](std::size_t index, auto send) {
    auto first = receive();
    EXPECT_TRUE(wakes_.poll(first).is_pending());
    const int before = wakes_.count();
    send();
    EXPECT_EQ(wakes_.count(), before + 1) << index;
    EXPECT_EQ(wakes_.poll(first).take().index(), index);
  };
  expect_wake(0, [&] { EXPECT_EQ(channel_.try_send(1), SendStatus::sent); });
  expect_wake(1, [&] { EXPECT_TRUE(broadcast_.send("two")); });
  expect_wake(2, [&] { EXPECT_TRUE(watch_.send(3)); });
  expect_wake(3, [&] { EXPECT_TRUE(oneshot_.send(4)); });
}

TEST_F(SelectOverChannels, OneThatIsGivenUpWhenAllHaveWokenItLosesNothing) {
  {
    auto given_up = receive();
    EXPECT_TRUE(wakes_.poll(given_up).is_pending());
    send_to_all();
    EXPECT_EQ(wakes_.count(), 4);
  }
  expect_all_are_there();
}

TEST_F(SelectOverChannels, LosersThatWereWokenLoseNothing) {
  sync::Notify notify;
  auto first = select_biased(notify.wait(), channel_.recv(), news_.recv(), changes_.changed(),
                             oneshot_.recv());
  EXPECT_TRUE(wakes_.poll(first).is_pending());
  send_to_all();
  notify.notify_one();
  EXPECT_EQ(wakes_.poll(first).take().index(), 0U);
  expect_all_are_there();
}

TEST_F(SelectOverChannels, AWakeThatALoserWasGivenGoesToTheNextReceiver) {
  sync::Notify notify;
  auto first = select_biased(notify.wait(), channel_.recv());
  auto next = channel_.recv();
  WakeCounter next_wakes;
  EXPECT_TRUE(wakes_.poll(first).is_pending());
  EXPECT_TRUE(next_wakes.poll(next).is_pending());
  EXPECT_EQ(channel_.try_send(1), SendStatus::sent);
  notify.notify_one();
  EXPECT_EQ(next_wakes.count(), 0);
  EXPECT_EQ(wakes_.poll(first).take().index(), 0U);
  EXPECT_EQ(next_wakes.count(), 1);
  EXPECT_EQ(next_wakes.poll(next).take(), 1);
}

TEST_F(SelectOverChannels, EachTellsThatItWasClosed) {
  const auto expect_close = [&](auto arm, auto close, auto is_close) {
    auto first = select_biased(pending, std::move(arm));
    EXPECT_TRUE(wakes_.poll(first).is_pending());
    const int before = wakes_.count();
    close();
    EXPECT_EQ(wakes_.count(), before + 1);
    const auto answer = wakes_.poll(first).take();
    ASSERT_EQ(answer.index(), 1U);
    EXPECT_TRUE(is_close(std::get<1>(answer)));
  };
  expect_close(
      channel_.recv(), [&] { channel_.close(); },
      [](const std::optional<int>& value) { return !value; });
  expect_close(
      news_.recv(), [&] { broadcast_.close(); },
      [](const auto& value) {
        return value.error().kind == channel::BroadcastError::Kind::closed;
      });
  expect_close(changes_.changed(), [&] { watch_.close(); }, [](bool is_news) { return !is_news; });
  expect_close(
      oneshot_.recv(), [&] { oneshot_.close(); },
      [](const std::optional<int>& value) { return !value; });
}

TEST_F(SelectOverChannels, AReceiverThatLaggedIsToldSo) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(broadcast_.send("a"));
  const auto first = block_on(receive());
  ASSERT_EQ(first.index(), 1U);
  EXPECT_EQ(std::get<1>(first).error(),
            (channel::BroadcastError{channel::BroadcastError::Kind::lagged, 1}));
}

// ---- race ------------------------------------------------------------------------------------

TEST(Race, GivesTheValueOfTheFirst) {
  EXPECT_EQ(block_on(race(Pending<int>(), ready(2))), 2);
  block_on(race(pending, yield_now()));
  std::vector<Ready<int>> many(30, ready(4));
  EXPECT_EQ(block_on(race(many)), 4);
}

TEST(Race, CancelsTheTasksThatLose) {
  auto executor = LocalExecutor::create().value();
  const auto never = []() -> Async<int> {
    co_await pending;
    co_return 0;
  };
  for (const int count : {2, 20}) {
    std::vector<JoinHandle<int>> losers;
    for (int i = 0; i < count; ++i) losers.push_back(executor->spawn(never()));
    auto winner = executor->spawn(ready(1));
    auto last = executor->spawn(never());
    EXPECT_EQ(executor->block_on(race(race(losers), winner, last)).get(), 1);
    EXPECT_TRUE(executor->block_on(last).is_cancelled());
    EXPECT_TRUE(winner.is_empty());
    for (auto& loser : losers) loser.cancel();
    for (auto& loser : losers) EXPECT_TRUE(executor->block_on(loser).is_cancelled());
  }
}

TEST(Race, SelectLetsTheTasksThatLoseRunOn) {
  auto executor = LocalExecutor::create().value();
  Notify notify;
  auto slow = executor->spawn([](Notify& at) -> Async<int> {
    co_await at.wait();
    co_return 9;
  }(notify));
  EXPECT_EQ(executor->block_on(select(slow.join(), yield_now())).index(), 1U);
  notify.notify_one();
  EXPECT_EQ(executor->block_on(slow).get(), 9);
}

}  // namespace
}  // namespace blitzio
