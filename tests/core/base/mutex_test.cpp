#include <blitzio/base/mutex.hpp>

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace blitzio {
namespace {

TEST(Mutex, ExcludesThreadsFromEachOther) {
  Mutex mutex(LockRank::leaf);
  int count = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 1'000; ++i) {
          const MutexLock lock(mutex);
          ++count;
        }
      });
    }
  }
  EXPECT_EQ(count, 4'000);
}

TEST(CondVar, WaitUntilReportsTheDeadlineAndANotification) {
  Mutex mutex(LockRank::leaf);
  CondVar changed;
  bool flag = false;
  {
    const MutexLock lock(mutex);
    EXPECT_FALSE(changed.wait_until(mutex, Instant::now() - Duration::from_secs(1)));
  }
  const std::jthread setter([&] {
    {
      const MutexLock lock(mutex);
      flag = true;
    }
    changed.notify_one();
  });
  const MutexLock lock(mutex);
  while (!flag) changed.wait_until(mutex, Instant::max());
}

#if BLITZIO_DEBUG
TEST(MutexDeathTest, LocksAreTakenInRisingRank) {
  Mutex low(LockRank::blocking_pool);
  Mutex high(LockRank::leaf);
  {
    const MutexLock first(low);
    const MutexLock second(high);
  }
  EXPECT_DEATH(
      {
        const MutexLock first(high);
        const MutexLock second(low);
      },
      "check failed");
}
#endif

}  // namespace
}  // namespace blitzio
