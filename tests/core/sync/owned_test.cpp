// Guards and permits that keep what they hold: it lives as long as they, and is given back once.
#include <core/sync/support.hpp>

#include <blitzio/executor/local_executor.hpp>
#include <blitzio/sync/owned.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/block_on.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <utility>

namespace blitzio::sync {
namespace {

using test::WakeCounter;

TEST(OwnedPermit, KeepsTheSemaphoreAndGivesBack) {
  auto semaphore = std::make_shared<Semaphore>(3);
  const std::weak_ptr<Semaphore> seen = semaphore;
  std::optional<OwnedPermit> permit = block_on(acquire_owned(semaphore, 2)).value();
  EXPECT_EQ((*permit)->count(), 2U);
  EXPECT_EQ(permit->primitive(), semaphore);
  EXPECT_EQ(semaphore->available_permits(), 1U);
  EXPECT_FALSE(try_acquire_owned(semaphore, 2));
  {
    const auto last = try_acquire_owned(semaphore);
    ASSERT_TRUE(last);
    EXPECT_EQ(semaphore->available_permits(), 0U);
  }
  EXPECT_EQ(semaphore->available_permits(), 1U);
  semaphore.reset();
  EXPECT_FALSE(seen.expired());
  (*permit)->release();
  EXPECT_EQ(seen.lock()->available_permits(), 3U);
  permit.reset();
  EXPECT_TRUE(seen.expired());
}

TEST(OwnedPermit, AFutureKeepsTheSemaphoreToo) {
  auto semaphore = std::make_shared<Semaphore>(0);
  Semaphore& raw = *semaphore;
  const std::weak_ptr<Semaphore> seen = semaphore;
  WakeCounter wakes;
  {
    auto wait = acquire_owned(std::move(semaphore));
    EXPECT_TRUE(wakes.poll(wait).is_pending());
    EXPECT_FALSE(seen.expired());
    raw.release();
    const auto permit = wakes.poll(wait).take();
    ASSERT_TRUE(permit);
  }
  EXPECT_TRUE(seen.expired());
}

TEST(OwnedPermit, ErrorsComeThroughAndADroppedWaitLeavesTheQueue) {
  const auto semaphore = std::make_shared<Semaphore>(0);
  WakeCounter wakes;
  {
    auto dropped = acquire_owned(semaphore);
    EXPECT_TRUE(wakes.poll(dropped).is_pending());
    EXPECT_EQ(semaphore.use_count(), 2);
    semaphore->release();
  }
  EXPECT_EQ(semaphore.use_count(), 1);
  EXPECT_EQ(semaphore->available_permits(), 1U) << "what it was granted goes back";
  semaphore->close();
  EXPECT_EQ(block_on(acquire_owned(semaphore)).error(), Error::runtime(RuntimeErrc::closed));
}

TEST(OwnedPermit, AssigningGivesTheOldOneBackBeforeItGoes) {
  auto first = std::make_shared<Semaphore>(1);
  const auto second = std::make_shared<Semaphore>(1);
  const std::weak_ptr<Semaphore> seen = first;
  OwnedPermit permit = try_acquire_owned(std::move(first)).value();
  permit = try_acquire_owned(second).value();
  EXPECT_TRUE(seen.expired());
  EXPECT_EQ(second->available_permits(), 0U);
  const OwnedPermit moved = std::move(permit);
  EXPECT_EQ(moved.primitive(), second);
  EXPECT_EQ(second.use_count(), 2);
}

TEST(OwnedMutexGuard, GoesWithATask) {
  const auto executor = LocalExecutor::create().value();
  auto mutex = std::make_shared<Mutex>();
  const std::weak_ptr<Mutex> seen = mutex;
  OwnedMutexGuard guard = block_on(lock_owned(mutex));
  EXPECT_FALSE(try_lock_owned(mutex));
  auto waiting = lock_owned(std::move(mutex));
  WakeCounter wakes;
  EXPECT_TRUE(wakes.poll(waiting).is_pending());
  auto hold = [](OwnedMutexGuard held) -> Async<bool> { co_return held->is_empty(); };
  EXPECT_FALSE(executor->block_on(hold(std::move(guard))));
  EXPECT_EQ(wakes.count(), 1) << "the task has ended, and the lock goes to the next";
  EXPECT_TRUE(wakes.poll(waiting).is_ready());
  EXPECT_FALSE(seen.expired()) << "the future still refers to it";
}

TEST(OwnedRwLockGuards, ShareAndExclude) {
  const auto lock = std::make_shared<RwLock>();
  {
    const OwnedReadGuard one = block_on(read_owned(lock));
    const auto two = try_read_owned(lock);
    EXPECT_TRUE(two);
    EXPECT_FALSE(try_write_owned(lock));
    EXPECT_EQ(lock.use_count(), 3);
  }
  {
    const OwnedWriteGuard writer = block_on(write_owned(lock));
    EXPECT_FALSE(try_read_owned(lock));
  }
  EXPECT_TRUE(try_write_owned(lock));
  EXPECT_EQ(lock.use_count(), 1);
}

}  // namespace
}  // namespace blitzio::sync
