// `ThreadParker`: a wake is not lost, what the waker did is visible afterwards, and a waker may
// outlive the thread it wakes.
#include <blitzio/task/block_on.hpp>
#include <blitzio/task/thread_parker.hpp>

#include <model/model.hpp>

#include <gtest/gtest.h>

#include <optional>
#include <utility>

namespace blitzio::model {
namespace {

void park_until_woken() {
  Waker waker = ThreadParker::current().waker();
  int data = 0;
  // Relaxed: it is the wake that publishes; without one, another park() follows.
  Atomic<bool> is_set{false};
  Thread thread([&] {
    data = 1;
    is_set.store(true, std::memory_order_relaxed);
    waker.wake();
  });
  bool has_parked = false;
  do {
    ThreadParker::current().park();
    has_parked = true;
  } while (!is_set.load(std::memory_order_relaxed));
  BLITZIO_CHECK(has_parked && data == 1, data);
  thread.join();
}

TEST(ThreadParkerModel, AWakeEndsTheParkAndPublishes) {
  expect_sound(park_until_woken);
}

TEST(ThreadParkerModel, TwoWakersAndTwoParks) {
  expect_sound([] {
    Waker first = ThreadParker::current().waker();
    Waker second = first.clone();
    int one = 0;
    int two = 0;
    Atomic<int> done{0};
    Thread a([&] {
      one = 1;
      // Release and acquire: who parks once may see both.
      done.fetch_add(1, std::memory_order_release);
      first.wake();
    });
    Thread b([&] {
      two = 1;
      done.fetch_add(1, std::memory_order_release);
      second.wake();
    });
    while (done.load(std::memory_order_acquire) != 2) ThreadParker::current().park();
    BLITZIO_CHECK(one == 1 && two == 1, one, two);
    a.join();
    b.join();
  });
}

TEST(ThreadParkerModel, AWakerMayOutliveItsThread) {
  expect_sound([] {
    Waker handed;
    Waker* place = &handed;
    Atomic<bool> is_handed{false};
    Thread thread([&] {
      *place = ThreadParker::current().waker();
      is_handed.store(true, std::memory_order_release);
    });
    if (is_handed.load(std::memory_order_acquire)) handed.wake();
    thread.join();
  });
}

TEST(ThreadParkerModel, FindsAWakeThatDoesNotPublish) {
  for (const auto to : {std::memory_order_acquire, std::memory_order_relaxed}) {
    expect_finds("data race", park_until_woken,
                 {.weakenings = {{.file = "task/thread_parker.cpp",
                                  .function = "unpark",
                                  .access = Access::exchange,
                                  .from = std::memory_order_acq_rel,
                                  .to = to}}});
  }
}

TEST(ThreadParkerModel, FindsAReferenceThatIsDroppedWithoutAcquire) {
  expect_finds("destroys",
               [] {
                 Waker waker;
                 Atomic<bool> is_handed{false};
                 Thread thread([&] {
                   waker = ThreadParker::current().waker();
                   is_handed.store(true, std::memory_order_release);
                 });
                 if (is_handed.load(std::memory_order_acquire)) waker.wake();
                 thread.join();
               },
               {.weakenings = {{.file = "task/thread_parker.cpp",
                                .function = "release_ref",
                                .access = Access::exchange,
                                .from = std::memory_order_acq_rel,
                                .to = std::memory_order_release}}});
}

}  // namespace
}  // namespace blitzio::model
