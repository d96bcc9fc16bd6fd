#include <core/sync/support.hpp>

#include <blitzio/base/result.hpp>
#include <blitzio/channel/oneshot.hpp>
#include <blitzio/executor/local_executor.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/sync/semaphore.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/block_on.hpp>
#include <blitzio/task/compose.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/task/join_all.hpp>
#include <blitzio/task/try_join_all.hpp>

#include <gtest/gtest.h>

#include <deque>
#include <expected>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace blitzio {
namespace {

using channel::Oneshot;
using test::on_threads;
using test::WakeCounter;

// Counts its polls and its life; ready when told.
struct Probe {
  struct Wait {
    using Output = int;
    explicit Wait(Probe& of) : probe(&of) { ++probe->alive; }
    Wait(Wait&& other) noexcept : probe(other.probe) { ++probe->alive; }
    Wait& operator=(Wait&&) = delete;
    ~Wait() { --probe->alive; }
    Poll<int> poll(Context& context) {
      ++probe->polls;
      if (probe->fails) throw std::runtime_error("probe");
      if (probe->value) return *probe->value;
      probe->waker = context.waker().clone();
      return pending;
    }
    Probe* probe;
  };
  Wait wait() { return Wait(*this); }
  void set(int to) {
    value = to;
    waker.wake();
  }

