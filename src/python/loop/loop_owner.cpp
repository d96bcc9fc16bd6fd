// Who may use a loop: its thread, any while nobody runs it, and nobody in a forked child.
#include <python/loop/job.hpp>
#include <python/loop/loop.hpp>
#include <python/loop/loop_gate.hpp>
#include <python/loop/loop_use.hpp>
#include <python/support/error.hpp>

namespace blitzio::python {

namespace {

constexpr const char* kForked =
    "the event loop belongs to the parent process; a forked child must make its own";

}  // namespace

int loop_check_closed(const LoopObject& loop) noexcept {
  if (BLITZIO_LIKELY(!loop.closed)) return 0;
  PyErr_SetString(PyExc_RuntimeError, loop.forked ? kForked : "Event loop is closed");
  return -1;
}

int loop_check_owner(const LoopObject& loop) noexcept {
  // Relaxed: a thread compares with its own number, which no other thread ever stores.
  const unsigned long runner = loop.thread.load(std::memory_order_relaxed);
  if (BLITZIO_LIKELY(runner == current_thread() || runner == 0)) return 0;
  PyErr_SetString(
      PyExc_RuntimeError,
      loop.forked
          ? kForked
          : "Non-thread-safe operation invoked on an event loop other than the current one");
  return -1;
}

bool loop_may_use_driver(const LoopObject& loop) noexcept {
  if (loop.forked || loop_check_owner(loop) == 0) return true;
  PyErr_Clear();  // The answer is the return value.
  return false;
}

void loop_disown(LoopObject& loop) noexcept {
  if (loop.closed) return;  // Before the fork: there is nothing to share.
  loop.closed = loop.forked = true;
  job_pool_disown(loop);
#if BLITZIO_FREE_THREADED
  loop.inbox_lock = {};  // A thread that is not here may have held it.
  loop.users.for_each([](LoopUser& user) {
    if (user.thread != current_thread()) user.unlink();
  });
#endif
  loop.gate->set_waiting(false);
  loop.gate->disown();
  // Relaxed, here and below: the child has a single thread.
  const unsigned long runner = loop.thread.exchange(kParentsThread, std::memory_order_relaxed);
  if (runner == current_thread()) {
    // A callback forked. If it returns, that is as far as the child runs.
    static_cast<void>(loop_check_closed(loop));
    loop_set_fatal(loop, take_exception());
  } else if (runner != 0) {
    loop.stranded = true;
    loop.in_run = false;
  }
}

}  // namespace blitzio::python
