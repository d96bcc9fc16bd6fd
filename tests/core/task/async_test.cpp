#include <blitzio/task/async.hpp>
#include <blitzio/task/block_on.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/task/join_all.hpp>
#include <blitzio/task/join_result.hpp>
#include <blitzio/task/select.hpp>
#include <blitzio/task/try_join_all.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace blitzio {
namespace {

// A gate that futures wait at; it cannot move, as a future with links could not.
class Gate {
 public:
  class Wait {
   public:
    using Output = int;
    explicit Wait(Gate& gate) : gate_(gate) { ++gate_.waiting; }
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    ~Wait() { --gate_.waiting; }
    Poll<int> poll(Context& context) {
      ++gate_.polls;
      if (gate_.fails) throw std::runtime_error("gate");
      if (gate_.open) return gate_.value;
      gate_.waker = context.waker().clone();
      return pending;
    }

   private:
    Gate& gate_;
  };
  Wait wait() { return Wait(*this); }

  bool open = false;
  bool fails = false;
  int value = 1;
  int waiting = 0;
  int polls = 0;
  Waker waker;
};

const Waker kNoWaker;

Async<int> give(int value) {
  co_return value;
}
Async<int> pass(Gate& gate) {
  co_return co_await gate.wait();
}
Async<int> nest(Gate& gate, int depth) {
  if (depth == 0) co_return co_await gate.wait();
  co_return 1 + co_await nest(gate, depth - 1);
}

TEST(Async, DoesNothingUntilPolled) {
  bool ran = false;
  auto body = [](bool& flag) -> Async<> {
    flag = true;
    co_return;
  };
  Async<> future = body(ran);
  EXPECT_FALSE(ran);
  Context context(kNoWaker);
  EXPECT_TRUE(future.poll(context).is_ready());
  EXPECT_TRUE(ran);
}

TEST(Async, GivesMoveOnlyValues) {
  auto body = []() -> Async<std::unique_ptr<int>> { co_return std::make_unique<int>(3); };
  EXPECT_EQ(*block_on(body()), 3);
}

TEST(Async, AwaitsAnyFutureAndResumesWhenItIsReady) {
  Gate gate;
  Async<int> future = pass(gate);
  Context context(kNoWaker);
  EXPECT_TRUE(future.poll(context).is_pending());
  EXPECT_TRUE(future.poll(context).is_pending());
  EXPECT_EQ(gate.waiting, 1);
  gate.open = true;
  auto answer = future.poll(context);
  ASSERT_TRUE(answer.is_ready());
  EXPECT_EQ(std::move(answer).take(), 1);
  EXPECT_EQ(gate.waiting, 0);
}

TEST(Async, APollOfTheOutermostPollsTheInnermostOnly) {
  Gate gate;
  Async<int> future = nest(gate, 50);
  Context context(kNoWaker);
  EXPECT_TRUE(future.poll(context).is_pending());
  EXPECT_EQ(gate.polls, 1);
  EXPECT_TRUE(future.poll(context).is_pending());
  EXPECT_EQ(gate.polls, 2);
  gate.open = true;
  EXPECT_EQ(future.poll(context).take(), 51);
}

TEST(Async, AwaitsInALoopAndThroughReferences) {
  auto body = []() -> Async<int> {
    int sum = 0;
    for (int i = 0; i < 100; ++i) {
      auto named = give(i);
      sum += co_await named;
      co_await yield_now();
      sum += co_await give(1);
    }
    co_return sum;
  };
  EXPECT_EQ(block_on(body()), 4950 + 100);
}

TEST(Async, AnExceptionGoesUpThroughEveryAwait) {
  Gate gate;
  gate.fails = true;
  Async<int> at_once = nest(gate, 3);
  Context context(kNoWaker);
  EXPECT_THROW(static_cast<void>(at_once.poll(context)), std::runtime_error);
  gate.fails = false;
  Async<int> later = nest(gate, 3);
  EXPECT_TRUE(later.poll(context).is_pending());
  gate.fails = true;
  EXPECT_THROW(static_cast<void>(later.poll(context)), std::runtime_error);
  EXPECT_EQ(gate.waiting, 0);
}

TEST(Async, AnExceptionOfAnAwaitedFutureCanBeCaught) {
  Gate gate;
  auto body = [](Gate& at) -> Async<std::string> {
    try {
      co_await pass(at);
    } catch (const std::runtime_error& error) {
      co_return error.what();
    }
    co_return "";
  };
  Async<std::string> future = body(gate);
  Context context(kNoWaker);
  EXPECT_TRUE(future.poll(context).is_pending());
  gate.fails = true;
  EXPECT_EQ(future.poll(context).take(), "gate");
}

TEST(Async, DestroyingItMidwayDestroysTheFramesAndWhatTheyAwait) {
  Gate gate;
  auto local = std::make_shared<int>(1);
  auto body = [](Gate& at, std::shared_ptr<int> kept) -> Async<int> {
    const auto copy = kept;
    co_return co_await nest(at, 2) + *copy;
  };
  {
    Async<int> future = body(gate, local);
    Context context(kNoWaker);
    EXPECT_TRUE(future.poll(context).is_pending());
    EXPECT_EQ(gate.waiting, 1);
    EXPECT_EQ(local.use_count(), 3);
  }
  EXPECT_EQ(gate.waiting, 0);
  EXPECT_EQ(local.use_count(), 1);
}

TEST(Async, NeverPolledItIsDestroyedWithItsArguments) {
  auto value = std::make_shared<int>(1);
  auto body = [](std::shared_ptr<int> kept) -> Async<int> { co_return *kept; };
  {
    Async<int> future = body(value);
  }
  EXPECT_EQ(value.use_count(), 1);
}

// Counts its wakes.
struct Flag {
  static void wake(void* data) noexcept { ++static_cast<Flag*>(data)->wakes; }
  static const WakerVTable kVTable;
  std::atomic<int> wakes{0};
  Waker waker{this, &kVTable};
};
const WakerVTable Flag::kVTable{[](void* data) noexcept { return data; }, wake, wake,
                                [](void*) noexcept {}};

TEST(Async, AWakeReachesTheWakerOfTheLatestPoll) {
  Gate gate;
  Async<int> future = nest(gate, 2);
  Flag first;
  Flag second;
  Context one(first.waker);
  Context two(second.waker);
  EXPECT_TRUE(future.poll(one).is_pending());
  EXPECT_TRUE(future.poll(two).is_pending());
  gate.waker.wake();
  EXPECT_EQ(first.wakes.load(), 0);
  EXPECT_EQ(second.wakes.load(), 1);
}

// ---- block_on --------------------------------------------------------------------------------

TEST(BlockOn, SleepsUntilAnotherThreadWakesIt) {
  for (int round = 0; round < 200; ++round) {
    std::mutex mutex;
    Waker waker;
    bool open = false;
    const std::jthread opener([&] {
      const std::scoped_lock lock(mutex);
      open = true;
      waker.wake();
    });
    block_on(poll_fn([&](Context& context) -> Poll<void> {
      const std::scoped_lock lock(mutex);
      if (open) return ready;
      waker = context.waker().clone();
      return pending;
    }));
  }
}

TEST(BlockOn, AWakerOutlivesTheThreadThatItWoke) {
  Waker kept;
  std::jthread([&] {
    block_on(poll_fn([&](Context& context) -> Poll<void> {
      kept = context.waker().clone();
      return ready;
    }));
  }).join();
  kept.wake();
}

TEST(BlockOn, RethrowsWhatTheFutureThrows) {
  Gate gate;
  gate.fails = true;
  EXPECT_THROW(block_on(pass(gate)), std::runtime_error);
}

Async<int&> the_later(int& value) {
  co_await yield_now();
  co_return value;
}

TEST(Async, GivesAReference) {
  int value = 1;
  const auto use = [&]() -> Async<bool> {
    int& same = co_await the_later(value);
    auto [of_all, other] = co_await join_all(the_later(value), ready(2));
    auto settled = co_await try_join_all(the_later(value));
    auto first = co_await select(the_later(value), pending);
    int& raced = co_await race(the_later(value), the_later(value));
    std::vector<Async<int&>> range;
    range.push_back(the_later(value));
    const auto values = co_await join_all(std::move(range));
    co_return &same == &value && &of_all.get() == &value&& other == 2 &&
        &std::get<0>(settled).value() == &value && &std::get<0>(first).get() == &value &&
        &raced == &value && &values.at(0).get() == &value;
  };
  EXPECT_TRUE(block_on(use()));
  EXPECT_EQ(&JoinResult<int&>::of_value(value).get(), &value);
}

}  // namespace
}  // namespace blitzio
