#include <core/sync/support.hpp>

#include <blitzio/channel/broadcast.hpp>
#include <blitzio/channel/watch.hpp>
#include <blitzio/task/block_on.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>

namespace blitzio::channel {
namespace {

using test::on_threads;
using test::WakeCounter;

using Kind = BroadcastError::Kind;

template <class T>
T make(int value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return std::to_string(value);
  } else {
    T made{};
    made.fill(static_cast<std::uint32_t>(value));
    return made;
  }
}

template <class T>
int number_in(const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return std::stoi(value);
  } else {
    return static_cast<int>(value.front());
  }
}

// A value that is copied by a sequence lock, and one that is not.
template <class T>
class BroadcastOf : public testing::Test {};
using Values = testing::Types<std::array<std::uint32_t, 7>, std::string>;
TYPED_TEST_SUITE(BroadcastOf, Values);

TYPED_TEST(BroadcastOf, EveryReceiverGetsEveryValueInOrder) {
  Broadcast<TypeParam> channel(8);
  auto first = channel.subscribe();
  EXPECT_TRUE(channel.send(make<TypeParam>(1)));
  auto second = channel.subscribe();
  EXPECT_TRUE(channel.send(make<TypeParam>(2)));
  EXPECT_EQ(*first.try_recv(), make<TypeParam>(1));
  EXPECT_EQ(*first.try_recv(), make<TypeParam>(2));
  EXPECT_EQ(first.try_recv().error().kind, Kind::empty);
  EXPECT_EQ(*second.try_recv(), make<TypeParam>(2)) << "only what came after it subscribed";
}

TYPED_TEST(BroadcastOf, ASlowReceiverIsToldHowManyItMissed) {
  Broadcast<TypeParam> channel(4);
  auto receiver = channel.subscribe();
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(channel.send(make<TypeParam>(i)));
  EXPECT_EQ(*receiver.try_recv(), make<TypeParam>(0)) << "as many as fit are all there";
  for (int i = 4; i < 10; ++i) EXPECT_TRUE(channel.send(make<TypeParam>(i)));
  const auto lagged = receiver.try_recv();
  ASSERT_FALSE(lagged);
  EXPECT_EQ(lagged.error().kind, Kind::lagged);
  const int next = 1 + static_cast<int>(lagged.error().missed);
  EXPECT_EQ(next, 6) << "the last four are there";
  for (int i = next; i < 10; ++i) EXPECT_EQ(*receiver.try_recv(), make<TypeParam>(i));
  EXPECT_EQ(receiver.try_recv().error().kind, Kind::empty);
}

TYPED_TEST(BroadcastOf, CloseComesAfterWhatWasSent) {
  Broadcast<TypeParam> channel(4);
  auto receiver = channel.subscribe();
  EXPECT_TRUE(channel.send(make<TypeParam>(1)));
  channel.close();
  EXPECT_FALSE(channel.send(make<TypeParam>(2)));
  EXPECT_EQ(*block_on(receiver.recv()), make<TypeParam>(1));
  EXPECT_EQ(block_on(receiver.recv()).error().kind, Kind::closed);
}

TYPED_TEST(BroadcastOf, WaitingReceiversAreAllWoken) {
  Broadcast<TypeParam> channel(4);
  auto first = channel.subscribe();
  auto second = channel.subscribe();
  WakeCounter wakes;
  auto first_recv = first.recv();
  auto second_recv = second.recv();
  EXPECT_TRUE(wakes.poll(first_recv).is_pending());
  EXPECT_TRUE(wakes.poll(second_recv).is_pending());
  EXPECT_TRUE(channel.send(make<TypeParam>(1)));
  EXPECT_EQ(wakes.count(), 2);
  EXPECT_EQ(*wakes.poll(first_recv).take(), make<TypeParam>(1));
  EXPECT_EQ(*wakes.poll(second_recv).take(), make<TypeParam>(1));
}

TYPED_TEST(BroadcastOf, NoReceiverEverSeesAValueInPieces) {
  constexpr int kValues = 4000;
  Broadcast<TypeParam> channel(4);
  std::atomic<int> ready{0};
  on_threads(3, [&](int index) {
    if (index == 0) {
      while (ready.load() < 2) std::this_thread::yield();
      for (int i = 0; i < kValues; ++i) ASSERT_TRUE(channel.send(make<TypeParam>(i)));
      channel.close();
      return;
    }
    auto receiver = channel.subscribe();
    ready.fetch_add(1);
    int next = 0;
    for (;;) {
      const auto value = block_on(receiver.recv());
      if (value) {
        ASSERT_EQ(*value, make<TypeParam>(next));
        ++next;
        continue;
      }
      if (value.error().kind == Kind::closed) break;
      next += static_cast<int>(value.error().missed);
    }
    ASSERT_EQ(next, kValues) << "received or counted as missed";
  });
}