  std::optional<int> value;
  bool fails = false;
  int polls = 0;
  int alive = 0;
  Waker waker;
};

TEST(JoinAll, GivesATupleInTheOrderOfTheArguments) {
  Probe first;
  Probe second;
  WakeCounter wakes;
  auto both = join_all(first.wait(), second.wait(), ready(std::make_unique<int>(3)), yield_now());
  EXPECT_TRUE(wakes.poll(both).is_pending());
  second.set(2);
  EXPECT_EQ(wakes.count(), 2) << "the probe and yield_now()";
  EXPECT_TRUE(wakes.poll(both).is_pending());
  EXPECT_EQ(second.alive, 0) << "a future goes when it is ready";
  first.set(1);
  auto [one, two, three, nothing] = wakes.poll(both).take();
  EXPECT_EQ(one, 1);
  EXPECT_EQ(two, 2);
  EXPECT_EQ(*three, 3);
  EXPECT_EQ(nothing, std::monostate());
  EXPECT_EQ(second.polls, 2) << "not polled after it was ready";
}

TEST(JoinAll, OfNothingIsReadyAtOnce) {
  EXPECT_EQ(block_on(join_all()), std::tuple<>());
  EXPECT_TRUE(block_on(join_all(std::vector<Ready<int>>())).empty());
}

TEST(JoinAll, OfARangeKeepsItsOrder) {
  for (const int count : {1, 5, 16, 17, 200}) {
    std::deque<Probe> probes(static_cast<std::size_t>(count));
    std::vector<Probe::Wait> waits;
    for (Probe& probe : probes) waits.push_back(probe.wait());
    auto all = join_all(std::move(waits));
    WakeCounter wakes;
    EXPECT_TRUE(wakes.poll(all).is_pending());
    for (int i = count - 1; i >= 0; --i) {
      probes[static_cast<std::size_t>(i)].set(i);
      if (i == 0) break;
      EXPECT_TRUE(wakes.poll(all).is_pending());
    }
    const std::vector<int> values = wakes.poll(all).take();
    ASSERT_EQ(values.size(), static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) EXPECT_EQ(values[static_cast<std::size_t>(i)], i);
  }
}

TEST(JoinAll, OfManyPollsOnlyWhatWasWoken) {
  std::deque<Probe> probes(1000);
  std::vector<Probe::Wait> waits;
  for (Probe& probe : probes) waits.push_back(probe.wait());
  auto all = join_all(std::move(waits));
  WakeCounter wakes;
  EXPECT_TRUE(wakes.poll(all).is_pending());
  EXPECT_TRUE(wakes.poll(all).is_pending());
  for (const Probe& probe : probes) ASSERT_EQ(probe.polls, 1);
  probes[7].set(7);
  probes[8].waker.wake_by_ref();
  EXPECT_EQ(wakes.count(), 1) << "one wake for a batch";
  EXPECT_TRUE(wakes.poll(all).is_pending());
  EXPECT_EQ(probes[7].polls, 2);
  EXPECT_EQ(probes[8].polls, 2);
  EXPECT_EQ(probes[9].polls, 1);
}

TEST(JoinAll, AWakerOfAChildMayOutliveTheFuture) {
  std::deque<Probe> probes(20);
  WakeCounter wakes;
  {
    std::vector<Probe::Wait> waits;
    for (Probe& probe : probes) waits.push_back(probe.wait());
    auto all = join_all(std::move(waits));
    EXPECT_TRUE(wakes.poll(all).is_pending());
  }
  for (Probe& probe : probes) {
    EXPECT_EQ(probe.alive, 0);
    probe.waker.wake();
  }
  EXPECT_EQ(wakes.count(), 0) << "nobody is there to be woken";
}

TEST(JoinAll, BorrowsLvalues) {
  Probe first;
  Probe second;
  second.value = 2;
  auto one = first.wait();
  std::vector<Probe::Wait> others;
  others.push_back(second.wait());
  WakeCounter wakes;
  {
    auto all = join_all(one, join_all(others));
    EXPECT_TRUE(wakes.poll(all).is_pending());
  }
  EXPECT_EQ(first.alive, 1);
  first.set(5);
  EXPECT_EQ(wakes.poll(one).take(), 5);
}

TEST(JoinAll, DroppedItLosesNoPermitThatWasGrantedMeanwhile) {
  sync::Semaphore semaphore(0);
  WakeCounter wakes;
  {
    std::vector<sync::Semaphore::Acquire> waits;
    for (int i = 0; i < 30; ++i) waits.push_back(semaphore.acquire());
    auto all = join_all(std::move(waits));
    EXPECT_TRUE(wakes.poll(all).is_pending());
    semaphore.release(12);
    EXPECT_TRUE(wakes.poll(all).is_pending());
    semaphore.release(7);
  }
  EXPECT_EQ(semaphore.available_permits(), 19U);
}

TEST(JoinAll, CollectsWhatTasksOnOtherThreadsGive) {
  constexpr std::size_t kCount = 300;
  std::vector<Oneshot<int>> oneshots(kCount);
  on_threads(3, [&](int index) {
    if (index == 2) {
      std::vector<Oneshot<int>::Recv> receives;
      for (auto& oneshot : oneshots) receives.push_back(oneshot.recv());
      const auto values = block_on(join_all(std::move(receives)));
      for (std::size_t i = 0; i < kCount; ++i) ASSERT_EQ(values[i], static_cast<int>(i));
      return;
    }
    for (std::size_t i = static_cast<std::size_t>(index); i < kCount; i += 2) {
      ASSERT_TRUE(oneshots[i].send(static_cast<int>(i)));
    }
  });
}

// ---- the first failure
// ----------------------------------------------------------------------------

Result<int> good(int value) {
  return value;
}
Result<int> bad() {
  return fail(Error::runtime(RuntimeErrc::closed));
}

TEST(JoinAll, GivesValuesWithoutTheirResult) {
  const auto both = block_on(join_all(ready(good(1)), ready(std::string("plain"))));
  static_assert(
      std::is_same_v<decltype(both), const std::expected<std::tuple<int, std::string>, Error>>);
  ASSERT_TRUE(both);
  EXPECT_EQ(std::get<1>(*both), "plain");
  std::vector<Ready<Result<int>>> many;
  for (int i = 0; i < 20; ++i) many.push_back(ready(good(i)));
  EXPECT_EQ(block_on(join_all(std::move(many)))->at(19), 19);
}

TEST(JoinAll, TheFirstErrorDropsTheRest) {
  Probe waiting;
  sync::Notify notify;
  WakeCounter wakes;
  auto failing = [](sync::Notify& at) -> Async<Result<int>> {
    co_await at.wait();
    co_return bad();
  };
  auto all = join_all(waiting.wait(), failing(notify), ready(good(1)));
  EXPECT_TRUE(wakes.poll(all).is_pending());
  notify.notify_one();
  const auto result = wakes.poll(all).take();
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(RuntimeErrc::closed));
  EXPECT_EQ(waiting.alive, 0) << "before the error is given out";
}

TEST(JoinAll, OfARangeTheFirstErrorDropsTheRest) {
  for (const int count : {3, 40}) {
    std::deque<Oneshot<int>> oneshots(static_cast<std::size_t>(count));
    const auto value_of = [](std::optional<int> value) { return value ? good(*value) : bad(); };
    std::vector<decltype(map(oneshots[0].recv(), value_of))> waits;
    for (auto& oneshot : oneshots) waits.push_back(map(oneshot.recv(), value_of));
    auto all = join_all(std::move(waits));
    WakeCounter wakes;
    EXPECT_TRUE(wakes.poll(all).is_pending());
    EXPECT_TRUE(oneshots[0].send(1));
    oneshots[2].close();
    const auto result = wakes.poll(all).take();
    ASSERT_FALSE(result);
    EXPECT_TRUE(result.error().is(RuntimeErrc::closed));
    EXPECT_TRUE(oneshots[1].send(1)) << "its receiver has left";
  }
}

