// `Notify`, `Event`, `Barrier`, `OnceCell` and `Condition`: no wake is lost, whoever waits, leaves
// or is chosen at the same time, and what was done before a wake is visible after it.
#include <blitzio/base/backoff.hpp>
#include <blitzio/sync/barrier.hpp>
#include <blitzio/sync/condition.hpp>
#include <blitzio/sync/event.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/sync/once_cell.hpp>
#include <blitzio/task/block_on.hpp>

#include <model/support.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>

namespace blitzio::model {
namespace {

using sync::Barrier;
using sync::Condition;
using sync::Mutex;
using sync::Notify;
using sync::OnceCell;

void notify_one_waiter() {
  Notify notify;
  int data = 0;
  Thread notifier([&] {
    data = 1;
    notify.notify_one();
  });
  block_on(notify.wait());
  BLITZIO_CHECK(data == 1, data);
  notifier.join();
  BLITZIO_CHECK(!notify.try_wait());
}

TEST(NotifyModel, ANotificationIsConsumedOnce) {
  expect_sound(notify_one_waiter);
}

TEST(NotifyModel, WaitersHandANotificationOn) {
  expect_sound([] {
    Notify notify;
    int guarded = 0;
    const auto take_and_pass_on = [&] {
      block_on(notify.wait());
      ++guarded;
      notify.notify_one();
    };
    Thread one(take_and_pass_on);
    Thread two(take_and_pass_on);
    notify.notify_one();
    one.join();
    two.join();
    BLITZIO_CHECK(guarded == 2 && notify.try_wait(), guarded);
  });
}

TEST(NotifyModel, AWaiterThatLeavesPassesItsNotificationOn) {
  expect_sound([] {
    Notify notify;
    std::optional<Notify::Wait> leaving(notify.wait());
    BLITZIO_CHECK(poll_once(*leaving).is_pending());
    Thread waiter([&] { block_on(notify.wait()); });
    Thread notifier([&] { notify.notify_one(); });
    leaving.reset();
    waiter.join();
    notifier.join();
    BLITZIO_CHECK(!notify.try_wait());
  });
}

TEST(NotifyModel, NotifyAllReachesThoseWhoWaitAndNoOther) {
  expect_sound([] {
    Notify notify;
    std::optional<Notify::Wait> first(notify.wait());
    std::optional<Notify::Wait> second(notify.wait());
    BLITZIO_CHECK(poll_once(*first).is_pending());
    BLITZIO_CHECK(poll_once(*second).is_pending());
    Thread notifier([&] { notify.notify_all(); });
    Thread leaver([&] { second.reset(); });
    block_on(*first);
    notifier.join();
    leaver.join();
    BLITZIO_CHECK(!notify.try_wait());
  });
}

TEST(NotifyModel, FindsANotificationThatDoesNotPublish) {
  expect_finds("data race", notify_one_waiter,
               {.weakenings = {{.file = "sync/notify.hpp",
                                .function = "notify_one",
                                .access = Access::exchange,
                                .from = std::memory_order_release}}});
}

void wait_for_a_set() {
  sync::Event event;
  int data = 0;
  Thread setter([&] {
    data = 1;
    event.set();
  });
  block_on(event.wait());
  BLITZIO_CHECK(data == 1 && event.is_set(), data);
  setter.join();
}

TEST(EventModel, ASetIsNotMissed) {
  expect_sound(wait_for_a_set);
}

TEST(EventModel, SetReachesEverybodyAndWhoLeavesIsLetGo) {
  expect_sound([] {
    sync::Event event;
    std::optional<sync::Event::Wait> first(event.wait());
    std::optional<sync::Event::Wait> second(event.wait());
    BLITZIO_CHECK(poll_once(*first).is_pending());
    BLITZIO_CHECK(poll_once(*second).is_pending());
    Thread waiter([&] { block_on(event.wait()); });
    Thread setter([&] { event.set(); });
    first.reset();
    block_on(*second);
    waiter.join();
    setter.join();
  });
}

TEST(EventModel, WhoWasLetGoGoesOnThoughTheFlagIsCleared) {
  expect_sound([] {
    sync::Event event;
    auto wait = event.wait();
    BLITZIO_CHECK(poll_once(wait).is_pending());
    Thread setter([&] {
      event.set();
      event.clear();
    });
    block_on(wait);
    setter.join();
    BLITZIO_CHECK(!event.is_set());
  });
}

TEST(EventModel, TwoMaySetItAndTheFirstWaiterMayBeWokenByTheCaller) {
  expect_sound([] {
    sync::Event event;
    Thread setter([&] { event.set(); });
    Thread taker([&] {
      Waker first = event.set_and_take_first();
      first.wake();
    });
    block_on(event.wait());
    setter.join();
    taker.join();
  });
}

TEST(EventModel, FindsASetThatDoesNotPublish) {
  expect_finds("data race", wait_for_a_set,
               {.weakenings = {{.file = "sync/event.cpp",
                                .function = "set_and_take_first",
                                .access = Access::store,
                                .from = std::memory_order_release}}});
}

TEST(BarrierModel, NobodyGoesOnBeforeTheLastArrives) {
  expect_sound([] {
    Barrier barrier(2);
    int one = 0;
    int two = 0;
    int leaders = 0;
    Thread thread([&] {
      one = 1;
      const bool leads = block_on(barrier.wait()).is_leader;
      BLITZIO_CHECK(two == 1, two);
      if (leads) ++leaders;
    });
    two = 1;
    const bool leads = block_on(barrier.wait()).is_leader;
    BLITZIO_CHECK(one == 1, one);
    thread.join();
    BLITZIO_CHECK(leaders + (leads ? 1 : 0) == 1, leaders, leads);
  });
}

TEST(BarrierModel, WhoLeavesHasNotArrived) {
  expect_sound([] {
    Barrier barrier(2);
    Atomic<bool> has_passed{false};
    Thread thread([&] {
      static_cast<void>(block_on(barrier.wait()));
      has_passed.store(true, std::memory_order_release);
    });
    {
      auto leaving = barrier.wait();
      static_cast<void>(poll_once(leaving));
    }
    // The other has gone on with this arrival, or another one is needed.
    auto again = barrier.wait();
    while (!has_passed.load(std::memory_order_acquire) && poll_once(again).is_pending()) {
      yield_thread();
    }
  });
}

TEST(OnceCellModel, OneOfSeveralMakesTheValue) {
  expect_sound([] {
    OnceCell<std::unique_ptr<int>> cell;
    int made = 0;
    const auto get = [&] {
      const auto* value = block_on(cell.get_or_init([&] {
        ++made;
        return std::make_unique<int>(3);
      }));
      BLITZIO_CHECK(**value == 3);
    };
    Thread one(get);
    Thread two(get);
    get();
    one.join();
    two.join();
    BLITZIO_CHECK(made == 1, made);
  });
}

TEST(OnceCellModel, WhoFailsLeavesItToTheNext) {
  expect_sound([] {
    OnceCell<int> cell;
    // Only the first call fails; calls are never two at a time.
    int calls = 0;
    const auto get = [&] {
      try {
        const int* value = block_on(cell.get_or_init([&] {
          if (++calls == 1) throw std::runtime_error("no value");
          return 3;
        }));
        BLITZIO_CHECK(*value == 3);
        return true;
      } catch (const std::runtime_error&) {
        return false;
      }
    };
    bool first = false;
    Thread one([&] { first = get(); });
    const bool second = get();
    one.join();
    BLITZIO_CHECK(first != second, first, second);
  });
}

TEST(OnceCellModel, AnInitialiserThatIsDroppedLeavesItToTheNext) {
  expect_sound([] {
    OnceCell<int> cell;
    const auto never = [] { return Pending<int>(); };
    std::optional making(cell.get_or_init(never));
    BLITZIO_CHECK(poll_once(*making).is_pending());
    Thread other([&] { BLITZIO_CHECK(*block_on(cell.get_or_init([] { return 4; })) == 4); });
    making.reset();
    other.join();
  });
}

void get_while_another_sets() {
  OnceCell<int> cell;
  Thread setter([&] { BLITZIO_CHECK(cell.set(9)); });
  if (const int* value = cell.get()) BLITZIO_CHECK(*value == 9, *value);
  setter.join();
  BLITZIO_CHECK(*cell.get() == 9);
}

TEST(OnceCellModel, AValueIsSeenWholeOrNotAtAll) {
  expect_sound(get_while_another_sets);
}

TEST(OnceCellModel, FindsAValueThatIsNotPublished) {
  expect_finds("data race", get_while_another_sets,
               {.weakenings = {{.file = "sync/once_cell.hpp",
                                .function = "publish",
                                .access = Access::exchange,
                                .from = std::memory_order_acq_rel,
                                .to = std::memory_order_acquire}}});
}

TEST(ConditionModel, ASignalUnderTheMutexIsNotMissed) {
  expect_sound([] {
    Mutex mutex;
    Condition condition;
    bool is_done = false;
    Thread thread([&] {
      {
        const auto guard = block_on(mutex.lock());
        is_done = true;
      }
      condition.signal();
    });
    auto guard = block_on(mutex.lock());
    while (!is_done) guard = block_on(condition.wait(std::move(guard)));
    guard.unlock();
    thread.join();
  });
}

TEST(ConditionModel, AWaiterThatLeavesPassesItsSignalOn) {
  expect_sound([] {
    Mutex mutex;
    Condition condition;
    std::optional<Condition::Wait> leaving;
    leaving.emplace(condition.wait(block_on(mutex.lock())));
    BLITZIO_CHECK(poll_once(*leaving).is_pending());
    std::optional<Condition::Wait> staying;
    staying.emplace(condition.wait(block_on(mutex.lock())));
    BLITZIO_CHECK(poll_once(*staying).is_pending());
    Thread signaller([&] { condition.signal(); });
    leaving.reset();
    static_cast<void>(block_on(*staying));
    signaller.join();
  });
}

}  // namespace
}  // namespace blitzio::model
