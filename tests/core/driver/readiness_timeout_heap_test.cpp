// The heap of timeout operations against an ordered multimap, with random operations.
#include <blitzio/driver/readiness/timeout_heap.hpp>

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <vector>

namespace blitzio::driver::readiness {
namespace {

void ignore(Operation&, const Completion&) noexcept {}

TEST(TimeoutHeap, HandsOutInOrderOfDeadlineThenOfArrival) {
  constexpr std::uint32_t kSeed = 20'240;
  SCOPED_TRACE(kSeed);
  std::mt19937 random(kSeed);
  TimeoutHeap heap;
  std::multimap<Instant, Operation*> model;  // equal keys keep their order of insertion
  std::vector<std::unique_ptr<Operation>> pool;
  std::int64_t now = 0;
  for (int step = 0; step < 20'000; ++step) {
    const std::uint32_t action = random() % 10;
    if (action < 5) {
      Operation& operation = *pool.emplace_back(std::make_unique<Operation>(&ignore));
      // Few distinct deadlines, so that many are equal.
      const Instant deadline = Instant::from_nanos(now + static_cast<std::int64_t>(random() % 50));
      operation.timeout(deadline);
      ASSERT_EQ(heap.push(operation), 0);
      model.emplace(deadline, &operation);
    } else if (action < 8 && !model.empty()) {
      const auto victim = std::next(model.begin(), static_cast<long>(random() % model.size()));
      heap.remove(*victim->second);
      model.erase(victim);
    } else {
      now += static_cast<std::int64_t>(random() % 20);
      while (Operation* due = heap.pop_due(Instant::from_nanos(now))) {
        ASSERT_FALSE(model.empty());
        ASSERT_EQ(due, model.begin()->second);
        model.erase(model.begin());
      }
      ASSERT_TRUE(model.empty() || model.begin()->first > Instant::from_nanos(now));
    }
    ASSERT_EQ(heap.is_empty(), model.empty());
    ASSERT_TRUE(model.empty() || heap.earliest() == model.begin()->first);
  }
}

TEST(TimeoutHeap, ADeadlineOfForEverIsNeverDue) {
  TimeoutHeap heap;
  Operation operation(&ignore);
  operation.timeout(Instant::max());
  ASSERT_EQ(heap.push(operation), 0);
  EXPECT_EQ(heap.pop_due(Instant::now()), nullptr);
  heap.remove(operation);
  EXPECT_TRUE(heap.is_empty());
}

}  // namespace
}  // namespace blitzio::driver::readiness
