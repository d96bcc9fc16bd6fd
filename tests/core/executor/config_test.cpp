// Each field of Config: what it refuses, in words, and what it does.
#include <blitzio/base/frame_pool.hpp>
#include <blitzio/base/platform.hpp>
#include <blitzio/executor/config.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/time/sleep.hpp>

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace blitzio {
namespace {

template <class Change>
Config with(Change change) {
  Config config;
  config.workers = 2;
  change(config);
  return config;
}

// The problem's text; creating a runtime gives the same error, run_with() the same text.
template <class Change>
std::string problem_of(Change change, RuntimeErrc code = RuntimeErrc::invalid_argument) {
  const Config config = with(change);
  const auto problem = problem_in(config);
  if (!problem) return "none";
  EXPECT_EQ(static_cast<int>(problem->code), static_cast<int>(code));
  const auto made = Runtime::create(config);
  EXPECT_TRUE(!made && made.error().is(code));
  try {
    run_with(config, [] {});
    ADD_FAILURE() << "a bad config was taken";
  } catch (const std::invalid_argument& error) {
    EXPECT_EQ(problem->text, error.what());
  }
  return problem->text;
}

template <class Change>
std::unique_ptr<Runtime> make(Change change) {
  auto made = Runtime::create(with(change));
  if (!made) throw std::runtime_error(made.error().message());
  return std::move(*made);
}

TEST(Config, AProblemNamesFieldValueAndRange) {
  EXPECT_FALSE(problem_in(Config{}).has_value());
  EXPECT_EQ(problem_of([](Config& c) { c.workers = 65; }),
            "workers is 65; it must be 0 (one for each processor) to 64");
  EXPECT_EQ(problem_of([](Config& c) { c.strategy = static_cast<Strategy>(4); }),
            "strategy is 4; it must be one of Strategy");
  EXPECT_EQ(problem_of([](Config& c) { c.affinity = static_cast<Affinity>(3); }),
            "affinity is 3; it must be one of Affinity");
  EXPECT_EQ(problem_of([](Config& c) { c.strategy = Strategy::single_threaded; }),
            "workers is 2; with the strategy single_threaded it must be 0 or 1");
  EXPECT_EQ(problem_of([](Config& c) { c.stack_bytes = 1000; }),
            "stack_bytes is 1000; it must be 0 (the system's default) or 32768 to 1073741824");
  EXPECT_EQ(problem_of([](Config& c) { c.blocking_threads_max = 0; }),
            "blocking_threads_max is 0; it must be 1 to 32768");
  EXPECT_EQ(problem_of([](Config& c) { c.compute_threads = 2000; }),
            "compute_threads is 2000; it must be 0 (one for each processor) to 1024");
  EXPECT_EQ(problem_of([](Config& c) { c.blocking_keep_alive = Duration::from_nanos(-1); }),
            "blocking_keep_alive is -1 ns; it must not be negative");
  EXPECT_EQ(problem_of([](Config& c) { c.timer_tick = Duration::zero(); }),
            "timer_tick is 0 ns; it must be 1000 to 1000000000");
  EXPECT_EQ(problem_of([](Config& c) { c.driver.ring_entries = 1 << 30; }),
            "ring_entries is 1073741824; it must be 0 (by memory) or a power of two up to 32768");
  EXPECT_NE(problem_of([](Config& c) { c.driver.iopoll = true; }, RuntimeErrc::unsupported),
            "none");
}

TEST(Config, ResolveFillsInWhatIsAutomatic) {
  const Config config = resolve(Config{});
  EXPECT_GE(config.workers, 1U);
  EXPECT_GE(config.compute_threads, 1U);
  EXPECT_NE(config.strategy, Strategy::automatic);
  EXPECT_NE(config.affinity, Affinity::automatic);
  EXPECT_EQ(resolve(with([](Config& c) { c.workers = 1; })).strategy, Strategy::single_threaded);
  EXPECT_EQ(resolve(with([](Config&) {})).strategy, Strategy::work_stealing);
  const Config per_core = with([](Config& c) { c.strategy = Strategy::thread_per_core; });
  EXPECT_EQ(resolve(per_core).affinity, Affinity::sequential);
}

TEST(Config, WorkersAreAsManyAsAskedFor) {
  const auto runtime = make([](Config& c) { c.workers = 5; });
  EXPECT_EQ(runtime->worker_count(), 5U);
  EXPECT_EQ(runtime->metrics().workers.size(), 5U);
}

TEST(Config, TheBackendIsEveryWorkers) {
  for (const auto& backend : driver::detect()) {
    if (!backend.usable) continue;
    const auto runtime = make([&](Config& c) { c.driver.backend = backend.backend; });
    EXPECT_EQ(runtime->config().driver.backend, backend.backend);
    EXPECT_EQ(runtime->spawn([] { return 1; }).blocking_join().get(), 1);
  }
}

TEST(Config, StackBytesAreTheWorkersStack) {
  constexpr std::size_t kBytes = 512 * 1024;
  const auto runtime = make([](Config& c) { c.stack_bytes = kBytes; });
  auto size = runtime->spawn([] {
    pthread_attr_t attributes;
    std::size_t bytes = 0;
    EXPECT_EQ(::pthread_getattr_np(::pthread_self(), &attributes), 0);
    EXPECT_EQ(::pthread_attr_getstacksize(&attributes, &bytes), 0);
    ::pthread_attr_destroy(&attributes);
    return bytes;
  });
  EXPECT_EQ(size.blocking_join().get(), kBytes);
}

TEST(Config, SequentialAffinityPutsWorkersOnTheProcessorsInTheirOrder) {
  const auto processors = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    EXPECT_EQ(::sched_getaffinity(0, sizeof set, &set), 0);
    std::vector<int> numbers;
    for (int i = 0; i < CPU_SETSIZE; ++i) {
      if (CPU_ISSET(i, &set)) numbers.push_back(i);
    }
    return numbers;
  };
  const std::vector<int> usable = processors();
  const auto runtime = make([](Config& c) {
    c.workers = 3;
    c.strategy = Strategy::thread_per_core;
    c.affinity = Affinity::sequential;
  });
  // Tasks from outside go round among the workers, from the first on.
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(runtime->spawn(processors).blocking_join().get(),
              (std::vector{usable[i % 3 % usable.size()]}));
  }
  const auto free = make([](Config& c) {
    c.strategy = Strategy::thread_per_core;
    c.affinity = Affinity::none;
  });
  EXPECT_EQ(free->spawn(processors).blocking_join().get(), processors());
}

