// `Oneshot`, `Broadcast` and `Watch`: values arrive whole, at everybody they are for, and whoever
// waits is told, by a value or by the close.
#include <blitzio/channel/broadcast.hpp>
#include <blitzio/channel/oneshot.hpp>
#include <blitzio/channel/watch.hpp>
#include <blitzio/task/block_on.hpp>

#include <model/support.hpp>

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>

namespace blitzio::model {
namespace {

using channel::Broadcast;
using channel::BroadcastError;
using channel::Oneshot;
using channel::Watch;
using Box = std::unique_ptr<int>;

void send_to_one_receiver() {
  Oneshot<Box> oneshot;
  Thread sender([&] { BLITZIO_CHECK(oneshot.send(std::make_unique<int>(1))); });
  const auto value = block_on(oneshot.recv());
  BLITZIO_CHECK(value.has_value() && **value == 1);
  sender.join();
}

TEST(OneshotModel, TheValueArrives) {
  expect_sound(send_to_one_receiver);
}

TEST(OneshotModel, TheReceiverMayFreeTheChannelAtOnce) {
  expect_sound([] {
    auto* oneshot = new Oneshot<Box>;
    Thread sender([=] { BLITZIO_CHECK(oneshot->send(std::make_unique<int>(1))); });
    BLITZIO_CHECK(block_on(oneshot->recv()).has_value());
    delete oneshot;
    sender.join();
  });
}

TEST(OneshotModel, SendAndCloseFromBothEnds) {
  expect_sound([] {
    Oneshot<Box> oneshot;
    bool was_sent = false;
    Thread sender([&] { was_sent = oneshot.send(std::make_unique<int>(1)); });
    Thread closer([&] { oneshot.close(); });
    const bool was_received = block_on(oneshot.recv()).has_value();
    sender.join();
    closer.join();
    BLITZIO_CHECK(was_sent == was_received, was_sent, was_received);
  });
}

TEST(OneshotModel, AReceiverMayLeaveAndComeBack) {
  expect_sound([] {
    Oneshot<Box> oneshot;
    Thread sender([&] { BLITZIO_CHECK(oneshot.send(std::make_unique<int>(1))); });
    {
      auto leaving = oneshot.recv();
      // Twice, so that its waker is replaced while the sender may be taking it.
      if (poll_once(leaving).is_ready() || poll_once(leaving).is_ready()) return;
    }
    BLITZIO_CHECK(block_on(oneshot.recv()).has_value());
  });
}

TEST(OneshotModel, FindsAValueThatIsNotPublished) {
  expect_finds("data race", send_to_one_receiver,
               {.weakenings = {{.file = "channel/oneshot.hpp",
                                .function = "send",
                                .access = Access::exchange,
                                .from = std::memory_order_release}}});
}

TEST(OneshotModel, FindsAWakerThatIsNotPublished) {
  expect_finds("data race", send_to_one_receiver,
               {.weakenings = {{.file = "channel/oneshot.hpp",
                                .function = "lend_waker",
                                .access = Access::exchange,
                                .from = std::memory_order_release}}});
}

// Two words, so that a mixture of two values would show.
using Wide = std::array<std::uint64_t, 2>;
constexpr Wide wide(std::uint64_t value) {
  return {value, value};
}

// Sends two values through one slot: the second is written while the first may be read.
void overwrite_while_reading() {
  Broadcast<Wide> broadcast(1);
  auto receiver = broadcast.subscribe();
  Thread sender([&] {
    BLITZIO_CHECK(broadcast.send(wide(1)));
    BLITZIO_CHECK(broadcast.send(wide(2)));
  });
  for (int i = 0; i < 2; ++i) {
    const auto got = receiver.try_recv();
    if (got) {
      BLITZIO_CHECK((*got)[0] == (*got)[1], (*got)[0], (*got)[1]);
    } else {
      BLITZIO_CHECK(got.error().kind != BroadcastError::Kind::closed);
    }
  }
  sender.join();
}

TEST(BroadcastModel, AValueIsReadWholeWhileAnotherIsWritten) {
  expect_sound(overwrite_while_reading, {.stale_reads_max = 3, .weakenings = {}});
}

// How many of the values sent to `receiver` it got, or was told to have missed, until there is
// none.
template <class T>
std::uint64_t count_all(typename Broadcast<T>::Receiver& receiver) {
  std::uint64_t count = 0;
  for (;;) {
    const auto got = receiver.try_recv();
    if (!got && got.error().kind != BroadcastError::Kind::lagged) return count;
    count += got ? 1 : got.error().missed;
  }
}

TEST(BroadcastModel, OfTwoSendersEachValueIsReceivedOrCountedAsMissed) {
  expect_sound([] {
    Broadcast<Wide> broadcast(1);
    auto receiver = broadcast.subscribe();
    Thread one([&] { BLITZIO_CHECK(broadcast.send(wide(1))); });
    Thread two([&] { BLITZIO_CHECK(broadcast.send(wide(2))); });
    std::uint64_t count = 0;
    if (const auto got = receiver.try_recv()) {
      BLITZIO_CHECK((*got)[0] == (*got)[1], (*got)[0], (*got)[1]);
      count = 1;
    } else if (got.error().kind == BroadcastError::Kind::lagged) {
      count = got.error().missed;
    }
    one.join();
    two.join();
    count += count_all<Wide>(receiver);
    BLITZIO_CHECK(count == 2, count);
  });
}

TEST(BroadcastModel, OfTwoSendersEachOwnedValueIsReceivedOrCountedAsMissed) {
  expect_sound([] {
    Broadcast<std::shared_ptr<int>> broadcast(1);
    auto receiver = broadcast.subscribe();
    Thread one([&] { BLITZIO_CHECK(broadcast.send(std::make_shared<int>(1))); });
    Thread two([&] { BLITZIO_CHECK(broadcast.send(std::make_shared<int>(2))); });
    std::uint64_t count = 0;
    if (const auto got = receiver.try_recv()) {
      BLITZIO_CHECK(**got == 1 || **got == 2, **got);
      count = 1;
    } else if (got.error().kind == BroadcastError::Kind::lagged) {
      count = got.error().missed;
    }
    one.join();
    two.join();
    count += count_all<std::shared_ptr<int>>(receiver);
    BLITZIO_CHECK(count == 2, count);
  });
}

TEST(BroadcastModel, OneOfTwoSendersWakesAReceiverThatWaits) {
  expect_sound([] {
    Broadcast<int> broadcast(2);
    auto receiver = broadcast.subscribe();
    Thread one([&] { BLITZIO_CHECK(broadcast.send(1)); });
    Thread two([&] { BLITZIO_CHECK(broadcast.send(2)); });
    const int sum = block_on(receiver.recv()).value() + block_on(receiver.recv()).value();
    BLITZIO_CHECK(sum == 3, sum);
    one.join();
    two.join();
  });
}

TEST(BroadcastModel, AReceiverThatWaitsIsWoken) {
  expect_sound([] {
    Broadcast<int> broadcast(2);
    auto first = broadcast.subscribe();
    auto second = broadcast.subscribe();
    Thread receiver([&] { BLITZIO_CHECK(block_on(first.recv()) == 1); });
    Thread sender([&] { BLITZIO_CHECK(broadcast.send(1)); });
    BLITZIO_CHECK(block_on(second.recv()) == 1);
    receiver.join();
    sender.join();
  });
}

TEST(BroadcastModel, WhatTheSlotOwnsIsCopiedByOneAndReplacedByAnother) {
  expect_sound([] {
    // Not trivially copyable: the slot is locked while it is copied.
    struct Owned {
      explicit Owned(int value) : box(std::make_unique<int>(value)) {}
      Owned(const Owned& other) : box(std::make_unique<int>(*other.box)) {}
      Owned(Owned&&) noexcept = default;
      Owned& operator=(const Owned&) = delete;
      Owned& operator=(Owned&&) noexcept = default;
      ~Owned() = default;
      Box box;
    };
    Broadcast<Owned> broadcast(1);
    auto receiver = broadcast.subscribe();
    Thread sender([&] {
      BLITZIO_CHECK(broadcast.send(Owned(1)));
      BLITZIO_CHECK(broadcast.send(Owned(2)));
    });
    if (const auto got = receiver.try_recv()) BLITZIO_CHECK(*got->box >= 1);
    sender.join();
  });
}

TEST(BroadcastModel, CloseReachesWhoWaits) {
  expect_sound([] {
    Broadcast<int> broadcast(1);
    auto receiver = broadcast.subscribe();
    Thread closer([&] { broadcast.close(); });
    BLITZIO_CHECK(block_on(receiver.recv()).error().kind == BroadcastError::Kind::closed);
    closer.join();
  });
}

TEST(BroadcastModel, FindsWordsThatAreReadAcrossAWrite) {
  expect_finds("check failed", overwrite_while_reading,
               {.stale_reads_max = 3,
                .weakenings = {{.file = "channel/broadcast.hpp",
                                .function = "write",
                                .access = Access::store,
                                .from = std::memory_order_release}}});
}

TEST(BroadcastModel, FindsASenderThatLooksForReceiversTooEarly) {
  expect_finds("deadlock",
               [] {
                 Broadcast<int> broadcast(1);
                 auto receiver = broadcast.subscribe();
                 Thread sender([&] { BLITZIO_CHECK(broadcast.send(1)); });
                 BLITZIO_CHECK(block_on(receiver.recv()) == 1);
                 sender.join();
               },
               {.weakenings = {{.file = "channel/broadcast.hpp",
                                .function = "send",
                                .access = Access::store,
                                .from = std::memory_order_seq_cst,
                                .to = std::memory_order_release}}});
}

TEST(WatchModel, TheChangesOfTwoSendersAddUpAndAreSeen) {
  expect_sound([] {
    Watch<Box> watch(std::make_unique<int>(0));
    auto receiver = watch.subscribe();
    const auto add = [&](int number) {
      BLITZIO_CHECK(watch.send_modify([=](Box& value) { *value += number; }));
    };
    Thread one([&] { add(1); });
    Thread two([&] { add(2); });
    int seen = 0;
    while (seen != 3) {
      BLITZIO_CHECK(block_on(receiver.changed()));
      const int next = receiver.borrow_and_update([](const Box& value) { return *value; });
      BLITZIO_CHECK(next > seen, next, seen);
      seen = next;
    }
    BLITZIO_CHECK(!receiver.has_changed());
    one.join();
    two.join();
  });
}

TEST(WatchModel, TheLastValueIsNeverMissed) {
  expect_sound([] {
    Watch<Box> watch(std::make_unique<int>(0));
    auto receiver = watch.subscribe();
    Thread sender([&] {
      for (int i = 1; i <= 2; ++i) BLITZIO_CHECK(watch.send(std::make_unique<int>(i)));
    });
    int seen = 0;
    while (seen != 2) {
      BLITZIO_CHECK(block_on(receiver.changed()));
      seen = watch.borrow([](const Box& value) { return *value; });
    }
    sender.join();
  });
}

TEST(WatchModel, CloseReachesWhoWaits) {
  expect_sound([] {
    Watch<int> watch(0);
    auto receiver = watch.subscribe();
    Thread closer([&] { watch.close(); });
    Thread sender([&] { static_cast<void>(watch.send(1)); });
    while (block_on(receiver.changed())) {
    }
    closer.join();
    sender.join();
  });
}

TEST(WatchModel, FindsAChangeThatIsNotSeqCst) {
  expect_finds("deadlock",
               [] {
                 Watch<int> watch(0);
                 auto receiver = watch.subscribe();
                 Thread sender([&] { static_cast<void>(watch.send(1)); });
                 BLITZIO_CHECK(block_on(receiver.changed()));
                 sender.join();
               },
               {.weakenings = {{.file = "channel/watch.hpp",
                                .function = "send_modify",
                                .access = Access::exchange,
                                .from = std::memory_order_seq_cst,
                                .to = std::memory_order_acq_rel}}});
}

}  // namespace
}  // namespace blitzio::model
