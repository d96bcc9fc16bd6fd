#include <blitzio/base/platform.hpp>
#include <blitzio/executor/blocking_pool.hpp>

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <latch>
#include <memory>
#include <mutex>
#include <semaphore>
#include <set>
#include <string>
#include <thread>
#include <vector>

#if BLITZIO_ASAN
// In a child whose main thread is gone, what that thread's stack refers to looks like a leak.
static std::atomic<bool> no_leak_check{false};
extern "C" int __lsan_is_turned_off();
extern "C" int __lsan_is_turned_off() {
  return no_leak_check ? 1 : 0;
}
#endif

namespace blitzio {
namespace {

struct Work : BlockingJob {
  explicit Work(std::function<void()> run_action, std::function<void()> drop_action = {})
      : BlockingJob([](BlockingJob& job) noexcept { static_cast<Work&>(job).action(); },
                    [](BlockingJob& job) noexcept { static_cast<Work&>(job).dropped(); }),
        action(std::move(run_action)),
        dropped(std::move(drop_action)) {}
  std::function<void()> action;
  std::function<void()> dropped;
};

TEST(BlockingPool, RunsJobsOnItsOwnNamedThreads) {
  BlockingPool pool;
  EXPECT_EQ(pool.metrics().threads, 0U);
  std::latch done(1);
  std::thread::id ran_on;
  char name[16] = {};
  Work work([&] {
    ran_on = std::this_thread::get_id();
    pthread_getname_np(pthread_self(), name, sizeof name);
    done.count_down();
  });
  ASSERT_TRUE(pool.submit(work));
  done.wait();
  EXPECT_NE(ran_on, std::this_thread::get_id());
  EXPECT_STREQ(name, "blitzio-blk-0");
  pool.shutdown(true);
}

TEST(BlockingPool, StartsAThreadOnlyIfNoneIsIdle) {
  BlockingPool pool;
  for (int i = 0; i < 20; ++i) {
    std::latch done(1);
    Work work([&] { done.count_down(); });
    ASSERT_TRUE(pool.submit(work));
    done.wait();
    while (pool.metrics().idle == 0) std::this_thread::yield();
    EXPECT_EQ(pool.metrics().threads, 1U);
  }
}

TEST(BlockingPool, WhoWaitsForAJobFindsItsThreadForTheNext) {
  BlockingPool pool;
  for (int i = 0; i < 200; ++i) {
    std::latch done(1);
    std::latch is_submitted(1);
    Work next([] {});
    Work work([&] {
      BlockingPool::expect_idle();
      BlockingPool::expect_idle();  // as often as one likes
      done.count_down();
      is_submitted.wait();
    });
    ASSERT_TRUE(pool.submit(work));
    done.wait();
    ASSERT_TRUE(pool.submit(next));
    is_submitted.count_down();
    EXPECT_EQ(pool.metrics().threads, 1U);
    while (pool.metrics().idle == 0) std::this_thread::yield();
  }
  BlockingPool::expect_idle();  // not a thread of a pool: nothing happens
}

TEST(BlockingPool, AJobThatSaysThatItEndsMayStillWaitForAnother) {
  BlockingPool pool;
  std::latch inner_done(1);
  Work inner([&] { inner_done.count_down(); });
  Work outer([&] {
    BlockingPool::expect_idle();
    EXPECT_TRUE(pool.submit(inner));
    inner_done.wait();
  });
  ASSERT_TRUE(pool.submit(outer));
  inner_done.wait();
  pool.shutdown(true);
}

// The first expectation has been answered with a job: a second one must not have it replaced.
TEST(BlockingPool, AJobThatSaysTwiceThatItEndsLosesNone) {
  BlockingPool pool;
  std::latch is_expected(1);
  std::latch is_handed(1);
  std::latch is_expected_again(1);
  std::latch may_end(1);
  std::latch all_done(3);
  Work handed([&] { all_done.count_down(); });
  Work others([&] { all_done.count_down(); });
  Work last([&] { all_done.count_down(); });
  Work outer([&] {
    BlockingPool::expect_idle();
    is_expected.count_down();
    is_handed.wait();
    EXPECT_TRUE(pool.submit(others));
    BlockingPool::expect_idle();
    is_expected_again.count_down();
    may_end.wait();
  });
  ASSERT_TRUE(pool.submit(outer));
  is_expected.wait();
  ASSERT_TRUE(pool.submit(handed));
  is_handed.count_down();
  is_expected_again.wait();
  // Nobody is on the way any more: what is submitted now goes to the first that is listed.
  while (pool.metrics().idle == 0) std::this_thread::yield();
  ASSERT_TRUE(pool.submit(last));
  may_end.count_down();
  pool.shutdown(true);
  EXPECT_TRUE(all_done.try_wait());
}

TEST(BlockingPool, GrowsToItsLimitAndQueuesTheRestInOrder) {
  constexpr std::size_t kLimit = 512;
  BlockingPool pool;
  std::counting_semaphore<> gate(0);
  std::latch all_running(kLimit);
  std::vector<std::unique_ptr<Work>> holders;
  for (std::size_t i = 0; i < kLimit; ++i) {
    holders.push_back(std::make_unique<Work>([&] {
      all_running.count_down();
      gate.acquire();
    }));
    ASSERT_TRUE(pool.submit(*holders.back()));
  }
  all_running.wait();
  std::vector<int> order;
  std::vector<std::unique_ptr<Work>> queued;
  std::latch all_done(50);
  for (int i = 0; i < 50; ++i) {
    queued.push_back(std::make_unique<Work>([&, i] {
      order.push_back(i);
      all_done.count_down();
    }));
    ASSERT_TRUE(pool.submit(*queued.back()));
  }
  EXPECT_EQ(pool.metrics().threads, kLimit);
  EXPECT_EQ(pool.metrics().queued, 50U);
  gate.release();  // one thread is free, and runs them all, one after another
  all_done.wait();
  for (int i = 0; i < 50; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
  gate.release(kLimit - 1);
  pool.shutdown(true);
  EXPECT_EQ(pool.metrics().threads, 0U);
}

struct Hooks {
  std::atomic<int> started{0};
  std::atomic<int> stopped{0};
  BlockingPool::Config config(Duration keep_alive, std::size_t threads_max = 4) {
    return {.threads_max = threads_max,
            .keep_alive = keep_alive,
            .on_thread_start = [](void* data) noexcept { ++static_cast<Hooks*>(data)->started; },
            .on_thread_stop =
                [](void* data) noexcept {
                  auto& self = *static_cast<Hooks*>(data);
                  ++self.stopped;
                  self.stopped.notify_all();
                },
            .hook_data = this};
  }
};

TEST(BlockingPool, AnIdleThreadEndsAfterItsKeepAliveAndTheNextJobGetsANewOne) {
  Hooks hooks;
  BlockingPool pool(hooks.config(Duration::from_millis(1)));
  for (int round = 0; round < 5; ++round) {
    std::latch done(1);
    Work work([&] { done.count_down(); });
    ASSERT_TRUE(pool.submit(work));
    done.wait();
    hooks.stopped.wait(round);
    EXPECT_EQ(hooks.started.load(), round + 1);
    while (pool.metrics().threads != 0) std::this_thread::yield();
  }
}

TEST(BlockingPool, NoJobIsLostWhileThreadsGrowOld) {
  Hooks hooks;
  BlockingPool pool(hooks.config(Duration::from_nanos(1), 2));
  std::atomic<int> ran{0};
  constexpr int kJobs = 5'000;
  std::vector<std::unique_ptr<Work>> jobs;
  std::latch all(kJobs);
  for (int i = 0; i < kJobs; ++i) {
    jobs.push_back(std::make_unique<Work>([&] {
      ++ran;
      all.count_down();
    }));
    ASSERT_TRUE(pool.submit(*jobs.back()));
    if (i % 7 == 0) std::this_thread::yield();
  }
  all.wait();
  EXPECT_EQ(ran.load(), kJobs);
  pool.shutdown(true);
  EXPECT_EQ(hooks.started.load(), hooks.stopped.load());
}

TEST(BlockingPool, ManyThreadsMaySubmit) {
  BlockingPool pool({.threads_max = 8, .keep_alive = Duration::from_millis(1)});
  constexpr int kEach = 1'000;
  std::atomic<int> ran{0};
  std::vector<std::vector<std::unique_ptr<Work>>> jobs(4);
  {
    std::vector<std::jthread> submitters;
    for (auto& mine : jobs) {
      submitters.emplace_back([&] {
        for (int i = 0; i < kEach; ++i) {
          mine.push_back(std::make_unique<Work>([&] { ++ran; }));
          ASSERT_TRUE(pool.submit(*mine.back()));
        }
      });
    }
  }
  pool.shutdown(true);
  EXPECT_EQ(ran.load(), 4 * kEach);
}

TEST(BlockingPool, ShutdownRunsWhatIsQueuedUnlessToldToCancelIt) {
  for (const bool cancel : {false, true}) {
    BlockingPool pool({.threads_max = 1});
    std::binary_semaphore gate(0);
    std::latch running(1);
    std::atomic<int> ran{0};
    std::atomic<int> dropped{0};
    Work holder([&] {
      running.count_down();
      gate.acquire();
    });
    ASSERT_TRUE(pool.submit(holder));
    running.wait();
    std::vector<std::unique_ptr<Work>> queued;
    for (int i = 0; i < 10; ++i) {
      queued.push_back(std::make_unique<Work>([&] { ++ran; }, [&] { ++dropped; }));
      ASSERT_TRUE(pool.submit(*queued.back()));
    }
    pool.shutdown(false, cancel);
    EXPECT_EQ(dropped.load(), cancel ? 10 : 0);
    Work late([] {}, [] {});
    const auto refused = pool.submit(late);
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().is(RuntimeErrc::shut_down));
    gate.release();
    pool.shutdown(true);
    EXPECT_EQ(ran.load(), cancel ? 0 : 10);
    EXPECT_EQ(pool.metrics().threads, 0U);
  }
}

TEST(BlockingPool, WaitingForTheEndHasALimit) {
  BlockingPool pool({.threads_max = 1});
  std::binary_semaphore gate(0);
  Work holder([&] { gate.acquire(); });
  ASSERT_TRUE(pool.submit(holder));
  pool.shutdown(false);
  EXPECT_FALSE(pool.wait_until_ended(Instant::now() + Duration::from_millis(1)));
  gate.release();
  EXPECT_TRUE(pool.wait_until_ended(Instant::max()));
  EXPECT_TRUE(pool.wait_until_ended(Instant::now()));
}

TEST(BlockingPool, ShutdownWakesIdleThreads) {
  Hooks hooks;
  BlockingPool pool(hooks.config(Duration::max()));
  std::latch together(3);
  std::vector<std::unique_ptr<Work>> jobs;
  for (int i = 0; i < 3; ++i) {
    jobs.push_back(std::make_unique<Work>([&] { together.arrive_and_wait(); }));
    ASSERT_TRUE(pool.submit(*jobs.back()));
  }
  while (pool.metrics().idle != 3) std::this_thread::yield();
  pool.shutdown(true);
  EXPECT_EQ(hooks.stopped.load(), 3);
}

TEST(BlockingPool, AJobMaySubmitAndThePoolMayGoBeforeItsJobs) {
  std::latch inner_done(1);
  std::binary_semaphore gate(0);
  std::binary_semaphore gone(0);
  Work inner([&] { inner_done.count_down(); });
  std::latch started(1);
  Work holder([&] {
    started.count_down();
    gate.acquire();
    gone.release();
  });
  {
    BlockingPool pool;
    Work outer([&] { ASSERT_TRUE(pool.submit(inner)); });
    ASSERT_TRUE(pool.submit(outer));
    inner_done.wait();
    ASSERT_TRUE(pool.submit(holder));
    started.wait();
    pool.shutdown(false);
  }
  gate.release();
  gone.acquire();
}

// ---- forking
// -----------------------------------------------------------------------------------

/// How the child ended; -1 if it had to be given up.
int exit_status_of(pid_t child) {
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(BlockingPool, AForkedChildDoesNotWaitForThreadsThatItDoesNotHave) {
  std::latch may_end(1);
  auto pool = std::make_unique<BlockingPool>();
  std::latch running(1);
  Work busy([&] {
    running.count_down();
    may_end.wait();
  });
  Work refused([] {});
  ASSERT_TRUE(pool->submit(busy));
  running.wait();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::alarm(30);
    const auto submitted = pool->submit(refused);
    const bool right =
        !submitted && submitted.error().is(RuntimeErrc::shut_down) && pool->metrics().threads == 0;
    pool->shutdown(true);
    pool.reset();
    ::_exit(right ? 0 : 1);
  }
  EXPECT_EQ(exit_status_of(child), 0);
  EXPECT_EQ(pool->metrics().threads, 1U);
  may_end.count_down();
  pool->shutdown(true);
}

#if !BLITZIO_TSAN  // Which has no place for the thread that is all there is of a child.
TEST(BlockingPool, AThreadWhoseJobForksEndsInTheChildWithTheJob) {
  BlockingPool pool;
  std::atomic<pid_t> child{-1};
  std::latch done(1);
  Work forks([&] {
    child = ::fork();
    // The child is this thread alone, and ends with it.
    if (child == 0) {
      ::alarm(30);
#if BLITZIO_ASAN
      no_leak_check = true;
#endif
    } else {
      done.count_down();
    }
  });
  ASSERT_TRUE(pool.submit(forks));
  done.wait();
  EXPECT_EQ(exit_status_of(child), 0);
  pool.shutdown(true);
}
#endif

}  // namespace
}  // namespace blitzio
