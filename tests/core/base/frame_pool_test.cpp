#include <blitzio/base/frame_pool.hpp>

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <new>
#include <set>
#include <thread>
#include <utility>
#include <vector>

namespace blitzio {
namespace {

constexpr std::array<std::size_t, 9> kSizes{0, 1, 56, 57, 200, 1031, 1032, 1033, 5000};

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
  void* again = FramePool::allocate(104);
  EXPECT_NE(other, first);
  EXPECT_EQ(again, first);
  FramePool::free(other, 200);
  FramePool::free(again, 104);
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
  constexpr std::size_t kFull = FramePool::kKeptBytes / 456;
  const auto blocks = made_elsewhere(kFull + 1, 456);
  for (void* block : blocks) FramePool::free(block, 456);
  EXPECT_EQ(how_many_come_back(blocks, 456), kFull);
}

TEST(FramePool, AThreadThatSharesKeepsAFew) {
  if (BLITZIO_ASAN || BLITZIO_TSAN) GTEST_SKIP() << "the allocator's, so that it is watched";
  const auto blocks = made_elsewhere(30, 488);
  std::set<void*> kept;
  for (void* block : blocks) FramePool::free(block, 488);
  FramePool::share();
  FramePool::share();  // Nothing more to spare.
  EXPECT_EQ(how_many_come_back(blocks, 488), 22);
  for (int i = 0; i < 8; ++i) kept.insert(FramePool::allocate(488));
  for (void* block : kept) {
    EXPECT_TRUE(blocks.contains(block));
    FramePool::free(block, 488);
  }
}

// Bytes of malloc's blocks.
std::ptrdiff_t bytes_in_use() {
  return static_cast<std::ptrdiff_t>(::mallinfo2().uordblks);
}

TEST(FramePool, AShelfThatIsFullLeavesTheRestToTheAllocator) {
  constexpr std::size_t kBytes = 1000;
  std::vector<void*> blocks;
  const std::ptrdiff_t before = bytes_in_use();
  for (std::size_t i = 0; i < 8 * FramePool::kShelvedBytes / kBytes; ++i) {
    blocks.push_back(FramePool::allocate(kBytes));
  }
  for (void* block : blocks) FramePool::free(block, kBytes);
  blocks = {};
  if (BLITZIO_ASAN || BLITZIO_TSAN) return;
  constexpr std::ptrdiff_t kKept = FramePool::kShelvedBytes + FramePool::kKeptBytes;
  EXPECT_LT(bytes_in_use() - before, kKept + kKept / 4);
}

// Allocates four times what a shelf holds, writes the owner's name all over it, meets the others,
// and frees it if it is still only the owner's.
void burst(std::size_t owner, std::barrier<>& all_hold) {
  constexpr std::size_t kBytes = 1032;
  constexpr std::size_t kBlocks = 4 * FramePool::kShelvedBytes / kBytes;
  using Words = std::array<std::size_t, kBytes / sizeof(std::size_t)>;
  std::vector<Words*> blocks;
  for (std::size_t i = 0; i < kBlocks; ++i) {
    blocks.push_back(::new (FramePool::allocate(kBytes)) Words);
    blocks.back()->fill(owner + i);
  }
  all_hold.arrive_and_wait();
  std::size_t spoilt = 0;
  for (std::size_t i = 0; i < kBlocks; ++i) {
    spoilt += std::ranges::count(*blocks[i], owner + i) != std::ssize(*blocks[i]);
    FramePool::free(blocks[i], kBytes);
  }
  EXPECT_EQ(spoilt, 0U);
}

// Threads whose lists and shelves are full at the same time: what they have goes to the allocator,
// whichever of them gives it back, and none of it stays.
TEST(FramePool, WhatSeveralThreadsGiveBackIsGivenBackOnce) {
  constexpr std::size_t kThreads = 3;
  const auto bursts = [](std::size_t threads) {
    std::barrier<> all_hold(static_cast<std::ptrdiff_t>(threads));
    std::vector<std::thread> running;
    for (std::size_t i = 0; i < threads; ++i) {
      running.emplace_back([&, i] { burst((i + 1) << 32, all_hold); });
    }
    for (std::thread& thread : running) thread.join();
  };
  bursts(1);  // Fills the shelf, which stays so.
  const std::ptrdiff_t before = bytes_in_use();
  for (int round = 0; round < 4; ++round) bursts(kThreads);
  if (BLITZIO_ASAN || BLITZIO_TSAN) return;
  constexpr auto kOneList = static_cast<std::ptrdiff_t>(FramePool::kKeptBytes);
  EXPECT_LT(bytes_in_use() - before, kOneList / 2);
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
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{25}, std::size_t{1'001}}) {
    void* const block = FramePool::allocate(bytes);
    EXPECT_GE(::malloc_usable_size(block), bytes <= 24 ? 24 : (bytes + 7) / 16 * 16 + 8);
    FramePool::free(block, bytes);
  }
}

}  // namespace
}  // namespace blitzio
