// `TimerWheel`: any number of timers on one thread; arming and cancelling cost a few nanoseconds.
//
// A hashed hierarchical wheel. A tick is 2^20 ns unless chosen otherwise (1.05 ms), and has 256
// grains (powers of two, so that a shift replaces a division); the slot that holds an entry follows
// from the highest bit in which its grain differs from the cursor's, so every entry of a level
// expires before every entry of the level above:
//
//   cursor ─▶ current  by (deadline, arming order): grains up to the cursor's
//             level 0  256 slots of    1 grain    window 1.05 ms
//             level 1  256 slots of    1 tick            0.27 s
//             level 2   64 slots of  256 ticks           17 s
//             level 3   64 slots of  2^14 ticks          18 min
//             level 4   64 slots of  2^20 ticks          20 h
//             beyond   pairing heap
//
// When the cursor enters a slot of level 0 or 1 whose entries were put there in their order, which
// a bit tells, they are the current ones as they are. Else they move to a pairing heap, which
// orders them to the nanosecond, if they are few: of a tick that many share they are spread over
// its grains first, for a heap of thousands misses the cache again and again. A slot of a higher
// level is spread over the levels below it. An entry moves at most six times in its life, whatever
// its deadline. Bitmaps of occupied slots find the next one with count-trailing-zeros, so an idle
// gap of any length costs the same. The links of slots and heaps lie in the entry: nothing
// allocates. The wheel itself is 17 KB.
//
// Each slot keeps a bound of its earliest deadline: exact until the earliest is cancelled, and
// never too late. So a loop sleeps until a deadline, not until a slot begins.
//
// Invariants: an entry in a slot of level n agrees with the cursor in all bits above that level and
// is ahead of it in the level's own; a set bit means a slot that is not empty. The cursor is ahead
// of the clock by less than a tick: where a whole tick became current.
// Threads: owner only.
// Source: Varghese & Lauck, "Hashed and Hierarchical Timing Wheels" (1987); Fredman et al., "The
// Pairing Heap" (1986).
#pragma once

#include <blitzio/base/check.hpp>
#include <blitzio/base/instant.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace blitzio::time {

namespace detail {
// In a slot: a circular list around the slot's own links. In a heap: `next` is the next sibling,
// `prev` the previous one or, for a first child, the parent.
struct TimerLinks {
  TimerLinks* next = nullptr;
  TimerLinks* prev = nullptr;
};
class TimerHeap;
}  // namespace detail

/// A timer, embedded in what it belongs to: derive from it or make it a member.
///
///            insert                 fires or is cancelled
///     idle ──────────▶ in_slot ─────────────────────────────▶ idle
///       │                 │ its tick comes                      ▲
///       └───────────────▶ in_heap ──────────────────────────────┘
///
/// An armed entry can neither move nor die (checked). It may be armed again as soon as it is idle,
/// which it is when its own fire function runs.
class TimerEntry : private detail::TimerLinks {
 public:
  /// Runs from TimerWheel::advance(). May arm, cancel and destroy any entry, its own included.
  using Fire = void (*)(TimerEntry& entry) noexcept;

  explicit TimerEntry(Fire on_fire) noexcept : fire_(on_fire) {}
  TimerEntry(const TimerEntry&) = delete;
  TimerEntry& operator=(const TimerEntry&) = delete;
  ~TimerEntry() { BLITZIO_CHECK(!is_armed(), deadline_.as_nanos()); }

  [[nodiscard]] bool is_armed() const noexcept { return place_ != kIdle; }
  /// The deadline it was last armed with.
  [[nodiscard]] Instant deadline() const noexcept { return deadline_; }
  /// What it runs: tells an owner of several kinds of entries which kind this is.
  [[nodiscard]] Fire fire_function() const noexcept { return fire_; }

 private:
  friend class TimerWheel;
  friend class detail::TimerHeap;
  static constexpr std::uint64_t kIdle = 0;
  static constexpr std::uint64_t kInSlot = 1;
  static constexpr std::uint64_t kInHeap = 2;

  [[nodiscard]] bool is_before(const TimerEntry& other) const noexcept {
    return deadline_ != other.deadline_ ? deadline_ < other.deadline_ : sequence_ < other.sequence_;
  }

  TimerEntry* child_ = nullptr;  // in a heap: the first child
  Fire fire_;
  Instant deadline_;
  std::uint64_t sequence_ : 62 = 0;  // arming order; 62 bits last a century of 10^9 per second
  std::uint64_t place_ : 2 = kIdle;
};

static_assert(sizeof(TimerEntry) == 48);

namespace detail {

/// A pairing heap of entries: O(1) push and merge, O(log n) amortised removal, no allocation.
class TimerHeap {
 public:
  [[nodiscard]] bool is_empty() const noexcept { return root_ == nullptr; }
  /// The earliest; null if empty.
  [[nodiscard]] TimerEntry* top() const noexcept { return root_; }
  void push(TimerEntry& entry) noexcept;
  void pop() noexcept;
  void merge(TimerHeap& other) noexcept;
  /// The entry that follows in a walk over the whole heap from its top, in no useful order; null at
  /// the end. A whole walk is O(n).
  [[nodiscard]] static TimerEntry* next_in_walk(TimerEntry& entry) noexcept;
  /// For an entry that is in some heap but is not its top: no need to know which.
  static void remove_inner(TimerEntry& entry) noexcept;

