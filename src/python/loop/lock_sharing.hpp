// `LockSharing`: how a loop that always has something to do shares the interpreter lock.
//
// A loop that waits gives the lock up while it does. One that does not would keep it for ever:
// CPython asks for it on behalf of a thread that has waited for 5 ms, but who only gives it up and
// takes it back wakes that thread, has the lock again before it runs, and the 5 ms begin anew. So
// the loop keeps the lock for its share of time and then leaves it for as long as a thread takes
// to wake up:
//
//              the share is over                    somebody took it: the next share is as long
//     keeps ──────────────────────▶ offers the lock   as the loop was without the lock
//       ▲                              │            nobody did: twice as long as the last
//       └──────────────────────────────┘
//
// With a thread that computes and gives the lock up when it is asked to, after 5 ms, each has half
// of the time. A process of one Python thread is not concerned. docs/design/lock-sharing.md
//
// Thread: the runner, with the lock. Without it (free-threaded builds) a moment is enough, for who
// stops all threads waits for each.
#pragma once

#include <blitzio/base/duration.hpp>
#include <blitzio/base/instant.hpp>
#include <blitzio/base/platform.hpp>

namespace blitzio::python {

class LockSharing {
 public:
  /// After a turn. `waited`: the lock was given up in it. Returns whether to look for signals.
  [[nodiscard]] bool after_turn(bool waited) noexcept {
    if (waited) {
      turns_ = 0;
      return true;
    }
    if (BLITZIO_UNLIKELY(is_contended_)) offer_if_over();
    if (++turns_ < kTurns) return false;
    turns_ = 0;
    look_for_others();
    return true;
  }

 private:
  /// Turns from one look for other threads to the next.
  static constexpr unsigned kTurns = 16;

  void look_for_others() noexcept;
  void offer_if_over() noexcept;

  unsigned turns_ = 0;         ///< in a row that did not wait
  bool is_contended_ = false;  ///< others want the lock again and again
  Duration share_ = Duration::from_millis(5);
  Instant keeps_until_;
};

}  // namespace blitzio::python
