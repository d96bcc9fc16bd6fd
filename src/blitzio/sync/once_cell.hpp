// `OnceCell<T>`: a value that is set once and then read without locking, by whoever needs it first.
//
//             set, get_or_init           publish
//   empty ─────────────────────▶ busy ───────────▶ set
//     ▲                            │
//     └──── the initialiser failed or was dropped: the next waiter takes over
//
// busy  belongs to one thread or task, which makes the value; others wait in line.
// set   for ever; the value does not change any more.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/sync/waiter.hpp>
#include <blitzio/task/future.hpp>

#include <concepts>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace blitzio::sync {

namespace detail {

/// What of OnceCell does not depend on the value: its state and who waits for it.
class OnceState {
 public:
  [[nodiscard]] bool is_set() const noexcept {
    // Acquire: pairs with the release in publish(); the value is visible.
    return (word_.load(std::memory_order_acquire) & kSet) != 0;
  }
  /// empty → busy. Returns true if the caller is to make the value.
  [[nodiscard]] bool begin() noexcept;
  /// busy → set. The value is constructed.
  void publish() noexcept {
    // Release: publishes the value, pairs with is_set(). Acquire: sees the queue's last change.
    if ((word_.exchange(kSet, std::memory_order_acq_rel) & kWaiters) != 0) wake(true);
  }
  /// busy → empty: there will be no value from this one.
  void give_up() noexcept;

  /// Queues `waiter` unless the state is no longer busy. Returns whether it is queued.
  [[nodiscard]] bool enqueue(Waiter& waiter, Context& context) noexcept BLITZIO_EXCLUDES(mutex_);
  [[nodiscard]] bool keep_waiting(Waiter& waiter, Context& context) noexcept {
    return detail::keep_waiting(waiter, mutex_, context);
  }
  /// The future of a queued waiter is dropped.
  void abandon(Waiter& waiter) noexcept BLITZIO_EXCLUDES(mutex_);

 private:
  static constexpr std::uint32_t kEmpty = 0;
  static constexpr std::uint32_t kBusy = 1;
  static constexpr std::uint32_t kSet = 2;  ///< a bit of its own, so that asking for it is one test
  static constexpr std::uint32_t kState = 3;
  static constexpr std::uint32_t kWaiters = 4;  ///< somebody may be queued

  BLITZIO_COLD void wake(bool everybody) noexcept BLITZIO_EXCLUDES(mutex_);

  // Written by whoever makes the value; publishes it.
  Atomic<std::uint32_t> word_{kEmpty};
  blitzio::Mutex mutex_{LockRank::leaf};
  WaiterList waiters_ BLITZIO_GUARDED_BY(mutex_);
};

inline bool OnceState::begin() noexcept {
  std::uint32_t word = kEmpty;
  // Acquire: pairs with the release in give_up(); the last one's clean-up is visible. Acquire on
  // failure: it may be set, and the caller looks at the value next.
  if (word_.compare_exchange_strong(word, kBusy, std::memory_order_acquire)) return true;
  if (word != (kEmpty | kWaiters)) return false;
  return word_.compare_exchange_strong(word, kBusy | kWaiters, std::memory_order_acquire);
}

}  // namespace detail

/// Thread: any. Outlives its futures.
template <class T>
class OnceCell {
 public:
  OnceCell() noexcept = default;
  OnceCell(const OnceCell&) = delete;
  OnceCell& operator=(const OnceCell&) = delete;
  ~OnceCell() {
    if (state_.is_set()) std::destroy_at(value());
  }

  /// The value, or null if there is none yet.
  /// Cost     one load.
  [[nodiscard]] const T* get() const noexcept { return state_.is_set() ? value() : nullptr; }
  [[nodiscard]] bool is_set() const noexcept { return state_.is_set(); }

  /// Sets the value, unless there is one or somebody is making one.
  /// Returns  whether it was set.   Cost  two read-modify-writes.
  bool set(T new_value) noexcept(std::is_nothrow_move_constructible_v<T>) {
    if (!state_.begin()) return false;
    Making making(*this);
    making.finish(std::move(new_value));
    return true;
  }

  template <class F>
  class [[nodiscard]] GetOrInit;

  /// The value; if there is none, `factory()` makes it: it returns a T, a std::expected<T, E>, or a
  /// future of either. Of several callers one makes it and the others wait; if that one's factory
  /// throws, fails or its future is dropped, the cell stays empty and the next tries.
  /// Returns  future of `const T*`, never null; of std::expected<const T*, E> if the factory may
  ///          fail.
  /// Errors   what the factory throws, or its error.
  /// Cancel   dropping the future drops the factory's.
  template <std::invocable F>
  GetOrInit<F> get_or_init(F factory) {
    return GetOrInit<F>(*this, std::move(factory));
  }

