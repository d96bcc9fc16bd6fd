// What a thread knows of the others: `Clock` says which of their actions happened before, `View`
// adds which store of each atomic is the oldest that may still be read.
//
// Views travel with release stores: who acquires one joins it to its own. That is all of
// "happens before", and all four rules of coherence.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace blitzio::model {

/// Logical threads of one scenario, the one that starts it included.
inline constexpr unsigned kThreadsMax = 6;
using ThreadId = unsigned;

/// A time per thread; 0 is before everything.
class Clock {
 public:
  [[nodiscard]] std::uint32_t& operator[](ThreadId thread) noexcept { return times_[thread]; }
  [[nodiscard]] std::uint32_t operator[](ThreadId thread) const noexcept { return times_[thread]; }
  /// Whether `thread`'s action at `time` happened before.
  [[nodiscard]] bool covers(ThreadId thread, std::uint32_t time) const noexcept {
    return time <= times_[thread];
  }
  void join(const Clock& other) noexcept {
    for (ThreadId i = 0; i < kThreadsMax; ++i) times_[i] = std::max(times_[i], other.times_[i]);
  }

 private:
  std::array<std::uint32_t, kThreadsMax> times_{};
};

/// Per atomic (by its number), the index in its history below which nothing may be read any more.
class Floors {
 public:
  [[nodiscard]] std::uint32_t of(std::size_t atomic) const noexcept {
    return atomic < floors_.size() ? floors_[atomic] : 0;
  }
  void raise(std::size_t atomic, std::uint32_t index) {
    if (atomic >= floors_.size()) floors_.resize(atomic + 1);
    floors_[atomic] = std::max(floors_[atomic], index);
  }
  void join(const Floors& other) {
    if (other.floors_.size() > floors_.size()) floors_.resize(other.floors_.size());
    for (std::size_t i = 0; i < other.floors_.size(); ++i) {
      floors_[i] = std::max(floors_[i], other.floors_[i]);
    }
  }
  /// Keeps its memory, for the next execution.
  void clear() noexcept { floors_.clear(); }

 private:
  std::vector<std::uint32_t> floors_;
};

struct View {
  Clock clock;
  Floors floors;

  void join(const View& other) {
    clock.join(other.clock);
    floors.join(other.floors);
  }
  void clear() noexcept {
    clock = {};
    floors.clear();
  }
};

}  // namespace blitzio::model
