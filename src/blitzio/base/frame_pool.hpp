// `FramePool`: memory for tasks and coroutine frames, which come and go quickly and in few sizes:
// free lists per thread and size, so that most of them cost no call of the allocator.
//
//   the thread's lists:   24 ─▶ cell ─▶ cell      (the link lies in the free cell itself)
//                         40 ─▶ cell
//                          …                       (what malloc's blocks hold: 8 more than 16s)
//                       1032
//                        │ ▲
//      full, or to spare ▼ │ empty
//   the process's shelves, one per size: batch ─▶ batch, each a whole list of some thread
//
// A frame that is freed on another thread than it was made on goes to that thread's lists. A list
// that has reached kKeptBytes, and most of a worker's that goes to sleep, goes to the shelf of its
// size, from where a thread whose list is empty takes it: so what one thread only frees, another
// that only makes gets back. A shelf keeps kShelvedBytes at most; lists that find it full go to the
// allocator, one thread at a time giving back what all have left, until there is nothing more: many
// tasks that end at once come from one arena of malloc, for whose lock their threads would wait in
// turns. A thread that needs some meanwhile takes a list of those. What is larger or comes after
// the end of the thread goes to the allocator as it is, and so does what finds a shelf in another
// thread's hands: nobody waits here. A thread's lists end with it.
//
// A fork between two instructions leaves nothing locked that is needed. What other threads had in
// their hands, as what lies in their lists, a child does not use again; a shelf that one of them
// held serves nobody there, as if it were full and empty at once.
//
// Under the address and thread sanitizers everything goes to the allocator, for they see a use
// after free only there; still in the sizes of the lists, since a program may be built with one and
// the library without, and then a block that either has allocated may come to the other's lists.
//
// Threads: any; a block may be freed on any.
#pragma once

#include <blitzio/base/platform.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>

namespace blitzio {

namespace detail {
/// A block that nobody uses, in a list of such.
struct FrameCell {
  FrameCell* next;
};
}  // namespace detail

class FramePool {
 public:
  static constexpr std::size_t kStepBytes = 16;
  static constexpr std::size_t kLeastBytes = 24;
  static constexpr std::size_t kPooledBytesMax = 1032;
  static constexpr std::size_t kLists = (kPooledBytesMax - kLeastBytes) / kStepBytes + 1;
  static constexpr std::size_t kKeptBytes = 64 * 1024;      ///< per thread and list
  static constexpr std::size_t kShelvedBytes = 256 * 1024;  ///< per shelf

  /// Memory of the default alignment of operator new. Throws std::bad_alloc.
  [[nodiscard]] static void* allocate(std::size_t bytes) {
    if (BLITZIO_UNLIKELY(bytes > kPooledBytesMax)) return ::operator new(bytes);
    const std::size_t list = list_of(bytes);
    if (!kIsPooling) return ::operator new(bytes_of(list));
    Lists* lists = lists_;
    if (BLITZIO_UNLIKELY(lists == nullptr || lists->free[list] == nullptr)) {
      return allocate_slow(list);
    }
    return lists->pop(list);
  }
  /// `bytes` as at allocate().
  static void free(void* memory, std::size_t bytes) noexcept {
    if (!kIsPooling || BLITZIO_UNLIKELY(bytes > kPooledBytesMax)) {
      ::operator delete(memory);
      return;
    }
    const std::size_t list = list_of(bytes);
    Lists* lists = lists_;
    if (BLITZIO_UNLIKELY(lists == nullptr || lists->room[list] == 0)) {
      free_slow(memory, list);
      return;
    }
    lists->push(memory, list);
  }

  /// Puts what the calling thread has to spare where others find it. For one that is going to
  /// sleep.
  static void share() noexcept;
  /// From now on the calling thread keeps no frames.
  static void disable_on_this_thread() noexcept;
  /// Whether it keeps, or would keep, those it frees.
  [[nodiscard]] static bool is_enabled_on_this_thread() noexcept;

 private:
  static constexpr bool kIsPooling = BLITZIO_ASAN + BLITZIO_TSAN == 0;
  // What a thread does not share, per list: it will want some again when it wakes.
  static constexpr std::uint32_t kKeptCells = 8;

  static constexpr std::size_t list_of(std::size_t bytes) noexcept {
    return bytes <= kLeastBytes ? 0 : (bytes - kLeastBytes - 1) / kStepBytes + 1;
  }
  static constexpr std::size_t bytes_of(std::size_t list) noexcept {
    return kLeastBytes + list * kStepBytes;
  }

  // How many cells a list has when it is full.
  static const std::array<std::uint32_t, kLists> kCapacities;

  // One thread's.
  struct Lists {
    Lists() noexcept;
    Lists(const Lists&) = delete;
    Lists& operator=(const Lists&) = delete;
    ~Lists();
    void push(void* memory, std::size_t list) noexcept {
      free[list] = ::new (memory) detail::FrameCell{free[list]};
      --room[list];
    }
    void* pop(std::size_t list) noexcept {
      detail::FrameCell* cell = free[list];
      free[list] = cell->next;
      ++room[list];
      return cell;
    }
    void shelve(std::size_t list, std::uint32_t kept) noexcept;
    [[nodiscard]] bool restock(std::size_t list) noexcept;

    std::array<detail::FrameCell*, kLists> free{};
    std::array<std::uint32_t, kLists> room;  ///< how many more a list takes
  };
  class Owner;

  BLITZIO_COLD static void* allocate_slow(std::size_t list);
  BLITZIO_COLD static void free_slow(void* memory, std::size_t list) noexcept;

  // Words in the static TLS block: reading them costs one load even from a shared object.
  [[gnu::tls_model("initial-exec")]] static thread_local constinit Lists* lists_;
};

}  // namespace blitzio
