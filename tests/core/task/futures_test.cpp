#include <blitzio/task/block_on.hpp>
#include <blitzio/task/futures.hpp>

#include <gtest/gtest.h>

#include <memory>

namespace blitzio {
namespace {

TEST(Futures, AReadyFutureGivesItsValueAtOnce) {
  EXPECT_EQ(*block_on(ready_future(std::make_unique<int>(2))), 2);
}

TEST(Futures, APendingFutureNeverIsReady) {
  const Waker nobody;
  Context context(nobody);
  PendingFuture<int> never;
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
