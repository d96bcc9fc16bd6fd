#include <core/sync/support.hpp>

#include <blitzio/channel/channel.hpp>
#include <blitzio/channel/oneshot.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/block_on.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace blitzio::channel {
namespace {

using test::on_threads;
using test::WakeCounter;

using Box = std::unique_ptr<int>;

class ChannelOfCapacity : public testing::TestWithParam<std::size_t> {};

TEST_P(ChannelOfCapacity, KeepsOrderOverManyLapsAndTellsFullFromEmpty) {
  Channel<int> channel(GetParam());
  int sent = 0;
  int received = 0;
  for (int lap = 0; lap < 50; ++lap) {
    while (channel.try_send(sent + 0) == SendStatus::sent) ++sent;
    EXPECT_EQ(channel.size(), GetParam());
    EXPECT_TRUE(channel.is_full());
    while (auto value = channel.try_recv()) EXPECT_EQ(*value, received++);
    EXPECT_EQ(channel.try_recv().error(), RecvStatus::empty);
    EXPECT_TRUE(channel.is_empty());
    EXPECT_FALSE(channel.is_full());
  }
  EXPECT_EQ(sent, 50 * static_cast<int>(GetParam()));
  EXPECT_EQ(received, sent);
}

INSTANTIATE_TEST_SUITE_P(Sizes, ChannelOfCapacity, testing::Values(1U, 2U, 3U, 4U, 5U, 8U, 100U));

TEST(Channel, ARefusedValueStaysWithTheCaller) {
  Channel<Box> channel(1);
  EXPECT_EQ(channel.try_send(std::make_unique<int>(1)), SendStatus::sent);
  Box second = std::make_unique<int>(2);
  EXPECT_EQ(channel.try_send(second), SendStatus::full);
  ASSERT_NE(second, nullptr);
  channel.close();
  EXPECT_EQ(channel.try_send(second), SendStatus::closed);
  EXPECT_EQ(*second, 2);
}

TEST(Channel, ACloseLetsReceiversDrainWhatWasAccepted) {
  Channel<int> channel(4);
  EXPECT_EQ(channel.try_send(1), SendStatus::sent);
  EXPECT_EQ(channel.try_send(2), SendStatus::sent);
  channel.close();
  EXPECT_TRUE(channel.is_closed());
  EXPECT_EQ(block_on(channel.recv()), 1);
  EXPECT_EQ(*channel.try_recv(), 2);
  EXPECT_EQ(channel.try_recv().error(), RecvStatus::closed);
  EXPECT_EQ(block_on(channel.recv()), std::nullopt);
}

TEST(Channel, WhatIsLeftIsDestroyedWithTheChannel) {
  const auto witness = std::make_shared<int>(0);
  {
    Channel<std::shared_ptr<int>> channel(4);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(channel.try_send(std::shared_ptr<int>(witness)), SendStatus::sent);
    }
    EXPECT_EQ(witness.use_count(), 4);
  }
  EXPECT_EQ(witness.use_count(), 1);
}

TEST(Channel, AReceiverWaitsForAValue) {
  Channel<int> channel(1);
  WakeCounter wakes;
  auto recv = channel.recv();
  EXPECT_TRUE(wakes.poll(recv).is_pending());
  EXPECT_TRUE(wakes.poll(recv).is_pending());
  EXPECT_EQ(channel.try_send(5), SendStatus::sent);
  EXPECT_EQ(wakes.count(), 1);
  EXPECT_EQ(wakes.poll(recv).take(), 5);
}

TEST(Channel, ASenderWaitsForRoom) {
  Channel<int> channel(1);
  WakeCounter wakes;
  EXPECT_EQ(channel.try_send(1), SendStatus::sent);
  auto send = channel.send(2);
  EXPECT_TRUE(wakes.poll(send).is_pending());
  EXPECT_EQ(*channel.try_recv(), 1);
  EXPECT_EQ(wakes.count(), 1);
  EXPECT_TRUE(wakes.poll(send).take().has_value());
  EXPECT_EQ(*channel.try_recv(), 2);
}

