#include <blitzio/base/sole_sweeper.hpp>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <thread>
#include <vector>

namespace blitzio::detail {
namespace {

TEST(SoleSweeper, EachAskAloneIsAPass) {
  SoleSweeper sweeper;
  int passes = 0;
  for (int i = 0; i < 3; ++i) sweeper.ask([&] { ++passes; });
  EXPECT_EQ(passes, 3);
}

TEST(SoleSweeper, AsksDuringAPassAreOneMorePass) {
  SoleSweeper sweeper;
  int passes = 0;
  const auto other = [] { ADD_FAILURE() << "somebody is at it"; };
  sweeper.ask([&] {
    if (++passes > 1) return;
    sweeper.ask(other);
    std::thread([&] { sweeper.ask(other); }).join();
  });
  EXPECT_EQ(passes, 2);
}

TEST(SoleSweeper, NothingThatWasLeftStays) {
  constexpr int kThreads = 4;
  constexpr int kEach = 2'000;
  SoleSweeper sweeper;
  std::atomic<int> left{0};
  std::atomic<int> at_it{0};
  std::atomic<int> swept{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < kEach; ++j) {
        left.fetch_add(1, std::memory_order_relaxed);
        sweeper.ask([&] {
          EXPECT_EQ(at_it.fetch_add(1), 0);
          swept.fetch_add(left.exchange(0, std::memory_order_relaxed));
          at_it.fetch_sub(1);
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(swept.load(), kThreads * kEach);
}

TEST(SoleSweeper, AForkedChildSweepsForItself) {
  SoleSweeper sweeper;
  std::atomic<bool> is_at_it{false};
  std::atomic<bool> has_forked{false};
  std::thread other([&] {
    sweeper.ask([&] {
      is_at_it = true;
      is_at_it.notify_one();
      has_forked.wait(false);
    });
  });
  is_at_it.wait(false);
  const pid_t child = ::fork();
  if (child == 0) {
    sweeper.forget();
    int passes = 0;
    sweeper.ask([&] { ++passes; });
    std::_Exit(passes);
  }
  has_forked = true;
  has_forked.notify_one();
  other.join();
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 1);
}

}  // namespace
}  // namespace blitzio::detail
