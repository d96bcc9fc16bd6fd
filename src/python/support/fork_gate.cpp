#include <blitzio/base/mutex.hpp>
#include <python/support/fork_gate.hpp>
#include <python/support/ft.hpp>
#include <python/support/thread_state.hpp>

namespace blitzio::python {

namespace {

// By whoever makes a thread state, and by who forks, from before it until after it in each process.
Mutex gate{LockRank::fork_gate};
thread_local unsigned forks = 0;  // begun and not ended by this thread

}  // namespace

PyThreadState* make_thread_state(PyInterpreterState* interpreter) noexcept {
  if constexpr (!kFreeThreaded) return PyThreadState_New(interpreter);
  const MutexLock lock(gate);
  return PyThreadState_New(interpreter);
}

void before_fork() noexcept BLITZIO_THREAD_ATTRIBUTE(no_thread_safety_analysis) {
  if (!kFreeThreaded || forks++ != 0) return;
  const Detached detached;  // Whoever stops the world waits for this thread.
  gate.lock();
}

void after_fork() noexcept BLITZIO_THREAD_ATTRIBUTE(no_thread_safety_analysis) {
  if (forks != 0 && --forks == 0) gate.unlock();
}

}  // namespace blitzio::python