TYPED_TEST(BroadcastOf, OfTwoSendersEveryValueIsReceivedOrCountedAndKeepsItsOrder) {
  constexpr int kValues = 2000;
  Broadcast<TypeParam> channel(4);
  std::atomic<int> ready{0};
  std::atomic<int> done{0};
  on_threads(4, [&](int index) {
    if (index < 2) {
      while (ready.load() < 2) std::this_thread::yield();
      for (int i = 0; i < kValues; ++i) {
        ASSERT_TRUE(channel.send(make<TypeParam>(2 * i + index)));
      }
      if (done.fetch_add(1) == 1) channel.close();
      return;
    }
    auto receiver = channel.subscribe();
    ready.fetch_add(1);
    std::array<int, 2> last{-1, -1};
    std::uint64_t count = 0;
    for (;;) {
      const auto value = block_on(receiver.recv());
      if (value) {
        const int number = number_in(*value);
        ASSERT_EQ(*value, make<TypeParam>(number)) << "in one piece";
        int& before = last.at(static_cast<std::size_t>(number % 2));
        ASSERT_GT(number, before);
        before = number;
        ++count;
        continue;
      }
      if (value.error().kind == Kind::closed) break;
      ASSERT_GT(value.error().missed, 0U);
      count += value.error().missed;
    }
    ASSERT_EQ(count, 2U * kValues);
  });
}

TEST(Watch, KeepsTheLatestValue) {
  Watch<std::string> watch("a");
  auto receiver = watch.subscribe();
  EXPECT_FALSE(receiver.has_changed());
  EXPECT_TRUE(watch.send("b"));
  EXPECT_TRUE(watch.send("c"));
  EXPECT_TRUE(receiver.has_changed());
  EXPECT_EQ(receiver.get(), "c");
  EXPECT_TRUE(receiver.has_changed()) << "get() takes no note";
  EXPECT_EQ(receiver.get_and_update(), "c");
  EXPECT_FALSE(receiver.has_changed());
}

TEST(Watch, SendModifyChangesInPlaceAndBorrowLooks) {
  Watch<std::string> watch("a");
  EXPECT_TRUE(watch.send_modify([](std::string& value) { value += "b"; }));
  EXPECT_EQ(watch.borrow([](const std::string& value) { return value.size(); }), 2U);
}

TEST(Watch, ChangedWaitsForNewsOncePerReceiver) {
  Watch<int> watch(0);
  auto first = watch.subscribe();
  auto second = watch.subscribe();
  WakeCounter wakes;
  auto first_changed = first.changed();
  auto second_changed = second.changed();
  EXPECT_TRUE(wakes.poll(first_changed).is_pending());
  EXPECT_TRUE(wakes.poll(second_changed).is_pending());
  EXPECT_TRUE(watch.send(1));
  EXPECT_EQ(wakes.count(), 2);
  EXPECT_TRUE(wakes.poll(first_changed).take());
  EXPECT_TRUE(wakes.poll(second_changed).take());
  auto again = first.changed();
  EXPECT_TRUE(wakes.poll(again).is_pending());
}

TEST(Watch, CloseTellsOfTheLastNewsFirst) {
  Watch<int> watch(0);
  auto receiver = watch.subscribe();
  EXPECT_TRUE(watch.send(1));
  watch.close();
  EXPECT_FALSE(watch.send(2));
  EXPECT_TRUE(block_on(receiver.changed()));
  EXPECT_FALSE(block_on(receiver.changed()));
  EXPECT_EQ(receiver.get(), 1);
}

TEST(Watch, AReceiverOnAnotherThreadSeesTheLastValue) {
  Watch<int> watch(0);
  on_threads(3, [&](int index) {
    if (index == 0) {
      for (int i = 1; i <= 3000; ++i) ASSERT_TRUE(watch.send(i));
      watch.close();
      return;
    }
    auto receiver = watch.subscribe();
    int last = receiver.get();
    while (block_on(receiver.changed())) {
      const int value = receiver.get_and_update();
      ASSERT_GE(value, last);
      last = value;
    }
    ASSERT_EQ(receiver.get(), 3000);
  });
}

