#include <blitzio/base/frame_pool.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

namespace blitzio {
namespace {

constexpr std::array<std::size_t, 8> kSizes{0, 1, 64, 65, 200, 1023, 1024, 5000};

TEST(FramePool, BlocksAreWritableAndDistinct) {
  std::set<void*> blocks;
  std::vector<std::pair<void*, std::size_t>> held;
  for (int round = 0; round < 50; ++round) {
    for (const std::size_t bytes : kSizes) {
      void* block = FramePool::allocate(bytes);
      std::memset(block, round, bytes);
      EXPECT_TRUE(blocks.insert(block).second);
      held.emplace_back(block, bytes);
    }
  }
  for (const auto& [block, bytes] : held) FramePool::free(block, bytes);
}

TEST(FramePool, AFreedBlockIsUsedNextForItsSize) {
  if (BLITZIO_ASAN || BLITZIO_TSAN) GTEST_SKIP() << "the allocator's, so that it is watched";
  void* first = FramePool::allocate(100);
  FramePool::free(first, 100);
  void* other = FramePool::allocate(200);
  void* again = FramePool::allocate(128);
  EXPECT_NE(other, first);
  EXPECT_EQ(again, first);
  FramePool::free(other, 200);
  FramePool::free(again, 128);
}

TEST(FramePool, FreeingMoreThanAListKeepsGivesTheRestBack) {
  std::vector<void*> blocks;
  for (std::size_t i = 0; i < FramePool::kKeptBytes / 512 + 100; ++i) {
    blocks.push_back(FramePool::allocate(512));
  }
  for (void* block : blocks) FramePool::free(block, 512);
}

TEST(FramePool, BlocksCrossThreadsAndOutliveThem) {
  std::vector<void*> blocks;
  std::thread([&] {
    for (int i = 0; i < 500; ++i) blocks.push_back(FramePool::allocate(300));
    for (int i = 0; i < 100; ++i) FramePool::free(FramePool::allocate(300), 300);
  }).join();
  std::thread([&] {
    for (void* block : blocks) FramePool::free(block, 300);
  }).join();
}

// Frees a block when the thread ends, later than the pool's own end or earlier.
struct FreesAtExit {
  void* block = nullptr;
  ~FreesAtExit() { FramePool::free(block, 64); }
};

TEST(FramePool, AThreadsLastFreesMayComeAfterItsListsEnd) {
  std::thread([] {
    thread_local FreesAtExit early;  // made before the lists, so it ends after them
    early.block = FramePool::allocate(64);
    FramePool::free(FramePool::allocate(64), 64);
    thread_local FreesAtExit late;
    late.block = FramePool::allocate(64);
  }).join();
}

}  // namespace
}  // namespace blitzio
