// `FrameShelf`: a list of free blocks goes from one thread to another whole, and to one only.
// `SoleSweeper`: of what is left for it nothing stays.
#include <blitzio/base/frame_shelf.hpp>
#include <blitzio/base/sole_sweeper.hpp>

#include <model/support.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>

namespace blitzio::model {
namespace {

using blitzio::detail::FrameCell;
using blitzio::detail::FrameShelf;
using blitzio::detail::SoleSweeper;

// Blocks of the smallest size. Users write all over them: two users of one are a data race.
struct Blocks {
  struct alignas(FrameShelf::Batch) Block {
    std::array<std::uint64_t, FramePool::kLeastBytes / 8> words;
  };
  std::array<Block, 3> all{};

  // A list of `count` blocks from `first` on.
  FrameCell* list(std::size_t first, std::size_t count) noexcept {
    FrameCell* head = nullptr;
    for (std::size_t i = first + count; i-- > first;) head = ::new (&all[i]) FrameCell{head};
    return head;
  }
};

// Uses every block of a list as memory. Returns how many there were.
std::uint32_t use(FrameCell* list) noexcept {
  std::uint32_t count = 0;
  while (list != nullptr) {
    FrameCell* const next = list->next;
    ::new (static_cast<void*>(list)) Blocks::Block{};
    list = next;
    ++count;
  }
  return count;
}

constexpr std::size_t kRoom = 100;

std::uint32_t take_from(FrameShelf& shelf) noexcept {
  FrameShelf::Batch* const batch = shelf.take();
  if (batch == nullptr) return 0;
  const std::uint32_t said = batch->cells;
  const std::uint32_t count = use(batch);
  BLITZIO_CHECK(count == said, count, said);
  return count;
}

void put_and_take_at_once() {
  Blocks blocks;
  FrameShelf shelf;
  std::uint32_t others = 0;
  Thread other([&] {
    FrameCell* const list = blocks.list(0, 2);
    if (!shelf.put(list, 2, kRoom)) others += use(list);
    others += take_from(shelf);
  });
  FrameCell* const list = blocks.list(2, 1);
  std::uint32_t own = 0;
  if (!shelf.put(list, 1, kRoom)) own += use(list);
  own += take_from(shelf);
  other.join();
  while (const std::uint32_t left = take_from(shelf)) own += left;
  BLITZIO_CHECK(own + others == 3, own, others);
}

TEST(FrameShelfModel, EveryListIsTakenOnceAndWhole) {
  expect_sound(put_and_take_at_once);
}

TEST(FrameShelfModel, NoMoreArePutThanHaveRoom) {
  expect_sound([] {
    Blocks blocks;
    FrameShelf shelf;
    bool was_put = false;
    Thread other([&] { was_put = shelf.put(blocks.list(0, 2), 2, 2); });
    const bool own_was_put = shelf.put(blocks.list(2, 1), 1, 2);
    other.join();
    BLITZIO_CHECK(was_put || own_was_put);
    BLITZIO_CHECK(!(was_put && own_was_put));
    BLITZIO_CHECK(take_from(shelf) == (was_put ? 2U : 1U));
    BLITZIO_CHECK(shelf.take() == nullptr);
  });
}

Options weakened(const char* function, Access access, std::memory_order from) {
  Options options;
  options.weakenings = {
      {.file = "base/frame_shelf.hpp", .function = function, .access = access, .from = from}};
  return options;
}

TEST(FrameShelfModel, FindsAShelfThatIsHandedOnUnpublished) {
  expect_finds("check failed", put_and_take_at_once,
               weakened("let_go", Access::store, std::memory_order_release));
  expect_finds("check failed", put_and_take_at_once,
               weakened("take_hold", Access::exchange, std::memory_order_acquire));
}

// A shelf from which one thread at a time gives back, as those of FramePool that leave.
struct Leaving {
  // As FramePool::Lists::shelve(): who finds the shelf in other hands keeps the list.
  void leave(FrameCell* list, std::uint32_t cells) noexcept {
    if (shelf.put(list, cells, kRoom)) {
      give_back();
    } else {
      count(use(list));
    }
  }
  // As FramePool::Lists::restock().
  void restock(bool asks) noexcept {
    FrameShelf::Batch* const batch = shelf.take();
    if (batch == nullptr) return;
    if (batch->below != nullptr && asks) give_back();
    count(use(batch));
  }
  void give_back() noexcept {
    giver.ask([this] {
      while (const std::uint32_t cells = take_from(shelf)) count(cells);
    });
  }
  void count(std::uint32_t cells) noexcept { gone.fetch_add(cells, std::memory_order_relaxed); }
  void check(std::uint32_t cells) noexcept {
    BLITZIO_CHECK(shelf.take() == nullptr);
    BLITZIO_CHECK(gone.load() == cells, gone.load(), cells);
  }

  Blocks blocks;
  FrameShelf shelf;
  SoleSweeper giver;
  Atomic<std::uint32_t> gone{0};  ///< blocks that somebody has got, relaxed: joined before check()
};

void leave_at_once() {
  Leaving leaving;
  Thread other([&] { leaving.leave(leaving.blocks.list(0, 2), 2); });
  leaving.leave(leaving.blocks.list(2, 1), 1);
  other.join();
  leaving.check(3);
}

TEST(FrameShelfModel, NothingThatIsLeftStays) {
  expect_sound(leave_at_once);
}

// Two lists have been left, and who has left them asks while another thread takes one.
void restock_from_what_leaves(bool asks) {
  Leaving leaving;
  BLITZIO_CHECK(leaving.shelf.put(leaving.blocks.list(0, 1), 1, kRoom));
  BLITZIO_CHECK(leaving.shelf.put(leaving.blocks.list(1, 2), 2, kRoom));
  Thread other([&] { leaving.give_back(); });
  leaving.restock(asks);
  other.join();
  leaving.check(3);
}

TEST(FrameShelfModel, NothingStaysWhereAThreadTakesSome) {
  expect_sound([] { restock_from_what_leaves(true); });
  expect_finds("check failed", [] { restock_from_what_leaves(false); });
}

TEST(FrameShelfModel, FindsAPassThatDoesNotSeeWhatWasLeft) {
  expect_finds("check failed", leave_at_once,
               {.weakenings = {{.file = "base/sole_sweeper.hpp",
                                .function = "ask",
                                .access = Access::exchange,
                                .from = std::memory_order_release}}});
  expect_finds("check failed", leave_at_once,
               {.weakenings = {{.file = "base/sole_sweeper.hpp",
                                .function = "ask",
                                .access = Access::exchange,
                                .from = std::memory_order_acquire}}});
}

}  // namespace
}  // namespace blitzio::model