TEST(Watch, OfTwoSendersNoChangeIsLost) {
  constexpr int kChanges = 1500;
  Watch<std::string> watch("");
  std::atomic<int> done{0};
  on_threads(4, [&](int index) {
    if (index < 2) {
      for (int i = 0; i < kChanges; ++i) {
        ASSERT_TRUE(watch.send_modify([](std::string& value) { value += 'x'; }));
      }
      if (done.fetch_add(1) == 1) watch.close();
      return;
    }
    auto receiver = watch.subscribe();
    std::size_t seen = receiver.get().size();
    while (block_on(receiver.changed())) {
      const std::size_t size =
          receiver.borrow_and_update([](const std::string& value) { return value.size(); });
      ASSERT_GE(size, seen);
      seen = size;
    }
    ASSERT_EQ(receiver.get().size(), 2U * kChanges);
  });
}

TEST(Watch, ARefusedValueStaysWithTheCaller) {
  Watch<std::unique_ptr<int>> watch(std::make_unique<int>(1));
  EXPECT_TRUE(watch.send(std::make_unique<int>(2)));
  watch.close();
  auto value = std::make_unique<int>(3);
  EXPECT_FALSE(watch.send(std::move(value)));
  ASSERT_NE(value, nullptr);
  EXPECT_EQ(watch.borrow([](const auto& held) { return *held; }), 2);
}

TEST(Watch, AChangeThatSaysItIsNoneWakesNobody) {
  Watch<int> watch(1);
  auto receiver = watch.subscribe();
  WakeCounter wakes;
  auto changed = receiver.changed();
  EXPECT_TRUE(wakes.poll(changed).is_pending());
  EXPECT_FALSE(watch.send_if_modified([](int&) { return false; }));
  EXPECT_EQ(wakes.count(), 0);
  EXPECT_FALSE(receiver.has_changed());
  EXPECT_TRUE(watch.send_if_modified([](int& value) { return ++value == 2; }));
  EXPECT_EQ(wakes.count(), 1);
  EXPECT_TRUE(wakes.poll(changed).take());
}

TEST(Watch, ALookMayTakeNoteOfTheNewsOrNot) {
  Watch<std::string> watch("a");
  auto receiver = watch.subscribe();
  EXPECT_TRUE(watch.send("bc"));
  const auto length = [](const std::string& value) { return value.size(); };
  EXPECT_EQ(receiver.borrow(length), 2U);
  EXPECT_TRUE(receiver.has_changed());
  EXPECT_EQ(receiver.borrow_and_update(length), 2U);
  EXPECT_FALSE(receiver.has_changed());
}

TEST(Watch, ADroppedWaitMissesNoChange) {
  Watch<int> watch(0);
  auto receiver = watch.subscribe();
  WakeCounter wakes;
  {
    auto dropped = receiver.changed();
    EXPECT_TRUE(wakes.poll(dropped).is_pending());
    EXPECT_TRUE(watch.send(1));
  }
  EXPECT_TRUE(block_on(receiver.changed())) << "the news was not taken note of";
  EXPECT_FALSE(receiver.has_changed());
}

TEST(Broadcast, ARefusedValueStaysWithTheCallerAndSizesCount) {
  Broadcast<std::string> channel(2);
  auto receiver = channel.subscribe();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(channel.send("a"));
  EXPECT_EQ(receiver.size(), 3U) << "one of them is missed";
  EXPECT_EQ(receiver.try_recv().error().missed, 1U);
  EXPECT_EQ(receiver.size(), 2U);
  channel.close();
  std::string value = "a value that does not fit into the string itself";
  EXPECT_FALSE(channel.send(std::move(value)));
  EXPECT_FALSE(value.empty());
}

TEST(Broadcast, ADroppedReceiveLosesNothing) {
  Broadcast<int> channel(4);
  auto receiver = channel.subscribe();
  WakeCounter wakes;
  {
    auto dropped = receiver.recv();
    EXPECT_TRUE(wakes.poll(dropped).is_pending());
    EXPECT_TRUE(channel.send(1));
    EXPECT_EQ(wakes.count(), 1);
  }
  EXPECT_EQ(*block_on(receiver.recv()), 1);
}

}  // namespace
}  // namespace blitzio::channel
