#include <blitzio/task/futures.hpp>
#include <blitzio/task/join_handle.hpp>
#include <blitzio/task/task.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace blitzio {
namespace {

// A scheduler that runs tasks when it is told to.
class TestScheduler final : public Scheduler {
 public:
  ~TestScheduler() {
    EXPECT_EQ(live, 0);
    EXPECT_TRUE(queue_.empty());
  }
  template <Future F>
  JoinHandle<OutputOf<F>> spawn(F future) {
    auto [task, handle] = make_task(std::move(future), *this);
    ++live;
    schedule(*task);
    return std::move(handle);
  }
  void schedule(Task& task) noexcept override {
    const std::scoped_lock lock(mutex_);
    queue_.push_back(&task);
  }
  void release(Task& /*task*/) noexcept override { --live; }
  // Runs one task; false if none is queued.
  bool run_one() {
    Task* task = nullptr;
    {
      const std::scoped_lock lock(mutex_);
      if (queue_.empty()) return false;
      task = queue_.front();
      queue_.pop_front();
    }
    if (task->run() == Task::RunOutcome::again) schedule(*task);
    return true;
  }
  void run_all() {
    while (run_one()) {
    }
  }
  std::size_t queued() {
    const std::scoped_lock lock(mutex_);
    return queue_.size();
  }
  int live = 0;

 private:
  std::mutex mutex_;
  std::deque<Task*> queue_;
};

// Counts its polls and lives; is ready once `go` is set.
struct Probe {
  int polls = 0;
  std::atomic<bool> go{false};
  std::mutex mutex;
  Waker waker;
  int alive = 0;

