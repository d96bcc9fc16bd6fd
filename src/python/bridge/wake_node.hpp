// `WakeNode`: what the wakers of one suspended awaitable share. They may outlive it, its loop and
// the interpreter, and belong to any thread, so the node is no Python object: it is counted, and
// dropping the last waker on a thread that is not attached touches nothing of Python's.
//
//              wake, on another thread
//     idle ──────────────────────────────▶ queued: in the loop's inbox, once, however many wake
//       ▲                                     │
//       └───── delivered on the loop's thread ┘
//
// A wake on the loop's own thread is delivered on the spot: no inbox, no atomic read-modify-write.
//
// Delivering tells the awaitable if it is suspended, that is, if the loop keeps it (LoopWait); else
// it leaves `woken`, for an awaitable that is being polled this moment. A wake too many costs one
// poll.
//
// Threads: wakers any; the rest the loop's, attached.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/task/waker.hpp>
#include <python/loop/loop_gate.hpp>

namespace blitzio::python {

class WakeNode final : public driver::Message, public LoopWait {
 public:
  /// The awaitable `object`, suspended, can go on.
  using Signal = void (*)(PyObject* object) noexcept;

  WakeNode(LoopGate& gate, Signal on_signal, Abandon on_abandon) noexcept;
  WakeNode(const WakeNode&) = delete;
  WakeNode& operator=(const WakeNode&) = delete;

  void add_ref() noexcept {
    // Relaxed: made from a reference that is held.
    refs_.fetch_add(1, std::memory_order_relaxed);
  }
  void release_ref() noexcept {
    // Acquire-release: the last holder sees everybody's accesses; pairs with itself.
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  [[nodiscard]] LoopGate& gate() noexcept { return gate_; }
  /// Any thread.
  void wake() noexcept;
  /// Whether it was woken while nobody was suspended, since this was last asked.
  [[nodiscard]] bool take_woken() noexcept { return std::exchange(woken_, false); }

 private:
  ~WakeNode();
  static void on_delivery(driver::Message& message) noexcept;
  void deliver() noexcept;

  LoopGate& gate_;  // counted
  const Signal signal_;
  bool woken_ = false;
  // Set by wakers, cleared by delivery; publishes what the waker did.
  Atomic<bool> queued_{false};
  Atomic<std::uint32_t> refs_{1};
};

}  // namespace blitzio::python
