#include <core/sync/support.hpp>

#include <blitzio/sync/event.hpp>
#include <blitzio/task/block_on.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <optional>
#include <thread>

namespace blitzio::sync {
namespace {

using test::on_threads;
using test::WakeCounter;

TEST(Event, SetWakesEverybodyAndWhoComesLaterDoesNotWait) {
  Event event;
  WakeCounter wakes;
  std::deque<Event::Wait> waiting;
  for (int i = 0; i < 20; ++i) {
    waiting.push_back(event.wait());
    EXPECT_TRUE(wakes.poll(waiting.back()).is_pending());
  }
  event.set();
  EXPECT_EQ(wakes.count(), 20);
  for (auto& wait : waiting) EXPECT_TRUE(wakes.poll(wait).is_ready());
  auto later = event.wait();
  EXPECT_TRUE(wakes.poll(later).is_ready());
}

TEST(Event, AWaiterThatWasLetGoGoesOnThoughTheFlagIsCleared) {
  Event event;
  WakeCounter wakes;
  auto wait = event.wait();
  EXPECT_TRUE(wakes.poll(wait).is_pending());
  event.set();
  event.clear();
  EXPECT_FALSE(event.is_set());
  EXPECT_TRUE(wakes.poll(wait).is_ready());
}

TEST(Event, TheFirstWaiterCanBeLeftToTheSetter) {
  Event event;
  WakeCounter first, others;
  EXPECT_TRUE(event.set_and_take_first().is_empty());
  event.clear();
  std::deque<Event::Wait> waiting;
  for (int i = 0; i < 10; ++i) {
    waiting.push_back(event.wait());
    EXPECT_TRUE((i == 0 ? first : others).poll(waiting.back()).is_pending());
  }
  Waker left = event.set_and_take_first();
  EXPECT_EQ(others.count(), 9);
  EXPECT_EQ(first.count(), 0);
  for (auto& wait : waiting) EXPECT_TRUE(others.poll(wait).is_ready());
  left.wake();
  EXPECT_EQ(first.count(), 1);
}

TEST(Event, ADroppedWaiterIsNotWoken) {
  Event event;
  WakeCounter wakes;
  std::optional<Event::Wait> wait(event.wait());
  EXPECT_TRUE(wakes.poll(*wait).is_pending());
  wait.reset();
  event.set();
  EXPECT_EQ(wakes.count(), 0);
}

TEST(Event, ThreadsThatWaitAllGoOn) {
  for (int round = 0; round < 100; ++round) {
    Event event;
    on_threads(3, [&](int index) {
      if (index == 0) {
        event.set();
      } else {
        block_on(event.wait());
      }
    });
    ASSERT_TRUE(event.is_set());
  }
}

// set() looked at the waiters that it had taken out of the queue without the lock: a dropped one
// that left them at that moment wrote to the stack of a set() that had returned.
TEST(Event, WaitersAreDroppedWhileAnotherThreadLetsThemGo) {
  constexpr int kRounds = 10'000;
  Event event;
  std::atomic<int> phase{0};  // odd: some wait; even: they were let go
  const auto wait_for = [&phase](int wanted) {
    for (int tries = 1; phase.load() != wanted; ++tries) {
      if (tries % 1000 == 0) std::this_thread::yield();
    }
  };
  on_threads(2, [&](int index) {
    WakeCounter wakes;
    for (int round = 0; round < kRounds; ++round) {
      if (index == 0) {
        wait_for(2 * round + 1);
        event.set();
        phase.store(2 * round + 2);
        continue;
      }
      std::deque<Event::Wait> waiting;
      for (int i = 0; i < 16; ++i) {
        waiting.push_back(event.wait());
        EXPECT_TRUE(wakes.poll(waiting.back()).is_pending());
      }
      phase.store(2 * round + 1);
      while (!waiting.empty()) waiting.pop_back();
      wait_for(2 * round + 2);
      event.clear();
    }
  });
}

TEST(ThreadParker, ParkUntilEndsAtItsDeadlineAndKeepsALaterWake) {
  ThreadParker& parker = ThreadParker::current();
  const Instant deadline = Instant::now() + Duration::from_millis(2);
  while (Instant::now() < deadline) parker.park_until(deadline);
  Waker waker = parker.waker();
  waker.wake();
  parker.park();
}

}  // namespace
}  // namespace blitzio::sync
