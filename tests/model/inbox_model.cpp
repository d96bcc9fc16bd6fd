// The inbox, and the handshake by which its owner sleeps: what is pushed is taken once and in
// order, and a push is never slept through.
#include <blitzio/base/inbox.hpp>
#include <blitzio/base/park_word.hpp>

#include <model/model.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace blitzio::model {
namespace {

struct Element : InboxNode {
  int value = 0;
};

TEST(InboxModel, EveryElementIsTakenOnceAndInOrder) {
  expect_sound([] {
    Inbox<Element> inbox;
    Element first;
    Element second;
    Element other;
    Thread one([&] {
      first.value = 1;
      inbox.push(first);
      second.value = 2;
      inbox.push(second);
    });
    Thread two([&] {
      other.value = 3;
      inbox.push(other);
    });
    std::vector<int> taken;
    const auto take = [&] { inbox.take_all([&](Element& got) { taken.push_back(got.value); }); };
    take();
    take();
    one.join();
    two.join();
    take();
    BLITZIO_CHECK(taken.size() == 3, taken.size());
    std::erase(taken, 3);
    BLITZIO_CHECK(taken == (std::vector{1, 2}));
  });
}

TEST(InboxModel, ATakenElementMayBePushedAgain) {
  expect_sound([] {
    Inbox<Element> inbox;
    Element again;
    Element other;
    inbox.push(again);
    Thread pusher([&] { inbox.push(other); });
    int takes = 0;
    bool is_first = true;
    const auto take = [&] {
      inbox.take_all([&](Element& got) {
        ++takes;
        if (&got == &again && std::exchange(is_first, false)) inbox.push(again);
      });
    };
    take();
    take();
    pusher.join();
    take();
    BLITZIO_CHECK(takes == 3, takes);
  });
}

TEST(InboxModel, OneOfSeveralPushersLearnsThatItWasEmpty) {
  expect_sound([] {
    Inbox<Element> inbox;
    Element one;
    Element two;
    bool is_first_one = false;
    Thread pusher([&] { is_first_one = inbox.push(one); });
    const bool is_first_two = inbox.push(two);
    pusher.join();
    BLITZIO_CHECK(is_first_one != is_first_two);
    inbox.take_all([](Element&) {});
  });
}

// An owner that takes `count` elements, asleep while there are none, and the pushers' side of it.
struct Sleeper {
  Inbox<Element> inbox;
  ParkWord park;
  Event event;
  Atomic<int> interrupts{0};
  int sleeps = 0;

  void push(Element& element) {
    inbox.push(element);
    if (park.notify()) {
      // Relaxed: read after the threads are joined.
      interrupts.fetch_add(1, std::memory_order_relaxed);
      event.signal();
    }
  }
  void take(int count) {
    while (count > 0) {
      inbox.take_all([&](Element& got) {
        BLITZIO_CHECK(got.value == 7, got.value);
        --count;
      });
      if (count > 0 && park.begin_sleep()) {
        ++sleeps;
        event.wait();
        park.end_sleep();
      }
    }
  }
};

TEST(ParkWordModel, APushIsNeverSleptThrough) {
  expect_sound([] {
    Sleeper sleeper;
    Element one;
    Element two;
    const auto push = [&](Element& element) {
      element.value = 7;
      sleeper.push(element);
    };
    Thread first([&] { push(one); });
    Thread second([&] { push(two); });
    sleeper.take(2);
    first.join();
    second.join();
    const int interrupts = sleeper.interrupts.load(std::memory_order_relaxed);
    BLITZIO_CHECK(interrupts <= sleeper.sleeps, interrupts, sleeper.sleeps);
  });
}

TEST(ParkWordModel, FindsAWakeThatDoesNotPublish) {
  expect_finds("deadlock",
               [] {
                 Sleeper sleeper;
                 Element one;
                 Thread first([&] {
                   one.value = 7;
                   sleeper.push(one);
                 });
                 sleeper.take(1);
                 first.join();
               },
               {.weakenings = {{.file = "base/park_word.hpp",
                                .function = "notify",
                                .access = Access::exchange,
                                .from = std::memory_order_acq_rel}}});
}

}  // namespace
}  // namespace blitzio::model
