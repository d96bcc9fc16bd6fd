// `BlockingPool`: whoever is idle, about to end or has to be started, each job is run or dropped
// once; none waits behind another while there is room for a thread; and what jobs did is visible
// after the shutdown that waits for them.
#include <blitzio/base/mutex.hpp>
#include <blitzio/executor/blocking_pool.hpp>

#include <model/support.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

namespace blitzio::model {
namespace {

// What it counts is plain memory: two that call it at once, or a submitter that is not heard of,
// are data races.
class Work : public BlockingJob {
 public:
  Work() noexcept : BlockingJob(on_run, on_drop) {}
  [[nodiscard]] int runs() const noexcept { return runs_; }
  [[nodiscard]] int drops() const noexcept { return drops_; }
  [[nodiscard]] bool has_ended_once() const noexcept { return runs_ + drops_ == 1; }

 private:
  static void on_run(BlockingJob& job) noexcept { ++static_cast<Work&>(job).runs_; }
  static void on_drop(BlockingJob& job) noexcept { ++static_cast<Work&>(job).drops_; }
  int runs_ = 0;
  int drops_ = 0;
};

// Its thread is busy until another job has been run.
class Meeting : public BlockingJob {
 public:
  Meeting(Event& mine, Event& others) noexcept
      : BlockingJob(meet, meet), mine_(mine), others_(others) {}

