// `LoopGate`: the way back to a loop for those who may outlive it: wakers, jobs, waits. Counted,
// and usable from any thread, attached to the interpreter or not.
//
//   open ──── close() ────▶ closed
//
// open    post() has a message delivered on the loop's thread.
// closed  the loop is closed, or gone: post() refuses, and nobody waits on it any more.
//
// A gate also holds what is suspended on its loop, `LoopWait`s: each keeps its object alive, as a
// timer or a transport does, for a wake may still come from anywhere. The collector sees these
// references as the loop's, so an abandoned loop goes with everything that waits on it. When the
// loop closes, all of them are abandoned.
//
// Forking: in a forked child post() refuses; the loop is the parent's.
//
// Threads: post(), counting and is_here(): any. Keeping and letting go: any, attached. The rest:
// the loop's, attached.
#pragma once

#include <blitzio/base/fork_guard.hpp>
#include <blitzio/base/intrusive_list.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/driver/driver.hpp>
#include <python/support/ft.hpp>
#include <python/support/py_ref.hpp>
#include <python/support/thread_state.hpp>

#include <cstdint>

namespace blitzio::python {

class LoopGate;
struct LoopWaitTag;

/// Something suspended on a loop. Linked while the loop keeps its object.
class LoopWait : public ListNode<LoopWaitTag> {
 public:
  /// The loop is closing: let go of what is waited for. The object is alive during the call.
  using Abandon = void (*)(PyObject* object) noexcept;
  explicit LoopWait(Abandon on_abandon) noexcept : abandon_(on_abandon) {}

 private:
  friend class LoopGate;
  Abandon abandon_;
  PyObject* object_ = nullptr;  ///< strong while linked
};

class LoopGate {
 public:
  LoopGate(const LoopGate&) = delete;
  LoopGate& operator=(const LoopGate&) = delete;

  void add_ref() noexcept {
    // Relaxed: made from a reference that is held.
    refs_.fetch_add(1, std::memory_order_relaxed);
  }
  void release_ref() noexcept {
    // Acquire-release: the last holder sees everybody's accesses; pairs with itself.
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  /// Delivers `message` on the loop's thread, attached. Any thread; no Python, no interpreter lock.
  /// Returns  false if the loop is closed; the message is untouched.
  [[nodiscard]] bool post(driver::Message& message) noexcept;
  /// Whether the caller is attached and runs this loop, so that it may touch what is the loop's.
  [[nodiscard]] virtual bool is_here() const noexcept = 0;
  /// `loop.call_soon(callback, argument, context=context)`; `loop` is this gate's.
  /// Returns  0, or -1 with an error set.
  [[nodiscard]] virtual int call_soon(PyObject* loop, PyObject* callback, PyObject* argument,
                                      PyObject* context) noexcept = 0;

  /// Keeps `object` until remove() or the end of the loop. `wait` is not linked.
  void add(LoopWait& wait, PyObject* object) noexcept;
  /// The object that is kept; null if `wait`, which is no other gate's, is not linked.
  [[nodiscard]] PyRef object_of(const LoopWait& wait) noexcept;
  /// Ends keeping. Returns the reference (null if `wait`, which is no other gate's, is not linked).
  [[nodiscard]] PyRef remove(LoopWait& wait) noexcept;
  /// In a forked child, which has one thread yet.
  void disown() noexcept {
#if BLITZIO_FREE_THREADED
    waits_lock_ = {};  // A thread that is not here may have held it.
#endif
  }
  /// Visits what is kept.
  [[nodiscard]] int traverse(visitproc visit, void* arg) noexcept;

 protected:
  LoopGate() noexcept = default;
  virtual ~LoopGate() = default;

  /// Has `message` delivered. With the lock held: takes no other, and does not block.
  virtual void send(driver::Message& message) noexcept = 0;
  /// open → closed; abandons what waits. Attached; also in a forked child.
  void close() noexcept;
  [[nodiscard]] bool in_child() const noexcept { return fork_guard_.in_child(); }

 private:
  class WaitsLock;

  const ForkGuard fork_guard_;
  // Held while posting: it keeps the loop there.
  Mutex mutex_{LockRank::loop_gate};
  bool is_open_ BLITZIO_GUARDED_BY(mutex_) = true;
  // With the interpreter lock, or with `waits_lock_` where there is none.
  IntrusiveList<LoopWait, LoopWaitTag> waits_;
#if BLITZIO_FREE_THREADED
  PyMutex waits_lock_{};
#endif
  // Counted by the loop and by everybody who may come back to it.
  Atomic<std::uint32_t> refs_{1};
};

/// The gate of one of our own loops.
class NativeGate final : public LoopGate {
 public:
  explicit NativeGate(driver::Driver& driver) noexcept : driver_(driver) {}

  [[nodiscard]] bool is_here() const noexcept override {
    PyThreadState* current = attached_thread_state();
    // Relaxed: a thread compares with its own state, which no other thread ever stores.
    return current != nullptr && runner_.load(std::memory_order_relaxed) == current;
  }
  [[nodiscard]] int call_soon(PyObject* loop, PyObject* callback, PyObject* argument,
                              PyObject* context) noexcept override;
  /// Says who runs the loop: the caller, or nobody.
  void set_running(bool is_running) noexcept {
    // Relaxed: see is_here().
    runner_.store(is_running ? PyThreadState_Get() : nullptr, std::memory_order_relaxed);
  }
  /// Whether the runner gave up the interpreter lock to wait: a hint. Any thread.
  [[nodiscard]] bool is_waiting() const noexcept {
    return is_waiting_.load(std::memory_order_relaxed);  // Relaxed: the lock itself decides.
  }
  void set_waiting(bool is_waiting) noexcept {
    is_waiting_.store(is_waiting, std::memory_order_relaxed);  // Relaxed: see is_waiting().
  }
  using LoopGate::close;

 private:
  void send(driver::Message& message) noexcept override { driver_.post(message); }

  driver::Driver& driver_;  // there while the gate is open
  // Written by the thread that runs the loop.
  Atomic<PyThreadState*> runner_{nullptr};
  Atomic<bool> is_waiting_{false};
};

}  // namespace blitzio::python
