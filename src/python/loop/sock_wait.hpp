// `SockWait`: one wait of a sock_* coroutine for its fd to become ready: a one-shot poll and the
// asyncio future that the task waits on.
//
// It is its own block, because the coroutine may go (cancelled, dropped) while the kernel still has
// the poll:
//
//   armed ──▶ completed: the future gets its result, the block is freed
//     │ abandon (the coroutine no longer cares)
//     ▼
//   abandoned ──▶ completed: the block is freed
//
// Armed blocks stand in loop.sock_waits, so that the collector sees the futures they hold. Only
// readiness goes through here; the bytes are read by the coroutine when it runs again, so no
// cancellation can lose any.
//
// Threads: the loop's.
#pragma once

#include <blitzio/base/owned_fd.hpp>
#include <python/loop/loop.hpp>

namespace blitzio::python {

struct SockOperationObject;

class SockWait : public ListNode<SockWaitTag> {
 public:
  /// Starts waiting until `fd` is ready for `events`, or instead of it `other`, which is closed at
  /// the end. Takes over `future`; `owner.wait` is this block until the end.
  /// Returns  false with MemoryError set.
  [[nodiscard]] static bool start(SockOperationObject& owner, int fd, std::uint32_t events,
                                  PyRef future, OwnedFd other) noexcept;

  /// The owner goes or does something else: drops the future and cancels the poll.
  void abandon() noexcept;

  int traverse(visitproc visit, void* arg) noexcept;

 private:
  struct Poll : driver::Operation {
    explicit Poll(SockWait& owner) noexcept : driver::Operation(on_poll), wait(owner) {}
    SockWait& wait;
  };

  SockWait(SockOperationObject& owner, PyRef future) noexcept;
  static void on_poll(driver::Operation& operation, const driver::Completion& completion) noexcept;

  LoopObject& loop_;            // its driver completes the poll before it goes
  SockOperationObject* owner_;  // borrowed; null once abandoned
  PyRef future_;                // null once abandoned
  OwnedFd other_;               // what is polled, if it is not the socket
  Poll poll_;
};

/// Visits the futures of all waits of `loop`.
[[nodiscard]] int sock_wait_traverse(LoopObject& loop, visitproc visit, void* arg) noexcept;

}  // namespace blitzio::python