  auto future() {
    struct Life {
      explicit Life(Probe& owner) : probe(&owner) { ++probe->alive; }
      Life(Life&& other) noexcept : probe(std::exchange(other.probe, nullptr)) {}
      Life& operator=(Life&&) = delete;
      ~Life() {
        if (probe != nullptr) --probe->alive;
      }
      Probe* probe;
    };
    return poll_fn([this, life = Life(*this)](Context& context) -> Poll<int> {
      ++polls;
      const std::scoped_lock lock(mutex);
      if (go.load()) return 42;
      waker = context.waker().clone();
      return pending;
    });
  }
  Waker take_waker() {
    const std::scoped_lock lock(mutex);
    return std::move(waker);
  }
};

TEST(Task, RunsToItsValue) {
  TestScheduler scheduler;
  auto handle = scheduler.spawn(ready(std::make_unique<int>(7)));
  EXPECT_FALSE(handle.is_finished());
  EXPECT_FALSE(handle.try_join().has_value());
  scheduler.run_all();
  ASSERT_TRUE(handle.is_finished());
  auto result = handle.try_join();
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(*std::as_const(*result).value(), 7);
  const auto& kept = JoinResult<std::string>::of_value("lasts").value();  // of a temporary
  EXPECT_EQ(kept, "lasts");
  EXPECT_EQ(*std::move(*result).get(), 7);
  EXPECT_TRUE(handle.is_empty());
  EXPECT_TRUE(handle.is_finished());  // whoever still asks
}

TEST(Task, AFutureKeepsItsAlignment) {
  struct alignas(128) Wide {
    using Output = bool;
    Poll<bool> poll(Context& /*context*/) noexcept {
      return reinterpret_cast<std::uintptr_t>(this) % 128 == 0;
    }
  };
  TestScheduler scheduler;
  for (int i = 0; i < 10; ++i) {
    auto handle = scheduler.spawn(Wide{});
    scheduler.run_all();
    EXPECT_TRUE(handle.try_join()->value());
  }
}

TEST(Task, AnExceptionReachesTheJoiner) {
  TestScheduler scheduler;
  auto handle = scheduler.spawn(lazy([]() -> int { throw std::runtime_error("no"); }));
  scheduler.run_all();
  auto result = handle.try_join();
  ASSERT_TRUE(result.has_value());
  EXPECT_FALSE(result->has_value());
  EXPECT_FALSE(result->is_cancelled());
  EXPECT_NE(result->exception(), nullptr);
  EXPECT_THROW(std::move(*result).get(), std::runtime_error);
}

TEST(Task, IsPolledAgainOnlyAfterAWakeAndOnceForManyWakes) {
  TestScheduler scheduler;
  Probe probe;
  auto handle = scheduler.spawn(probe.future());
  scheduler.run_all();
  EXPECT_EQ(probe.polls, 1);
  Waker waker = probe.take_waker();
  waker.wake_by_ref();
  waker.wake_by_ref();
  waker.clone().wake();
  EXPECT_EQ(scheduler.queued(), 1U);
  scheduler.run_all();
  EXPECT_EQ(probe.polls, 2);
  probe.go = true;
  waker.wake();
  scheduler.run_all();
  EXPECT_EQ(std::move(*handle.try_join()).get(), 42);
  EXPECT_EQ(probe.alive, 0);
}

TEST(Waker, KnowsWhetherAnotherWakesTheSame) {
  TestScheduler scheduler;
  Probe one;
  Probe two;
  auto first = scheduler.spawn(one.future());
  auto second = scheduler.spawn(two.future());
  scheduler.run_all();
  Waker waker = one.take_waker();
  const Waker again = waker.clone();
  const Waker other = two.take_waker();
  EXPECT_TRUE(waker.will_wake_same(waker));
  EXPECT_TRUE(waker.will_wake_same(again));
  EXPECT_TRUE(again.will_wake_same(waker));
  EXPECT_FALSE(waker.will_wake_same(other));
  EXPECT_FALSE(waker.will_wake_same(Waker()));
  EXPECT_FALSE(Waker().will_wake_same(waker));
  EXPECT_TRUE(Waker().will_wake_same(Waker()));
  const Waker moved = std::move(waker);
  EXPECT_TRUE(moved.will_wake_same(again));
  for (Probe* probe : {&one, &two}) probe->go = true;
  again.wake_by_ref();
  other.wake_by_ref();
  scheduler.run_all();
  EXPECT_EQ(first.try_join()->value() + second.try_join()->value(), 84);
}

TEST(Task, WokenDuringItsPollItIsQueuedAgain) {
  TestScheduler scheduler;
  auto handle = scheduler.spawn(yield_now());
  EXPECT_TRUE(scheduler.run_one());
  EXPECT_EQ(scheduler.queued(), 1U);
  scheduler.run_all();
  EXPECT_TRUE(handle.is_finished());
}

TEST(Task, CancelDropsTheFutureWhereTheSchedulerRuns) {
  TestScheduler scheduler;
  Probe probe;
  auto handle = scheduler.spawn(probe.future());
  scheduler.run_all();
  EXPECT_EQ(probe.alive, 1);
  handle.cancel();
  EXPECT_EQ(probe.alive, 1);
  handle.cancel();
  scheduler.run_all();
  EXPECT_EQ(probe.alive, 0);
  auto result = handle.try_join();
  ASSERT_TRUE(result.has_value());
  EXPECT_TRUE(result->is_cancelled());
  EXPECT_THROW(std::move(*result).get(), TaskCancelled);
  probe.take_waker().wake();  // a late wake does nothing
  EXPECT_EQ(scheduler.queued(), 0U);
}

TEST(Task, CancelBeforeTheFirstPollMeansNoPoll) {
  TestScheduler scheduler;
  Probe probe;
  auto handle = scheduler.spawn(probe.future());
  handle.cancel();
  scheduler.run_all();
  EXPECT_EQ(probe.polls, 0);
  EXPECT_TRUE(handle.try_join()->is_cancelled());
}

TEST(Task, CancelAfterTheEndChangesNothing) {
  TestScheduler scheduler;
  auto handle = scheduler.spawn(ready(1));
  scheduler.run_all();
  handle.cancel();
  EXPECT_EQ(scheduler.queued(), 0U);
  EXPECT_EQ(std::move(*handle.try_join()).get(), 1);
}

TEST(Task, ADetachedTaskRunsOnAndItsResultIsDropped) {
  TestScheduler scheduler;
  auto value = std::make_shared<int>(1);
  scheduler.spawn(ready(value)).detach();
  EXPECT_EQ(value.use_count(), 2);
  scheduler.run_all();
  EXPECT_EQ(value.use_count(), 1);
}

TEST(Task, AHandleDroppedAfterTheEndDropsTheResult) {
  TestScheduler scheduler;
  auto value = std::make_shared<int>(1);
  {
    auto handle = scheduler.spawn(ready(value));
    scheduler.run_all();
    EXPECT_EQ(value.use_count(), 2);
  }
  EXPECT_EQ(value.use_count(), 1);
}

TEST(Task, AWakerOutlivesTheTask) {
  Probe probe;
  {
    TestScheduler scheduler;
    auto handle = scheduler.spawn(probe.future());
    scheduler.run_all();
    handle.cancel();
    scheduler.run_all();
  }
  Waker waker = probe.take_waker();
  Waker second = waker.clone();
  waker.wake();
  second.wake_by_ref();
}

TEST(Task, OneTaskJoinsAnother) {
  TestScheduler scheduler;
  Probe probe;
  auto inner = scheduler.spawn(probe.future());
  auto outer = scheduler.spawn(poll_fn([&](Context& context) -> Poll<int> {
    auto answer = inner.poll(context);
    if (answer.is_pending()) return pending;
    return std::move(answer).take().get() + 1;
  }));
  scheduler.run_all();
  EXPECT_FALSE(outer.is_finished());
  probe.go = true;
  probe.take_waker().wake();
  scheduler.run_all();
  EXPECT_EQ(std::move(*outer.try_join()).get(), 43);
}

TEST(Task, AHandlePolledWithAnotherWakerWakesTheLatest) {
  TestScheduler scheduler;
  Probe probe;
  auto inner = scheduler.spawn(probe.future());
  int polls = 0;
  // Two tasks poll the same handle, the second one last.
  auto stale = scheduler.spawn(poll_fn([&](Context& context) -> Poll<int> {
    ++polls;
    EXPECT_TRUE(inner.poll(context).is_pending());
    return pending;
  }));
  scheduler.run_all();
  auto latest = scheduler.spawn(poll_fn([&](Context& context) -> Poll<int> {
    auto answer = inner.poll(context);
    if (answer.is_pending()) return pending;
    return std::move(answer).take().get();
  }));
  scheduler.run_all();
  probe.go = true;
  probe.take_waker().wake();
  scheduler.run_all();
  EXPECT_TRUE(latest.is_finished());
  EXPECT_EQ(polls, 1);
  stale.cancel();
  scheduler.run_all();
}

TEST(Task, WakesFromOtherThreadsAreNeverLost) {
  constexpr int kRounds = 3'000;
  TestScheduler scheduler;
  std::atomic<int> asked{0};
  std::atomic<int> given{0};
  std::mutex mutex;
  Waker shared;
  auto handle = scheduler.spawn(poll_fn([&](Context& context) -> Poll<int> {
    const int have = given.load(std::memory_order_relaxed);
    if (have == kRounds) return have;
    const std::scoped_lock lock(mutex);
    if (!shared.will_wake_same(context.waker())) shared = context.waker().clone();
    asked.store(have + 1);
    return pending;
  }));
  const std::jthread giver([&] {
    for (int i = 1; i <= kRounds; ++i) {
      while (asked.load() < i) std::this_thread::yield();
      // Relaxed: the wake alone must publish it to the poll.
      given.store(i, std::memory_order_relaxed);
      Waker waker;
      {
        const std::scoped_lock lock(mutex);
        waker = shared.clone();
      }
      i % 2 == 0 ? waker.wake() : waker.wake_by_ref();
    }
  });
  while (!handle.is_finished()) {
    if (!scheduler.run_one()) std::this_thread::yield();
  }
  EXPECT_EQ(std::move(*handle.try_join()).get(), kRounds);
}

TEST(Task, APlainThreadJoinsOrLetsGoWhileTheTaskEnds) {
  for (int round = 0; round < 500; ++round) {
    TestScheduler scheduler;
    auto value = std::make_shared<int>(5);
    auto handle = scheduler.spawn(ready(value));
    auto other = scheduler.spawn(ready(value));
    {
      const std::jthread joiner([handle = std::move(handle), other = std::move(other)]() mutable {
        other.detach();
        EXPECT_EQ(*handle.blocking_join().get(), 5);
      });
      scheduler.run_all();
    }
    EXPECT_EQ(value.use_count(), 1);
  }
}

TEST(Task, AHandleMayBePolledAgainAndAgainWhileTheTaskEnds) {
  for (int round = 0; round < 200; ++round) {
    TestScheduler scheduler;
    auto handle = scheduler.spawn(ready(5));
    std::atomic<bool> has_polled{false};
    {
      const std::jthread joiner([&] {
        ThreadParker& parker = ThreadParker::current();
        const Waker waker = parker.waker();
        Context context(waker);
        auto answer = handle.poll(context);
        has_polled = true;
        while (answer.is_pending()) answer = handle.poll(context);
        EXPECT_EQ(std::move(answer).take().get(), 5);
      });
      while (!has_polled) std::this_thread::yield();
      scheduler.run_all();
    }
  }
}

TEST(Task, CancelFromAnotherThreadRacesWithTheEnd) {
  for (int round = 0; round < 500; ++round) {
    TestScheduler scheduler;
    auto handle = scheduler.spawn(yield_now());
    {
      const std::jthread canceller([&] { handle.cancel(); });
      scheduler.run_one();
      scheduler.run_all();
    }
    scheduler.run_all();
    auto result = handle.try_join();
    ASSERT_TRUE(result.has_value());
    EXPECT_TRUE(result->has_value() || result->is_cancelled());
  }
}

}  // namespace
}  // namespace blitzio
