// `Watch<T>`: the latest value of something, and a wake-up when it changes. Any number of senders
// and receivers; a receiver that is slow misses values in between, never the last one.
//
// The value is read and written under a short lock of the channel's own; the version that counts
// changes is read without it, so asking whether there is news costs one load.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/channel/queue_wait.hpp>
#include <blitzio/sync/wait_queue.hpp>
#include <blitzio/task/future.hpp>

#include <concepts>
#include <cstdint>
#include <optional>
#include <utility>

namespace blitzio::channel {

/// Thread: any. Outlives its receivers and their futures.
template <class T>
class Watch {
 public:
  explicit Watch(T initial) : value_(std::move(initial)) {}
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  /// Replaces the value and wakes every receiver that waits.
  /// Returns  false, with `value` untouched, if the channel is closed.
  bool send(T&& value) {
    std::optional<T> old;  // destroyed after the lock
    return send_modify([&](T& current) { old.emplace(std::exchange(current, std::move(value))); });
  }
  bool send(const T& value) { return send(T(value)); }
  /// Changes the value in place: `change(T&)` runs under the lock, so keep it short and leave this
  /// channel alone in it.
  /// Returns  false, without calling it, if the channel is closed.
  template <std::invocable<T&> Change>
  bool send_modify(Change change) {
    return send_if_modified([&](T& current) {
      change(current);
      return true;
    });
  }
  /// As send_modify(), but wakes nobody if `change(T&)` returns false.
  /// Returns  whether it was called and returned true.
  template <std::predicate<T&> Change>
  bool send_if_modified(Change change) {
    {
      const MutexLock lock(mutex_);
      if (is_closed()) return false;
      if (!change(value_)) return false;
      // Seq_cst: a notifier reads the queue of waiters after it (sync/wait_queue.hpp).
      version_.fetch_add(kVersion, std::memory_order_seq_cst);
    }
    changes_.notify_all();
    return true;
  }

  /// A copy of the value.
  [[nodiscard]] T get() const {
    const MutexLock lock(mutex_);
    return value_;
  }
  /// Calls `look(const T&)` under the lock and returns its result: for values that are dear to
  /// copy.
  template <std::invocable<const T&> Look>
  auto borrow(Look look) const {
    const MutexLock lock(mutex_);
    return look(value_);
  }

  class Receiver;
  /// A receiver to which the present value is not news.
  [[nodiscard]] Receiver subscribe() noexcept { return Receiver(*this, version()); }

  /// No more values: whoever waits for a change is told, now and later.
  void close() noexcept {
    // Seq_cst: as in send_modify().
    version_.fetch_or(kClosed, std::memory_order_seq_cst);
    changes_.notify_all();
  }
  /// Whether close() was called.
  [[nodiscard]] bool is_closed() const noexcept { return (version() & kClosed) != 0; }

 private:
  static constexpr std::uint64_t kClosed = 1;
  static constexpr std::uint64_t kVersion = 2;

  [[nodiscard]] std::uint64_t version() const noexcept {
    // Seq_cst: the second look of a waiting receiver (sync/wait_queue.hpp).
    return version_.load(std::memory_order_seq_cst);
  }

  mutable Mutex mutex_{LockRank::leaf};
  T value_ BLITZIO_GUARDED_BY(mutex_);
  // How often the value changed, and whether it is closed. Written under the lock, but for closing.
  Atomic<std::uint64_t> version_{0};
  sync::detail::WaitQueue changes_;
};

/// One that wants to know of changes. Thread: any, one at a time.
template <class T>
class Watch<T>::Receiver {
 public:
  /// Whether the value has changed since it was last looked at.
  [[nodiscard]] bool has_changed() const noexcept {
    return (watch_->version() & ~kClosed) != (seen_ & ~kClosed);
  }
  /// A copy of the value, which is no news afterwards.
  [[nodiscard]] T get_and_update() {
    const MutexLock lock(watch_->mutex_);
    seen_ = watch_->version();
    return watch_->value_;
  }
  /// A copy of the value, which stays news if it was.
  [[nodiscard]] T get() const { return watch_->get(); }
  /// As Watch::borrow().
  template <std::invocable<const T&> Look>
  auto borrow(Look look) const {
    return watch_->borrow(std::move(look));
  }
  /// The same, and the value is no news afterwards.
  template <std::invocable<const T&> Look>
  auto borrow_and_update(Look look) {
    const MutexLock lock(watch_->mutex_);
    seen_ = watch_->version();
    return look(std::as_const(watch_->value_));
  }

  class [[nodiscard]] Changed {
   public:
    using Output = bool;
    Changed(Changed&& other) noexcept : receiver_(other.receiver_) {
      BLITZIO_CHECK(!other.wait_.is_waiting());
    }
    Changed(const Changed&) = delete;
    Changed& operator=(const Changed&) = delete;
    Changed& operator=(Changed&&) = delete;
    Poll<bool> poll(Context& context) noexcept {
      Watch& watch = *receiver_->watch_;
      bool is_news = false;
      const bool is_done = wait_.poll(watch.changes_, context, [&]() noexcept {
        const std::uint64_t version = watch.version();
        is_news = (version & ~kClosed) != (receiver_->seen_ & ~kClosed);
        if (is_news) receiver_->seen_ = version;
        return is_news || (version & kClosed) != 0;
      });
      if (!is_done) return pending;
      return is_news;
    }

   private:
    friend class Receiver;
    explicit Changed(Receiver& receiver) noexcept : receiver_(&receiver) {}
    Receiver* receiver_;
    detail::QueueWait wait_;
  };

  /// Waits until the value has changed since it was last looked at, and takes note.
  /// Returns  future of bool: false if the channel is closed and there is no news.
  /// Cancel   dropping the future loses nothing.
  Changed changed() noexcept { return Changed(*this); }

 private:
  friend class Watch;
  Receiver(Watch& watch, std::uint64_t seen) noexcept : watch_(&watch), seen_(seen) {}

  Watch* watch_;
  std::uint64_t seen_;
};

}  // namespace blitzio::channel
