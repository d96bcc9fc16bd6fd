#include <blitzio/executor/local_executor.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/time/sleep.hpp>

#include <gtest/gtest.h>
#include <core/executor/support.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <semaphore>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace blitzio {
namespace {

using LocalExecutorTest = OnEachBackend;
INSTANTIATE_TEST_SUITE_P(Executor, LocalExecutorTest, testing::ValuesIn(usable_backends()),
                         backend_name);

// A flag that one task waits for and anybody sets.
class Event {
 public:
  auto wait() {
    return poll_fn([this](Context& context) -> Poll<void> {
      const std::scoped_lock lock(mutex_);
      if (is_set_) return ready;
      waker_ = context.waker().clone();
      return pending;
    });
  }
  void set() {
    Waker waker;
    {
      const std::scoped_lock lock(mutex_);
      is_set_ = true;
      waker = std::move(waker_);
    }
    waker.wake();
  }

 private:
  std::mutex mutex_;
  bool is_set_ = false;
  Waker waker_;
};

class BoundTo {
 public:
  explicit BoundTo(LocalExecutor& executor) : executor_(executor) {
    EXPECT_TRUE(executor.bind().has_value());
  }
  BoundTo(const BoundTo&) = delete;
  BoundTo& operator=(const BoundTo&) = delete;
  ~BoundTo() { executor_.unbind(); }

