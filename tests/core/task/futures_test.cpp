#include <blitzio/task/async.hpp>
#include <blitzio/task/block_on.hpp>
#include <blitzio/task/compose.hpp>
#include <blitzio/task/futures.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace blitzio {
namespace {

TEST(Futures, AReadyFutureGivesItsValueAtOnce) {
  EXPECT_EQ(*block_on(ready(std::make_unique<int>(2))), 2);
}

TEST(Futures, APendingFutureNeverIsReady) {
  const Waker nobody;
  Context context(nobody);
  Pending<int> never;
  EXPECT_TRUE(never.poll(context).is_pending());
  EXPECT_TRUE(never.poll(context).is_pending());
}

TEST(Futures, ALazyFutureRunsItsFunctionWhenPolled) {
  int calls = 0;
  auto future = lazy([&] { return ++calls; });
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(block_on(future), 1);
  block_on(lazy([&] { ++calls; }));
  EXPECT_EQ(calls, 2);
}

TEST(Futures, AFunctionKeepsItsArguments) {
  const auto add = [](int a, std::unique_ptr<int> b) { return a + *b; };
  EXPECT_EQ(block_on(fn_future(add, 1, std::make_unique<int>(2))), 3);
  int sum = 0;
  block_on(fn_future([&](int a) { sum += a; }, 5));
  EXPECT_EQ(sum, 5);
}

TEST(Futures, TheWordsForAPollsAnswerAreFutures) {
  static_assert(Future<decltype(ready)> && Future<decltype(pending)>);
  static_assert(Future<Ready<int>> && Future<Pending<int>> && Future<Lazy<int (*)()>>);
  static_assert(!Future<int>);
  block_on(ready);
  const Waker nobody;
  Context context(nobody);
  EXPECT_TRUE(pending.poll(context).is_pending());
}

// ---- map, and_then, compose ------------------------------------------------------------------

TEST(Compose, MapTransformsTheValue) {
  EXPECT_EQ(block_on(map(ready(2), [](int value) { return std::to_string(value); })), "2");
  EXPECT_EQ(block_on(map(yield_now(), [] { return 3; })), 3);
  int seen = 0;
  block_on(map(ready(4), [&](int value) { seen = value; }));
  EXPECT_EQ(seen, 4);
}

struct Named {
  std::string name;
  std::size_t name_bytes() const { return name.size(); }
};

TEST(Compose, MapTakesMembers) {
  EXPECT_EQ(block_on(map(ready(Named{"abc"}), &Named::name_bytes)), 3U);
  // The member leaves the object, which is gone after the call.
  auto name = map(ready(Named{"abc"}), &Named::name);
  static_assert(std::is_same_v<OutputOf<decltype(name)>, std::string>);
  EXPECT_EQ(block_on(std::move(name)), "abc");
}

TEST(Compose, FunctionsMayGiveReferences) {
  Named kept{"kept"};
  EXPECT_EQ(&block_on(lazy([&]() -> Named& { return kept; })), &kept);
  EXPECT_EQ(&block_on(map(ready(1), [&](int) -> const Named& { return kept; })), &kept);
  EXPECT_EQ(&block_on(map(lazy([&]() -> Named& { return kept; }), &Named::name)), &kept.name);
  const Waker nobody;
  Context context(nobody);
  EXPECT_TRUE(Pending<int&>().poll(context).is_pending());
}

TEST(Compose, AndThenWaitsForOneAfterTheOther) {
  const auto twice = [](std::unique_ptr<int> value) -> Async<int> {
    co_await yield_now();
    co_return 2 * *value;
  };
  EXPECT_EQ(block_on(and_then(ready(std::make_unique<int>(4)), twice)), 8);
  EXPECT_EQ(block_on(and_then(yield_now(), [] { return ready(1); })), 1);
}

TEST(Compose, AChainIsAFutureAtEachPoint) {
  auto chain =
      compose(lazy([] { return 20; }))
          .map([](int value) { return value + 1; })
          .and_then([](int value) { return map(yield_now(), [value] { return 2 * value; }); });
  static_assert(Future<decltype(chain)>);
  EXPECT_EQ(block_on(chain), 42);
}

TEST(Compose, TheFirstFutureIsGoneWhenTheSecondRuns) {
  const auto witness = std::make_shared<int>(7);
  auto first = [](std::shared_ptr<int> kept) -> Async<int> {
    co_await yield_now();
    co_return *kept;
  };
  auto chain =
      and_then(first(witness), [&](int) { return lazy([&] { return witness.use_count(); }); });
  EXPECT_EQ(block_on(chain), 1);
}

TEST(Compose, BorrowsAnLvalue) {
  auto future = lazy([] { return 1; });
  auto chain = map(future, [](int value) { return value + 1; });
  EXPECT_EQ(block_on(chain), 2);
}

TEST(Futures, YieldNowIsPendingOnceAndWakesItself) {
  block_on(yield_now());
}

TEST(Futures, APollFunctionIsAskedUntilItIsReady) {
  int polls = 0;
  EXPECT_EQ(block_on(poll_fn([&](Context& context) -> Poll<int> {
              context.waker().wake_by_ref();
              if (++polls < 3) return pending;
              return polls;
            })),
            3);
}

}  // namespace
}  // namespace blitzio
