// `Shutdown`: how a program ends in good order: it is told to, by SIGINT, SIGTERM or itself; stops
// taking work; and waits until the work that it has is done.
//
//     auto shutdown = Shutdown::create().value();
//     while (auto connection = co_await accept_unless(listener, shutdown->token())) {
//       spawn(serve(std::move(*connection), shutdown->start_work())).detach();
//     }
//     const bool is_done = co_await shutdown->wait_pending(Duration::from_secs(30));
//
//              SIGINT, SIGTERM, trigger()                   the last WorkGuard goes
//     running ────────────────────────────▶ shutting down ──────────────────────────▶ drained
//
// It is told once, and stays so. Further signals change nothing: a program that wants to end at
// once with the second one waits for it with signal::wait(). With the object the handlers go that
// it installed, and what was there before is back.
//
// Guards and tokens may outlive the object.
//
// Threads: any.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/duration.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/executor/cancel_token.hpp>
#include <blitzio/sync/wait_queue.hpp>
#include <blitzio/task/future.hpp>
#include <blitzio/time/sleep.hpp>

#include <csignal>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <utility>

namespace blitzio {

namespace signal::detail {

/// What a Shutdown and its guards share: the count of work that goes on.
class WorkCount {
 public:
  void add() noexcept {
    // Relaxed: nothing rides on the count going up; see sub().
    pending_.fetch_add(1, std::memory_order_relaxed);
  }
  void sub() noexcept {
    // Seq_cst: before the look at the queue; see wait_queue.hpp. (It also hands what the work did
    // to who reads the zero.)
    if (pending_.fetch_sub(1, std::memory_order_seq_cst) == 1) drained_.notify_all();
  }
  [[nodiscard]] std::size_t pending() const noexcept {
    // Seq_cst: after entering the queue; pairs with sub().
    return pending_.load(std::memory_order_seq_cst);
  }
  [[nodiscard]] sync::detail::WaitQueue& drained() noexcept { return drained_; }

 private:
  // Written by guards, read by who waits.
  Atomic<std::size_t> pending_{0};
  sync::detail::WaitQueue drained_;
};

}  // namespace signal::detail

/// A piece of work that a shutdown waits for, as long as this lives. Moves, so that it can go with
/// the work.
class [[nodiscard]] WorkGuard {
 public:
  WorkGuard(WorkGuard&&) noexcept = default;
  WorkGuard& operator=(WorkGuard&& other) noexcept {
    if (this != &other) {
      reset();
      count_ = std::move(other.count_);
    }
    return *this;
  }
  ~WorkGuard() { reset(); }
  /// The work is done. Once; later calls do nothing.
  void reset() noexcept {
    if (const auto count = std::exchange(count_, nullptr)) count->sub();
  }

 private:
  friend class Shutdown;
  explicit WorkGuard(std::shared_ptr<signal::detail::WorkCount> count) noexcept
      : count_(std::move(count)) {
    count_->add();
  }

  std::shared_ptr<signal::detail::WorkCount> count_;
};

/// Tells everybody that the program ends, and counts the work under way. Thread: any.
class Shutdown {
 public:
  class WaitPending;

  /// Listens for `signals`; none: only trigger() begins it.
  /// Errors   invalid_argument for a signal that cannot be handled; EAGAIN without a thread to hear
  ///          of signals.
  [[nodiscard]] static Result<std::unique_ptr<Shutdown>> create(
      std::span<const int> signals = kSignals);
  [[nodiscard]] static Result<std::unique_ptr<Shutdown>> create(
      std::initializer_list<int> signals) {
    return create(std::span(signals.begin(), signals.size()));
  }
  Shutdown(const Shutdown&) = delete;
  Shutdown& operator=(const Shutdown&) = delete;
  ~Shutdown();

  /// Begins the shutdown, as a signal does. Idempotent.
  void trigger() noexcept { token_.cancel(); }
  /// Whether it has begun.
  [[nodiscard]] bool is_shutdown() const noexcept { return token_.cancel_requested(); }
  /// The signal that came first; nothing if none did.
  [[nodiscard]] std::optional<int> signal() const noexcept;
  /// Waits for the shutdown to begin.
  /// Returns  future of void.   Cost   never allocates.
  [[nodiscard]] CancelToken::Cancelled wait() const noexcept { return token_.cancelled(); }
  /// Cancelled when the shutdown begins; give its children to what shall end then. To cancel it is
  /// to trigger().
  [[nodiscard]] const CancelToken& token() const noexcept { return token_; }

  /// Counts a piece of work as pending until the guard goes. Also while shutting down: work that is
  /// accepted late is waited for all the same.
  WorkGuard start_work() { return WorkGuard(count_); }
  /// Guards that live; a snapshot.
  [[nodiscard]] std::size_t pending_count() const noexcept { return count_->pending(); }
  /// Waits until no work is pending, or `timeout` has passed (Duration::max(): for ever).
  /// Returns  future of bool: whether none is pending.
  /// Cancel   dropping it changes nothing.   Cost   never allocates.
  [[nodiscard]] WaitPending wait_pending(Duration timeout = Duration::max()) const noexcept;
  /// The same for a thread that may block; not on a worker.
  [[nodiscard]] bool blocking_wait_pending(Duration timeout = Duration::max()) const;

 private:
  struct Listener;
  static const std::span<const int> kSignals;

  Shutdown() = default;

  const CancelToken token_;
  const std::shared_ptr<signal::detail::WorkCount> count_ =
      std::make_shared<signal::detail::WorkCount>();
  // Written once, by the delivery thread.
  Atomic<int> signal_{0};
  std::unique_ptr<Listener[]> listeners_;
};

class [[nodiscard]] Shutdown::WaitPending {
 public:
  using Output = bool;

  WaitPending(std::shared_ptr<signal::detail::WorkCount> count, Duration timeout) noexcept
      : count_(std::move(count)) {
    if (!timeout.is_forever()) sleep_.emplace(time::now() + timeout);
  }
  /// Before the first poll only.
  WaitPending(WaitPending&& other) noexcept
      : count_(std::move(other.count_)), sleep_(std::move(other.sleep_)) {
    BLITZIO_CHECK(!other.is_queued_);
  }
  WaitPending& operator=(WaitPending&&) = delete;
  ~WaitPending() {
    if (is_queued_) count_->drained().leave(waiter_);
  }

  Poll<bool> poll(Context& context);

 private:
  std::shared_ptr<signal::detail::WorkCount> count_;
  std::optional<time::Sleep> sleep_;
  sync::detail::Waiter waiter_;
  bool is_queued_ = false;
};

}  // namespace blitzio
