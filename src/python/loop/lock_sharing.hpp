// `LockSharing`: how a loop that always has something to do shares the interpreter lock.
//
// A loop that waits gives the lock up while it does. One that does not would keep it for ever:
// CPython asks for it on behalf of a thread that has waited for 5 ms, but who gives it up and takes
// it back at once wakes that thread, has the lock again before it runs, and its 5 ms begin anew. So
// the loop gives it up now and then, notices whether that woke somebody, and if it did stays away
// for as long as threads take to wake up:
//
//              its share is over         nobody was woken: the next share is the least
//     keeps ──────────────────────▶ gives up ───────────────────────────────────▶ keeps
//                                        │ somebody was
//                                        ▼
//                                    stays away ─── the next share is as long ──▶ keeps
//
// With a thread that computes, and gives the lock up only when it is asked to, each has half of the
// time. A process of one Python thread is not concerned. docs/design/lock-sharing.md
//
// Thread: the runner, with the lock. Where there is none (free-threaded builds) giving it up for a
// moment is what those wait for who stop all threads, and wakes nobody.
#pragma once

#include <blitzio/base/duration.hpp>
#include <blitzio/base/instant.hpp>

namespace blitzio::python {

class LockSharing {
 public:
  /// After a turn. `waited`: the lock was given up in it. Returns whether to look for signals.
  [[nodiscard]] bool after_turn(bool waited) noexcept {
    if (waited) {
      turns_ = 0;
      return true;
    }
    if (++turns_ < turns_per_look_) return false;
    turns_ = 0;
    look();
    return true;
  }

 private:
  static constexpr unsigned kTurnsPerLookMax = 32;

  void look() noexcept;
  void give_up() noexcept;

  unsigned turns_ = 0;                          ///< in a row that did not wait
  unsigned turns_per_look_ = kTurnsPerLookMax;  ///< so that a look comes in time, and seldom
  Duration away_;                               ///< how long it stayed away the last time
  Instant looked_;
  Instant keeps_until_;
};

}  // namespace blitzio::python
