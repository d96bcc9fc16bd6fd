#include <core/sync/support.hpp>

#include <blitzio/sync/condition.hpp>
#include <blitzio/sync/mutex.hpp>
#include <blitzio/sync/rw_lock.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/block_on.hpp>

#include <gtest/gtest.h>

#include <deque>
#include <optional>

namespace blitzio::sync {
namespace {

using test::on_threads;
using test::WakeCounter;

TEST(SyncMutex, TryLockFailsWhileItIsHeld) {
  Mutex mutex;
  EXPECT_TRUE(mutex.try_lock());
  EXPECT_TRUE(mutex.is_locked());
  EXPECT_FALSE(mutex.try_lock());
  mutex.unlock();
  EXPECT_FALSE(mutex.is_locked());
}

TEST(SyncMutex, TellsHowManyWait) {
  Mutex mutex;
  ASSERT_TRUE(mutex.try_lock());
  WakeCounter wakes;
  {
    auto waiting = mutex.lock();
    EXPECT_TRUE(wakes.poll(waiting).is_pending());
    EXPECT_EQ(mutex.waiter_count(), 1U);
  }
  EXPECT_EQ(mutex.waiter_count(), 0U);
  mutex.unlock();
}

TEST(SyncMutex, AnAdoptedLockIsUnlockedByItsGuard) {
  Mutex mutex;
  ASSERT_TRUE(mutex.try_lock());
  {
    const MutexGuard guard = mutex.adopt();
  }
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

TEST(SyncMutex, UnlockPassesTheLockToTheOldestWaiter) {
  Mutex mutex;
  WakeCounter first_wakes;
  WakeCounter second_wakes;
  MutexGuard guard = block_on(mutex.lock());
  auto first = mutex.lock();
  auto second = mutex.lock();
  EXPECT_TRUE(first_wakes.poll(first).is_pending());
  EXPECT_TRUE(second_wakes.poll(second).is_pending());
  guard.unlock();
  EXPECT_TRUE(guard.is_empty());
  EXPECT_EQ(first_wakes.count(), 1);
  EXPECT_EQ(second_wakes.count(), 0);
  EXPECT_FALSE(mutex.try_lock()) << "it belongs to the first waiter already";
  {
    const MutexGuard taken = first_wakes.poll(first).take();
  }
  EXPECT_EQ(second_wakes.count(), 1);
  EXPECT_TRUE(second_wakes.poll(second).is_ready());
}

TEST(SyncMutex, ALockGrantedToADroppedFutureGoesToTheNext) {
  Mutex mutex;
  WakeCounter wakes;
  MutexGuard guard = block_on(mutex.lock());
  std::optional<Mutex::Lock> first(mutex.lock());
  auto second = mutex.lock();
  EXPECT_TRUE(wakes.poll(*first).is_pending());
  EXPECT_TRUE(wakes.poll(second).is_pending());
  guard.unlock();
  first.reset();
  EXPECT_TRUE(wakes.poll(second).is_ready());
}

TEST(SyncMutex, ACoroutineHoldsItAcrossItsAwaits) {
  Mutex mutex;
  int value = 0;
  const auto add = [&]() -> Async<int> {
    const MutexGuard guard = co_await mutex.lock();
    co_return ++value;
  };
  EXPECT_EQ(block_on(add()), 1);
  EXPECT_EQ(block_on(add()), 2);
  EXPECT_FALSE(mutex.is_locked());
}

TEST(SyncMutex, ExcludesThreadsFromEachOther) {
  Mutex mutex;
  int counter = 0;
  on_threads(4, [&](int index) {
    for (int i = 0; i < 2500; ++i) {
      if (index % 2 == 1 && i % 5 == 0) {
        WakeCounter wakes;
        auto lock = mutex.lock();
        static_cast<void>(wakes.poll(lock));
        continue;
      }
      const MutexGuard guard = block_on(mutex.lock());
      ++counter;
    }
  });
  EXPECT_EQ(counter, 2 * 2500 + 2 * 2000);
  EXPECT_FALSE(mutex.is_locked());
}

TEST(RwLock, ReadersShareItAndAWriterDoesNot) {
  RwLock lock;
  EXPECT_TRUE(lock.try_read());
  EXPECT_TRUE(lock.try_read());
  EXPECT_FALSE(lock.try_write());
  lock.read_unlock();
  lock.read_unlock();
  EXPECT_TRUE(lock.try_write());
  EXPECT_FALSE(lock.try_read());
  EXPECT_FALSE(lock.try_write());
  lock.write_unlock();
}

TEST(RwLock, TellsWhetherItIsLockedAndHowManyWait) {
  RwLock lock;
  EXPECT_FALSE(lock.is_locked());
  ASSERT_TRUE(lock.try_read());
  EXPECT_TRUE(lock.is_locked());
  {
    WakeCounter wakes;
    auto writing = lock.write();
    EXPECT_TRUE(wakes.poll(writing).is_pending());
    EXPECT_EQ(lock.waiter_count(), 1U);
  }
  EXPECT_EQ(lock.waiter_count(), 0U);
  lock.read_unlock();
  EXPECT_FALSE(lock.is_locked());
}

TEST(RwLock, AdoptedLocksAreUnlockedByTheirGuards) {
  RwLock lock;
  ASSERT_TRUE(lock.try_read());
  {
    const RwLock::ReadGuard guard = lock.adopt_read();
    EXPECT_FALSE(lock.try_write());
  }
  ASSERT_TRUE(lock.try_write());
  {
    const RwLock::WriteGuard guard = lock.adopt_write();
    EXPECT_FALSE(lock.try_read());
  }
  EXPECT_TRUE(lock.try_write());
  lock.write_unlock();
}

TEST(RwLock, ALockGrantedToADroppedFutureGoesOn) {
  RwLock lock;
  WakeCounter wakes;
  ASSERT_TRUE(lock.try_write());
  std::optional<RwLock::Lock<1>> reader(lock.read());
  auto writer = lock.write();
  EXPECT_TRUE(wakes.poll(*reader).is_pending());
  EXPECT_TRUE(wakes.poll(writer).is_pending());
  lock.write_unlock();
  reader.reset();
  EXPECT_TRUE(wakes.poll(writer).is_ready());
}

TEST(RwLock, ReadersThatComeAfterAWaitingWriterWaitBehindIt) {
  RwLock lock;
  WakeCounter writer_wakes;
  WakeCounter reader_wakes;
  std::optional<RwLock::ReadGuard> held(block_on(lock.read()));
  auto writer = lock.write();
  auto reader = lock.read();
  EXPECT_TRUE(writer_wakes.poll(writer).is_pending());
  EXPECT_TRUE(reader_wakes.poll(reader).is_pending());
  EXPECT_FALSE(lock.try_read());
  held.reset();
  EXPECT_EQ(writer_wakes.count(), 1);
  EXPECT_EQ(reader_wakes.count(), 0);
  {
    const RwLock::WriteGuard guard = writer_wakes.poll(writer).take();
  }
  EXPECT_EQ(reader_wakes.count(), 1);
  EXPECT_TRUE(reader_wakes.poll(reader).is_ready());
}

TEST(RwLock, AWriterThatLeavesLetsTheReadersBehindItIn) {
  RwLock lock;
  WakeCounter wakes;
  const RwLock::ReadGuard held = block_on(lock.read());
  std::optional<RwLock::Lock<RwLock::kMaxReaders>> writer(lock.write());
  auto reader = lock.read();
  EXPECT_TRUE(wakes.poll(*writer).is_pending());
  EXPECT_TRUE(wakes.poll(reader).is_pending());
  writer.reset();
  EXPECT_EQ(wakes.count(), 1);
  EXPECT_TRUE(wakes.poll(reader).is_ready());
}

TEST(RwLock, ADowngradeLetsReadersInAndKeepsWritersOut) {
  RwLock lock;
  RwLock::WriteGuard writer = block_on(lock.write());
  const RwLock::ReadGuard reader = lock.downgrade(std::move(writer));
  EXPECT_FALSE(lock.try_write());
  EXPECT_TRUE(lock.try_read());
  lock.read_unlock();
}

TEST(RwLock, WritersExcludeEverybody) {
  RwLock lock;
  std::atomic<int> readers{0};
  int value = 0;
  on_threads(4, [&](int index) {
    for (int i = 0; i < 1000; ++i) {
      if ((index + i) % 3 == 0) {
        const RwLock::WriteGuard guard = block_on(lock.write());
        ASSERT_EQ(readers.load(), 0);
        ++value;
      } else {
        const RwLock::ReadGuard guard = block_on(lock.read());
        readers.fetch_add(1);
        ASSERT_GE(value, 0);
        readers.fetch_sub(1);
      }
    }
  });
  EXPECT_GT(value, 0);
}

TEST(Condition, ASignalUnderTheMutexIsNotMissed) {
  Mutex mutex;
  Condition condition;
  WakeCounter wakes;
  auto wait = condition.wait(block_on(mutex.lock()));
  EXPECT_TRUE(wakes.poll(wait).is_pending());
  EXPECT_FALSE(mutex.is_locked());
  {
    const MutexGuard guard = block_on(mutex.lock());
    condition.signal();
    EXPECT_EQ(wakes.count(), 1);
    EXPECT_TRUE(wakes.poll(wait).is_pending()) << "the mutex is held";
  }
  EXPECT_EQ(wakes.count(), 2);
  const MutexGuard guard = wakes.poll(wait).take();
  EXPECT_TRUE(mutex.is_locked());
}

TEST(Condition, ASignalWithoutAWaiterIsNotRemembered) {
  Mutex mutex;
  Condition condition;
  WakeCounter wakes;
  condition.signal();
  auto wait = condition.wait(block_on(mutex.lock()));
  EXPECT_TRUE(wakes.poll(wait).is_pending());
  EXPECT_TRUE(wakes.poll(wait).is_pending());
}

TEST(Condition, ASignalGivenToADroppedWaiterGoesToTheNext) {
  Mutex mutex;
  Condition condition;
  WakeCounter first_wakes;
  WakeCounter second_wakes;
  std::optional<Condition::Wait> first(condition.wait(block_on(mutex.lock())));
  EXPECT_TRUE(first_wakes.poll(*first).is_pending());
  auto second = condition.wait(block_on(mutex.lock()));
  EXPECT_TRUE(second_wakes.poll(second).is_pending());
  condition.signal();
  EXPECT_EQ(first_wakes.count(), 1);
  first.reset();
  EXPECT_EQ(second_wakes.count(), 1);
  EXPECT_TRUE(second_wakes.poll(second).is_ready());
}

TEST(Condition, AWaiterDroppedWhileItLocksAgainLeavesTheMutexToOthers) {
  Mutex mutex;
  Condition condition;
  WakeCounter wakes;
  std::optional<Condition::Wait> wait(condition.wait(block_on(mutex.lock())));
  EXPECT_TRUE(wakes.poll(*wait).is_pending());
  MutexGuard held = block_on(mutex.lock());
  condition.signal();
  EXPECT_TRUE(wakes.poll(*wait).is_pending()) << "in the mutex's queue now";
  held.unlock();
  wait.reset();
  EXPECT_TRUE(mutex.try_lock()) << "it was granted, and goes on";
  mutex.unlock();
}

TEST(Condition, ASignalGoesToTheNextIfItsWaiterIsDroppedWhileItLocksAgain) {
  Mutex mutex;
  Condition condition;
  WakeCounter wakes;
  std::optional<Condition::Wait> first(condition.wait(block_on(mutex.lock())));
  EXPECT_TRUE(wakes.poll(*first).is_pending());
  auto second = condition.wait(block_on(mutex.lock()));
  EXPECT_TRUE(wakes.poll(second).is_pending());
  {
    const MutexGuard held = block_on(mutex.lock());
    condition.signal();
    EXPECT_TRUE(wakes.poll(*first).is_pending()) << "the mutex is held";
    first.reset();
  }
  EXPECT_TRUE(wakes.poll(second).is_ready());
}

TEST(Condition, ASignalIsNotPassedOnByAWaiterThatHasReturned) {
  Mutex mutex;
  Condition condition;
  WakeCounter wakes;
  std::optional<Condition::Wait> first(condition.wait(block_on(mutex.lock())));
  EXPECT_TRUE(wakes.poll(*first).is_pending());
  auto second = condition.wait(block_on(mutex.lock()));
  EXPECT_TRUE(wakes.poll(second).is_pending());
  condition.signal();
  EXPECT_TRUE(wakes.poll(*first).is_ready());
  first.reset();
  EXPECT_TRUE(wakes.poll(second).is_pending());
}

TEST(Condition, AWaiterThatWasNeverPolledUnlocksWhenItIsDropped) {
  Mutex mutex;
  Condition condition;
  {
    const auto wait = condition.wait(block_on(mutex.lock()));
    EXPECT_TRUE(mutex.is_locked());
  }
  EXPECT_FALSE(mutex.is_locked());
}

TEST(Condition, BroadcastWakesEverybody) {
  Mutex mutex;
  Condition condition;
  WakeCounter wakes;
  std::deque<Condition::Wait> waiting;
  for (int i = 0; i < 20; ++i) {
    waiting.push_back(condition.wait(block_on(mutex.lock())));
    EXPECT_TRUE(wakes.poll(waiting.back()).is_pending());
  }
  condition.broadcast();
  EXPECT_EQ(wakes.count(), 20);
  for (auto& wait : waiting) EXPECT_TRUE(wakes.poll(wait).is_ready());
}

TEST(Condition, HandsItemsFromThreadToThread) {
  Mutex mutex;
  Condition condition;
  std::deque<int> items;
  long sum = 0;
  constexpr int kItems = 2000;
  on_threads(4, [&](int index) {
    const auto consume = [&]() -> Async<void> {
      for (int i = 0; i < kItems; ++i) {
        MutexGuard guard = co_await mutex.lock();
        while (items.empty()) guard = co_await condition.wait(std::move(guard));
        sum += items.front();
        items.pop_front();
      }
    };
    if (index < 2) {
      block_on(consume());
      return;
    }
    for (int i = 0; i < kItems; ++i) {
      const MutexGuard guard = block_on(mutex.lock());
      items.push_back(1);
      condition.signal();
    }
  });
  EXPECT_EQ(sum, 2L * kItems);
}

// ---- wrong calls -----------------------------------------------------------------------------

TEST(SyncMutexDeath, UnlockingWhatIsNotLockedAborts) {
  Mutex mutex;
  EXPECT_DEATH(mutex.unlock(), "it is not locked");
  ASSERT_TRUE(mutex.try_lock());
  mutex.unlock();
  EXPECT_DEATH(mutex.unlock(), "it is not locked");
  EXPECT_TRUE(mutex.try_lock()) << "the mutex of this process is as it was";
  mutex.unlock();
}

TEST(RwLockDeath, UnlockingWhatIsNotLockedSoAborts) {
  RwLock lock;
  EXPECT_DEATH(lock.read_unlock(), "it is not locked");
  EXPECT_DEATH(lock.write_unlock(), "it is not locked");
  ASSERT_TRUE(lock.try_read());
  EXPECT_DEATH(lock.write_unlock(), "it is not locked");
  lock.read_unlock();
#if BLITZIO_DEBUG
  ASSERT_TRUE(lock.try_write());
  EXPECT_DEATH(lock.read_unlock(), "locked for writing");
  lock.write_unlock();
#endif
}

TEST(SyncMutex, AForgottenLockIsUnlockedByWhoeverHasThatDuty) {
  Mutex mutex;
  block_on(mutex.lock()).forget();
  on_threads(1, [&](int) { mutex.unlock(); });
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
  RwLock lock;
  block_on(lock.read()).forget();
  block_on(lock.read()).forget();
  on_threads(2, [&](int) { lock.read_unlock(); });
  EXPECT_TRUE(lock.try_write());
  lock.write_unlock();
}

}  // namespace
}  // namespace blitzio::sync