TEST(JoinAll, AnExceptionDropsTheRestAtOnce) {
  Probe waiting;
  Probe failing;
  failing.fails = true;
  WakeCounter wakes;
  auto both = join_all(waiting.wait(), failing.wait());
  EXPECT_THROW(static_cast<void>(wakes.poll(both)), std::runtime_error);
  EXPECT_EQ(waiting.alive, 0);
}

TEST(JoinAll, ATaskThatThrowsCancelsTheOthers) {
  auto executor = LocalExecutor::create().value();
  const auto never = []() -> Async<int> {
    co_await pending;
    co_return 0;
  };
  const auto throws = []() -> Async<int> {
    co_await yield_now();
    throw std::logic_error("task");
  };
  auto borrowed = executor->spawn(never());
  std::vector<JoinHandle<int>> owned;
  for (int i = 0; i < 3; ++i) owned.push_back(executor->spawn(never()));
  auto main = [&]() -> Async<std::string> {
    try {
      co_await join_all(borrowed, executor->spawn(throws()), join_all(std::move(owned)));
    } catch (const std::logic_error& error) {
      co_return error.what();
    }
    co_return "nothing was thrown";
  };
  EXPECT_EQ(executor->block_on(main()), "task");
  EXPECT_TRUE(executor->block_on(borrowed).is_cancelled());
}

TEST(JoinAll, OfTasksGivesPlainValues) {
  auto executor = LocalExecutor::create().value();
  std::vector<JoinHandle<int>> handles;
  std::vector<JoinHandle<void>> voids;
  for (int i = 0; i < 20; ++i) {
    handles.push_back(executor->spawn(ready(i)));
    voids.push_back(executor->spawn(yield_now()));
  }
  const std::vector<int> values = executor->block_on(join_all(std::move(handles)));
  EXPECT_EQ(values.size(), 20U);
  EXPECT_EQ(values[7], 7);
  executor->block_on(join_all(std::move(voids)));
  auto cancelled = executor->spawn(Pending<int>());
  cancelled.cancel();
  EXPECT_THROW(executor->block_on(join_all(std::move(cancelled))), TaskCancelled);
}

// ---- try_join_all ---------------------------------------------------------------------------

TEST(TryJoinAll, GivesAResultOrAnErrorOfEach) {
  auto executor = LocalExecutor::create().value();
  const auto throws = []() -> Async<int> {
    co_await yield_now();
    throw std::logic_error("plain");
  };
  auto cancelled = executor->spawn(Pending<int>());
  cancelled.cancel();
  auto [plain, error, task, gone, thrown, nothing] = executor->block_on(
      try_join_all(ready(1), ready(bad()), executor->spawn(throws()), cancelled, throws(), ready));
  EXPECT_EQ(plain.value(), 1);
  EXPECT_TRUE(error.error().is(RuntimeErrc::closed));
  EXPECT_THROW(std::move(task).get(), std::logic_error);
  EXPECT_TRUE(gone.is_cancelled());
  EXPECT_THROW(std::move(thrown).get(), std::logic_error);
  EXPECT_TRUE(nothing.has_value());
}

TEST(TryJoinAll, WaitsForTheOthersAfterAFailure) {
  for (const int count : {3, 40}) {
    std::deque<Probe> probes(static_cast<std::size_t>(count));
    std::vector<Probe::Wait> waits;
    for (Probe& probe : probes) waits.push_back(probe.wait());
    probes[1].fails = true;
    auto all = try_join_all(waits);
    WakeCounter wakes;
    EXPECT_TRUE(wakes.poll(all).is_pending());
    for (Probe& probe : probes) probe.set(1);
    auto results = wakes.poll(all).take();
    ASSERT_EQ(results.size(), static_cast<std::size_t>(count));
    EXPECT_NE(results[1].exception(), nullptr);
    EXPECT_EQ(results[2].value(), 1);
  }
}

TEST(TryJoinAll, OfNothingIsReadyAtOnce) {
  EXPECT_EQ(block_on(try_join_all()), std::tuple<>());
  EXPECT_TRUE(block_on(try_join_all(std::vector<Ready<int>>())).empty());
}

TEST(TryJoinAll, AnExceptionBesideAnErrorLeavesAtOnce) {
  Probe waiting;
  const auto throws = []() -> Async<Result<int>> {
    co_await ready;
    throw std::logic_error("beside");
  };
  WakeCounter wakes;
  {
    auto both = try_join_all(waiting.wait(), throws());
    EXPECT_THROW(static_cast<void>(wakes.poll(both)), std::logic_error);
  }
  EXPECT_EQ(waiting.alive, 0);
}

}  // namespace
}  // namespace blitzio
