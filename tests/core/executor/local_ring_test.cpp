// The workers' ring with real threads; every interleaving of small cases is tests/model's.
#include <blitzio/executor/injector.hpp>
#include <blitzio/executor/local_ring.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace blitzio::detail {
namespace {

class NoScheduler final : public Scheduler {
 public:
  void schedule(Task& /*task*/) noexcept override { std::abort(); }
  void release(Task& /*task*/) noexcept override { std::abort(); }
};

// Stands for a task in a queue; counts how often it was taken out.
class Item : public Task {
 public:
  Item() noexcept : Task(scheduler_, kVTable) {}
  void take() noexcept { ++takes_; }
  [[nodiscard]] int takes() const noexcept { return takes_; }

 private:
  static constexpr TaskVTable kVTable{nullptr, nullptr, nullptr, nullptr, nullptr};
  static inline NoScheduler scheduler_;
  int takes_ = 0;  // plain: whoever takes the task is the only one
};

void drain(LocalRing& ring) noexcept {
  while (Task* task = ring.pop()) static_cast<Item*>(task)->take();
}

TEST(LocalRing, HandsOutInOrderAndIsFullAtItsSize) {
  const auto items = std::make_unique<Item[]>(LocalRing::kSlots + 1);
  LocalRing ring;
  for (std::size_t i = 0; i < LocalRing::kSlots; ++i) ASSERT_TRUE(ring.push(items[i]));
  EXPECT_FALSE(ring.push(items[LocalRing::kSlots]));
  for (std::size_t i = 0; i < LocalRing::kSlots; ++i) EXPECT_EQ(ring.pop(), &items[i]);
  EXPECT_EQ(ring.pop(), nullptr);
}

TEST(LocalRing, AThiefTakesTheOlderHalf) {
  const auto items = std::make_unique<Item[]>(5);
  LocalRing ring;
  LocalRing thief;
  for (std::size_t i = 0; i < 5; ++i) ASSERT_TRUE(ring.push(items[i]));
  EXPECT_EQ(ring.steal_into(thief), &items[2]);
  EXPECT_EQ(thief.pop(), &items[0]);
  EXPECT_EQ(thief.pop(), &items[1]);
  EXPECT_EQ(thief.pop(), nullptr);
  EXPECT_EQ(ring.pop(), &items[3]);
  EXPECT_EQ(ring.pop(), &items[4]);
}

TEST(LocalRing, AThiefTakesHalfOfAFullRingToo) {
  const auto items = std::make_unique<Item[]>(LocalRing::kSlots);
  LocalRing ring;
  LocalRing thief;
  for (std::size_t i = 0; i < LocalRing::kSlots; ++i) ASSERT_TRUE(ring.push(items[i]));
  EXPECT_EQ(ring.steal_into(thief), &items[127]);
  EXPECT_EQ(thief.size(), 127U);
  EXPECT_EQ(ring.size(), 128U);
  drain(thief);
  EXPECT_EQ(ring.steal_into(thief), &items[191]);
  EXPECT_EQ(thief.size(), 63U);
  drain(thief);
  drain(ring);
}

TEST(LocalRing, EveryTaskIsTakenOnceUnderThieves) {
  constexpr std::size_t kItems = 20'000;
  const auto items = std::make_unique<Item[]>(kItems);
  LocalRing ring;
  std::atomic<bool> is_done{false};
  std::vector<std::thread> thieves;
  for (int i = 0; i < 2; ++i) {
    thieves.emplace_back([&] {
      LocalRing own;
      while (!is_done.load()) {
        if (Task* task = ring.steal_into(own)) static_cast<Item*>(task)->take();
        drain(own);
      }
    });
  }
  for (std::size_t i = 0; i < kItems; ++i) {
    while (!ring.push(items[i])) drain(ring);
    if (i % 3 == 0) {
      if (Task* task = ring.pop()) static_cast<Item*>(task)->take();
    }
  }
  drain(ring);
  is_done.store(true);
  for (std::thread& thief : thieves) thief.join();
  for (std::size_t i = 0; i < kItems; ++i) ASSERT_EQ(items[i].takes(), 1) << i;
}

TEST(Injector, EveryTaskIsTakenOnceByManyThreads) {
  constexpr std::size_t kItems = 4'000;
  const auto items = std::make_unique<Item[]>(kItems);
  Injector injector;
  std::atomic<std::size_t> left{kItems};
  std::vector<std::thread> threads;
  for (std::size_t half = 0; half < 2; ++half) {
    threads.emplace_back([&, half] {
      for (std::size_t i = half; i < kItems; i += 2) injector.push(items[i]);
    });
    threads.emplace_back([&] {
      while (left.load() != 0) {
        Task* task = injector.pop(4);
        if (task == nullptr) std::this_thread::yield();
        while (task != nullptr) {
          auto* next = static_cast<Task*>(std::exchange(task->inbox_next, nullptr));
          static_cast<Item*>(task)->take();
          left.fetch_sub(1);
          task = next;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < kItems; ++i) ASSERT_EQ(items[i].takes(), 1) << i;
}

}  // namespace
}  // namespace blitzio::detail
