// The explorer itself: leaving out what only exchanges steps that commute must leave out nothing
// else. Random programs of two and three threads, explored with the reduction and without it, must
// show the same outcomes.
#include <blitzio/base/atomic.hpp>
#include <blitzio/base/native_mutex.hpp>

#include <model/model.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace blitzio::model {
namespace {

struct Operation {
  enum class Kind : std::uint8_t { load, store, add, compare_exchange, fence, lock } kind;
  std::size_t atomic;
  int value;
  std::memory_order order;
};
using Program = std::vector<std::vector<Operation>>;

Program random_program(std::mt19937& random, std::size_t threads, std::size_t length) {
  const auto below = [&](std::uint32_t limit) { return random() % limit; };
  constexpr std::array kLoads{std::memory_order_relaxed, std::memory_order_acquire,
                              std::memory_order_seq_cst};
  constexpr std::array kStores{std::memory_order_relaxed, std::memory_order_release,
                               std::memory_order_seq_cst};
  constexpr std::array kExchanges{std::memory_order_relaxed, std::memory_order_acq_rel,
                                  std::memory_order_seq_cst};
  Program program(threads);
  int value = 0;
  for (auto& thread : program) {
    for (std::size_t i = 0; i < length; ++i) {
      Operation operation{};
      operation.atomic = below(2);
      operation.value = ++value;
      switch (below(12)) {
        case 0:
          operation.kind = Operation::Kind::fence;
          operation.order = std::memory_order_seq_cst;
          break;
        case 1:
          operation.kind = Operation::Kind::add;
          operation.order = kExchanges[below(3)];
          break;
        case 2:
          operation.kind = Operation::Kind::compare_exchange;
          operation.order = kExchanges[below(3)];
          break;
        case 3:
          operation.kind = Operation::Kind::lock;
          break;
        case 4:
        case 5:
        case 6:
        case 7:
          operation.kind = Operation::Kind::store;
          operation.order = kStores[below(3)];
          break;
        default:
          operation.kind = Operation::Kind::load;
          operation.order = kLoads[below(3)];
      }
      thread.push_back(operation);
    }
  }
  return program;
}

struct Shared {
  std::array<Atomic<int>, 2> atomics{};
  NativeMutex mutex;
  int guarded = 0;
};

// What each thread has read, in a form that nothing of the scenario's memory is kept by.
using Reads = std::array<std::array<int, 8>, kThreadsMax>;

void run(Shared& shared, const std::vector<Operation>& operations, std::array<int, 8>& reads) {
  std::size_t count = 0;
  for (const Operation& operation : operations) {
    Atomic<int>& atomic = shared.atomics[operation.atomic];
    switch (operation.kind) {
      case Operation::Kind::load:
        reads[count++] = atomic.load(operation.order);
        break;
      case Operation::Kind::store:
        atomic.store(operation.value, operation.order);
        break;
      case Operation::Kind::add:
        reads[count++] = atomic.fetch_add(100, operation.order);
        break;
      case Operation::Kind::compare_exchange: {
        int expected = 0;
        atomic.compare_exchange_strong(expected, operation.value, operation.order,
                                       std::memory_order_relaxed);
        reads[count++] = expected;
        break;
      }
      case Operation::Kind::fence:
        fence(operation.order);
        break;
      case Operation::Kind::lock:
        shared.mutex.lock();
        reads[count++] = shared.guarded;
        shared.guarded = operation.value;
        shared.mutex.unlock();
        break;
    }
  }
}

struct Found {
  std::set<Reads> outcomes;
  std::uint64_t executions = 0;
};

Found explore_all(const Program& program, const Options& options) {
  Found found;
  const Report report = explore(
      [&] {
        Shared shared;
        Reads reads{};
        {
          std::array<std::optional<Thread>, kThreadsMax> threads;
          for (std::size_t i = 1; i < program.size(); ++i) {
            threads[i].emplace([&, i] { run(shared, program[i], reads[i]); });
          }
          run(shared, program[0], reads[0]);
        }
        const arena::Closed closed;
        found.outcomes.insert(reads);
      },
      options);
  EXPECT_FALSE(report.has_failed) << report.text();
  EXPECT_TRUE(report.is_complete) << report.text();
  found.executions = report.executions;
  return found;
}

void compare(std::size_t threads, std::size_t length, int programs, Options options) {
  std::uint64_t reduced_executions = 0;
  std::uint64_t all_executions = 0;
  for (int seed = 0; seed < programs; ++seed) {
    std::mt19937 random(static_cast<std::uint32_t>(seed));
    const Program program = random_program(random, threads, length);
    options.is_reduced = true;
    const Found reduced = explore_all(program, options);
    options.is_reduced = false;
    const Found all = explore_all(program, options);
    ASSERT_EQ(reduced.outcomes, all.outcomes) << "seed " << seed;
    reduced_executions += reduced.executions;
    all_executions += all.executions;
  }
  EXPECT_LT(reduced_executions, all_executions);
  std::printf("[ explored ] %llu executions with the reduction, %llu without\n",
              static_cast<unsigned long long>(reduced_executions),
              static_cast<unsigned long long>(all_executions));
}

TEST(ReductionModel, TwoThreadsShowTheSameOutcomes) {
  compare(2, 4, 150, {.preemptions_max = 100, .stale_reads_max = 100, .weakenings = {}});
}

TEST(ReductionModel, ThreeThreadsShowTheSameOutcomes) {
  compare(3, 2, 60, {.preemptions_max = 100, .stale_reads_max = 100, .weakenings = {}});
}

TEST(ReductionModel, BoundsLeaveOutTheSame) {
  compare(3, 3, 40, {.preemptions_max = 1, .stale_reads_max = 1, .weakenings = {}});
}

}  // namespace
}  // namespace blitzio::model
