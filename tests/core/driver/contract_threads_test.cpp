// The driver contract: wake() and post() from other threads. See support.hpp.
#include "support.hpp"

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/platform.hpp>

#include <sys/time.h>

#include <array>
#include <csignal>
#include <thread>

namespace blitzio::driver::contract {
namespace {

BLITZIO_DRIVER_CONTRACT();

/// Waits as an owner does; false if nothing ended the wait in time.
bool wait_ends(Driver& driver) {
  const Instant start = Instant::now();
  driver.wait(kPatience);
  return Instant::now() - start < kPatience;
}

/// A message that notes what was delivered, in order.
struct Note : Message {
  Note() : Message([](Message& self) noexcept { static_cast<Note&>(self).deliver_note(); }) {}
  void deliver_note() {
    if (log != nullptr) log->push_back(this);
  }
  std::vector<Note*>* log = nullptr;
  int sender = 0;
  int number = 0;
};

TEST_P(DriverContract, AWakeWhileAwakeEndsTheNextWait) {
  for (int i = 0; i < 100; ++i) {
    driver().wake();
    driver().wake();
    ASSERT_TRUE(wait_ends(driver()));
    driver().dispatch();
  }
  EXPECT_EQ(driver().metrics().wakes, 0U) << "nobody slept: no system call was needed";
}

TEST_P(DriverContract, AWakeWhileUnboundEndsTheFirstWait) {
  driver().unbind();
  driver().wake();
  ASSERT_TRUE(driver().bind());
  EXPECT_TRUE(wait_ends(driver()));
}

TEST_P(DriverContract, AWakeEndsASleepOnAnotherThread) {
  Atomic<int> turns{0};
  std::thread waker([&] {
    for (int i = 0; i < 200; ++i) {
      // Acquire: pairs with the owner's release; the turn before is over.
      while (turns.load(std::memory_order_acquire) < i) std::this_thread::yield();
      driver().wake();
    }
  });
  for (int i = 0; i < 200; ++i) {
    EXPECT_TRUE(wait_ends(driver()));
    driver().dispatch();
    // Release: pairs with the waker's acquire.
    turns.store(i + 1, std::memory_order_release);
  }
  waker.join();
}

TEST_P(DriverContract, NoWakeIsLostInAHundredThousandRounds) {
  // One message goes back and forth: a wake that is lost leaves both sides waiting.
  // Sanitizers watch each step more closely and take several times as long for it.
  constexpr int kRounds = BLITZIO_TSAN || BLITZIO_ASAN ? 20'000 : 100'000;
  Note note;
  std::vector<Note*> log;
  note.log = &log;
  log.reserve(kRounds);
  Atomic<int> taken{0};
  std::thread poster([&] {
    for (int i = 0; i < kRounds; ++i) {
      // Acquire: pairs with the owner's release; the message is free again.
      while (taken.load(std::memory_order_acquire) < i) {
        if (i % 3 == 0) std::this_thread::yield();
      }
      driver().post(note);
    }
  });
  for (int i = 0; i < kRounds; ++i) {
    const auto before = log.size();
    const auto arrived = run_until(driver(), [&] { return log.size() > before; });
    EXPECT_TRUE(arrived) << i;
    if (!arrived) std::abort();  // The poster would wait for ever.
    // Release: pairs with the poster's acquire.
    taken.store(i + 1, std::memory_order_release);
  }
  poster.join();
  EXPECT_EQ(log.size(), static_cast<std::size_t>(kRounds));
  EXPECT_LE(driver().metrics().wakes, driver().metrics().waits);
}

TEST_P(DriverContract, MessagesOfEachThreadArriveInOrderAndOnce) {
  constexpr int kThreads = 8;
  constexpr int kEach = 5'000;
  std::vector<std::vector<Note>> notes;
  std::vector<Note*> log;
  for (int t = 0; t < kThreads; ++t) {
    notes.emplace_back(kEach);
    for (int i = 0; i < kEach; ++i) {
      Note& note = notes.back()[static_cast<std::size_t>(i)];
      note.log = &log;
      note.sender = t;
      note.number = i;
    }
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (Note& note : notes[static_cast<std::size_t>(t)]) driver().post(note);
    });
  }
  const auto all = run_until(driver(), [&] { return log.size() == kThreads * kEach; });
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(all);
  std::array<int, kThreads> next{};
  for (const Note* note : log) {
    EXPECT_EQ(note->number, next[static_cast<std::size_t>(note->sender)]++);
  }
  // At most one wake-up per sleep, however many threads post.
  EXPECT_LE(driver().metrics().wakes, driver().metrics().waits);
}

