#include <core/sync/support.hpp>

#include <blitzio/sync/semaphore.hpp>
#include <blitzio/task/block_on.hpp>

#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <random>

namespace blitzio::sync {
namespace {

using test::on_threads;
using test::WakeCounter;

TEST(Semaphore, TryAcquireTakesOnlyWhatIsFree) {
  Semaphore semaphore(3);
  EXPECT_TRUE(semaphore.try_acquire(2));
  EXPECT_FALSE(semaphore.try_acquire(2));
  EXPECT_TRUE(semaphore.try_acquire());
  EXPECT_EQ(semaphore.available_permits(), 0U);
  semaphore.release(3);
  EXPECT_EQ(semaphore.available_permits(), 3U);
}

TEST(Semaphore, TryAcquireAllNeedsEveryPermit) {
  Semaphore semaphore(4);
  EXPECT_TRUE(semaphore.try_acquire_all(4));
  semaphore.release(3);
  EXPECT_FALSE(semaphore.try_acquire_all(4));
  semaphore.release(1);
  EXPECT_TRUE(semaphore.try_acquire_all(4));
}

TEST(Semaphore, AFreePermitIsReadyAtTheFirstPollAndComesBack) {
  Semaphore semaphore(1);
  {
    const Result<Permit> permit = block_on(semaphore.acquire());
    ASSERT_TRUE(permit);
    EXPECT_EQ(permit->count(), 1U);
    EXPECT_EQ(semaphore.available_permits(), 0U);
  }
  EXPECT_EQ(semaphore.available_permits(), 1U);
}

TEST(Semaphore, AForgottenPermitIsGoneForGood) {
  Semaphore semaphore(2);
  block_on(semaphore.acquire())->forget();
  EXPECT_EQ(semaphore.available_permits(), 1U);
}

TEST(Semaphore, AnAdoptedPermitComesBack) {
  Semaphore semaphore(3);
  ASSERT_TRUE(semaphore.try_acquire(2));
  {
    const Permit permit = semaphore.adopt(2);
    EXPECT_EQ(semaphore.available_permits(), 1U);
  }
  EXPECT_EQ(semaphore.available_permits(), 3U);
}

TEST(Semaphore, PermitsGoToWaitersInTheOrderOfArrival) {
  Semaphore semaphore(0);
  WakeCounter first_wakes;
  WakeCounter second_wakes;
  auto first = semaphore.acquire();
  auto second = semaphore.acquire();
  EXPECT_TRUE(first_wakes.poll(first).is_pending());
  EXPECT_TRUE(second_wakes.poll(second).is_pending());
  semaphore.release();
  EXPECT_EQ(first_wakes.count(), 1);
  EXPECT_EQ(second_wakes.count(), 0);
  auto permit = first_wakes.poll(first);
  ASSERT_TRUE(permit.is_ready());
  EXPECT_TRUE(second_wakes.poll(second).is_pending());
  std::move(permit).take()->release();
  EXPECT_EQ(second_wakes.count(), 1);
  EXPECT_TRUE(second_wakes.poll(second).is_ready());
}

TEST(Semaphore, NobodyOvertakesAWaiter) {
  Semaphore semaphore(1);
  WakeCounter wakes;
  auto large = semaphore.acquire(2);
  EXPECT_TRUE(wakes.poll(large).is_pending());
  EXPECT_FALSE(semaphore.try_acquire()) << "the waiter has collected the free one";
  semaphore.release();
  EXPECT_EQ(wakes.count(), 1);
  EXPECT_FALSE(semaphore.try_acquire());
  auto permit = wakes.poll(large);
  ASSERT_TRUE(permit.is_ready());
  EXPECT_EQ(permit.value()->count(), 2U);
}

TEST(Semaphore, OneReleaseServesSeveralWaiters) {
  Semaphore semaphore(0);
  WakeCounter wakes;
  std::deque<Semaphore::Acquire> waiting;
  for (int i = 0; i < 40; ++i) {
    waiting.push_back(semaphore.acquire());
    EXPECT_TRUE(wakes.poll(waiting.back()).is_pending());
  }
  semaphore.release(41);
  EXPECT_EQ(wakes.count(), 40);
  EXPECT_EQ(semaphore.available_permits(), 1U);
  std::vector<Result<Permit>> permits;
  for (auto& acquire : waiting) permits.push_back(wakes.poll(acquire).take());
  permits.clear();
  EXPECT_EQ(semaphore.available_permits(), 41U);
}

TEST(Semaphore, AWaiterThatLeavesGivesBackWhatItCollected) {
  Semaphore semaphore(3);
  WakeCounter large_wakes;
  WakeCounter small_wakes;
  std::optional<Semaphore::Acquire> large(semaphore.acquire(5));
  auto small = semaphore.acquire(2);
  EXPECT_TRUE(large_wakes.poll(*large).is_pending());
  EXPECT_TRUE(small_wakes.poll(small).is_pending());
  EXPECT_EQ(semaphore.available_permits(), 0U);
  large.reset();
  EXPECT_EQ(large_wakes.count(), 0);
  EXPECT_EQ(small_wakes.count(), 1);
  EXPECT_TRUE(small_wakes.poll(small).is_ready());
}

TEST(Semaphore, APermitGrantedToADroppedFutureGoesToTheNext) {
  Semaphore semaphore(0);
  WakeCounter wakes;
  std::optional<Semaphore::Acquire> first(semaphore.acquire());
  auto second = semaphore.acquire();
  EXPECT_TRUE(wakes.poll(*first).is_pending());
  EXPECT_TRUE(wakes.poll(second).is_pending());
  semaphore.release();
  first.reset();
  EXPECT_EQ(wakes.count(), 2);
  EXPECT_TRUE(wakes.poll(second).is_ready());
}

TEST(Semaphore, ANewWakerReplacesTheOld) {
  Semaphore semaphore(0);
  WakeCounter old_wakes;
  WakeCounter new_wakes;
  auto acquire = semaphore.acquire();
  EXPECT_TRUE(old_wakes.poll(acquire).is_pending());
  EXPECT_TRUE(new_wakes.poll(acquire).is_pending());
  semaphore.release();
  EXPECT_EQ(old_wakes.count(), 0);
  EXPECT_EQ(new_wakes.count(), 1);
  EXPECT_TRUE(new_wakes.poll(acquire).is_ready());
}

TEST(Semaphore, CloseFailsEveryWaiterAndGivesBackWhatTheyCollected) {
  Semaphore semaphore(2);
  WakeCounter wakes;
  std::deque<Semaphore::Acquire> waiting;
  for (int i = 0; i < 20; ++i) {
    waiting.push_back(semaphore.acquire(3));
    EXPECT_TRUE(wakes.poll(waiting.back()).is_pending());
  }
  semaphore.close();
  EXPECT_TRUE(semaphore.is_closed());
  EXPECT_EQ(wakes.count(), 20);
  for (auto& acquire : waiting) {
    const Result<Permit> result = wakes.poll(acquire).take();
    ASSERT_FALSE(result);
    EXPECT_TRUE(result.error().is(RuntimeErrc::closed));
  }
  EXPECT_EQ(semaphore.available_permits(), 2U);
  EXPECT_FALSE(semaphore.try_acquire());
  EXPECT_TRUE(block_on(semaphore.acquire()).error().is(RuntimeErrc::closed));
}

TEST(Semaphore, MorePermitsThanThereCanBeAreAnError) {
  Semaphore semaphore(1);
  const Result<Permit> result = block_on(semaphore.acquire(UINT32_MAX));
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(RuntimeErrc::invalid_argument));
}

TEST(Semaphore, WhatOthersReleasedTooMuchIsLetGoOf) {
  constexpr std::uint32_t kMost = Semaphore::kMaxPermits;
  Semaphore semaphore(kMost);
  EXPECT_FALSE(semaphore.try_release());
  EXPECT_EQ(semaphore.available_permits(), kMost);
  Permit held = semaphore.adopt(5);  // Of permits that nobody took.
  held.release();
  EXPECT_EQ(semaphore.available_permits(), kMost);

  // One that was granted its permit and one that collects, both dropped.
  ASSERT_TRUE(semaphore.try_acquire(kMost));
  WakeCounter wakes;
  std::optional<Semaphore::Acquire> granted(semaphore.acquire());
  std::optional<Semaphore::Acquire> collecting(semaphore.acquire(kMost));
  EXPECT_TRUE(wakes.poll(*granted).is_pending());
  EXPECT_TRUE(wakes.poll(*collecting).is_pending());
  EXPECT_TRUE(semaphore.try_release(2));
  EXPECT_EQ(wakes.count(), 1);
  EXPECT_TRUE(semaphore.try_release(kMost - 2));
  EXPECT_EQ(semaphore.available_permits(), 0U);
  EXPECT_FALSE(semaphore.try_release(kMost + 1));
  collecting.reset();
  EXPECT_EQ(semaphore.available_permits(), kMost - 1);
  EXPECT_TRUE(semaphore.try_release());
  EXPECT_FALSE(semaphore.try_release());
  granted.reset();
  EXPECT_EQ(semaphore.available_permits(), kMost);
  EXPECT_TRUE(semaphore.try_acquire(kMost));
}

TEST(Semaphore, AFutureThatWasNeverPolledHoldsNothing) {
  Semaphore semaphore(1);
  {
    const auto acquire = semaphore.acquire();
  }
  EXPECT_EQ(semaphore.available_permits(), 1U);
}

TEST(Semaphore, ThreadsThatAcquireAndCancelLoseNoPermit) {
  constexpr std::uint32_t kPermits = 3;
  Semaphore semaphore(kPermits);
  std::atomic<int> held{0};
  on_threads(4, [&](int index) {
    std::minstd_rand random(static_cast<unsigned>(index) + 1);
    for (int i = 0; i < 3000; ++i) {
      const auto wanted = static_cast<std::uint32_t>(random() % kPermits) + 1;
      if (random() % 3 == 0) {
        // Polled once, then dropped: queued, granted or never in the queue.
        WakeCounter wakes;
        auto acquire = semaphore.acquire(wanted);
        static_cast<void>(wakes.poll(acquire));
        continue;
      }
      const Result<Permit> permit = block_on(semaphore.acquire(wanted));
      ASSERT_TRUE(permit);
      ASSERT_LE(held.fetch_add(static_cast<int>(wanted)) + static_cast<int>(wanted),
                static_cast<int>(kPermits));
      held.fetch_sub(static_cast<int>(wanted));
    }
  });
  EXPECT_EQ(semaphore.available_permits(), kPermits);
}

}  // namespace
}  // namespace blitzio::sync
