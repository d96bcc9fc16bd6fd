#include <blitzio/executor/parallel.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <numeric>
#include <optional>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace blitzio {
namespace {

std::unique_ptr<Runtime> make_runtime(unsigned compute_threads = 3) {
  Config config;
  config.workers = 2;
  config.compute_threads = compute_threads;
  return Runtime::create(config).value();
}

auto numbers(int count) {
  return std::views::iota(0, count);
}

TEST(Compute, RunsApartFromWorkersAndFromBlockingThreads) {
  const auto runtime = make_runtime();
  const auto where = [&] {
    EXPECT_EQ(Runtime::current(), runtime.get());
    EXPECT_EQ(runtime->blocking_pool().is_own_thread(), !runtime->compute_pool().is_own_thread());
    return runtime->compute_pool().is_own_thread();
  };
  EXPECT_TRUE(runtime->compute(where).blocking_join().get());
  EXPECT_FALSE(runtime->spawn_blocking(where).blocking_join().get());
  EXPECT_TRUE(runtime->run([&]() -> Async<bool> { co_return (co_await compute(where)).get(); }));
  EXPECT_FALSE(runtime->compute_pool().is_own_thread());
}

TEST(Compute, NeverUsesMoreThreadsThanItMay) {
  const auto runtime = make_runtime(2);
  std::atomic<int> running{0};
  std::vector<JoinHandle<int>> handles;
  for (int i = 0; i < 200; ++i) {
    handles.push_back(runtime->compute([&] {
      const int now = running.fetch_add(1) + 1;
      std::this_thread::yield();
      running.fetch_sub(1);
      return now;
    }));
  }
  for (auto& handle : handles) EXPECT_LE(handle.blocking_join().get(), 2);
  EXPECT_LE(runtime->metrics().compute.threads, 2U);
}

TEST(Compute, AnExceptionReachesTheJoiner) {
  const auto runtime = make_runtime();
  auto handle = runtime->compute([]() -> int { throw std::runtime_error("no"); });
  EXPECT_THROW(static_cast<void>(handle.blocking_join().get()), std::runtime_error);
}

TEST(ParallelFor, TouchesEachElementOnce) {
  const auto runtime = make_runtime();
  for (const int count : {0, 1, 2, 3, 7, 24, 25, 1000, 10'007}) {
    for (const std::size_t grain : {std::size_t{0}, std::size_t{1}, std::size_t{64}}) {
      runtime->run([&]() -> Async<void> {
        std::vector<int> seen(static_cast<std::size_t>(count), 0);
        co_await parallel_for(std::span(seen), [](int& element) { ++element; }, grain);
        blocking_parallel_for(seen, [](int& element) { ++element; }, grain);
        EXPECT_EQ(std::accumulate(seen.begin(), seen.end(), 0), 2 * count);
        EXPECT_TRUE(std::ranges::all_of(seen, [](int element) { return element == 2; }));
      });
    }
  }
}

TEST(ParallelMap, GivesResultsInTheOrderOfTheElements) {
  const auto runtime = make_runtime();
  runtime->run([&]() -> Async<void> {
    const auto squares = co_await parallel_map(numbers(1000), [](int i) { return i * i; });
    EXPECT_EQ(squares.size(), 1000U);
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(squares[static_cast<std::size_t>(i)], i * i);

    // Owned elements, results that only move, bools.
    std::vector<std::unique_ptr<int>> owned;
    for (int i = 0; i < 100; ++i) owned.push_back(std::make_unique<int>(i));
    auto moved = co_await parallel_map(std::move(owned), [](std::unique_ptr<int>& element) {
      return std::exchange(element, nullptr);
    });
    for (int i = 0; i < 100; ++i) EXPECT_EQ(*moved[static_cast<std::size_t>(i)], i);
    const std::vector<bool> odd =
        blocking_parallel_map(numbers(100), [](int i) { return i % 2 == 1; });
    for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(odd[i], i % 2 == 1);
    EXPECT_TRUE((co_await parallel_map(numbers(0), [](int i) { return i; })).empty());

    const std::vector<std::pair<int, int>> pairs(3, {7, 8});
    EXPECT_EQ(co_await parallel_map(pairs, &std::pair<int, int>::second), std::vector<int>(3, 8));
  });
}

TEST(ParallelFor, SpreadsOverThreads) {
  const auto runtime = make_runtime(3);
  runtime->run([&]() -> Async<void> {
    // Each of the three waits for the others, so no thread can have two.
    std::atomic<int> met{0};
    co_await parallel_for(numbers(3), [&](int) {
      met.fetch_add(1);
      while (met.load() < 3) std::this_thread::yield();
    });
    met = 0;
    blocking_parallel_for(numbers(3), [&](int) {
      met.fetch_add(1);
      while (met.load() < 3) std::this_thread::yield();
    });
  });
}

TEST(ParallelFor, TheFirstExceptionReachesTheCallerAndStopsTheRest) {
  const auto runtime = make_runtime(2);
  runtime->run([&]() -> Async<void> {
    std::atomic<int> ran{0};
    const auto work = [&](int i) {
      ran.fetch_add(1);
      if (i == 0) throw std::runtime_error("first");
      while (ran.load() < 2) std::this_thread::yield();
    };
    bool is_caught = false;
    try {
      co_await parallel_for(numbers(100'000), work, 1);
    } catch (const std::runtime_error&) {
      is_caught = true;
    }
    EXPECT_TRUE(is_caught);
    EXPECT_LT(ran.load(), 100'000);
    EXPECT_THROW(blocking_parallel_for(numbers(100'000), work, 1), std::runtime_error);
    EXPECT_THROW(
        static_cast<void>(blocking_parallel_map(
            numbers(1000), [](int i) { return i < 999 ? i : throw std::logic_error(""); })),
        std::logic_error);
  });
}

TEST(ParallelFor, NestsInItselfAndInComputeWithoutEnd) {
  const auto runtime = make_runtime(2);
  const auto nested = [&] {
    std::atomic<int> count{0};
    blocking_parallel_for(numbers(4), [&](int) {
      blocking_parallel_for(numbers(4), [&](int) {
        // The awaitable form, waited for on a thread of the pool.
        Runtime::current()->block_on(parallel_for(numbers(4), [&](int) { count.fetch_add(1); }));
      });
    });
    return count.load();
  };
  EXPECT_EQ(runtime->run(nested), 64);
  std::vector<JoinHandle<int>> handles;
  for (int i = 0; i < 8; ++i) handles.push_back(runtime->compute(nested));
  for (auto& handle : handles) EXPECT_EQ(handle.blocking_join().get(), 64);
}

TEST(ParallelFor, DroppingItTakesWhatNobodyHasBegun) {
  const auto runtime = make_runtime(2);
  const auto witness = std::make_shared<std::atomic<int>>(0);
  std::atomic<bool> go_on{false};
  runtime->run([&]() -> Async<void> {
    {
      // As many elements as chunks.
      auto work = parallel_for(numbers(16), [witness, &go_on](int) {
        witness->fetch_add(1);
        while (!go_on.load()) std::this_thread::yield();
      });
      co_await poll_fn([&](Context& context) {
        EXPECT_TRUE(work.poll(context).is_pending());
        return Poll<void>(ready);
      });
      while (witness->load() < 2) co_await yield_now();
    }
    go_on = true;
  });
  while (witness.use_count() != 1) std::this_thread::yield();
  EXPECT_EQ(witness->load(), 2);
}

TEST(ParallelFor, ARuntimeThatEndsCancelsIt) {
  auto runtime = make_runtime(1);
  std::atomic<bool> go_on{false};
  std::atomic<bool> begun{false};
  auto busy = runtime->compute([&] {
    begun = true;
    while (!go_on.load()) std::this_thread::yield();
  });
  while (!begun) std::this_thread::yield();
  std::thread waiter([&] {
    EXPECT_THROW(
        runtime->run([]() -> Async<void> { co_await parallel_for(numbers(10), [](int) {}); }),
        TaskCancelled);
  });
  while (runtime->metrics().compute.queued == 0) std::this_thread::yield();
  std::thread ender([&] { runtime->shutdown(); });
  waiter.join();
  go_on = true;
  ender.join();
  EXPECT_TRUE(busy.blocking_join().has_value());
  EXPECT_TRUE(runtime->compute([] { return 1; }).blocking_join().is_cancelled());
  EXPECT_THROW(runtime->run([]() -> Async<void> { co_await parallel_for(numbers(3), [](int) {}); }),
               TaskCancelled);
  // The blocking form needs nobody.
  EXPECT_EQ(runtime->run([] { return blocking_parallel_map(numbers(9), [](int i) { return i; }); })
                .back(),
            8);
}

}  // namespace
}  // namespace blitzio