 private:
  // The right and the duty to make the value: given up when it is not finished.
  class Making {
   public:
    explicit Making(OnceCell& cell) noexcept : cell_(&cell) {}
    Making(const Making&) = delete;
    Making& operator=(const Making&) = delete;
    ~Making() {
      if (cell_ != nullptr) cell_->state_.give_up();
    }
    template <class U>
    void finish(U&& new_value) {
      std::construct_at(cell_->value(), std::forward<U>(new_value));
      std::exchange(cell_, nullptr)->state_.publish();
    }

   private:
    OnceCell* cell_;
  };

  [[nodiscard]] T* value() noexcept { return reinterpret_cast<T*>(bytes_); }
  [[nodiscard]] const T* value() const noexcept { return reinterpret_cast<const T*>(bytes_); }

  detail::OnceState state_;
  alignas(T) std::byte bytes_[sizeof(T)];
};

namespace detail {

/// What get_or_init() gives if the factory gives, in the end, `Made`.
template <class T, class Made>
struct OnceOutput {
  using type = const T*;
};
template <class T, class U, class E>
  requires(!std::is_same_v<T, std::expected<U, E>>)
struct OnceOutput<T, std::expected<U, E>> {
  using type = std::expected<const T*, E>;
};

}  // namespace detail

template <class T>
template <class F>
class [[nodiscard]] OnceCell<T>::GetOrInit {
  using Made = std::invoke_result_t<F&>;
  static auto value_of_factory() noexcept {
    if constexpr (Future<Made>) {
      return std::type_identity<OutputOf<Made>>();
    } else {
      return std::type_identity<Made>();
    }
  }

 public:
  using Output = typename detail::OnceOutput<T, typename decltype(value_of_factory())::type>::type;

  GetOrInit(GetOrInit&& other) noexcept(std::is_nothrow_move_constructible_v<F>)
      : cell_(other.cell_), factory_(std::move(other.factory_)) {
    BLITZIO_CHECK(!other.is_queued_ && !other.making_);
  }
  GetOrInit(const GetOrInit&) = delete;
  GetOrInit& operator=(const GetOrInit&) = delete;
  GetOrInit& operator=(GetOrInit&&) = delete;
  ~GetOrInit() {
    if (is_queued_) cell_->state_.abandon(waiter_);
  }

  Poll<Output> poll(Context& context) {
    for (;;) {
      if (making_) return make(context);
      if (is_queued_) {
        if (cell_->state_.keep_waiting(waiter_, context)) return pending;
        is_queued_ = false;
        waiter_.reset();
      }
      if (cell_->state_.is_set()) return output();
      if (cell_->state_.begin()) {
        making_.emplace(*cell_);
      } else if (cell_->state_.enqueue(waiter_, context)) {
        is_queued_ = true;
        return pending;
      }
    }
  }

 private:
  friend class OnceCell;
  static constexpr bool kMayFail = !std::is_same_v<Output, const T*>;

  GetOrInit(OnceCell& cell, F factory) : cell_(&cell), factory_(std::move(factory)) {}

  Poll<Output> make(Context& context) {
    try {
      if constexpr (Future<Made>) {
        if (!future_) future_.emplace(factory_());
        auto answer = future_->poll(context);
        if (answer.is_pending()) return pending;
        auto made = std::move(answer).take();
        future_.reset();
        return finish(std::move(made));
      } else {
        return finish(factory_());
      }
    } catch (...) {
      future_.reset();
      making_.reset();
      throw;
    }
  }
  template <class V>
  Output finish(V&& made) {
    if constexpr (kMayFail) {
      if (!made) {
        making_.reset();
        return std::unexpected(std::forward<V>(made).error());
      }
      making_->finish(*std::forward<V>(made));
    } else {
      making_->finish(std::forward<V>(made));
    }
    making_.reset();
    return output();
  }
  [[nodiscard]] Output output() const noexcept { return std::as_const(*cell_).value(); }

  struct Nothing {};

  OnceCell* cell_;
  F factory_;
  detail::Waiter waiter_;
  bool is_queued_ = false;
  // Dropped in reverse order: the future before the right to make the value.
  std::optional<Making> making_;
  std::optional<std::conditional_t<Future<Made>, Made, Nothing>> future_;
};

}  // namespace blitzio::sync
