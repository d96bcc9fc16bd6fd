// `FdTable`: what a readiness backend knows about each file descriptor, found by its number.
//
// Two levels: a root array that grows, and chunks of 64 entries that never move, so that an entry's
// address (and the list heads in it) stays good while completion functions make the table grow.
// 64 bytes per descriptor; chunks are kept until the driver goes. Owner thread only.
#pragma once

#include <blitzio/base/intrusive_list.hpp>
#include <blitzio/driver/operation.hpp>
#include <blitzio/driver/readiness/perform.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace blitzio::driver::readiness {

using WaitQueue = IntrusiveList<Operation, QueueTag>;

/// What the waiting operations of one descriptor want to hear of.
struct Interest {
  std::uint32_t events;  ///< poll(2) bits; 0 if nobody waits
  bool is_multishot;     ///< somebody stays after the first event
  bool is_standing;      ///< somebody leaves and comes back (Operation::poll_again())
};

/// Whether a read of less than was asked for left nothing behind.
enum class ShortRead : std::uint8_t {
  unknown,
  says_nothing,               ///< datagrams, records, whatever is no socket
  drains_unless_it_took_fds,  ///< Unix streams: a read ends behind a message that carried some
  drains,                     ///< TCP
};

struct FdEntry {
  static constexpr std::uint32_t kNoSlot = 0xFFFF'FFFF;

  // Operations that wait, oldest first. The head of readers or writers stands for its queue: if it
  // would block, so would those behind it, but for special ones (is_special()).
  WaitQueue readers;
  WaitQueue writers;
  WaitQueue pollers;

  /// Counts registrations; rides in the kernel's event, so that events of a registration that
  /// outlived its descriptor (a dup keeps the description alive) are told from the present one's.
  std::uint32_t generation = 0;
  /// poll backend: index in the pollfd array.
  std::uint32_t slot = kNoSlot;
  /// Unattached: the poll(2) bits that the kernel watches, as far as we know.
  std::uint16_t armed = 0;
  /// Events that came while poll_multishot operations were on their way to dispatch().
  std::uint16_t missed = 0;
  /// How many poll_multishot operations are on that way.
  std::uint16_t runnable_pollers = 0;

  bool attached : 1 = false;
  /// The kernel has a registration, as far as we know (an unattached fd may have been closed). poll
  /// backend: it has a slot.
  bool registered : 1 = false;
  /// The registration outlives events rather than ending with the first.
  bool persistent : 1 = false;
  /// epoll: and it is level-triggered, so it must be ended when nobody comes back.
  bool is_level : 1 = false;
  // Attached only: false means that a call said EAGAIN, and that any readiness since then is still
  // to come as an event. True means "try".
  bool read_ready : 1 = false;
  bool write_ready : 1 = false;
  /// The last event said end or error: a short read does not mean "drained".
  bool sticky : 1 = false;
  /// There was urgent data, and no EAGAIN since. Its mark outlives it and ends a read, too.
  bool has_mark : 1 = false;
  /// Asked once per attached fd.
  ShortRead short_read : 2 = ShortRead::unknown;

  [[nodiscard]] bool may_hide_more() const noexcept { return sticky || has_mark; }
  /// Nothing is left to read: what comes from now on is an event.
  void note_drained() noexcept {
    read_ready = false;
    has_mark = false;
  }
  [[nodiscard]] bool has_waiters() const noexcept {
    return !readers.is_empty() || !writers.is_empty() || !pollers.is_empty();
  }
  [[nodiscard]] WaitQueue& queue(Direction direction) noexcept;
  /// O(waiting operations), which are one or two.
  [[nodiscard]] Interest interest() noexcept;
};

static_assert(sizeof(FdEntry) == 64);

class FdTable {
 public:
  FdTable() noexcept = default;
  FdTable(const FdTable&) = delete;
  FdTable& operator=(const FdTable&) = delete;

  /// The entry of `fd`, or null if ensure() never made one.
  [[nodiscard]] FdEntry* find(int fd) noexcept {
    const auto index = static_cast<std::uint32_t>(fd);
    const std::uint32_t chunk = index / kChunkEntries;
    if (chunk >= chunk_count_ || chunks_[chunk] == nullptr) return nullptr;
    return &chunks_[chunk]->entries[index % kChunkEntries];
  }

  /// Makes the entry if need be.
  /// Returns  0, or an errno: EBADF (asked only when the table must grow: a wild number must not
  ///          make it huge), ENOMEM.
  [[nodiscard]] int ensure(int fd, FdEntry*& entry) noexcept;

  /// `visit(fd, entry)` of each entry there is, in use or not.
  template <class Visit>
  void for_each(Visit&& visit) noexcept {
    for (std::uint32_t chunk = 0; chunk < chunk_count_; ++chunk) {
      if (chunks_[chunk] == nullptr) continue;
      int fd = static_cast<int>(chunk * kChunkEntries);
      for (FdEntry& entry : chunks_[chunk]->entries) visit(fd++, entry);
    }
  }

 private:
  static constexpr std::uint32_t kChunkEntries = 64;
  struct Chunk {
    std::array<FdEntry, kChunkEntries> entries;
  };

  std::unique_ptr<std::unique_ptr<Chunk>[]> chunks_;
  std::uint32_t chunk_count_ = 0;
};

}  // namespace blitzio::driver::readiness
