#include <blitzio/time/wheel.hpp>

#include <blitzio/base/platform.hpp>

#include <algorithm>
#include <bit>
#include <utility>

namespace blitzio::time {

namespace {

constexpr unsigned kLowBits = 16;   // grains of the window of level 1
constexpr unsigned kLevelBits = 6;  // of each level above
constexpr unsigned kWindowBits = kLowBits + 3 * kLevelBits;
constexpr unsigned kFetchSteps = 4'096;  // of two entries each, with what they are part of: 1 MB
constexpr unsigned kCrowd = 16;          // such steps: what a heap orders as quickly

/// A slot's bit in its word of a bitmap.
constexpr std::uint64_t bit_of(std::size_t slot) noexcept {
  return std::uint64_t{1} << (slot % 64);
}

/// The lowest grain bit that selects a slot of `level` (2 to 4).
constexpr unsigned shift_of(unsigned level) noexcept {
  return kLowBits + (level - 2) * kLevelBits;
}

}  // namespace

namespace detail {

// Either may be null; both are roots. The later one becomes the first child of the earlier.
TimerEntry* TimerHeap::meld(TimerEntry* a, TimerEntry* b) noexcept {
  if (a == nullptr) return b;
  if (b == nullptr) return a;
  if (b->is_before(*a)) std::swap(a, b);
  b->next = a->child_;
  if (a->child_ != nullptr) a->child_->prev = b;
  b->prev = a;
  a->child_ = b;
  return a;
}

// Two passes, neither recursive: siblings are melded in pairs from the left, then the pairs are
// melded from the right; this order is what makes removal O(log n) amortised.
TimerEntry* TimerHeap::meld_siblings(TimerEntry* first) noexcept {
  TimerEntry* pairs = nullptr;
  while (first != nullptr) {
    TimerEntry* a = first;
    auto* b = static_cast<TimerEntry*>(a->next);
    first = b != nullptr ? static_cast<TimerEntry*>(b->next) : nullptr;
    a->next = a->prev = nullptr;
    if (b != nullptr) b->next = b->prev = nullptr;
    TimerEntry* pair = meld(a, b);
    pair->next = pairs;
    pairs = pair;
  }
  TimerEntry* root = nullptr;
  while (pairs != nullptr) {
    auto* next = static_cast<TimerEntry*>(std::exchange(pairs->next, nullptr));
    root = meld(root, pairs);
    pairs = next;
  }
  return root;
}

void TimerHeap::push(TimerEntry& entry) noexcept {
  entry.next = entry.prev = nullptr;
  entry.child_ = nullptr;
  root_ = meld(root_, &entry);
}

void TimerHeap::pop() noexcept {
  root_ = meld_siblings(std::exchange(root_->child_, nullptr));
}

void TimerHeap::merge(TimerHeap& other) noexcept {
  root_ = meld(root_, std::exchange(other.root_, nullptr));
}

TimerEntry* TimerHeap::next_in_walk(TimerEntry& entry) noexcept {
  if (entry.child_ != nullptr) return entry.child_;
  for (TimerEntry* at = &entry;;) {
    if (at->next != nullptr) return static_cast<TimerEntry*>(at->next);
    // The last sibling: back to the first one, whose `prev` is the parent.
    while (at->prev != nullptr && static_cast<TimerEntry*>(at->prev)->child_ != at) {
      at = static_cast<TimerEntry*>(at->prev);
    }
    if (at->prev == nullptr) return nullptr;  // the top
    at = static_cast<TimerEntry*>(at->prev);
  }
}

// The entry's children, melded, take its place among its siblings: they are later than the entry,
// and so than its parent.
void TimerHeap::remove_inner(TimerEntry& entry) noexcept {
  auto* before = static_cast<TimerEntry*>(entry.prev);
  auto* after = static_cast<TimerEntry*>(entry.next);
  BLITZIO_CHECK(before != nullptr);
  TimerEntry* heir = meld_siblings(std::exchange(entry.child_, nullptr));
  TimerEntry* successor = heir != nullptr ? heir : after;
  if (heir != nullptr) {
    heir->next = after;
    if (after != nullptr) after->prev = heir;
  }
  if (successor != nullptr) successor->prev = before;
  if (before->child_ == &entry) {
    before->child_ = successor;
  } else {
    before->next = successor;
  }
}

}  // namespace detail

TimerWheel::TimerWheel(Instant now, Duration tick) noexcept
    : grain_shift_(
          static_cast<unsigned>(std::bit_width(
              std::max<std::uint64_t>(static_cast<std::uint64_t>(tick.as_nanos()), kGrains) - 1)) -
          kGrainBits),
      cursor_(grain_of(now)) {
  for (Slot& slot : slots_) slot.next = slot.prev = &slot;
}

TimerWheel::~TimerWheel() {
  BLITZIO_CHECK(is_empty() && !advancing_, size_);
}

std::uint64_t TimerWheel::grain_of(Instant at) const noexcept {
  const std::int64_t nanos = std::max<std::int64_t>(at.as_nanos(), 0);
  return static_cast<std::uint64_t>(nanos) >> grain_shift_;
}

void TimerWheel::insert(TimerEntry& entry, Instant deadline) noexcept {
  BLITZIO_CHECK(!entry.is_armed(), deadline.as_nanos());
  entry.deadline_ = deadline;
  entry.sequence_ = next_sequence_++;
  ++size_;
  if (BLITZIO_UNLIKELY(advancing_) && deadline <= advancing_to_) {
    entry.place_ = TimerEntry::kInHeap;
    deferred_.push(entry);
  } else {
    place(entry);
  }
}

void TimerWheel::place(TimerEntry& entry) noexcept {
  const std::uint64_t grain = grain_of(entry.deadline_);
  if (grain <= cursor_) {
    entry.place_ = TimerEntry::kInHeap;
    current_.push(entry);
    return;
  }
  const std::uint64_t differing = grain ^ cursor_;
  std::size_t index = 0;
  if (differing < kGrains) {
    index = grain & (kGrains - 1);
  } else if (differing < (std::uint64_t{1} << kLowBits)) {
    index = kGrains + ((grain >> kGrainBits) & (kTickSlots - 1));
  } else if (differing < (std::uint64_t{1} << kWindowBits)) {
    const auto top_bit = static_cast<unsigned>(std::bit_width(differing)) - 1;
    const unsigned level = (top_bit - kLowBits) / kLevelBits + 2;
    index = kOrdered + (level - 2) * 64 + ((grain >> shift_of(level)) & 63);
  } else {
    entry.place_ = TimerEntry::kInHeap;
    beyond_.push(entry);
    return;
  }
  Slot& slot = slots_[index];
  const bool was_empty = slot.next == &slot;
  slot.earliest = was_empty ? entry.deadline_ : std::min(slot.earliest, entry.deadline_);
  if (index < kOrdered) {
    if (was_empty) {
      unsorted_[index / 64] &= ~bit_of(index);
    } else if (entry.is_before(static_cast<TimerEntry&>(*slot.prev))) {
      unsorted_[index / 64] |= bit_of(index);
    }
  }
  occupied_[index / 64] |= bit_of(index);
  entry.place_ = TimerEntry::kInSlot;
  entry.next = &slot;
  entry.prev = slot.prev;
  slot.prev->next = &entry;
  slot.prev = &entry;
}

void TimerWheel::take_from_slot(TimerEntry& entry) noexcept {
  detail::TimerLinks* before = entry.prev;
  detail::TimerLinks* after = entry.next;
  before->next = after;
  after->prev = before;
  if (before == after) {
    // Only the slot's own links are left, and their address tells which slot it is.
    const auto index = static_cast<std::size_t>(static_cast<Slot*>(before) - slots_.data());
    occupied_[index / 64] &= ~bit_of(index);
  }
}

void TimerWheel::cancel(TimerEntry& entry) noexcept {
  BLITZIO_CHECK(entry.is_armed(), entry.deadline_.as_nanos());
  if (entry.place_ == TimerEntry::kInSlot) {
    take_from_slot(entry);
  } else if (&entry == current_.top()) {
    current_.pop();
  } else if (&entry == beyond_.top()) {
    beyond_.pop();
  } else if (&entry == deferred_.top()) {
    deferred_.pop();
  } else {
    detail::TimerHeap::remove_inner(entry);
  }
  entry.place_ = TimerEntry::kIdle;
  --size_;
}

std::size_t TimerWheel::first_occupied() const noexcept {
  // Level 0 is empty, mostly: only crowds and what is due within the tick are there.
  const std::uint64_t level0 = occupied_[0] | occupied_[1] | occupied_[2] | occupied_[3];
  for (std::size_t word = level0 == 0 ? kGrains / 64 : 0; word < kWords; ++word) {
    if (occupied_[word] != 0) {
      return word * 64 + static_cast<std::size_t>(std::countr_zero(occupied_[word]));
    }
  }
  return kNone;
}

std::uint64_t TimerWheel::start_of(std::size_t slot) const noexcept {
  const auto window_of = [this](unsigned bits) { return cursor_ >> bits << bits; };
  if (slot < kGrains) return window_of(kGrainBits) | slot;
  if (slot < kOrdered) {
    return window_of(kLowBits) | (static_cast<std::uint64_t>(slot - kGrains) << kGrainBits);
  }
  const auto level = static_cast<unsigned>((slot - kOrdered) / 64 + 2);
  const unsigned shift = shift_of(level);
  return window_of(shift + kLevelBits) | (static_cast<std::uint64_t>(slot % 64) << shift);
}

// Walks through a list, from `first` to `last`, so that it comes into the cache. For timers sleep
// for long, and who finds each entry by the one before waits for memory each time: from both ends,
// half as often. Of a long list no more than the cache keeps until they fire. Returns how many
// steps it took: half as many as there are entries.
unsigned TimerWheel::fetch(detail::TimerLinks& first, detail::TimerLinks& last) noexcept {
  detail::TimerLinks* front = &first;
  detail::TimerLinks* back = &last;
  unsigned steps = 0;
  for (; steps < kFetchSteps && front != back && front->next != back;
       ++steps, front = front->next, back = back->prev) {
    // What an entry is part of lies behind it, mostly.
    BLITZIO_PREFETCH(static_cast<TimerEntry*>(front) + 1);
    BLITZIO_PREFETCH(static_cast<TimerEntry*>(back) + 1);
  }
  return steps;
}

void TimerWheel::enter_slot(std::size_t index) noexcept {
  const std::uint64_t start = start_of(index);
  cursor_ = start;
  Slot& slot = slots_[index];
  detail::TimerLinks* link = slot.next;
  if (index < kOrdered) {
    const bool is_crowded = fetch(*link, *slot.prev) >= kCrowd;
    const bool is_in_order = (unsorted_[index / 64] & bit_of(index)) == 0;
    if (index >= kGrains && (is_in_order || !is_crowded)) cursor_ |= kGrains - 1;
    if (is_in_order) {
      // As they are. What was due is gone: the cursor moves on only then.
      Slot& sorted = slots_[kSorted];
      BLITZIO_DCHECK(sorted.next == &sorted);
      sorted.next = link;
      sorted.prev = slot.prev;
      link->prev = sorted.prev->next = &sorted;
      link = &slot;
    }
  }
  slot.next = slot.prev = &slot;
  occupied_[index / 64] &= ~bit_of(index);
  while (link != &slot) {
    auto& entry = static_cast<TimerEntry&>(*std::exchange(link, link->next));
    BLITZIO_DCHECK(grain_of(entry.deadline_) >= start, start, entry.deadline_.as_nanos());
    place(entry);
  }
}

void TimerWheel::enter_window() noexcept {
  const std::uint64_t window = grain_of(beyond_.top()->deadline_) >> kWindowBits;
  cursor_ = window << kWindowBits;
  while (TimerEntry* entry = beyond_.top()) {
    if (grain_of(entry->deadline_) >> kWindowBits != window) break;
    beyond_.pop();
    place(*entry);
  }
}

// Moves the cursor to the next place that holds entries, or to `target` if that comes first.
// Returns whether it came to entries; else it stands at `target` or ahead of it.
bool TimerWheel::step(std::uint64_t target) noexcept {
  if (cursor_ >= target) return false;
  if (const std::size_t slot = first_occupied(); slot != kNone) {
    if (start_of(slot) <= target) {
      enter_slot(slot);
      return true;
    }
  } else if (!beyond_.is_empty() &&
             grain_of(beyond_.top()->deadline_) >> kWindowBits <= target >> kWindowBits) {
    enter_window();
    return true;
  }
  cursor_ = target;
  return false;
}

// The earliest up to the cursor; null if there is none.
TimerEntry* TimerWheel::first_current() const noexcept {
  const Slot& sorted = slots_[kSorted];
  TimerEntry* top = current_.top();
  if (sorted.next == &sorted) return top;
  auto* first = static_cast<TimerEntry*>(sorted.next);
  return top != nullptr && top->is_before(*first) ? top : first;
}

std::size_t TimerWheel::fire_due(Instant now) noexcept {
  std::size_t fired = 0;
  while (TimerEntry* entry = first_current()) {
    if (entry->deadline_ > now) break;
    if (entry->place_ == TimerEntry::kInSlot) {
      take_from_slot(*entry);
    } else {
      current_.pop();
    }
    entry->place_ = TimerEntry::kIdle;
    --size_;
    ++fired;
    entry->fire_(*entry);  // the entry may be gone afterwards
  }
  return fired;
}

std::size_t TimerWheel::advance(Instant now) noexcept {
  BLITZIO_CHECK(!advancing_);
  advancing_ = true;
  advancing_to_ = now;
  const std::uint64_t target = std::max(grain_of(now), cursor_);
  // A slot's entries fire before the cursor moves on, so these hold one slot's at a time.
  std::size_t fired = fire_due(now);
  while (step(target)) fired += fire_due(now);
  advancing_ = false;
  current_.merge(deferred_);
  return fired;
}

Instant TimerWheel::next_deadline() const noexcept {
  Instant next = Instant::max();
  if (const TimerEntry* entry = first_current()) {
    next = entry->deadline_;
  } else if (const std::size_t slot = first_occupied(); slot != kNone) {
    next = slots_[slot].earliest;
  } else if (const TimerEntry* far = beyond_.top()) {
    next = far->deadline_;
  }
  if (const TimerEntry* entry = deferred_.top()) next = std::min(next, entry->deadline_);
  return next;
}

TimerEntry* TimerWheel::disarm_any() noexcept {
  TimerEntry* entry = first_current();
  if (entry == nullptr) entry = deferred_.top();
  if (entry == nullptr) {
    if (const std::size_t slot = first_occupied(); slot != kNone) {
      entry = static_cast<TimerEntry*>(slots_[slot].next);
    }
  }
  if (entry == nullptr) entry = beyond_.top();
  if (entry != nullptr) cancel(*entry);
  return entry;
}

}  // namespace blitzio::time
