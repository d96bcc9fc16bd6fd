// `AdaptiveSpin`: looks for a short while whether a sleep is needed at all.
//
// To sleep and be woken from another processor costs some 10 µs of processor time on either side,
// and where the processor has gone to sleep itself some 10 µs more until it is up again. Who is
// woken sooner than that had better stay awake; who is not has wasted its turns. Which it is
// depends on what the program does and where the system puts its threads (on the same processor
// nobody can wake us while we look), so it is learned: a look that was in vain doubles the number
// of sleeps until the next one, and one that was not halves it. A look costs about what a sleep
// does, so this comes to rest with looking each time or hardly ever, whichever is cheaper.
//
//     if (!spin.until([&] { return has_work(); })) go_to_sleep();
//
// Threads: the one that sleeps.
#pragma once

#include <blitzio/base/backoff.hpp>
#include <blitzio/base/duration.hpp>
#include <blitzio/base/instant.hpp>

#include <algorithm>
#include <cstdint>

namespace blitzio {

class AdaptiveSpin {
 public:
  /// Whether `is_over()` is true, or came true while it looked. It need not look at all.
  template <class Condition>
  [[nodiscard]] bool until(Condition&& is_over) noexcept {
    return learn(is_over, [&] { return look(is_over); });
  }
  /// The same, letting others run between the looks: who makes it true may be on this processor. On
  /// a busy one that takes long, and is then in vain.
  template <class Condition>
  [[nodiscard]] bool until_yielding(Condition&& is_over) noexcept {
    return learn(is_over, [&] {
      const Instant begin = Instant::now();
      do yield_thread();
      while (!is_over() && begin.elapsed() < kLimit);
      return is_over() && begin.elapsed() < kLimit;
    });
  }

 private:
  static constexpr Duration kLimit = Duration::from_micros(20);
  static constexpr std::uint32_t kSkipsMax = 255;
  /// The clock is read once in so many looks.
  static constexpr int kLooksPerReading = 8;

  template <class Condition, class Look>
  bool learn(Condition& is_over, Look&& look_on) noexcept {
    // No sleep was to be saved, so this says nothing about whether looking pays.
    if (is_over()) return true;
    if (skips_left_ != 0) {
      --skips_left_;
      return false;
    }
    const bool is_seen = look_on();
    skips_ = is_seen ? skips_ / 2 : std::min(2 * skips_ + 1, kSkipsMax);
    skips_left_ = skips_;
    return is_seen;
  }

  template <class Condition>
  static bool look(Condition& is_over) noexcept {
    if (!kHasOtherProcessors) return false;
    const Instant begin = Instant::now();
    do {
      for (int i = 0; i < kLooksPerReading; ++i) {
        if (is_over()) return true;
        cpu_relax();
      }
    } while (begin.elapsed() < kLimit);
    return false;
  }
  // Of the machine: which of them the thread may use can change at any time, and then looks are in
  // vain. Defined apart: each file that sees an initializer runs it when the library is loaded.
  static const bool kHasOtherProcessors;

  // Sleeps without a look: after this one, and until the next look.
  std::uint32_t skips_ = 0;
  std::uint32_t skips_left_ = 0;
};

}  // namespace blitzio
