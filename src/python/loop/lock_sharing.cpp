#include <blitzio/base/backoff.hpp>
#include <blitzio/base/deadline_clock.hpp>
#include <python/loop/lock_sharing.hpp>
#include <python/support/ft.hpp>

#include <algorithm>

namespace blitzio::python {

namespace {

/// Giving the lock up takes longer if that wakes a thread: then it is a system call.
constexpr Duration kWakes = Duration::from_nanos(400);
/// What it takes a thread to wake up: on a processor that is awake, and mostly on one that sleeps.
constexpr Duration kAwayMin = Duration::from_micros(25);
constexpr Duration kAwayMax = Duration::from_micros(50);
constexpr Duration kShareMin = Duration::from_micros(50);
constexpr Duration kShareMax = Duration::from_millis(10);
/// A look shall come about so often: it costs 0.1 µs if nobody is woken.
constexpr Duration kLookMin = Duration::from_micros(20);
constexpr Duration kLookMax = Duration::from_micros(50);

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

void LockSharing::look() noexcept {
  // Free-threaded builds may have a lock, too: an extension may have asked for it.
  if (!kFreeThreaded && !has_others()) return;
  const Instant now = DeadlineClock::now();
  const Duration since = now - looked_;
  looked_ = now;
  if (since < kLookMin) {
    turns_per_look_ = std::min(turns_per_look_ * 2, kTurnsPerLookMax);
  } else if (since > kLookMax) {
    turns_per_look_ = since > kLookMax * 8 ? 1 : std::max(turns_per_look_ / 2, 1U);
  }
  // The second: the clock went far back.
  if (now >= keeps_until_ || keeps_until_ - now > kShareMax) give_up();
}

void LockSharing::give_up() noexcept {
  const Instant first = DeadlineClock::now();
  const Instant second = DeadlineClock::now();  // Reading the clock may be a system call itself.
  PyThreadState* mine = PyEval_SaveThread();
  const Instant given_up = DeadlineClock::now();
  Instant wanted_back = given_up;
  if ((given_up - second) - (second - first) > kWakes) {
    // Whoever is woken each time has not come by it yet, or wants it again and again.
    away_ = std::clamp(away_ * 2, kAwayMin, kAwayMax);
    do {
      cpu_relax();
      wanted_back = DeadlineClock::now();
    } while (wanted_back - given_up < away_);
  } else {
    away_ = {};
  }
  PyEval_RestoreThread(mine);
  const Instant back = DeadlineClock::now();
  keeps_until_ = back + std::clamp(back - wanted_back, std::max(away_, kShareMin), kShareMax);
}

}  // namespace blitzio::python
