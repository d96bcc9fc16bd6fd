#include <blitzio/executor/local_executor.hpp>
#include <blitzio/signal/stream.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/block_on.hpp>

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

namespace blitzio::signal {
namespace {

TEST(SignalStream, HearsOfEachArrivalThatWasTakenBetween) {
  auto listening = stream(SIGUSR1);
  ASSERT_TRUE(listening.has_value());
  EXPECT_EQ(listening->number(), SIGUSR1);
  for (int round = 0; round < 5; ++round) {
    ASSERT_EQ(::kill(::getpid(), SIGUSR1), 0);
    block_on(listening->next());
  }
}

TEST(SignalStream, AllListenersHearAndADroppedWaitLosesNothing) {
  auto first = stream(SIGUSR2).value();
  auto second = stream(SIGUSR2).value();
  {
    const Waker nobody;
    Context context(nobody);
    auto dropped = first.next();
    EXPECT_TRUE(dropped.poll(context).is_pending());
  }
  ASSERT_EQ(::kill(::getpid(), SIGUSR2), 0);
  block_on(first.next());
  block_on(second.next());
}

TEST(SignalStream, WaitsOnAnExecutor) {
  auto executor = LocalExecutor::create().value();
  auto work = []() -> Async<bool> {
    auto waiting = wait(SIGUSR1);
    const Waker nobody;
    Context context(nobody);
    EXPECT_TRUE(waiting.poll(context).is_pending());
    EXPECT_EQ(::kill(::getpid(), SIGUSR1), 0);
    co_return (co_await waiting).has_value();
  };
  EXPECT_TRUE(executor->block_on(work()));
}

TEST(SignalStream, CtrlCIsSigint) {
  auto waiting = ctrl_c();
  const Waker nobody;
  Context context(nobody);
  ASSERT_TRUE(waiting.poll(context).is_pending());
  ASSERT_EQ(::kill(::getpid(), SIGINT), 0);
  EXPECT_TRUE(block_on(waiting).has_value());
}

TEST(SignalStream, WhatCannotBeHandledIsRefused) {
  const auto invalid = Error::runtime(RuntimeErrc::invalid_argument);
  EXPECT_EQ(stream(SIGKILL).error(), invalid);
  EXPECT_EQ(stream(0).error(), invalid);
  EXPECT_EQ(block_on(wait(100'000)).error(), invalid);
}

}  // namespace
}  // namespace blitzio::signal