TEST(Channel, CloseGivesWaitingSendersTheirValuesBack) {
  Channel<Box> channel(1);
  WakeCounter wakes;
  EXPECT_EQ(channel.try_send(std::make_unique<int>(1)), SendStatus::sent);
  auto send = channel.send(std::make_unique<int>(2));
  EXPECT_TRUE(wakes.poll(send).is_pending());
  channel.close();
  EXPECT_EQ(wakes.count(), 1);
  auto result = wakes.poll(send).take();
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(*result.error(), 2);
}

TEST(Channel, CloseTellsWaitingReceivers) {
  Channel<int> channel(1);
  WakeCounter wakes;
  std::deque<Channel<int>::Recv> waiting;
  for (int i = 0; i < 20; ++i) {
    waiting.push_back(channel.recv());
    EXPECT_TRUE(wakes.poll(waiting.back()).is_pending());
  }
  channel.close();
  EXPECT_EQ(wakes.count(), 20);
  for (auto& recv : waiting) EXPECT_EQ(wakes.poll(recv).take(), std::nullopt);
}

TEST(Channel, AWakeGivenToADroppedReceiverGoesToTheNext) {
  Channel<int> channel(4);
  WakeCounter first_wakes;
  WakeCounter second_wakes;
  std::optional<Channel<int>::Recv> first(channel.recv());
  auto second = channel.recv();
  EXPECT_TRUE(first_wakes.poll(*first).is_pending());
  EXPECT_TRUE(second_wakes.poll(second).is_pending());
  EXPECT_EQ(channel.try_send(1), SendStatus::sent);
  EXPECT_EQ(first_wakes.count(), 1);
  first.reset();
  EXPECT_EQ(second_wakes.count(), 1);
  EXPECT_EQ(second_wakes.poll(second).take(), 1);
}

TEST(Channel, ADroppedSendTakesItsValueWithIt) {
  Channel<int> channel(1);
  WakeCounter wakes;
  EXPECT_EQ(channel.try_send(1), SendStatus::sent);
  {
    auto send = channel.send(2);
    EXPECT_TRUE(wakes.poll(send).is_pending());
  }
  EXPECT_EQ(*channel.try_recv(), 1);
  EXPECT_EQ(channel.try_recv().error(), RecvStatus::empty);
}

TEST(Channel, ManyThreadsReceiveEveryValueOnce) {
  for (const std::size_t capacity : {1U, 3U, 64U}) {
    constexpr int kValues = 2000;
    Channel<int> channel(capacity);
    std::vector<std::atomic<int>> seen(2 * kValues);
    std::atomic<int> senders{2};
    on_threads(4, [&](int index) {
      if (index < 2) {
        for (int i = 0; i < kValues; ++i) {
          if (i % 7 == 3) {
            // Polled once and dropped: sent or not, but never twice.
            WakeCounter wakes;
            auto send = channel.send(index * kValues + i);
            if (wakes.poll(send).is_ready()) continue;
          }
          ASSERT_TRUE(block_on(channel.send(index * kValues + i)).has_value());
        }
        if (senders.fetch_sub(1) == 1) channel.close();
        return;
      }
      for (int i = 0;; ++i) {
        if (i % 5 == 2) {
          WakeCounter wakes;
          auto recv = channel.recv();
          auto answer = wakes.poll(recv);
          if (answer.is_pending()) continue;
          const auto value = std::move(answer).take();
          if (!value) return;
          seen[static_cast<std::size_t>(*value)].fetch_add(1);
          continue;
        }
        const auto value = block_on(channel.recv());
        if (!value) return;
        seen[static_cast<std::size_t>(*value)].fetch_add(1);
      }
    });
    for (const auto& count : seen) ASSERT_EQ(count.load(), 1);
  }
}

TEST(Oneshot, DeliversOneValue) {
  Oneshot<std::string> oneshot;
  EXPECT_EQ(oneshot.try_recv().error(), OneshotStatus::empty);
  EXPECT_TRUE(oneshot.send("value"));
  EXPECT_FALSE(oneshot.send("another"));
  EXPECT_EQ(*oneshot.try_recv(), "value");
  EXPECT_EQ(oneshot.try_recv().error(), OneshotStatus::closed);
}