TEST_P(DriverContract, OneSleepCostsOneWakeUpHoweverManyWake) {
  // All threads wake at once, the owner sleeps between: the driver counts what needed a system
  // call.
  constexpr int kThreads = 4;
  constexpr int kRounds = 500;
  Atomic<int> round{0};
  Atomic<int> done{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 1; i <= kRounds; ++i) {
        // Acquire and acquire-release: pair with the owner's store and load of the same words.
        while (round.load(std::memory_order_acquire) < i) std::this_thread::yield();
        driver().wake();
        done.fetch_add(1, std::memory_order_acq_rel);
      }
    });
  }
  for (int i = 1; i <= kRounds; ++i) {
    // Release: pairs with the threads' acquire.
    round.store(i, std::memory_order_release);
    EXPECT_TRUE(wait_ends(driver()));
    driver().dispatch();
    // Acquire: pairs with the threads' fetch_add.
    while (done.load(std::memory_order_acquire) < i * kThreads) std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
  fence(driver());
  EXPECT_LE(driver().metrics().wakes, driver().metrics().waits);
}

TEST_P(DriverContract, WakesMixWithIo) {
  constexpr int kRounds = 2'000;
  const Pair ends = unix_pair();
  Receiving op(driver(), ends.a);
  std::vector<Note> notes(kRounds);
  std::vector<Note*> log;
  for (Note& note : notes) note.log = &log;
  std::thread other([&] {
    for (Note& note : notes) {
      while (::send(ends.b.get(), "x", 1, 0) != 1) std::this_thread::yield();
      driver().post(note);
    }
  });
  const auto all =
      run_until(driver(), [&] { return log.size() == kRounds && op.data_bytes() == kRounds; });
  other.join();
  EXPECT_TRUE(all);
}

TEST_P(DriverContract, MessagesToAnUnboundDriverWaitForItsOwner) {
  Note note;
  std::vector<Note*> log;
  note.log = &log;
  driver().unbind();
  std::thread([&] { driver().post(note); }).join();
  EXPECT_TRUE(log.empty());
  ASSERT_TRUE(driver().bind());
  ASSERT_TRUE(run_until(driver(), [&] { return log.size() == 1; }));
}

TEST_P(DriverContract, DriversOnTwoThreadsPassAMessageToAndFro) {
  constexpr int kRounds = 5'000;
  struct Ball : Message {
    Ball() : Message([](Message& self) noexcept { ++static_cast<Ball&>(self).hits; }) {}
    int hits = 0;
  };
  Ball there;
  Ball back;
  const auto other = make_driver(GetParam());
  std::thread thread([&] {
    ASSERT_TRUE(other->bind());
    for (int i = 1; i <= kRounds; ++i) {
      EXPECT_TRUE(run_until(*other, [&] { return there.hits == i; }));
      driver().post(back);
    }
    other->unbind();
  });
  for (int i = 1; i <= kRounds; ++i) {
    other->post(there);
    EXPECT_TRUE(run_until(driver(), [&] { return back.hits == i; }));
  }
  thread.join();
}

TEST_P(DriverContract, ASignalEndsAWait) {
  static volatile std::sig_atomic_t arrived;
  arrived = 0;
  struct sigaction action{};
  struct sigaction before{};
  action.sa_handler = [](int) { arrived = arrived + 1; };
  ok(::sigaction(SIGALRM, &action, &before));
  // Repeats, so that one that comes just before the wait is followed by another.
  itimerval every{};
  every.it_interval.tv_usec = every.it_value.tv_usec = 2'000;
  ok(::setitimer(ITIMER_REAL, &every, nullptr));
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(wait_ends(driver()));
    EXPECT_EQ(driver().dispatch(), 0U);
  }
  every = {};
  ok(::setitimer(ITIMER_REAL, &every, nullptr));
  ok(::sigaction(SIGALRM, &before, nullptr));
  EXPECT_GT(arrived, 0);
}

}  // namespace
}  // namespace blitzio::driver::contract