TEST(Config, BlockingThreadsAreNoMoreThanAllowedAndGoWhenIdle) {
  const auto runtime = make([](Config& c) {
    c.blocking_threads_max = 2;
    c.blocking_keep_alive = Duration::zero();
  });
  std::atomic<int> running{0};
  std::vector<JoinHandle<int>> handles;
  for (int i = 0; i < 50; ++i) {
    handles.push_back(runtime->spawn_blocking([&] {
      const int now = running.fetch_add(1) + 1;
      std::this_thread::yield();
      running.fetch_sub(1);
      return now;
    }));
  }
  for (auto& handle : handles) EXPECT_LE(handle.blocking_join().get(), 2);
  while (runtime->metrics().blocking.threads != 0) std::this_thread::yield();
}

TEST(Config, TheTimersTickIsTheWheels) {
  for (const Duration tick : {Duration::from_micros(1), Duration::from_millis(1),
                              Duration::from_millis(100), Duration::from_secs(1)}) {
    const auto runtime = make([&](Config& c) { c.timer_tick = tick; });
    const auto worst = runtime->run([]() -> Async<Duration> {
      // Whatever the tick, none fires early, and in their order.
      std::vector<JoinHandle<Instant>> handles;
      const Instant begin = Instant::now();
      for (int i = 0; i < 20; ++i) {
        handles.push_back(spawn([begin, i]() -> Async<Instant> {
          const Instant deadline = begin + Duration::from_micros(100 * i);
          co_await time::sleep_until(deadline);
          EXPECT_GE(Instant::now(), deadline);
          co_return Instant::now();
        }));
      }
      Duration total = Duration::zero();
      for (auto& handle : handles) total = (co_await handle).get() - begin;
      co_return total;
    });
    EXPECT_GE(worst, Duration::from_micros(1900));
  }
}

TEST(Config, TaskPoolingIsEveryWorkers) {
  for (const bool pooling : {true, false}) {
    const auto runtime = make([&](Config& c) { c.task_pooling = pooling; });
    const auto is_pooling = runtime
                                ->spawn([]() -> Async<bool> {
                                  for (int i = 0; i < 100; ++i)
                                    (co_await spawn([]() -> Async<void> { co_return; })).get();
                                  co_return FramePool::is_enabled_on_this_thread();
                                })
                                .blocking_join()
                                .get();
    EXPECT_EQ(is_pooling, pooling && !BLITZIO_ASAN && !BLITZIO_TSAN);
  }
}

TEST(Config, NoMoreTimersThanAllowed) {
  const auto runtime = make([](Config& c) {
    c.workers = 1;
    c.timers_max = 3;
  });
  const int refused =
      runtime
          ->spawn([]() -> Async<int> {
            std::vector<JoinHandle<void>> handles;
            for (int i = 0; i < 5; ++i) {
              handles.push_back(
                  spawn([]() -> Async<void> { co_await time::sleep(Duration::from_secs(9)); }));
            }
            while (std::ranges::count_if(handles, &JoinHandle<void>::is_finished) < 2)
              co_await yield_now();
            int count = 0;
            for (auto& handle : handles) {
              if (!handle.is_finished()) {
                handle.cancel();
                continue;
              }
              try {
                (co_await handle).get();
              } catch (const std::system_error& error) {
                EXPECT_EQ(error.code().value(), EAGAIN);
                ++count;
              }
            }
            for (auto& handle : handles) {
              if (handle.is_empty()) continue;
              const auto result = co_await handle;
              EXPECT_TRUE(result.is_cancelled());
            }
            co_await time::sleep(Duration::zero());  // there is room again
            co_return count;
          })
          .blocking_join()
          .get();
  EXPECT_EQ(refused, 2);
}

TEST(Config, RunWithReportsWhatTheSystemLacks) {
  const Config config = with([](Config& c) { c.driver.backend = driver::Backend::io_uring; });
  if (driver::create(config.driver)) GTEST_SKIP() << "io_uring can be used here";
  EXPECT_THROW(run_with(config, [] {}), std::runtime_error);
}

}  // namespace
}  // namespace blitzio
