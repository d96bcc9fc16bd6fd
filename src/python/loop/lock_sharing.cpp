#include <blitzio/base/deadline_clock.hpp>
#include <python/loop/lock_sharing.hpp>
#include <python/support/ft.hpp>

#include <sched.h>

#include <algorithm>

namespace blitzio::python {

namespace {

/// What it takes a thread to wake up on another processor, mostly.
constexpr Duration kOffer = Duration::from_micros(100);
/// Longer than having the lock back takes if nobody has it.
constexpr Duration kTaken = Duration::from_micros(2);
constexpr Duration kShareMin = Duration::from_micros(50);
/// Below it the clock is looked at in each turn.
constexpr Duration kShareShort = Duration::from_millis(1);
constexpr Duration kShareMax = Duration::from_millis(20);

/// Whether another thread might want this one's lock.
bool has_others() noexcept {
  PyThreadState* mine = PyThreadState_Get();
  PyInterpreterState* interpreter = PyThreadState_GetInterpreter(mine);
  return PyThreadState_Next(mine) != nullptr ||
         PyInterpreterState_ThreadHead(interpreter) != mine ||
         PyInterpreterState_Next(interpreter) != nullptr ||
         PyInterpreterState_Head() != interpreter;
}

}  // namespace

void LockSharing::look_for_others() noexcept {
#if BLITZIO_FREE_THREADED
  PyEval_RestoreThread(PyEval_SaveThread());
#else
  if (has_others()) {
    offer_if_over();
  } else {
    is_contended_ = false;
  }
#endif
}

void LockSharing::offer_if_over() noexcept {
  if (DeadlineClock::now() < keeps_until_) return;
  PyThreadState* mine = PyEval_SaveThread();
  const Instant begin = Instant::now();
  Instant now = begin;
  do {
    ::sched_yield();
    now = Instant::now();
  } while (now - begin < kOffer);
  PyEval_RestoreThread(mine);
  const Instant back = Instant::now();
  const bool was_taken = back - now > kTaken;
  share_ = std::clamp(was_taken ? back - begin : share_ + share_ / 4, kShareMin, kShareMax);
  keeps_until_ = back + share_;
  is_contended_ = share_ < kShareShort;
}

}  // namespace blitzio::python