 private:
  static void meet(BlockingJob& job) noexcept {
    auto& self = static_cast<Meeting&>(job);
    self.others_.signal();
    self.mine_.wait();
  }
  Event& mine_;
  Event& others_;
};

// These scenarios are mutexes and little else: they afford more switches.
void expect_thoroughly_sound(const std::function<void()>& scenario) {
  Options options;
  options.preemptions_max = 3;
  expect_sound(scenario, options);
}

constexpr Duration kForEver = Duration::from_secs(3'600);

BlockingPool::Config config(std::size_t threads_max, Duration keep_alive) {
  BlockingPool::Config config;
  config.threads_max = threads_max;
  config.keep_alive = keep_alive;
  return config;
}

TEST(BlockingPoolModel, TwoSubmittersAndOneThread) {
  expect_thoroughly_sound([] {
    std::array<Work, 3> works;
    {
      BlockingPool pool(config(1, kForEver));
      Thread other([&] { BLITZIO_CHECK(pool.submit(works[0])); });
      BLITZIO_CHECK(pool.submit(works[1]));
      BLITZIO_CHECK(pool.submit(works[2]));
      other.join();
    }
    for (const Work& work : works) BLITZIO_CHECK(work.runs() == 1 && work.drops() == 0);
  });
}

TEST(BlockingPoolModel, NoJobWaitsBehindAnotherWhileThereIsRoomForAThread) {
  expect_thoroughly_sound([] {
    BlockingPool pool(config(2, kForEver));
    Work first;
    BLITZIO_CHECK(pool.submit(first));
    // One of the two goes to the thread of the first, once it is idle; the other to a new one.
    Event one;
    Event two;
    Meeting meets_two(one, two);
    Meeting meets_one(two, one);
    Thread other([&] { BLITZIO_CHECK(pool.submit(meets_two)); });
    BLITZIO_CHECK(pool.submit(meets_one));
    other.join();
    pool.shutdown(true);
  });
}

// Says that it ends, and only then that it is done.
class Told : public BlockingJob {
 public:
  explicit Told(Event& done) noexcept : BlockingJob(tell, tell), done_(done) {}

 private:
  static void tell(BlockingJob& job) noexcept {
    BlockingPool::expect_idle();
    static_cast<Told&>(job).done_.signal();
  }
  Event& done_;
};

TEST(BlockingPoolModel, WhoWaitsForAJobFindsItsThreadForTheNext) {
  for (const Duration keep_alive : {Duration(), kForEver}) {
    expect_thoroughly_sound([=] {
      BlockingPool pool(config(2, keep_alive));
      Event done;
      Told told(done);
      Work next;
      BLITZIO_CHECK(pool.submit(told));
      done.wait();
      BLITZIO_CHECK(pool.submit(next));
      if (keep_alive == kForEver) BLITZIO_CHECK(pool.metrics().threads == 1);
      pool.shutdown(true);
      BLITZIO_CHECK(next.runs() == 1);
    });
  }
}

// The first job is at its end, and may stay there: its last act waits for the third one.
TEST(BlockingPoolModel, AThreadThatTakesLongToEndKeepsNobodyButTheJobThatItWasHanded) {
  struct Slow : BlockingJob {
    Slow(Event& begun, Event& others) noexcept
        : BlockingJob(end, end), is_begun(begun), others_done(others) {}
    static void end(BlockingJob& job) noexcept {
      auto& self = static_cast<Slow&>(job);
      BlockingPool::expect_idle();
      self.is_begun.signal();
      self.others_done.wait();
    }
    Event& is_begun;
    Event& others_done;
  };
  expect_thoroughly_sound([] {
    BlockingPool pool(config(2, kForEver));
    Event begun;
    Event others_done;
    Slow slow(begun, others_done);
    Work held;
    Told other(others_done);
    BLITZIO_CHECK(pool.submit(slow));
    begun.wait();
    BLITZIO_CHECK(pool.submit(held));
    BLITZIO_CHECK(pool.submit(other));
    pool.shutdown(true);
    BLITZIO_CHECK(held.runs() == 1);
  });
}

TEST(BlockingPoolModel, TwoSubmittersAndAJobThatEnds) {
  expect_thoroughly_sound([] {
    BlockingPool pool(config(1, kForEver));
    Event done;
    Told told(done);
    std::array<Work, 2> works;
    BLITZIO_CHECK(pool.submit(told));
    Thread other([&] { BLITZIO_CHECK(pool.submit(works[0])); });
    BLITZIO_CHECK(pool.submit(works[1]));
    other.join();
    pool.shutdown(true);
    for (const Work& work : works) BLITZIO_CHECK(work.runs() == 1);
  });
}

TEST(BlockingPoolModel, AThreadThatGrowsOldTakesTheJobThatWasHandedToIt) {
  expect_thoroughly_sound([] {
    std::array<Work, 3> works;
    BlockingPool pool(config(1, Duration()));
    for (Work& work : works) BLITZIO_CHECK(pool.submit(work));
    pool.shutdown(true);
    for (const Work& work : works) BLITZIO_CHECK(work.runs() == 1);
    BLITZIO_CHECK(pool.metrics().threads == 0 && pool.metrics().idle == 0);
  });
}

TEST(BlockingPoolModel, TwoSubmittersWhileThreadsGrowOld) {
  expect_thoroughly_sound([] {
    std::array<Work, 2> works;
    BlockingPool pool(config(2, Duration()));
    Thread other([&] { BLITZIO_CHECK(pool.submit(works[0])); });
    BLITZIO_CHECK(pool.submit(works[1]));
    other.join();
    pool.shutdown(true);
    for (const Work& work : works) BLITZIO_CHECK(work.runs() == 1);
  });
}

// A job is queued, handed over or on its way to a new thread when the pool is shut down.
void shut_down_with_jobs(Duration keep_alive, bool cancel_pending) {
  std::array<Work, 2> works;
  BlockingPool pool(config(1, keep_alive));
  for (Work& work : works) BLITZIO_CHECK(pool.submit(work));
  pool.shutdown(true, cancel_pending);
  for (const Work& work : works) {
    BLITZIO_CHECK(work.has_ended_once() && (cancel_pending || work.runs() == 1));
  }
  // It was handed over, and never in the queue.
  BLITZIO_CHECK(works[0].runs() == 1);
}

TEST(BlockingPoolModel, AShutdownFinishesOrDropsWhatIsQueued) {
  for (const Duration keep_alive : {Duration(), kForEver}) {
    for (const bool cancel_pending : {false, true}) {
      expect_thoroughly_sound([=] { shut_down_with_jobs(keep_alive, cancel_pending); });
    }
  }
}

TEST(BlockingPoolModel, AJobThatMeetsTheShutdownIsRunOrGivenBack) {
  for (const bool cancel_pending : {false, true}) {
    expect_thoroughly_sound([=] {
      Work before;
      Work meets;
      bool is_taken = false;
      BlockingPool pool(config(1, kForEver));
      BLITZIO_CHECK(pool.submit(before));
      Thread submitter([&] { is_taken = pool.submit(meets).has_value(); });
      pool.shutdown(true, cancel_pending);
      submitter.join();
      BLITZIO_CHECK(before.has_ended_once());
      BLITZIO_CHECK(meets.runs() + meets.drops() == (is_taken ? 1 : 0), is_taken);
      BLITZIO_CHECK(cancel_pending || meets.drops() == 0);
    });
  }
}

TEST(BlockingPoolModel, TwoShutdownsThatWait) {
  expect_thoroughly_sound([] {
    Work work;
    BlockingPool pool(config(1, kForEver));
    BLITZIO_CHECK(pool.submit(work));
    Thread other([&] {
      pool.shutdown(true);
      BLITZIO_CHECK(work.runs() == 1);
    });
    pool.shutdown(true);
    BLITZIO_CHECK(work.runs() == 1);
    other.join();
  });
}

// The pool goes while its threads are at work; the last of them frees what they share.
void pool_goes_first() {
  struct Owned : BlockingJob {
    Owned() noexcept : BlockingJob(end, end) {}
    static void end(BlockingJob& job) noexcept { delete &static_cast<Owned&>(job); }
  };
  BlockingPool pool(config(2, kForEver));
  for (int i = 0; i < 2; ++i) BLITZIO_CHECK(pool.submit(*new Owned));
  pool.shutdown(false);
}

TEST(BlockingPoolModel, ThePoolMayGoBeforeItsThreads) {
  expect_thoroughly_sound(pool_goes_first);
}

TEST(BlockingPoolModel, FindsAReferenceThatIsDroppedWithoutAcquireOrRelease) {
  for (const auto to : {std::memory_order_acquire, std::memory_order_release}) {
    expect_finds("", pool_goes_first,
                 {.weakenings = {{.file = "executor/blocking_pool.cpp",
                                  .function = "release_ref",
                                  .access = Access::exchange,
                                  .from = std::memory_order_acq_rel,
                                  .to = to}}});
  }
}

// Handing a job to an idle thread as the pool does it, with known bugs.
struct Handover {
  enum class Bug : std::uint8_t {
    none,
    leaves_when_old,  ///< a thread that has grown old ends without a look at its job
    stays_listed,     ///< a thread that ends is still there to be handed jobs
    wakes_nobody,     ///< a shutdown leaves those asleep who are idle
  };

  explicit Handover(Bug which) noexcept : bug(which) {}
  // Returns whether the job was handed over.
  bool submit(Work& work) {
    {
      const MutexLock lock(mutex);
      if (!is_idle) return false;
      if (bug != Bug::stays_listed) is_idle = false;
      job = &work;
    }
    wake.notify_one();
    return true;
  }
  void shut_down() {
    const MutexLock lock(mutex);
    is_shut_down = true;
    if (bug != Bug::wakes_nobody) wake.notify_one();
  }
  // A thread that has nothing to do.
  void run(Duration keep_alive) {
    for (;;) {
      Work* mine = nullptr;
      {
        const MutexLock lock(mutex);
        is_idle = true;
        const Instant deadline = keep_alive == kForEver ? Instant::max() : Instant::now();
        bool is_young = true;
        while (job == nullptr && !is_shut_down && is_young) {
          is_young = wake.wait_until(mutex, deadline);
        }
        if (bug != Bug::leaves_when_old || is_young) mine = std::exchange(job, nullptr);
        if (mine == nullptr) {
          if (bug != Bug::stays_listed) is_idle = false;
          return;
        }
      }
      mine->run(*mine);
    }
  }

  const Bug bug;
  Mutex mutex{LockRank::leaf};
  CondVar wake;
  Work* job = nullptr;
  bool is_idle = false;
  bool is_shut_down = false;
};

void hand_over(Handover::Bug bug, Duration keep_alive) {
  Handover handover(bug);
  Work work;
  Thread thread([&] { handover.run(keep_alive); });
  const bool is_handed = handover.submit(work);
  handover.shut_down();
  thread.join();
  BLITZIO_CHECK(work.runs() == (is_handed ? 1 : 0), work.runs(), is_handed);
}

TEST(BlockingPoolModel, FindsJobsThatAreLostOnTheirWayToAThread) {
  using enum Handover::Bug;
  for (const Duration keep_alive : {Duration(), kForEver}) {
    expect_sound([=] { hand_over(none, keep_alive); });
  }
  expect_finds("check failed", [] { hand_over(leaves_when_old, Duration()); });
  expect_finds("check failed", [] { hand_over(stays_listed, Duration()); });
  expect_finds("deadlock", [] { hand_over(wakes_nobody, kForEver); });
}

}  // namespace
}  // namespace blitzio::model
