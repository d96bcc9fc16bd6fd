// `Ring` and `Channel`: every value that was accepted is received once, in order and whole; nobody
// sleeps while there is something for him; closing loses nothing.
#include <blitzio/channel/channel.hpp>
#include <blitzio/channel/ring.hpp>
#include <blitzio/task/block_on.hpp>

#include <model/support.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <utility>

namespace blitzio::model {
namespace {

using channel::Channel;
using channel::detail::RingStatus;
using Ring = channel::detail::Ring<std::unique_ptr<int>>;

std::unique_ptr<int> boxed(int value) {
  return std::make_unique<int>(value);
}

bool push(Ring& ring, int value) {
  auto box = boxed(value);
  RingStatus status{};
  while ((status = ring.push(box)) == RingStatus::busy) yield_thread();
  return status == RingStatus::done;
}
std::optional<int> pop(Ring& ring) {
  std::optional<int> value;
  while (ring.pop_with([&](std::unique_ptr<int>&& box) noexcept { value = *box; }) ==
         RingStatus::busy) {
    yield_thread();
  }
  return value;
}

TEST(RingModel, EveryValueIsPoppedOnceAndInOrder) {
  expect_sound([] {
    Ring ring(2);
    Thread pusher([&] {
      BLITZIO_CHECK(push(ring, 1));
      BLITZIO_CHECK(push(ring, 2));
    });
    int next = 1;
    const auto take = [&] {
      if (const auto value = pop(ring)) {
        BLITZIO_CHECK(*value == next, *value, next);
        ++next;
      }
    };
    take();
    take();
    pusher.join();
    take();
    take();
    BLITZIO_CHECK(next == 3, next);
  });
}

void push_and_pop_from_both_ends() {
  Ring ring(1);
  int pushed = 0;
  int popped = 0;
  Thread pusher([&] {
    if (push(ring, 5)) pushed += 1;
  });
  Thread popper([&] {
    if (const auto value = pop(ring)) popped += 1;
  });
  int own_pushed = 0;
  int own_popped = 0;
  if (push(ring, 5)) own_pushed += 1;
  if (const auto value = pop(ring)) own_popped += 1;
  pusher.join();
  popper.join();
  while (const auto value = pop(ring)) own_popped += 1;
  BLITZIO_CHECK(pushed + own_pushed == popped + own_popped, pushed + own_pushed);
}

TEST(RingModel, PushersAndPoppersOfOneSlotTakeTurns) {
  expect_sound(push_and_pop_from_both_ends);
}

TEST(RingModel, APushBeforeTheCloseIsKept) {
  expect_sound([] {
    Ring ring(2);
    bool was_pushed = false;
    Thread pusher([&] { was_pushed = push(ring, 1); });
    BLITZIO_CHECK(ring.close());
    pusher.join();
    BLITZIO_CHECK(pop(ring).has_value() == was_pushed);
  });
}

TEST(RingModel, FindsASlotThatIsNotPublished) {
  expect_finds("data race", push_and_pop_from_both_ends,
               {.weakenings = {{.file = "channel/ring.hpp",
                                .function = "push",
                                .access = Access::store,
                                .from = std::memory_order_release}}});
}

TEST(RingModel, FindsASlotThatIsNotHandedBack) {
  expect_finds("data race", push_and_pop_from_both_ends,
               {.weakenings = {{.file = "channel/ring.hpp",
                                .function = "push",
                                .access = Access::load,
                                .from = std::memory_order_acquire}}});
}

void send_two_receive_two() {
  Channel<std::unique_ptr<int>> channel(1);
  Thread sender([&] {
    BLITZIO_CHECK(block_on(channel.send(boxed(1))).has_value());
    BLITZIO_CHECK(block_on(channel.send(boxed(2))).has_value());
  });
  for (int expected = 1; expected <= 2; ++expected) {
    const auto value = block_on(channel.recv());
    BLITZIO_CHECK(value.has_value() && **value == expected, expected);
  }
  sender.join();
}

TEST(ChannelModel, SenderAndReceiverWakeEachOther) {
  expect_sound(send_two_receive_two);
}

TEST(ChannelModel, TwoReceiversGetOneValueEach) {
  expect_sound([] {
    Channel<int> channel(2);
    const auto receive = [&] { BLITZIO_CHECK(block_on(channel.recv()).has_value()); };
    Thread one(receive);
    Thread two(receive);
    int value = 1;
    BLITZIO_CHECK(channel.try_send(value) == channel::SendStatus::sent);
    BLITZIO_CHECK(channel.try_send(value) == channel::SendStatus::sent);
    one.join();
    two.join();
  });
}

TEST(ChannelModel, AReceiverThatLeavesPassesItsWakeOn) {
  expect_sound([] {
    Channel<int> channel(1);
    std::optional<Channel<int>::Recv> leaving(channel.recv());
    BLITZIO_CHECK(poll_once(*leaving).is_pending());
    Thread receiver([&] { BLITZIO_CHECK(block_on(channel.recv()).has_value()); });
    Thread sender([&] {
      int value = 1;
      BLITZIO_CHECK(channel.try_send(value) == channel::SendStatus::sent);
    });
    leaving.reset();
    receiver.join();
    sender.join();
  });
}

TEST(ChannelModel, ASenderThatLeavesPassesItsWakeOn) {
  expect_sound([] {
    Channel<int> channel(1);
    int value = 1;
    BLITZIO_CHECK(channel.try_send(value) == channel::SendStatus::sent);
    std::optional<Channel<int>::Send> leaving(channel.send(2));
    BLITZIO_CHECK(poll_once(*leaving).is_pending());
    Thread sender([&] { BLITZIO_CHECK(block_on(channel.send(3)).has_value()); });
    Thread receiver([&] { BLITZIO_CHECK(block_on(channel.recv()) == 1); });
    leaving.reset();
    sender.join();
    receiver.join();
    BLITZIO_CHECK(channel.try_recv() == 3);
    BLITZIO_CHECK(channel.is_empty());
  });
}

TEST(ChannelModel, AValueIsSentOrTakenBack) {
  expect_sound([] {
    Channel<std::unique_ptr<int>> channel(1);
    auto value = boxed(1);
    BLITZIO_CHECK(channel.try_send(value) == channel::SendStatus::sent);
    auto send = channel.send(boxed(2));
    BLITZIO_CHECK(poll_once(send).is_pending());
    Thread receiver([&] { BLITZIO_CHECK(**block_on(channel.recv()) == 1); });
    const bool was_sent = poll_once(send).is_ready();
    const auto back = send.take_back();
    BLITZIO_CHECK(was_sent != back.has_value());
    receiver.join();
    BLITZIO_CHECK(channel.size() == (was_sent ? 1U : 0U));
  });
}

TEST(ChannelModel, CloseTellsReceiversAndSenders) {
  expect_sound([] {
    Channel<std::unique_ptr<int>> channel(1);
    int sent = 0;
    Thread sender([&] {
      for (int i = 0; i < 2; ++i) {
        if (block_on(channel.send(boxed(i))).has_value()) ++sent;
      }
    });
    Thread closer([&] { channel.close(); });
    int received = 0;
    while (block_on(channel.recv()).has_value()) ++received;
    sender.join();
    closer.join();
    BLITZIO_CHECK(sent == received, sent, received);
  });
}

TEST(ChannelModel, FindsANotifierThatLooksTooEarly) {
  expect_finds("deadlock", send_two_receive_two,
               {.weakenings = {{.file = "sync/wait_queue.hpp",
                                .function = "has_waiters",
                                .access = Access::load,
                                .from = std::memory_order_seq_cst,
                                .to = std::memory_order_acquire}}});
}

TEST(ChannelModel, FindsAWaiterThatLooksTooEarly) {
  expect_finds("deadlock", send_two_receive_two,
               {.weakenings = {{.file = "channel/ring.hpp",
                                .function = "pop_with",
                                .access = Access::load,
                                .from = std::memory_order_seq_cst,
                                .to = std::memory_order_acquire}}});
}

}  // namespace
}  // namespace blitzio::model