 private:
  static TimerEntry* meld(TimerEntry* a, TimerEntry* b) noexcept;
  static TimerEntry* meld_siblings(TimerEntry* first) noexcept;

  TimerEntry* root_ = nullptr;
};

}  // namespace detail

class TimerWheel {
 public:
  static constexpr Duration kTick = Duration::from_millis(1);

  /// `tick`: the width of a slot of level 1, rounded up to a power of two of nanoseconds, 256 or
  /// more. Positive.
  explicit TimerWheel(Instant now = Instant::now(), Duration tick = kTick) noexcept;
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  /// Must be empty.
  ~TimerWheel();

  /// Arms an idle entry. A deadline that has passed fires at the next advance().
  /// Cost     O(1), no allocation.
  void insert(TimerEntry& entry, Instant deadline) noexcept;
  /// Disarms an armed entry; it does not fire.
  /// Cost     O(1); O(log n) amortised among the entries of the current tick, or beyond 20 hours.
  void cancel(TimerEntry& entry) noexcept;

  /// Fires every entry with deadline <= `now`, earliest first and in arming order among equals.
  /// None fires early. What a fire function arms waits for the next advance(). An earlier `now`
  /// than the last one is allowed. Returns  how many fired.
  std::size_t advance(Instant now) noexcept;

  /// When to call advance() next: the earliest deadline, or, after the earliest was cancelled, a
  /// moment before it (each advance() to such a moment gets closer). Instant::max() if empty.
  [[nodiscard]] Instant next_deadline() const noexcept;

  /// Disarms some entry without firing it and returns it; null if empty. For shutting down.
  TimerEntry* disarm_any() noexcept;

  /// Calls `visitor(TimerEntry&)` on every armed entry, in no useful order, until one call returns
  /// something other than 0, and returns that. The visitor must not arm or cancel. O(size).
  template <class Visitor>
  int visit(Visitor&& visitor) noexcept {
    for (const detail::TimerHeap* heap : {&current_, &deferred_, &beyond_}) {
      for (TimerEntry* entry = heap->top(); entry != nullptr;
           entry = detail::TimerHeap::next_in_walk(*entry)) {
        if (const int stop = visitor(*entry)) return stop;
      }
    }
    for (Slot& slot : slots_) {
      for (detail::TimerLinks* links = slot.next; links != &slot; links = links->next) {
        if (const int stop = visitor(static_cast<TimerEntry&>(*links))) return stop;
      }
    }
    return 0;
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] Duration tick() const noexcept {
    return Duration::from_nanos(std::int64_t{1} << (grain_shift_ + kGrainBits));
  }
  [[nodiscard]] bool is_empty() const noexcept { return size_ == 0; }

 private:
  struct Slot : detail::TimerLinks {
    Instant earliest;  // a lower bound, meaningful while the slot is not empty
  };

  static constexpr unsigned kGrainBits = 8;  // of a tick
  static constexpr std::size_t kGrains = 1 << kGrainBits;
  static constexpr std::size_t kTickSlots = 256;                 // of level 1
  static constexpr std::size_t kOrdered = kGrains + kTickSlots;  // slots that know their order
  static constexpr std::size_t kSlots = kOrdered + 3 * 64;
  static constexpr std::size_t kWords = kSlots / 64;
  static constexpr std::size_t kNone = kSlots;
  static constexpr std::size_t kSorted = kSlots;  // what of a slot in order became current

  [[nodiscard]] std::uint64_t grain_of(Instant at) const noexcept;
  void place(TimerEntry& entry) noexcept;
  void take_from_slot(TimerEntry& entry) noexcept;
  [[nodiscard]] std::size_t first_occupied() const noexcept;
  [[nodiscard]] std::uint64_t start_of(std::size_t slot) const noexcept;
  static unsigned fetch(detail::TimerLinks& first, detail::TimerLinks& last) noexcept;
  void enter_slot(std::size_t slot) noexcept;
  void enter_window() noexcept;
  bool step(std::uint64_t target) noexcept;
  [[nodiscard]] TimerEntry* first_current() const noexcept;
  std::size_t fire_due(Instant now) noexcept;

  const unsigned grain_shift_;
  std::uint64_t cursor_;  // the grain whose entries are in current_ and slot kSorted
  std::size_t size_ = 0;
  std::uint64_t next_sequence_ = 0;
  detail::TimerHeap current_;
  detail::TimerHeap beyond_;
  // While advancing: what a fire function armed and is due already; joins current_ afterwards.
  detail::TimerHeap deferred_;
  bool advancing_ = false;
  Instant advancing_to_;
  // Words 0 to 3: level 0, 4 to 7: level 1, then one for each level.
  std::array<std::uint64_t, kWords + 1> occupied_{};
  std::array<std::uint64_t, kOrdered / 64> unsorted_{};
  std::array<Slot, kSlots + 1> slots_;
};

}  // namespace blitzio::time
