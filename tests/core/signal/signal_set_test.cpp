#include <blitzio/signal/signal_set.hpp>
#include <blitzio/task/block_on.hpp>

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <optional>
#include <set>
#include <thread>
#include <vector>

namespace blitzio::signal {
namespace {

constexpr std::array kBoth{SIGUSR1, SIGUSR2};

void send(int number) {
  ASSERT_EQ(::kill(::getpid(), number), 0);
}

TEST(SignalSet, TellsWhichCame) {
  auto set = SignalSet::listen(kBoth).value();
  EXPECT_EQ(set->try_next(), std::nullopt);
  for (const int number : {SIGUSR2, SIGUSR1, SIGUSR2}) {
    send(number);
    EXPECT_EQ(block_on(set->next()), number);
  }
}

TEST(SignalSet, StreamAndWaitTakeSeveralNumbers) {
  const auto set = stream(SIGUSR1, SIGUSR2, SIGHUP).value();
  send(SIGHUP);
  EXPECT_EQ(block_on(set->next()), SIGHUP);

  auto first = wait(SIGUSR1, SIGUSR2);
  const Waker waker;
  Context context(waker);
  EXPECT_TRUE(first.poll(context).is_pending()) << "it listens from now on";
  send(SIGUSR2);
  EXPECT_EQ(block_on(first).value(), SIGUSR2);

  auto any = wait_any(kBoth);
  EXPECT_TRUE(any.poll(context).is_pending());
  send(SIGUSR1);
  EXPECT_EQ(block_on(any).value(), SIGUSR1);

  EXPECT_EQ(block_on(wait(SIGUSR1, SIGKILL)).error(),
            Error::runtime(RuntimeErrc::invalid_argument));
  EXPECT_EQ(block_on(wait_any({})).error(), Error::runtime(RuntimeErrc::invalid_argument));
  EXPECT_EQ(stream(SIGUSR1, -1).error(), Error::runtime(RuntimeErrc::invalid_argument));
}

TEST(SignalSet, EveryOneOfSeveralWaitersGetsOneOfSeveralSignals) {
  for (int round = 0; round < 50; ++round) {
    auto set = SignalSet::listen(kBoth).value();
    std::array<std::optional<int>, 2> got;
    std::vector<std::thread> threads;
    threads.reserve(got.size());
    for (auto& one : got) threads.emplace_back([&] { one = block_on(set->next()); });
    send(SIGUSR1);
    send(SIGUSR2);
    for (auto& thread : threads) thread.join();
    EXPECT_EQ((std::set{got[0], got[1]}), (std::set<std::optional<int>>{SIGUSR1, SIGUSR2}));
  }
}

TEST(SignalSet, CloseEndsAllWhoWait) {
  for (int round = 0; round < 50; ++round) {
    auto set = SignalSet::listen(kBoth).value();
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] { EXPECT_EQ(block_on(set->next()), std::nullopt); });
    }
    set->close();
    for (auto& thread : threads) thread.join();
  }
}

TEST(SignalSet, RefusesWhatCannotBeHandledAndKeepsNothing) {
  const auto invalid = Error::runtime(RuntimeErrc::invalid_argument);
  EXPECT_EQ(SignalSet::listen({}).error(), invalid);
  EXPECT_EQ(SignalSet::listen(std::array{SIGUSR1, SIGKILL}).error(), invalid);
  struct sigaction current{};
  ASSERT_EQ(::sigaction(SIGUSR1, nullptr, &current), 0);
  EXPECT_EQ(current.sa_handler, SIG_DFL);
}

std::atomic<int> calls{0};

// What a handler that was there before ours, or came later, is.
class OtherHandler {
 public:
  explicit OtherHandler(int flags = 0) {
    struct sigaction own{};
    own.sa_handler = [](int) { calls.fetch_add(1); };
    own.sa_flags = flags;
    EXPECT_EQ(::sigaction(SIGUSR1, &own, &before_), 0);
    calls = 0;
  }
  OtherHandler(const OtherHandler&) = delete;
  OtherHandler& operator=(const OtherHandler&) = delete;
  ~OtherHandler() { ::sigaction(SIGUSR1, &before_, nullptr); }

 private:
  struct sigaction before_{};
};

TEST(SignalSet, AHandlerThatStandsForADefaultIsSilentUntilTheLastListenerStops) {
  const OtherHandler other;
  {
    auto loud = SignalSet::listen(kBoth).value();
    {
      auto silent = SignalSet::listen(kBoth, Former::silent).value();
      send(SIGUSR1);
      EXPECT_EQ(block_on(silent->next()), SIGUSR1);
      EXPECT_EQ(block_on(loud->next()), SIGUSR1);
    }
    EXPECT_EQ(calls.load(), 0);
  }
  send(SIGUSR1);
  EXPECT_EQ(calls.load(), 1);
}

TEST(SignalSet, ASignalIsTakenBackFromAHandlerThatCameLater) {
  auto set = SignalSet::listen(kBoth).value();
  {
    const OtherHandler other;
    set->take_back(SIGUSR1, Former::called);
    send(SIGUSR1);
    EXPECT_EQ(block_on(set->next()), SIGUSR1);
    EXPECT_EQ(calls.load(), 1);
    // Who begins to listen takes it back as well.
    const OtherHandler another;
    auto later = SignalSet::listen(kBoth).value();
    send(SIGUSR1);
    EXPECT_EQ(block_on(set->next()), SIGUSR1);
    EXPECT_EQ(block_on(later->next()), SIGUSR1);
    EXPECT_EQ(calls.load(), 1);
  }
  set->close();
  std::signal(SIGUSR1, SIG_DFL);  // what was taken back from is put back, though it has left
}

TEST(SignalSet, SystemCallsAreRestartedAsUnderTheHandlerThatIsStillCalled) {
  const auto restarts = [](int flags) {
    const OtherHandler other(flags);
    auto set = SignalSet::listen(kBoth).value();
    struct sigaction current{};
    EXPECT_EQ(::sigaction(SIGUSR1, nullptr, &current), 0);
    return (current.sa_flags & SA_RESTART) != 0;
  };
  EXPECT_FALSE(restarts(0));
  EXPECT_TRUE(restarts(SA_RESTART));
}

}  // namespace
}  // namespace blitzio::signal
