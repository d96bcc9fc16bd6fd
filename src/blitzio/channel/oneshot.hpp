// `Oneshot<T>`: one value from one sender to one receiver.
//
// Lives where its owner puts it (a frame, a task's result slot): nothing is allocated.
//
//              recv (stores its waker)
//     empty ────────────────────────────▶ waiting ──┐
//       │  ▲                                │  ▲    │ send, close: claims the waker
//       │  └──────── recv dropped ──────────┘  │    ▼
//       │             recv again: replaces ────┘  claimed
//       │ send, close                               │ value stored, a lent waker taken out
//       ▼                                           ▼
//     sent / closed ◀───────────────────────────────┘
//
// empty    nobody waits.
// waiting  the waker belongs to whoever claims it.
// claimed  the sender is at work; the receiver's next poll comes from its wake.
// sent     the value is the receiver's. Read without a read-modify-write.
// closed   there will be no value.
//
// The sender's last access is the step into sent or closed: the receiver may then free the channel.
//
// Threads: one sender and one receiver at a time; they may be different threads.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/backoff.hpp>
#include <blitzio/base/check.hpp>
#include <blitzio/task/future.hpp>

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace blitzio::channel {

/// Why Oneshot::try_recv() has no value.
enum class OneshotStatus : std::uint8_t { empty, closed };

/// One value from one sender to one receiver. Thread: one sender, one receiver.
template <class T>
class Oneshot {
  static_assert(std::is_nothrow_move_constructible_v<T>);

 public:
  Oneshot() noexcept = default;
  Oneshot(const Oneshot&) = delete;
  Oneshot& operator=(const Oneshot&) = delete;
  ~Oneshot() {
    // Relaxed: nobody else has the channel any more.
    const State state = state_.load(std::memory_order_relaxed);
    BLITZIO_CHECK(state != State::waiting && state != State::claimed, static_cast<int>(state));
    if (state == State::sent && !taken_) std::destroy_at(value());
  }

  // ---- the sender --------------------------------------------------------------------------

  /// Sends the value.
  /// Returns  false, with `new_value` untouched, if the channel is closed or has had its value.
  /// Cost     one read-modify-write; never allocates.
  bool send(T&& new_value) noexcept {
    // Acquire: a receiver that closed it is done. Pairs with the release in close().
    if (state_.load(std::memory_order_acquire) == State::empty) {
      std::construct_at(value(), std::move(new_value));
      State state = State::empty;
      // Release: publishes the value, pairs with the acquire in try_recv(). Acquire on failure: the
      // receiver's waker, see finish().
      if (BLITZIO_LIKELY(state_.compare_exchange_strong(
              state, State::sent, std::memory_order_release, std::memory_order_acquire))) {
        return true;
      }
      new_value = std::move(*value());
      std::destroy_at(value());
    }
    return send_slow(std::move(new_value));
  }
  bool send(const T& new_value) noexcept { return send(T(new_value)); }

  // ---- either end --------------------------------------------------------------------------

  /// There will be no value, if there is none yet: the receiver is told, a later send() fails.
  void close() noexcept {
    const State from = claim();
    if (is_open(from)) finish(from, State::closed);
  }
  /// Whether it was closed without a value.
  [[nodiscard]] bool is_closed() const noexcept {
    // Relaxed: a snapshot.
    return state_.load(std::memory_order_relaxed) == State::closed;
  }

  // ---- the receiver ------------------------------------------------------------------------

  /// The value if it is there, once.
  /// Cost     one load.
  [[nodiscard]] std::expected<T, OneshotStatus> try_recv() noexcept {
    // Acquire: pairs with the release of sent; the value is visible.
    const State state = state_.load(std::memory_order_acquire);
    if (BLITZIO_LIKELY(state == State::sent && !taken_)) {
      taken_ = true;
      std::expected<T, OneshotStatus> result(std::move(*value()));
      std::destroy_at(value());
      return result;
    }
    return std::unexpected(state == State::sent || state == State::closed ? OneshotStatus::closed
                                                                          : OneshotStatus::empty);
  }

  /// The value that was sent and not received yet, or null. Nobody may use the channel meanwhile.
  [[nodiscard]] T* held() noexcept {
    // Relaxed: nobody else uses the channel.
    return state_.load(std::memory_order_relaxed) == State::sent && !taken_ ? value() : nullptr;
  }

  class [[nodiscard]] Recv {
   public:
    using Output = std::optional<T>;
    Recv(Recv&& other) noexcept : channel_(std::exchange(other.channel_, nullptr)) {
      BLITZIO_CHECK(!other.has_lent_waker_);
    }
    Recv(const Recv&) = delete;
    Recv& operator=(const Recv&) = delete;
    Recv& operator=(Recv&&) = delete;
    ~Recv() {
      if (has_lent_waker_) channel_->take_back_waker();
    }
    Poll<Output> poll(Context& context) noexcept {
      auto tried = channel_->try_recv();
      if (!tried && tried.error() == OneshotStatus::empty) {
        has_lent_waker_ = channel_->lend_waker(context, has_lent_waker_);
        if (has_lent_waker_) return pending;
        tried = channel_->try_recv();
      }
      has_lent_waker_ = false;
      if (tried) return Output(std::move(*tried));
      return Output();
    }

   private:
    friend class Oneshot;
    explicit Recv(Oneshot& channel) noexcept : channel_(&channel) {}
    Oneshot* channel_;
    bool has_lent_waker_ = false;
  };

  /// Waits for the value.
  /// Returns  future of std::optional<T>: empty if the channel is closed without one.
  /// Cancel   dropping the future loses nothing; another recv() may follow.
  Recv recv() noexcept { return Recv(*this); }

 private:
  enum class State : std::uint8_t { empty, waiting, claimed, sent, closed };

  [[nodiscard]] T* value() noexcept {
    T* pointer = reinterpret_cast<T*>(bytes_);
    // GCC 12 follows a channel that is a local variable and warns of a value that was never made;
    // that the state forbids it, it cannot see. No instruction comes of this.
    asm("" : "+r"(pointer));
    return pointer;
  }

  static constexpr bool is_open(State state) noexcept {
    return state == State::empty || state == State::waiting;
  }
  // empty, waiting → claimed. Returns the state before; if that is sent or closed, it still is.
  State claim() noexcept {
    // Relaxed: a guess that the compare-exchange verifies.
    State state = state_.load(std::memory_order_relaxed);
    for (Backoff backoff;;) {
      switch (state) {
        case State::empty:
        case State::waiting:
          // Acquire: pairs with the release in lend_waker(); the waker is visible.
          if (state_.compare_exchange_weak(state, State::claimed, std::memory_order_acquire,
                                           std::memory_order_relaxed)) {
            return state;
          }
          continue;
        case State::claimed:  // the other end closes it this moment
          backoff.wait();
          state = state_.load(std::memory_order_relaxed);  // Relaxed: a guess, as above.
          continue;
        case State::sent:
        case State::closed:
          return state;
      }
    }
  }
  // claimed → sent, closed. The channel may be gone afterwards. Claimed from empty, the waker is
  // still the receiver's, who may be storing it this moment.
  void finish(State from, State state) noexcept {
    Waker waker;
    if (from == State::waiting) waker = std::move(waker_);
    // Release: publishes the value, pairs with the acquire in try_recv().
    state_.store(state, std::memory_order_release);
    waker.wake();
  }
  BLITZIO_COLD bool send_slow(T&& new_value) noexcept {
    const State from = claim();
    if (!is_open(from)) return false;
    std::construct_at(value(), std::move(new_value));
    finish(from, State::sent);
    return true;
  }

  // empty → waiting, with the context's waker. False if it is sent or closed.
  BLITZIO_COLD bool lend_waker(Context& context, bool has_lent) noexcept {
    Waker fresh = context.waker().clone();
    if (has_lent && !reclaim()) return false;
    waker_ = std::move(fresh);
    State state = State::empty;
    // Release: publishes the waker, pairs with the acquire in claim(). Acquire on failure: the
    // value, which try_recv() then reads.
    if (state_.compare_exchange_strong(state, State::waiting, std::memory_order_release,
                                       std::memory_order_acquire)) {
      return true;
    }
    // The other end is at work or done; with the waker not lent, nobody touches it.
    waker_.reset();
    await_end();
    return false;
  }
  BLITZIO_COLD void take_back_waker() noexcept {
    if (reclaim()) waker_.reset();
  }
  // waiting → empty: the waker is the receiver's again. False if it is sent or closed.
  bool reclaim() noexcept {
    State state = State::waiting;
    // Acquire: nothing of the sender's is read, but on failure its end. Release: keeps the order
    // of the waker's owners.
    if (state_.compare_exchange_strong(state, State::empty, std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
      return true;
    }
    await_end();
    return false;
  }
  // The other end is between claimed and its last step: a few instructions.
  void await_end() const noexcept {
    // Acquire: the channel may be freed next; pairs with the release in finish().
    for (Backoff backoff; state_.load(std::memory_order_acquire) == State::claimed;) backoff.wait();
  }

  // Written by both ends; publishes the value to the receiver and the waker to the sender.
  Atomic<State> state_{State::empty};
  bool taken_ = false;  ///< the receiver's
  Waker waker_;  ///< lent in waiting, the claimer's once it has claimed that, else the receiver's
  alignas(T) std::byte bytes_[sizeof(T)];
};

}  // namespace blitzio::channel
