#include <blitzio/signal/shutdown.hpp>

#include <blitzio/executor/runtime.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/block_on.hpp>
#include <core/sync/support.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace blitzio {
namespace {

using test::WakeCounter;

std::unique_ptr<Shutdown> quiet() {
  return Shutdown::create({}).value();
}

bool has_default_action(int number) {
  struct sigaction current{};
  EXPECT_EQ(::sigaction(number, nullptr, &current), 0);
  return (current.sa_flags & SA_SIGINFO) == 0 && current.sa_handler == SIG_DFL;
}

TEST(Shutdown, BeginsWithEachOfItsSignals) {
  // What a shell runs in the background ignores SIGINT.
  struct sigaction before{};
  ASSERT_EQ(::sigaction(SIGINT, nullptr, &before), 0);
  for (const int number : {SIGINT, SIGTERM}) {
    const auto shutdown = Shutdown::create().value();
    EXPECT_FALSE(shutdown->is_shutdown());
    EXPECT_FALSE(shutdown->signal().has_value());
    auto begun = shutdown->wait();
    ASSERT_EQ(::kill(::getpid(), number), 0);
    block_on(begun);
    EXPECT_TRUE(shutdown->is_shutdown());
    EXPECT_EQ(shutdown->signal(), number);
    // A second one changes nothing, and ends nothing.
    ASSERT_EQ(::kill(::getpid(), number == SIGINT ? SIGTERM : SIGINT), 0);
    EXPECT_EQ(shutdown->signal(), number);
  }
  EXPECT_EQ(has_default_action(SIGINT), before.sa_handler == SIG_DFL);
  EXPECT_TRUE(has_default_action(SIGTERM));
}

TEST(Shutdown, BeginsByItself) {
  const auto shutdown = quiet();
  const CancelToken request = shutdown->token().child();
  WakeCounter counter;
  auto begun = shutdown->wait();
  EXPECT_TRUE(counter.poll(begun).is_pending());
  shutdown->trigger();
  shutdown->trigger();
  EXPECT_EQ(counter.count(), 1);
  EXPECT_TRUE(counter.poll(begun).is_ready());
  EXPECT_TRUE(request.cancel_requested());
  EXPECT_FALSE(shutdown->signal().has_value());
}

TEST(Shutdown, TwoOfOneProcessHearBoth) {
  const auto first = Shutdown::create().value();
  auto second = Shutdown::create({SIGTERM, SIGUSR1}).value();
  ASSERT_EQ(::kill(::getpid(), SIGTERM), 0);
  block_on(first->wait());
  block_on(second->wait());
  second.reset();
  EXPECT_FALSE(has_default_action(SIGTERM)) << "the first one is still there";
  EXPECT_TRUE(has_default_action(SIGUSR1));
}

TEST(Shutdown, ASignalThatCannotBeHandledIsRefusedAndLeavesNothingBehind) {
  const auto refused = Shutdown::create({SIGTERM, SIGKILL});
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(RuntimeErrc::invalid_argument));
  EXPECT_TRUE(has_default_action(SIGTERM));
}

TEST(Shutdown, CountsTheWorkThatGoesOn) {
  const auto shutdown = quiet();
  EXPECT_EQ(shutdown->pending_count(), 0U);
  EXPECT_TRUE(shutdown->blocking_wait_pending(Duration::zero()));
  std::optional<WorkGuard> first = shutdown->start_work();
  WorkGuard second = shutdown->start_work();
  EXPECT_EQ(shutdown->pending_count(), 2U);
  WorkGuard moved = std::move(second);
  EXPECT_EQ(shutdown->pending_count(), 2U);
  EXPECT_FALSE(shutdown->blocking_wait_pending(Duration::from_millis(1)));
  moved.reset();
  moved.reset();
  EXPECT_EQ(shutdown->pending_count(), 1U);
  moved = std::move(*first);
  first.reset();
  EXPECT_EQ(shutdown->pending_count(), 1U);
  moved.reset();
  EXPECT_TRUE(shutdown->blocking_wait_pending());
}

TEST(Shutdown, WaitingEndsWithTheLastGuard) {
  const auto shutdown = quiet();
  std::optional<WorkGuard> guard = shutdown->start_work();
  WakeCounter counter;
  auto drained = shutdown->wait_pending();
  EXPECT_TRUE(counter.poll(drained).is_pending());
  EXPECT_TRUE(counter.poll(drained).is_pending());
  {
    auto dropped = shutdown->wait_pending();
    EXPECT_TRUE(counter.poll(dropped).is_pending());
  }
  guard.reset();
  EXPECT_EQ(counter.count(), 1);
  EXPECT_TRUE(counter.poll(drained).take());
}

TEST(Shutdown, AGuardMayOutliveIt) {
  auto shutdown = quiet();
  const WorkGuard guard = shutdown->start_work();
  auto drained = shutdown->wait_pending();
  shutdown.reset();
}

TEST(Shutdown, DrainsARuntimesTasksWithAndWithoutATimeout) {
  Config config;
  config.workers = 2;
  const auto runtime = Runtime::create(config).value();
  const auto shutdown = quiet();
  const bool is_done = runtime->run([&]() -> Async<bool> {
    const auto serve = [&](WorkGuard) -> Async<void> {
      co_await shutdown->wait();
      co_await time::sleep(Duration::from_millis(1));
    };
    for (int i = 0; i < 50; ++i) spawn(serve(shutdown->start_work())).detach();
    EXPECT_FALSE(co_await shutdown->wait_pending(Duration::from_millis(1)));
    EXPECT_EQ(shutdown->pending_count(), 50U);
    shutdown->trigger();
    co_return co_await shutdown->wait_pending(Duration::from_secs(60));
  });
  EXPECT_TRUE(is_done);
  EXPECT_EQ(shutdown->pending_count(), 0U);
}

TEST(Shutdown, WaitersOnManyThreadsSeeTheEnd) {
  for (int round = 0; round < 50; ++round) {
    const auto shutdown = quiet();
    std::vector<WorkGuard> guards;
    for (int i = 0; i < 3; ++i) guards.push_back(shutdown->start_work());
    test::on_threads(6, [&](int index) {
      if (index < 3) {
        guards[static_cast<std::size_t>(index)].reset();
      } else {
        EXPECT_TRUE(shutdown->blocking_wait_pending(Duration::from_secs(60)));
      }
    });
  }
}

}  // namespace
}  // namespace blitzio
