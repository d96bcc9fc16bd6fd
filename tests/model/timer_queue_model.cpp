// `TimerQueue` shared by several threads: its owner never sleeps past a timer that another thread
// arms meanwhile.
#include <blitzio/time/timer_queue.hpp>

#include <model/support.hpp>

#include <gtest/gtest.h>

#include <cstdint>

namespace blitzio::model {
namespace {

using time::TimerEntry;
using time::TimerQueue;

// Far from now, so that nothing depends on the clock: no timer is due while a scenario runs.
const Instant kNow = Instant::now();
const Instant kEarly = kNow + Duration::from_secs(1'000);
const Instant kLate = kNow + Duration::from_secs(2'000);

enum class Bug : std::uint8_t { none, looks_before_it_says_so, tells_before_it_arms };

// An owner that sleeps in a driver, which others can wake, and what they do to arm a timer.
class Owner {
 public:
  explicit Owner(Bug bug = Bug::none) noexcept : bug_(bug) {}

  void arm(TimerEntry& entry, Instant deadline) noexcept {
    if (bug_ == Bug::tells_before_it_arms) timers_.armed(deadline);
    {
      const TimerQueue::Lock lock(timers_);
      timers_.wheel().insert(entry, deadline);
    }
    if (bug_ != Bug::tells_before_it_arms) timers_.armed(deadline);
  }
  void disarm(TimerEntry& entry) noexcept {
    const TimerQueue::Lock lock(timers_);
    timers_.wheel().cancel(entry);
  }
  /// Sleeps until it would be woken by the clock at `deadline` or before.
  void sleep_until_it_knows_of(Instant deadline) noexcept {
    for (;;) {
      const bool is_wrong = bug_ == Bug::looks_before_it_says_so;
      const Instant first_look = is_wrong ? look() : Instant::max();
      const Instant last_look = timers_.before_sleep();
      if ((is_wrong ? first_look : last_look) <= deadline) break;
      driver_.wait();
      timers_.after_sleep();
    }
    timers_.after_sleep();
  }

 private:
  [[nodiscard]] Instant look() noexcept {
    const TimerQueue::Lock lock(timers_);
    return timers_.wheel().next_deadline();
  }

  const Bug bug_;
  Event driver_;
  TimerQueue timers_{[](void* data) noexcept { static_cast<Event*>(data)->signal(); }, &driver_};
};

void nothing(TimerEntry& /*entry*/) noexcept {}

void arm_while_the_owner_falls_asleep(Bug bug) {
  Owner owner(bug);
  TimerEntry late(nothing);
  TimerEntry early(nothing);
  owner.arm(late, kLate);
  Thread other([&] { owner.arm(early, kEarly); });
  owner.sleep_until_it_knows_of(kEarly);
  other.join();
  owner.disarm(late);
  owner.disarm(early);
}

TEST(TimerQueueModel, AnEarlierTimerEndsTheOwnersSleep) {
  expect_sound([] { arm_while_the_owner_falls_asleep(Bug::none); });
}

TEST(TimerQueueModel, TheEarliestOfSeveralEndsTheOwnersSleep) {
  expect_sound([] {
    Owner owner;
    TimerEntry late(nothing);
    TimerEntry early(nothing);
    Thread one([&] { owner.arm(early, kEarly); });
    Thread two([&] { owner.arm(late, kLate); });
    owner.sleep_until_it_knows_of(kEarly);
    one.join();
    two.join();
    owner.disarm(late);
    owner.disarm(early);
  });
}

TEST(TimerQueueModel, FindsAnOwnerThatLooksBeforeItSaysThatItSleeps) {
  expect_finds("deadlock", [] { arm_while_the_owner_falls_asleep(Bug::looks_before_it_says_so); });
}

TEST(TimerQueueModel, FindsATimerThatIsToldOfBeforeItIsArmed) {
  expect_finds("deadlock", [] { arm_while_the_owner_falls_asleep(Bug::tells_before_it_arms); });
}

}  // namespace
}  // namespace blitzio::model
