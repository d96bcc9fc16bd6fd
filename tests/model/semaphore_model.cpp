// `Semaphore`, and the locks made of it: permits exclude, are handed on in every order of arriving,
// leaving and closing, and what a holder did is visible to the next.
#include <blitzio/base/backoff.hpp>
#include <blitzio/sync/mutex.hpp>
#include <blitzio/sync/rw_lock.hpp>
#include <blitzio/sync/semaphore.hpp>
#include <blitzio/task/block_on.hpp>

#include <model/support.hpp>

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <utility>

namespace blitzio::model {
namespace {

using sync::Mutex;
using sync::RwLock;
using sync::Semaphore;

void two_holders_in_turn() {
  Semaphore semaphore(1);
  int guarded = 0;
  const auto hold = [&] {
    auto permit = block_on(semaphore.acquire());
    BLITZIO_CHECK(permit.has_value());
    ++guarded;
  };
  Thread thread(hold);
  hold();
  thread.join();
  BLITZIO_CHECK(guarded == 2, guarded);
  BLITZIO_CHECK(semaphore.available_permits() == 1, semaphore.available_permits());
}

TEST(SemaphoreModel, HoldersExcludeEachOther) {
  expect_sound(two_holders_in_turn);
}

TEST(SemaphoreModel, ThreeHoldersTakeTurns) {
  expect_sound([] {
    Semaphore semaphore(1);
    int guarded = 0;
    const auto hold = [&] {
      auto permit = block_on(semaphore.acquire());
      ++guarded;
    };
    Thread one(hold);
    Thread two(hold);
    hold();
    one.join();
    two.join();
    BLITZIO_CHECK(guarded == 3, guarded);
  });
}

TEST(SemaphoreModel, ManyPermitsAreCollectedFromSeveralReleases) {
  expect_sound([] {
    Semaphore semaphore(0);
    int one = 0;
    int two = 0;
    Thread first([&] {
      one = 1;
      semaphore.release();
    });
    Thread second([&] {
      two = 1;
      semaphore.release();
    });
    {
      auto permit = block_on(semaphore.acquire(2));
      BLITZIO_CHECK(one == 1 && two == 1, one, two);
    }
    first.join();
    second.join();
    BLITZIO_CHECK(semaphore.available_permits() == 2, semaphore.available_permits());
  });
}

TEST(SemaphoreModel, AWaiterThatLeavesGivesBackWhatItWasGranted) {
  expect_sound([] {
    Semaphore semaphore(0);
    Thread releaser([&] { semaphore.release(); });
    {
      auto leaving = semaphore.acquire();
      // Granted or not: either way the permit is there for the next.
      static_cast<void>(poll_once(leaving));
    }
    BLITZIO_CHECK(block_on(semaphore.acquire()).has_value());
    releaser.join();
    BLITZIO_CHECK(semaphore.available_permits() == 1, semaphore.available_permits());
  });
}

TEST(SemaphoreModel, LeavingHandsThePlaceInFrontOn) {
  expect_sound([] {
    Semaphore semaphore(0);
    std::optional<Semaphore::Acquire> large(semaphore.acquire(2));
    BLITZIO_CHECK(poll_once(*large).is_pending());
    Thread waiter([&] { BLITZIO_CHECK(block_on(semaphore.acquire()).has_value()); });
    Thread releaser([&] { semaphore.release(); });
    large.reset();
    waiter.join();
    releaser.join();
    BLITZIO_CHECK(semaphore.available_permits() == 1, semaphore.available_permits());
  });
}

TEST(SemaphoreModel, CloseReachesEveryWaiter) {
  expect_sound([] {
    Semaphore semaphore(1);
    Thread closer([&] { semaphore.close(); });
    const auto try_hold = [&] { static_cast<void>(block_on(semaphore.acquire())); };
    Thread waiter(try_hold);
    try_hold();
    closer.join();
    waiter.join();
    BLITZIO_CHECK(!block_on(semaphore.acquire()).has_value());
  });
}

TEST(SemaphoreModel, TryAcquireDoesNotOvertake) {
  expect_sound([] {
    Semaphore semaphore(1);
    int guarded = 0;
    Thread waiter([&] {
      auto permit = block_on(semaphore.acquire());
      ++guarded;
    });
    if (semaphore.try_acquire()) {
      ++guarded;
      semaphore.release();
    }
    waiter.join();
    BLITZIO_CHECK(guarded >= 1, guarded);
    BLITZIO_CHECK(semaphore.available_permits() == 1, semaphore.available_permits());
  });
}

TEST(SemaphoreModel, FindsAReleaseThatDoesNotPublish) {
  expect_finds("data race", two_holders_in_turn,
               {.weakenings = {{.file = "sync/semaphore.hpp",
                                .function = "give_back",
                                .access = Access::exchange,
                                .from = std::memory_order_acq_rel,
                                .to = std::memory_order_acquire}}});
}

TEST(SemaphoreModel, FindsAnAcquireThatDoesNotSee) {
  expect_finds("data race", two_holders_in_turn,
               {.weakenings = {{.file = "sync/semaphore.hpp",
                                .function = "try_acquire",
                                .access = Access::exchange,
                                .from = std::memory_order_acquire}}});
}

void free_the_node_once_granted() {
  Semaphore semaphore(0);
  Thread releaser([&] { semaphore.release(); });
  // The node goes with the future, while the releaser may still be under the lock. Giving the
  // permit back would wait for that.
  auto acquire = std::make_unique<Semaphore::Acquire>(semaphore.acquire());
  for (;;) {
    auto answer = poll_once(*acquire);
    if (answer.is_ready()) {
      answer.value()->forget();
      break;
    }
    yield_thread();
  }
  acquire.reset();
}

TEST(SemaphoreModel, AGrantedNodeIsTheWaitersAlone) {
  expect_sound(free_the_node_once_granted);
}

TEST(SemaphoreModel, FindsAGrantThatDoesNotPublish) {
  expect_finds("destroys", free_the_node_once_granted,
               {.weakenings = {{.file = "sync/waiter.hpp",
                                .function = "settle",
                                .access = Access::store,
                                .from = std::memory_order_release}}});
}

TEST(MutexModel, TasksExcludeEachOther) {
  expect_sound([] {
    Mutex mutex;
    int guarded = 0;
    const auto hold = [&] {
      const auto guard = block_on(mutex.lock());
      ++guarded;
    };
    Thread thread(hold);
    if (mutex.try_lock()) {
      ++guarded;
      mutex.unlock();
    }
    hold();
    thread.join();
    BLITZIO_CHECK(guarded >= 2, guarded);
    BLITZIO_CHECK(!mutex.is_locked());
  });
}

TEST(RwLockModel, AWriterExcludesReaders) {
  expect_sound([] {
    RwLock lock;
    std::array<int, 2> guarded{};
    Thread writer([&] {
      const auto guard = block_on(lock.write());
      ++guarded[0];
      ++guarded[1];
    });
    const auto look = [&] {
      const auto guard = block_on(lock.read());
      BLITZIO_CHECK(guarded[0] == guarded[1], guarded[0], guarded[1]);
    };
    Thread reader(look);
    look();
    writer.join();
    reader.join();
  });
}

TEST(RwLockModel, ADowngradedWriterLetsReadersInAndNoWriter) {
  expect_sound([] {
    RwLock lock;
    int guarded = 0;
    Thread other([&] {
      const auto guard = block_on(lock.write());
      ++guarded;
    });
    {
      auto writing = block_on(lock.write());
      const int own = ++guarded;
      const auto reading = lock.downgrade(std::move(writing));
      BLITZIO_CHECK(guarded == own, guarded, own);
    }
    other.join();
    BLITZIO_CHECK(guarded == 2, guarded);
  });
}

}  // namespace
}  // namespace blitzio::model
