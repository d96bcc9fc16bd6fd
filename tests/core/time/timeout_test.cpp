// Sleep, timeout and interval on a queue that the test advances by hand: no clock is waited for.
#include <core/sync/support.hpp>

#include <blitzio/base/result.hpp>
#include <blitzio/channel/channel.hpp>
#include <blitzio/sync/semaphore.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/time/interval.hpp>
#include <blitzio/time/sleep.hpp>
#include <blitzio/time/timeout.hpp>
#include <blitzio/time/timer_context.hpp>
#include <blitzio/time/timer_queue.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

namespace blitzio::time {
namespace {

using test::WakeCounter;

// Far enough in the future that the test is never late.
class Timers : public testing::Test {
 protected:
  Timers() { scope_.enter(queue_); }
  ~Timers() override { scope_.leave(); }
  void advance_to(Duration since_start) { queue_.advance(start_ + since_start); }

  const Instant start_ = Instant::now() + Duration::from_secs(100);
  TimerQueue queue_;
  TimerContext::Scope scope_;
  WakeCounter wakes_;
};

TEST(BlockingSleep, EndsWhenTheTimeIsOverAndNotBefore) {
  const Instant begun = Instant::now();
  blocking_sleep(Duration::from_millis(2));
  EXPECT_GE(begun.elapsed(), Duration::from_millis(2));
  blocking_sleep(Duration::zero());
  blocking_sleep(-Duration::from_secs(100));
}

TEST_F(Timers, ASleepIsReadyAtItsDeadlineAndNotBefore) {
  Sleep sleep = sleep_until(start_ + 5_ms);
  EXPECT_TRUE(wakes_.poll(sleep).is_pending());
  advance_to(4_ms);
  EXPECT_EQ(wakes_.count(), 0);
  advance_to(5_ms);
  EXPECT_EQ(wakes_.count(), 1);
  EXPECT_TRUE(sleep.is_elapsed());
  EXPECT_TRUE(wakes_.poll(sleep).is_ready());
}

TEST_F(Timers, ADroppedSleepLeavesNoTimer) {
  {
    Sleep sleep = sleep_until(start_);
    EXPECT_TRUE(wakes_.poll(sleep).is_pending());
    EXPECT_FALSE(queue_.is_empty());
  }
  EXPECT_TRUE(queue_.is_empty());
}

TEST_F(Timers, ASleepCanBeResetWhereverItIs) {
  Sleep sleep = sleep_until(start_);
  sleep.reset(start_ + 1_ms);
  EXPECT_TRUE(wakes_.poll(sleep).is_pending());
  sleep.reset(start_ + 10_ms);
  advance_to(5_ms);
  EXPECT_EQ(wakes_.count(), 0);
  sleep.reset(start_ + 7_ms);
  advance_to(7_ms);
  EXPECT_EQ(wakes_.count(), 1) << "an armed one wakes without another poll";
  EXPECT_TRUE(wakes_.poll(sleep).is_ready());
  sleep.reset(start_ + 9_ms);
  EXPECT_FALSE(sleep.is_elapsed());
  EXPECT_TRUE(wakes_.poll(sleep).is_pending());
  advance_to(9_ms);
  EXPECT_TRUE(wakes_.poll(sleep).is_ready());
  EXPECT_EQ(sleep.deadline(), start_ + 9_ms);
}

TEST_F(Timers, SleepsOfOneTurnWakeInTheOrderOfTheirDeadlines) {
  WakeCounter early;
  WakeCounter late;
  Sleep second = sleep_until(start_ + 2_us);
  Sleep first = sleep_until(start_ + 1_us);
  EXPECT_TRUE(late.poll(second).is_pending());
  EXPECT_TRUE(early.poll(first).is_pending());
  queue_.advance(start_ + 1_us);
  EXPECT_EQ(early.count(), 1);
  EXPECT_EQ(late.count(), 0);
  second.reset(start_);
}

using TimersDeathTest = Timers;
TEST_F(TimersDeathTest, ATimerWithoutAnExecutorSaysSo) {
  EXPECT_DEATH(std::thread([] {
                 WakeCounter wakes;
                 Sleep sleep = sleep_until(Instant::max());
                 static_cast<void>(wakes.poll(sleep));
               }).join(),
               "a timer needs an executor");
}

// A queue that several threads share, as that of a worker: the future moves between them.
TEST(SharedTimers, ASleepMayBeDroppedAndPolledOnOtherThreads) {
  TimerQueue queue([](void*) noexcept {}, nullptr);
  const Instant start = Instant::now() + Duration::from_secs(100);
  WakeCounter wakes;
  std::vector<std::unique_ptr<Sleep>> sleeps;
  std::thread([&] {
    TimerContext::Scope scope;
    scope.enter(queue);
    for (int i = 0; i < 300; ++i) {
      sleeps.push_back(std::make_unique<Sleep>(start + Duration::from_micros(i)));
      EXPECT_TRUE(wakes.poll(*sleeps.back()).is_pending());
    }
    scope.leave();
  }).join();
  test::on_threads(3, [&](int index) {
    if (index == 0) {
      for (int i = 0; i < 300; ++i) queue.advance(start + Duration::from_micros(i));
      return;
    }
    for (std::size_t i = static_cast<std::size_t>(index); i < sleeps.size(); i += 3) {
      if (i % 2 == 0) {
        sleeps[i].reset();
      } else {
        static_cast<void>(wakes.poll(*sleeps[i]));
        sleeps[i]->reset(start + Duration::from_micros(2 * static_cast<int>(i)));
      }
    }
  });
  queue.advance(start + Duration::from_secs(1));
  EXPECT_TRUE(queue.is_empty());
}

// ---- timeout, deadline -----------------------------------------------------------------------

TEST_F(Timers, AFutureThatIsReadyInTimeGivesItsValue) {
  channel::Channel<int> channel(1);
  auto timed = deadline(start_, channel.recv());
  EXPECT_TRUE(wakes_.poll(timed).is_pending());
  EXPECT_EQ(channel.try_send(3), channel::SendStatus::sent);
  const Result<std::optional<int>> result = wakes_.poll(timed).take();
  EXPECT_EQ(result.value(), 3);
}

TEST_F(Timers, AFutureThatIsNotIsDroppedWithAnError) {
  sync::Semaphore semaphore(0);
  auto timed = deadline(start_ + 1_ms, semaphore.acquire());
  EXPECT_EQ(timed.deadline(), start_ + 1_ms);
  EXPECT_TRUE(wakes_.poll(timed).is_pending());
  advance_to(1_ms);
  EXPECT_EQ(wakes_.count(), 1);
  const Result<sync::Permit> result = wakes_.poll(timed).take();
  ASSERT_FALSE(result) << "a Result of a Result is one Result";
  EXPECT_TRUE(result.error().is(RuntimeErrc::timed_out));
  semaphore.release();
  EXPECT_EQ(semaphore.available_permits(), 1U) << "the future has left the queue";
}

TEST_F(Timers, AValueThatComesWithTheTimeoutIsNotLost) {
  channel::Channel<int> channel(1);
  auto timed = deadline(start_, channel.recv());
  EXPECT_TRUE(wakes_.poll(timed).is_pending());
  advance_to(0_ms);
  EXPECT_EQ(channel.try_send(3), channel::SendStatus::sent);
  EXPECT_EQ(wakes_.poll(timed).take().value(), 3);
}

TEST_F(Timers, ALentFutureOutlivesItsTimeout) {
  channel::Channel<int> channel(1);
  auto recv = channel.recv();
  {
    auto timed = deadline(start_, recv);
    EXPECT_TRUE(wakes_.poll(timed).is_pending());
    advance_to(0_ms);
    EXPECT_FALSE(wakes_.poll(timed).take());
  }
  EXPECT_EQ(channel.try_send(3), channel::SendStatus::sent);
  EXPECT_EQ(wakes_.poll(recv).take(), 3);
}

TEST_F(Timers, OutputsThatAreNoResultAreWrapped) {
  static_assert(std::is_same_v<OutputOf<decltype(timeout(1_s, ready))>, Result<void>>);
  static_assert(
      std::is_same_v<OutputOf<decltype(timeout(1_s, ready(Result<int>(1))))>, Result<int>>);
  auto at_once = timeout(Duration::zero(), ready(5));
  EXPECT_EQ(wakes_.poll(at_once).take().value(), 5);
  auto forever = timeout(Duration::max(), pending);
  EXPECT_TRUE(wakes_.poll(forever).is_pending());
  advance_to(Duration::from_hours(24 * 365));
  EXPECT_TRUE(wakes_.poll(forever).is_pending());
}

TEST_F(Timers, ADeadlineTellsWhatIsLeft) {
  const Deadline past = Instant::now() - 1_s;
  EXPECT_TRUE(past.is_expired());
  EXPECT_EQ(past.remaining(), Duration::zero());
  const Deadline far = Deadline::after(Duration::from_hours(1));
  EXPECT_FALSE(far.is_expired());
  EXPECT_GT(far.remaining(), Duration::from_mins(30));
  auto timed = deadline(far, ready(1));
  EXPECT_EQ(timed.deadline(), far.at());
}

// ---- interval --------------------------------------------------------------------------------

TEST_F(Timers, AnIntervalTicksAtItsStartAndThenEveryPeriod) {
  Interval interval = interval_at(start_, 10_ms);
  {
    auto dropped = interval.tick();
    EXPECT_TRUE(wakes_.poll(dropped).is_pending());
  }
  auto first = interval.tick();
  EXPECT_TRUE(wakes_.poll(first).is_pending());
  advance_to(0_ms);
  EXPECT_EQ(wakes_.poll(first).take(), start_) << "dropping a tick loses none";
  auto second = interval.tick();
  EXPECT_TRUE(wakes_.poll(second).is_pending());
  advance_to(9_ms);
  EXPECT_TRUE(wakes_.poll(second).is_pending());
  advance_to(10_ms);
  EXPECT_EQ(wakes_.poll(second).take(), start_ + 10_ms);
}

TEST_F(Timers, ThePresentTickIsReadyAtOnce) {
  Interval interval = time::interval(Duration::from_hours(1));
  auto first = interval.tick();
  EXPECT_TRUE(wakes_.poll(first).is_ready());
  auto second = interval.tick();
  EXPECT_TRUE(wakes_.poll(second).is_pending());
  interval.reset_immediately();
  EXPECT_TRUE(wakes_.poll(second).is_ready());
}

TEST_F(Timers, AnIntervalThatIsResetPlansAnew) {
  Interval interval = interval_at(start_, 10_ms);
  interval.reset_at(start_ + 3_ms);
  auto first = interval.tick();
  EXPECT_TRUE(wakes_.poll(first).is_pending());
  advance_to(3_ms);
  EXPECT_EQ(wakes_.poll(first).take(), start_ + 3_ms);
  auto second = interval.tick();
  EXPECT_TRUE(wakes_.poll(second).is_pending());
  const Instant before = Instant::now();
  interval.reset();
  advance_to(9_ms);
  EXPECT_GE(wakes_.poll(second).take(), before + 10_ms);
  auto third = interval.tick();
  const Instant again = Instant::now();
  interval.reset_after(1_s);
  EXPECT_TRUE(wakes_.poll(third).is_pending());
  advance_to(1_s);  // far behind that
  EXPECT_GE(wakes_.poll(third).take(), again + 1_s);
  EXPECT_EQ(interval.period(), 10_ms);
}

TEST_F(Timers, APeriodMustBePositive) {
  EXPECT_THROW(static_cast<void>(interval(Duration::zero())), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(interval(-1_ms)), std::invalid_argument);
}

TEST(MissedTicks, DecidesWhenTheNextTickIsDue) {
  const Instant planned = Instant::from_nanos(1'000'000'000);
  const auto next = [&](MissedTicks policy, Duration late) {
    return detail::next_tick(policy, planned, planned + late, 100_ms, Interval::kLate) - planned;
  };
  for (const MissedTicks policy : {MissedTicks::burst, MissedTicks::delay, MissedTicks::skip}) {
    EXPECT_EQ(next(policy, Duration::zero()), 100_ms);
    EXPECT_EQ(next(policy, 5_ms), 100_ms) << "an executor's turn is no miss";
  }
  EXPECT_EQ(next(MissedTicks::burst, 250_ms), 100_ms);
  EXPECT_EQ(next(MissedTicks::delay, 250_ms), 350_ms);
  EXPECT_EQ(next(MissedTicks::skip, 250_ms), 300_ms);
  EXPECT_EQ(next(MissedTicks::skip, 200_ms), 300_ms);
  EXPECT_EQ(next(MissedTicks::skip, 299_ms), 300_ms);
}

TEST_F(Timers, ALateIntervalBurstsOrSkips) {
  const Instant past = Instant::now() - 10_s;
  Interval interval = interval_at(past, 3_s);
  for (int i = 0; i < 4; ++i) {
    auto tick = interval.tick();
    EXPECT_EQ(wakes_.poll(tick).take(), past + i * 3_s);
  }
  EXPECT_EQ(interval.missed(), MissedTicks::burst);
  interval.reset_at(past);
  interval.set_missed(MissedTicks::skip);
  auto late = interval.tick();
  EXPECT_EQ(wakes_.poll(late).take(), past);
  auto next = interval.tick();
  EXPECT_TRUE(wakes_.poll(next).is_pending());
}

}  // namespace
}  // namespace blitzio::time