TEST(Oneshot, ARefusedValueStaysWithTheCaller) {
  Oneshot<Box> oneshot;
  oneshot.close();
  Box value = std::make_unique<int>(3);
  EXPECT_FALSE(oneshot.send(std::move(value)));
  ASSERT_NE(value, nullptr);
  EXPECT_EQ(oneshot.try_recv().error(), OneshotStatus::closed);
}

TEST(Oneshot, TheReceiverWaits) {
  Oneshot<int> oneshot;
  WakeCounter old_wakes;
  WakeCounter wakes;
  auto recv = oneshot.recv();
  EXPECT_TRUE(old_wakes.poll(recv).is_pending());
  EXPECT_TRUE(wakes.poll(recv).is_pending());
  EXPECT_TRUE(oneshot.send(4));
  EXPECT_EQ(old_wakes.count(), 0);
  EXPECT_EQ(wakes.count(), 1);
  EXPECT_EQ(wakes.poll(recv).take(), 4);
}

TEST(Oneshot, CloseTellsAWaitingReceiver) {
  Oneshot<int> oneshot;
  WakeCounter wakes;
  auto recv = oneshot.recv();
  EXPECT_TRUE(wakes.poll(recv).is_pending());
  oneshot.close();
  EXPECT_EQ(wakes.count(), 1);
  EXPECT_EQ(wakes.poll(recv).take(), std::nullopt);
}

TEST(Oneshot, AValueThatNobodyTookIsDestroyed) {
  const auto witness = std::make_shared<int>(0);
  {
    Oneshot<std::shared_ptr<int>> oneshot;
    EXPECT_TRUE(oneshot.send(witness));
  }
  EXPECT_EQ(witness.use_count(), 1);
}

TEST(Oneshot, AReceiverThatLeavesAndComesBackLosesNothing) {
  Oneshot<int> oneshot;
  WakeCounter wakes;
  {
    auto recv = oneshot.recv();
    EXPECT_TRUE(wakes.poll(recv).is_pending());
  }
  EXPECT_TRUE(oneshot.send(5));
  EXPECT_EQ(wakes.count(), 0);
  EXPECT_EQ(block_on(oneshot.recv()), 5);
}

// A closer that found no waker used to take the one that the receiver was just storing.
TEST(Oneshot, ACloseMayMeetAReceiverThatBeginsToWait) {
  constexpr int kRounds = 500;
  std::vector<Oneshot<int>> channels(kRounds);
  on_threads(2, [&](int index) {
    for (Oneshot<int>& channel : channels) {
      if (index == 0) {
        EXPECT_FALSE(block_on(channel.recv()).has_value());
      } else {
        channel.close();
      }
    }
  });
}

TEST(Oneshot, CrossesThreadsWithoutALostWake) {
  constexpr int kRounds = 2000;
  std::vector<Oneshot<int>> there(kRounds);
  std::vector<Oneshot<int>> back(kRounds);
  on_threads(2, [&](int index) {
    for (std::size_t i = 0; i < kRounds; ++i) {
      if (index == 0) {
        ASSERT_TRUE(there[i].send(static_cast<int>(i)));
        ASSERT_EQ(block_on(back[i].recv()), static_cast<int>(i));
      } else {
        WakeCounter wakes;
        {
          auto recv = there[i].recv();
          auto answer = wakes.poll(recv);
          if (answer.is_ready()) {
            ASSERT_EQ(std::move(answer).take(), static_cast<int>(i));
            ASSERT_TRUE(back[i].send(static_cast<int>(i)));
            continue;
          }
        }
        ASSERT_EQ(block_on(there[i].recv()), static_cast<int>(i));
        ASSERT_TRUE(back[i].send(static_cast<int>(i)));
      }
    }
  });
}

}  // namespace
}  // namespace blitzio::channel
