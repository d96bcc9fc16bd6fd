// `Listener`: hears of a signal of the process. Everything public in this folder stands on it.
//
// What happens when a signal arrives:
//
//     the kernel runs the handler, on any thread: counts, posts a semaphore, calls the handler that
//        │                                        was installed before, if it is a function
//        ▼
//     the delivery thread: calls each listener of that signal, one after the other
//
// A handler may do next to nothing, so waking is left to a thread. It lives while there are
// listeners, has every signal blocked and sleeps in between. Signals coalesce: a listener is called
// at least once after the last arrival, not once for each.
//
// Handlers: the first listener of a signal installs ours, the last one puts back what was there
// before. Who installs another meanwhile, without calling ours, makes us deaf until a listener
// starts or takes the signal back; if none does, his stays. A handler that was a function before
// ours is still called, unless a listener knows that it stands for a default action
// (Former::silent); a default action is replaced. System calls that a signal interrupts go on, or
// fail with EINTR, as under the handler that is still called.
//
// A listener:
//
//            start                      arrival             returned
//     idle ─────────▶ listening ◀──────────────▶ called ◀───────────────
//       ▲                 │ stop                    │ stop: waits for the call to return, unless
//       └─────────────────┴─────────────────────────┘       it is made by the call itself
//
// Forking: a forked child has no delivery thread. It gets the former handlers back, so that it can
// be ended as usual; the listeners it has copies of hear of nothing and stop without effect. New
// ones work as in any process.
//
// Threads: start and stop any, one at a time for a listener; the function runs on the delivery
// thread, may wake, start and stop, but not block.
#pragma once

#include <blitzio/base/fork_guard.hpp>
#include <blitzio/base/intrusive_list.hpp>
#include <blitzio/base/result.hpp>

#include <cstdint>

namespace blitzio::signal {

/// What becomes of a handler that was installed before ours.
enum class Former : std::uint8_t {
  called,  ///< it is called all the same
  silent,  ///< not while anybody listens: it stands for a default action
};

}  // namespace blitzio::signal

namespace blitzio::signal::detail {

class Delivery;

/// Outlives its listening: its destructor stops.
class Listener : public ListNode<> {
 public:
  using OnSignal = void (*)(Listener& listener) noexcept;

  explicit Listener(OnSignal on_signal) noexcept : on_signal_(on_signal) {}
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener() { stop(); }

  /// Hears of every `number` that arrives from now on. Must be idle.
  /// Errors   invalid_argument for what is no signal or cannot be handled: SIGKILL, SIGSTOP, and
  ///          SIGILL, SIGFPE, SIGSEGV, SIGBUS, which stand for what a thread did itself; EAGAIN
  ///          without a thread.
  /// `former` silent is for all listeners of the signal, until the last of them stops or another
  /// handler is taken back from.
  [[nodiscard]] Result<void> start(int number, Former former = Former::called) noexcept;
  /// If another handler has replaced ours since: ours is installed again, and that is the former
  /// one. Returns whether it did.
  bool take_back(Former former) noexcept;
  /// Hears of nothing any more: the function is not running, and will not be called, once this
  /// returns. Does nothing if idle.
  void stop() noexcept;
  /// The signal it listens for; 0 if idle.
  [[nodiscard]] int number() const noexcept { return number_; }

 private:
  friend class Delivery;

  const OnSignal on_signal_;
  int number_ = 0;
  std::uint64_t seen_ = 0;  // arrivals it was told of; guarded by the delivery's lock
  ForkGuard fork_guard_;
};

/// Whether start() takes it.
[[nodiscard]] bool can_be_handled(int number) noexcept;

}  // namespace blitzio::signal::detail
