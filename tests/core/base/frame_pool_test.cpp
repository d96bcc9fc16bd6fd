#include <blitzio/base/frame_pool.hpp>

#include <gtest/gtest.h>
#include <malloc.h>

#include <array>
#include <atomic>
#include <cstdint>
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

std::set<void*> made_elsewhere(std::size_t count, std::size_t bytes) {
  std::set<void*> blocks;
  std::thread([&] {
    while (blocks.size() < count) blocks.insert(FramePool::allocate(bytes));
  }).join();
  return blocks;
}

std::size_t how_many_come_back(const std::set<void*>& blocks, std::size_t bytes) {
  std::size_t known = 0;
  std::thread([&] {
    std::vector<void*> again;
    for (std::size_t i = 0; i < blocks.size(); ++i) again.push_back(FramePool::allocate(bytes));
    for (void* block : again) known += blocks.contains(block);
    for (void* block : again) FramePool::free(block, bytes);
  }).join();
  return known;
}

TEST(FramePool, WhatOneThreadHasNoRoomForServesOthers) {
  if (BLITZIO_ASAN || BLITZIO_TSAN) GTEST_SKIP() << "the allocator's, so that it is watched";
  constexpr std::size_t kFull = FramePool::kKeptBytes / 448;
  const auto blocks = made_elsewhere(kFull + 1, 448);
  for (void* block : blocks) FramePool::free(block, 448);
  EXPECT_EQ(how_many_come_back(blocks, 448), kFull);
}

TEST(FramePool, AThreadThatSharesKeepsAFew) {
  if (BLITZIO_ASAN || BLITZIO_TSAN) GTEST_SKIP() << "the allocator's, so that it is watched";
  const auto blocks = made_elsewhere(30, 480);
  std::set<void*> kept;
  for (void* block : blocks) FramePool::free(block, 480);
  FramePool::share();
  FramePool::share();  // Nothing more to spare.
  EXPECT_EQ(how_many_come_back(blocks, 480), 22);
  for (int i = 0; i < 8; ++i) kept.insert(FramePool::allocate(480));
  for (void* block : kept) {
    EXPECT_TRUE(blocks.contains(block));
    FramePool::free(block, 480);
  }
}

TEST(FramePool, AShelfThatIsFullLeavesTheRestToTheAllocator) {
  std::vector<void*> blocks;
  for (std::size_t i = 0; i < 2 * FramePool::kShelvedBytes / 992; ++i) {
    blocks.push_back(FramePool::allocate(992));
  }
  for (void* block : blocks) FramePool::free(block, 992);
}

// Threads that only make, and threads that only free: no block is anybody's twice.
TEST(FramePool, BlocksGoRoundWithoutMeeting) {
  constexpr int kRounds = 2000;
  constexpr int kBlocks = 16;
  constexpr std::size_t kBytes = 416;
  const auto pass = [] {
    std::array<std::atomic<std::uint64_t*>, kBlocks> slots{};
    std::thread taker([&] {
      for (int i = 0; i < kRounds * kBlocks; ++i) {
        std::uint64_t* block = nullptr;
        while ((block = slots[i % kBlocks].exchange(nullptr)) == nullptr) std::this_thread::yield();
        EXPECT_EQ(*block, static_cast<std::uint64_t>(i));
        FramePool::free(block, kBytes);
        if (i % 64 == 0) FramePool::share();
      }
    });
    for (int i = 0; i < kRounds * kBlocks; ++i) {
      auto* block = static_cast<std::uint64_t*>(FramePool::allocate(kBytes));
      *block = static_cast<std::uint64_t>(i);
      while (slots[i % kBlocks].load() != nullptr) std::this_thread::yield();
      slots[i % kBlocks].store(block);
    }
    taker.join();
  };
  std::thread other(pass);
  pass();
  other.join();
}

TEST(FramePool, AThreadMayStopKeepingThem) {
  std::thread([] {
    FramePool::free(FramePool::allocate(64), 64);
    FramePool::disable_on_this_thread();
    EXPECT_FALSE(FramePool::is_enabled_on_this_thread());
    FramePool::free(FramePool::allocate(64), 64);
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

TEST(FramePool, BlocksHaveTheSizeOfTheirListInEveryBuild) {
  // One that a program under a sanitizer made may come to the lists of a library without.
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{33}, std::size_t{1'000}}) {
    void* const block = FramePool::allocate(bytes);
    EXPECT_GE(::malloc_usable_size(block), (bytes + 31) / 32 * 32);
    FramePool::free(block, bytes);
  }
}

}  // namespace
}  // namespace blitzio