 private:
  LocalExecutor& executor_;
};

TEST_P(LocalExecutorTest, BlockOnReturnsTheValueAndRunsOtherTasksMeanwhile) {
  Event event;
  int steps = 0;
  auto waiting = [](Event& at) -> Async<int> {
    co_await at.wait();
    co_return 5;
  };
  auto setting = [](Event& at, int& count) -> Async<> {
    for (int i = 0; i < 10; ++i) {
      co_await yield_now();
      ++count;
    }
    at.set();
  };
  auto handle = executor_->spawn(setting(event, steps));
  EXPECT_EQ(executor_->block_on(waiting(event)), 5);
  EXPECT_EQ(steps, 10);
  EXPECT_FALSE(executor_->is_bound());
  EXPECT_TRUE(handle.is_finished());
}

TEST_P(LocalExecutorTest, BlockOnTakesAFutureByReferenceAndRethrows) {
  auto throwing = []() -> Async<> {
    throw std::logic_error("x");
    co_return;
  };
  auto future = throwing();
  EXPECT_THROW(executor_->block_on(future), std::logic_error);
  EXPECT_EQ(executor_->task_count(), 0U);
}

TEST_P(LocalExecutorTest, TasksRunInTheOrderOfTheirSpawning) {
  std::vector<int> order;
  std::vector<JoinHandle<void>> handles;
  for (int i = 0; i < 20; ++i) {
    handles.push_back(executor_->spawn(lazy([&order, i] { order.push_back(i); })));
  }
  const BoundTo bound(*executor_);
  executor_->turn(Duration::zero());
  ASSERT_EQ(order.size(), 20U);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST_P(LocalExecutorTest, ATaskWokenByATaskRunsNext) {
  const BoundTo bound(*executor_);
  std::vector<char> order;
  Event event;
  auto woken = [](Event& at, std::vector<char>& log) -> Async<> {
    co_await at.wait();
    log.push_back('w');
  };
  auto first = executor_->spawn(woken(event, order));
  executor_->turn(Duration::zero());
  auto waking = executor_->spawn(lazy([&] {
    event.set();
    order.push_back('a');
  }));
  auto queued = executor_->spawn(lazy([&] { order.push_back('q'); }));
  executor_->turn(Duration::zero());
  EXPECT_EQ(order, (std::vector<char>{'a', 'w', 'q'}));
}

TEST_P(LocalExecutorTest, TasksThatWakeEachOtherDoNotStarveTheQueue) {
  const BoundTo bound(*executor_);
  Waker wakers[2];
  int polls = 0;
  bool stop = false;
  const auto player = [&](std::size_t me) {
    return poll_fn([&, me](Context& context) -> Poll<void> {
      ++polls;
      wakers[me] = context.waker().clone();
      wakers[1 - me].wake();
      if (stop) return ready;
      return pending;
    });
  };
  auto one = executor_->spawn(player(0));
  auto two = executor_->spawn(player(1));
  executor_->turn(Duration::zero());
  polls = 0;
  int polls_before_queued = -1;
  auto queued = executor_->spawn(lazy([&] { polls_before_queued = polls; }));
  executor_->turn(Duration::zero());
  EXPECT_GE(polls_before_queued, 0);
  EXPECT_LE(polls_before_queued, static_cast<int>(LocalExecutor::kLifoPollsMax) + 2);
  stop = true;
  executor_->turn(Duration::zero());
  wakers[0].wake();
  wakers[1].wake();
  executor_->turn(Duration::zero());
  EXPECT_TRUE(one.is_finished() && two.is_finished());
}

TEST_P(LocalExecutorTest, ATurnPollsNoMoreThanItsBudget) {
  const BoundTo bound(*executor_);
  unsigned ran = 0;
  for (unsigned i = 0; i < LocalExecutor::kPollsPerTurn + 10; ++i) {
    executor_->spawn(lazy([&] { ++ran; })).detach();
  }
  executor_->turn(Duration::max());
  EXPECT_EQ(ran, LocalExecutor::kPollsPerTurn);
  EXPECT_TRUE(executor_->has_ready_tasks());
  executor_->turn(Duration::max());
  EXPECT_EQ(ran, LocalExecutor::kPollsPerTurn + 10);
  EXPECT_FALSE(executor_->has_ready_tasks());
}

TEST_P(LocalExecutorTest, AWakeFromAnotherThreadEndsTheWait) {
  for (int round = 0; round < 100; ++round) {
    Event event;
    const std::jthread setter([&] { event.set(); });
    executor_->block_on(event.wait());
  }
}

TEST_P(LocalExecutorTest, AWakeWhileNobodyIsBoundIsNotLost) {
  Event event;
  auto handle = executor_->spawn(event.wait());
  {
    const BoundTo bound(*executor_);
    executor_->turn(Duration::zero());
  }
  event.set();
  EXPECT_TRUE(executor_->block_on(handle).has_value());
  EXPECT_TRUE(handle.is_empty());
}

TEST_P(LocalExecutorTest, ThreadsThatWakeAndCancelTasksMeetNoRace) {
  constexpr int kTasks = 200;
  std::vector<std::unique_ptr<Event>> events;
  std::vector<JoinHandle<void>> handles;
  for (int i = 0; i < kTasks; ++i) {
    events.push_back(std::make_unique<Event>());
    handles.push_back(executor_->spawn(events.back()->wait()));
  }
  const std::jthread waking([&] {
    for (auto& event : events) event->set();
  });
  Event all_cancelled;
  const std::jthread cancelling([&] {
    for (std::size_t i = 0; i < handles.size(); i += 3) handles[i].cancel();
    all_cancelled.set();
  });
  executor_->block_on(all_cancelled.wait());  // a handle is for one thread at a time
  auto joining = [](std::vector<JoinHandle<void>>& all) -> Async<int> {
    int ended = 0;
    for (auto& handle : all) {
      const auto result = co_await handle;
      ended += result.has_value() || result.is_cancelled() ? 1 : 0;
    }
    co_return ended;
  };
  EXPECT_EQ(executor_->block_on(joining(handles)), kTasks);
}

TEST_P(LocalExecutorTest, APlainThreadJoinsATask) {
  Event event;
  auto handle = executor_->spawn(event.wait());
  Event joined;
  const std::jthread joiner([&] {
    event.set();
    EXPECT_TRUE(handle.blocking_join().has_value());
    joined.set();
  });
  executor_->block_on(joined.wait());
}

// ---- waiting ---------------------------------------------------------------------------------

struct Waits {
  int before = 0;
  int after = 0;
  std::function<void()> on_wait;
  WaitHooks hooks() {
    return {[](void* data) noexcept {
              auto& self = *static_cast<Waits*>(data);
              ++self.before;
              if (self.on_wait) self.on_wait();
            },
            [](void* data) noexcept { ++static_cast<Waits*>(data)->after; }, this};
  }
};

TEST_P(LocalExecutorTest, HooksRunAroundAWaitAndOnlyThen) {
  const BoundTo bound(*executor_);
  Waits waits;
  executor_->turn(Duration::zero(), waits.hooks());
  EXPECT_EQ(waits.before, 0);
  auto task = executor_->spawn(yield_now());
  executor_->turn(Duration::max(), waits.hooks());
  executor_->turn(Duration::zero(), waits.hooks());
  EXPECT_EQ(waits.before, 0);
  waits.on_wait = [&] { executor_->driver().wake(); };
  executor_->turn(Duration::max(), waits.hooks());
  EXPECT_EQ(waits.before, 1);
  EXPECT_EQ(waits.after, 1);
}

TEST_P(LocalExecutorTest, AMaximumWaitEndsATurn) {
  const BoundTo bound(*executor_);
  Waits waits;
  executor_->turn(Duration::from_millis(1), waits.hooks());
  EXPECT_EQ(waits.after, 1);
}

struct Nop : driver::Operation {
  Nop()
      : Operation([](Operation& operation, const driver::Completion&) noexcept {
          ++static_cast<Nop&>(operation).done;
        }) {}
  unsigned done = 0;
};

TEST_P(LocalExecutorTest, ACompletionThatIsReadyNeedsNoWait) {
  const BoundTo bound(*executor_);
  Nop nop;
  nop.nop();
  executor_->driver().submit(nop);
  Waits waits;
  executor_->turn(Duration::max(), waits.hooks());
  EXPECT_EQ(nop.done, 1U);
  EXPECT_EQ(waits.before, 0);
}

TEST_P(LocalExecutorTest, TheStepsOfATurnDoTheirPartAlone) {
  const BoundTo bound(*executor_);
  Nop nop;
  nop.nop();
  executor_->driver().submit(nop);
  bool has_run = false;
  auto task = executor_->spawn([](bool& flag) -> Async<> {
    flag = true;
    co_return;
  }(has_run));
  executor_->gather(Duration::max());
  EXPECT_EQ(nop.done, 0U);
  executor_->dispatch();
  EXPECT_EQ(nop.done, 1U);
  EXPECT_FALSE(has_run);
  executor_->run_tasks();
  EXPECT_TRUE(has_run);
}

TEST_P(LocalExecutorTest, ATimerFiresInItsStepOnly) {
  const BoundTo bound(*executor_);
  auto task = executor_->spawn(time::sleep(Duration::from_nanos(1)));
  executor_->turn(Duration::zero());  // Its first poll arms the timer.
  executor_->gather(Duration::max());
  executor_->dispatch();
  executor_->run_tasks();
  EXPECT_FALSE(task.is_finished());
  executor_->fire_timers();
  executor_->run_tasks();
  EXPECT_TRUE(task.is_finished());
}

TEST_P(LocalExecutorTest, ATurnThatGoesStraightToTheWaitMissesNothing) {
  const BoundTo bound(*executor_);
  Nop nop;
  for (unsigned round = 1; round <= 3 * LocalExecutor::kLookEvery; ++round) {
    executor_->turn(Duration::from_nanos(1));  // A look that finds nothing does not pay.
    nop.nop();
    executor_->driver().submit(nop);
    executor_->turn(Duration::max());
    EXPECT_EQ(nop.done, round);
  }
}

// ---- timers ----------------------------------------------------------------------------------

TEST_P(LocalExecutorTest, SleepsEndInTheOrderOfTheirDeadlinesAndNeverEarly) {
  std::vector<int> order;
  auto sleeping = [](int millis, std::vector<int>& log) -> Async<> {
    const Instant deadline = Instant::now() + Duration::from_millis(millis);
    co_await time::sleep_until(deadline);
    EXPECT_GE(Instant::now(), deadline);
    log.push_back(millis);
  };
  std::vector<JoinHandle<void>> handles;
  for (const int millis : {30, 1, 20, 0, 10}) {
    handles.push_back(executor_->spawn(sleeping(millis, order)));
  }
  for (auto& handle : handles) EXPECT_TRUE(executor_->block_on(handle).has_value());
  EXPECT_EQ(order, (std::vector<int>{0, 1, 10, 20, 30}));
  EXPECT_TRUE(executor_->wheel().is_empty());
}

TEST_P(LocalExecutorTest, CancellingASleepingTaskDisarmsItsTimer) {
  const BoundTo bound(*executor_);
  auto handle = executor_->spawn(time::sleep(Duration::from_secs(1'000)));
  executor_->turn(Duration::zero());
  EXPECT_EQ(executor_->wheel().size(), 1U);
  handle.cancel();
  executor_->turn(Duration::zero());
  EXPECT_TRUE(executor_->wheel().is_empty());
  EXPECT_TRUE(handle.try_join()->is_cancelled());
}

struct CountingTimer : time::TimerEntry {
  CountingTimer()
      : TimerEntry([](TimerEntry& entry) noexcept { ++static_cast<CountingTimer&>(entry).fired; }) {
  }
  int fired = 0;
};

TEST_P(LocalExecutorTest, ATimerThatIsDueNeedsNoWait) {
  const BoundTo bound(*executor_);
  CountingTimer timer;
  executor_->wheel().insert(timer, Instant::now());
  Waits waits;
  executor_->turn(Duration::max(), waits.hooks());
  EXPECT_EQ(timer.fired, 1);
  EXPECT_EQ(waits.before, 0);
}

TEST_P(LocalExecutorTest, ATimerThatIsDueInMicrosecondsIsNotSleptFor) {
  const BoundTo bound(*executor_);
  CountingTimer timer;
  Nop nop;
  nop.nop();
  Waits waits;
  for (int i = 0; i < 1'000; ++i) {
    executor_->wheel().insert(timer, Instant::now() + LocalExecutor::kShortestWait);
    if (i == 500) executor_->driver().submit(nop);
    while (timer.fired == i) executor_->turn(Duration::max(), waits.hooks());
  }
  EXPECT_EQ(waits.before, 0);
  EXPECT_EQ(nop.done, 1U);
}

TEST_P(LocalExecutorTest, TenThousandSleepersAllWake) {
  auto sleeping = [](int i) -> Async<> { co_await time::sleep(Duration::from_micros(i % 5'000)); };
  std::vector<JoinHandle<void>> handles;
  for (int i = 0; i < 10'000; ++i) handles.push_back(executor_->spawn(sleeping(i)));
  for (auto& handle : handles) EXPECT_TRUE(executor_->block_on(handle).has_value());
}

// ---- binding and the end ---------------------------------------------------------------------

TEST_P(LocalExecutorTest, CurrentIsTheInnermostBoundExecutor) {
  EXPECT_EQ(LocalExecutor::current(), nullptr);
  auto inner = make_executor();
  auto outer_future = [](LocalExecutor& nested, LocalExecutor& self) -> Async<int> {
    EXPECT_EQ(LocalExecutor::current(), &self);
    auto inner_future = [](LocalExecutor& me) -> Async<int> {
      co_await time::sleep(Duration::from_millis(1));
      EXPECT_EQ(LocalExecutor::current(), &me);
      EXPECT_EQ(&time::TimerContext::current()->wheel(), &me.wheel());
      co_return 3;
    };
    const int value = nested.block_on(inner_future(nested));
    EXPECT_EQ(LocalExecutor::current(), &self);
    EXPECT_EQ(&time::TimerContext::current()->wheel(), &self.wheel());
    co_return value;
  };
  EXPECT_EQ(executor_->block_on(outer_future(*inner, *executor_)), 3);
  EXPECT_EQ(LocalExecutor::current(), nullptr);
  EXPECT_EQ(time::TimerContext::current(), nullptr);
}

TEST_P(LocalExecutorTest, MovesFromThreadToThread) {
  for (int i = 0; i < 5; ++i) {
    std::jthread([&] { executor_->block_on(time::sleep(Duration::from_millis(1))); }).join();
  }
}

TEST_P(LocalExecutorTest, ShutdownDropsTasksInEveryState) {
  auto alive = std::make_shared<int>(0);
  Event event;
  auto body = [](std::shared_ptr<int> kept, Event& at) -> Async<> {
    const auto copy = kept;
    co_await at.wait();
  };
  auto waiting = executor_->spawn(body(alive, event));
  {
    const BoundTo bound(*executor_);
    executor_->turn(Duration::zero());
  }
  auto fresh = executor_->spawn(body(alive, event));
  auto asleep = executor_->spawn(time::sleep(Duration::from_secs(1'000)));
  executor_->shutdown();
  EXPECT_EQ(alive.use_count(), 1);
  EXPECT_TRUE(waiting.try_join()->is_cancelled());
  EXPECT_TRUE(fresh.try_join()->is_cancelled());
  EXPECT_TRUE(asleep.try_join()->is_cancelled());
  EXPECT_EQ(executor_->task_count(), 0U);
  executor_->shutdown();
}

TEST_P(LocalExecutorTest, ShutdownDropsWhatDyingTasksSpawn) {
  struct SpawnsWhenDropped {
    using Output = void;
    SpawnsWhenDropped(LocalExecutor& at, int count) : executor(&at), left(count) {}
    SpawnsWhenDropped(SpawnsWhenDropped&& other) noexcept
        : executor(std::exchange(other.executor, nullptr)), left(other.left) {}
    SpawnsWhenDropped& operator=(SpawnsWhenDropped&&) = delete;
    ~SpawnsWhenDropped() {
      if (executor != nullptr && left > 0) {
        executor->spawn(SpawnsWhenDropped(*executor, left - 1)).detach();
      }
    }
    Poll<void> poll(Context&) { return pending; }
    LocalExecutor* executor;
    int left;
  };
  executor_->spawn(SpawnsWhenDropped(*executor_, 5)).detach();
  executor_->shutdown();
  EXPECT_EQ(executor_->task_count(), 0U);
}

TEST_P(LocalExecutorTest, AfterShutdownASpawnedTaskIsCancelled) {
  executor_->shutdown();
  auto handle = executor_->spawn(ready(1));
  executor_->shutdown();
  EXPECT_TRUE(handle.try_join()->is_cancelled());
}

TEST_P(LocalExecutorTest, ShutdownDisarmsTimersWithoutFiringThem) {
  struct Timer : time::TimerEntry {
    Timer() : TimerEntry([](TimerEntry&) noexcept { FAIL(); }) {}
  } timer;
  executor_->wheel().insert(timer, Instant::now());
  executor_->shutdown();
  EXPECT_FALSE(timer.is_armed());
}

TEST_P(LocalExecutorTest, WakersOfOtherThreadsMayOutliveTheExecutor) {
  for (int round = 0; round < 100; ++round) {
    auto executor = make_executor();
    ASSERT_NE(executor, nullptr);
    constexpr std::size_t kTasks = 20;
    std::vector<std::unique_ptr<Event>> events;
    for (std::size_t i = 0; i < kTasks; ++i) {
      events.push_back(std::make_unique<Event>());
      executor->spawn(events.back()->wait()).detach();
    }
    {
      const BoundTo bound(*executor);
      executor->turn(Duration::zero());
    }
    std::binary_semaphore go(0);
    const std::jthread waking([&] {
      go.acquire();
      for (auto& event : events) event->set();
    });
    go.release();
    if (round % 2 == 0) std::this_thread::yield();
    executor.reset();
  }
}

}  // namespace
}  // namespace blitzio
