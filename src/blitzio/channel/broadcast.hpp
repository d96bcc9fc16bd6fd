// `Broadcast<T>`: every receiver gets every value, from a ring that the senders never wait for: who
// is slower than `capacity` values is told how many it missed.
//
// Each slot has a word that says which position's value it holds, or that it is being written:
//
//     2 × position + 1   being written
//     2 × position + 2   holds the value of `position`
//
// Senders take turns under a lock. Receivers take none: a small trivially copyable value is copied
// word by word and is good if the slot's word is the same afterwards (a sequence lock); others are
// copied with the top bit of the word set, which keeps a sender from overwriting them meanwhile.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/backoff.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/channel/queue_wait.hpp>
#include <blitzio/sync/wait_queue.hpp>
#include <blitzio/task/future.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <expected>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace blitzio::channel {

/// Why a Broadcast receiver has no value.
struct BroadcastError {
  enum class Kind : std::uint8_t {
    empty,   ///< try_recv() only
    closed,  ///< closed, and everything was received
    lagged,  ///< values were overwritten; the next receive goes on with the oldest one left
  };
  Kind kind;
  std::uint64_t missed = 0;  ///< lagged: how many

  friend bool operator==(BroadcastError, BroadcastError) noexcept = default;
};

namespace detail {

/// A slot whose value is copied without stopping a writer.
template <class T>
class SequenceSlot {
 public:
  /// Owner of the sender's lock only.
  void write(std::uint64_t position, T& value) noexcept {
    std::array<std::uint64_t, kWords> words{};
    std::memcpy(words.data(), &value, sizeof(T));
    // Relaxed: ordered before the words by their release.
    stamp_.store(2 * position + 1, std::memory_order_relaxed);
    for (std::size_t i = 0; i < kWords; ++i) {
      // Release: who reads this word sees the stamp above; pairs with the acquire in read().
      words_[i].store(words[i], std::memory_order_release);
    }
    // Release: publishes the words, pairs with the first acquire in read().
    stamp_.store(2 * position + 2, std::memory_order_release);
  }
  /// The value of `position`, if the slot still holds it.
  [[nodiscard]] std::optional<T> read(std::uint64_t position) const noexcept {
    // Acquire: pairs with the release in write(); the words are those of `position` or later.
    if (stamp_.load(std::memory_order_acquire) != 2 * position + 2) return std::nullopt;
    std::array<std::uint64_t, kWords> words;
    // Acquire: a word of a later write shows that write's stamp below; pairs with its release.
    for (std::size_t i = 0; i < kWords; ++i) words[i] = words_[i].load(std::memory_order_acquire);
    // Relaxed: ordered after the words by their acquire.
    if (stamp_.load(std::memory_order_relaxed) != 2 * position + 2) return std::nullopt;
    std::array<std::byte, sizeof(T)> bytes;
    std::memcpy(bytes.data(), words.data(), sizeof(T));
    return std::bit_cast<T>(bytes);
  }

 private:
  static constexpr std::size_t kWords = (sizeof(T) + 7) / 8;
  // Written by senders in turn; publishes the words.
  Atomic<std::uint64_t> stamp_{0};
  std::array<Atomic<std::uint64_t>, kWords> words_{};
};

/// A slot that a writer and a reader hold in turn.
template <class T>
class LockedSlot {
  // A write that threw would leave the slot held, or with half a value.
  static_assert(std::is_nothrow_move_assignable_v<T>);

 public:
  LockedSlot() noexcept = default;
  LockedSlot(const LockedSlot&) = delete;
  LockedSlot& operator=(const LockedSlot&) = delete;

  /// Owner of the sender's lock only. Leaves what was there in `value`, to be dropped without it.
  void write(std::uint64_t position, T& value) noexcept {
    // Relaxed: a guess that the compare-exchange verifies.
    std::uint64_t stamp = stamp_.load(std::memory_order_relaxed);
    for (Backoff backoff;;) {
      stamp &= ~kHeld;
      // Acquire: the reader that held it is done; pairs with the release in read().
      if (stamp_.compare_exchange_weak(stamp, stamp | kHeld, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        break;
      }
      if ((stamp & kHeld) != 0) backoff.wait();
    }
    if (value_) {
      std::swap(*value_, value);
    } else {
      value_.emplace(std::move(value));
    }
    // Release: publishes the value, pairs with the acquire in read().
    stamp_.store(2 * position + 2, std::memory_order_release);
  }
  [[nodiscard]] std::optional<T> read(std::uint64_t position) {
    const std::uint64_t wanted = 2 * position + 2;
    std::uint64_t stamp = wanted;
    // Acquire: pairs with the release in write(); the value is visible.
    for (Backoff backoff; !stamp_.compare_exchange_weak(
             stamp, wanted | kHeld, std::memory_order_acquire, std::memory_order_relaxed);) {
      if ((stamp & ~kHeld) != wanted) return std::nullopt;
      if ((stamp & kHeld) != 0) backoff.wait();
      stamp = wanted;
    }
    const Release release(stamp_, wanted);
    return std::optional<T>(std::in_place, std::as_const(*value_));
  }
  /// The value it holds; null if none. Nobody may write or read meanwhile.
  [[nodiscard]] T* held() noexcept { return value_ ? &*value_ : nullptr; }

 private:
  static constexpr std::uint64_t kHeld = std::uint64_t{1} << 63;

  // Lets go of the slot even if copying throws.
  class Release {
   public:
    Release(Atomic<std::uint64_t>& stamp, std::uint64_t value) noexcept
        : stamp_(stamp), value_(value) {}
    Release(const Release&) = delete;
    Release& operator=(const Release&) = delete;
    // Release: the copy is made; pairs with the acquire in write().
    ~Release() { stamp_.store(value_, std::memory_order_release); }

   private:
    Atomic<std::uint64_t>& stamp_;
    std::uint64_t value_;
  };

  // Held, and changed by its holder: senders and receivers in turn; publishes the value.
  Atomic<std::uint64_t> stamp_{0};
  std::optional<T> value_;
};

inline constexpr std::size_t kSequenceBytesMax = 64;

template <class T>
using BroadcastSlot =
    std::conditional_t<std::is_trivially_copyable_v<T> && sizeof(T) <= kSequenceBytesMax,
                       SequenceSlot<T>, LockedSlot<T>>;

}  // namespace detail

/// Thread: any. Outlives its receivers and their futures.
template <class T>
class Broadcast {
  static_assert(std::is_nothrow_move_constructible_v<T>);

 public:
  /// Keeps the last `capacity` values; 0 counts as 1.
  explicit Broadcast(std::size_t capacity)
      : capacity_(capacity == 0 ? 1 : capacity),
        slots_(std::make_unique<detail::BroadcastSlot<T>[]>(capacity_)) {}
  Broadcast(const Broadcast&) = delete;
  Broadcast& operator=(const Broadcast&) = delete;

  /// Sends `value` to every receiver there is. Never waits.
  /// Returns  false, with `value` untouched, if the channel is closed.
  bool send(T&& value) {
    {
      const MutexLock lock(mutex_);
      // Relaxed: only the lock's holder writes it.
      const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
      if ((tail & kClosed) != 0) return false;
      const std::uint64_t position = tail / kPosition;
      slots_[position % capacity_].write(position, value);
      // Seq_cst: a notifier reads the queue of waiters after it (sync/wait_queue.hpp).
      tail_.store(tail + kPosition, std::memory_order_seq_cst);
    }
    receivers_.notify_all();
    return true;
  }
  bool send(const T& value) { return send(T(value)); }

  class Receiver;
  /// A receiver of what is sent from now on.
  [[nodiscard]] Receiver subscribe() noexcept { return Receiver(*this, tail() / kPosition); }

  /// No more values: receivers get what is left and are then told.
  void close() noexcept {
    {
      const MutexLock lock(mutex_);
      // Seq_cst: as in send().
      tail_.fetch_or(kClosed, std::memory_order_seq_cst);
    }
    receivers_.notify_all();
  }
  /// Whether close() was called; receivers may have values left.
  [[nodiscard]] bool is_closed() const noexcept { return (tail() & kClosed) != 0; }
  /// How many values are kept for receivers that are behind.
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  /// Calls `visit(T&)` on each value that is kept; not for small trivial types. Nobody may send or
  /// receive meanwhile.
  template <class Visit>
  void for_each(Visit&& visit) noexcept {
    for (std::size_t i = 0; i < capacity_; ++i) {
      if (T* value = slots_[i].held()) visit(*value);
    }
  }

 private:
  static constexpr std::uint64_t kClosed = 1;
  static constexpr std::uint64_t kPosition = 2;

  [[nodiscard]] std::uint64_t tail() const noexcept {
    // Seq_cst: the second look of a waiting receiver (sync/wait_queue.hpp).
    return tail_.load(std::memory_order_seq_cst);
  }

  const std::size_t capacity_;
  const std::unique_ptr<detail::BroadcastSlot<T>[]> slots_;
  Mutex mutex_{LockRank::leaf};  ///< held while sending
  // The next position to be written, and whether the channel is closed. Written under the lock.
  Atomic<std::uint64_t> tail_{0};
  sync::detail::WaitQueue receivers_;
};

/// Thread: any, one at a time.
template <class T>
class Broadcast<T>::Receiver {
 public:
  /// The next value, if it is there.
  /// Errors   empty, closed or lagged, see BroadcastError.
  [[nodiscard]] std::expected<T, BroadcastError> try_recv() {
    const std::uint64_t tail = channel_->tail();
    if (position_ == tail / kPosition) {
      return std::unexpected(BroadcastError{(tail & kClosed) != 0 ? BroadcastError::Kind::closed
                                                                  : BroadcastError::Kind::empty});
    }
    std::optional<T> value = channel_->slots_[position_ % channel_->capacity_].read(position_);
    if (value) {
      ++position_;
      return std::move(*value);
    }
    // Overwritten, or about to be. On with the oldest that is left: it may be overwritten by the
    // next call, which says so then.
    const std::uint64_t end = channel_->tail() / kPosition;
    const std::uint64_t oldest = end > channel_->capacity_ ? end - channel_->capacity_ : 0;
    const std::uint64_t next = std::max(oldest, position_ + 1);
    const std::uint64_t missed = next - std::exchange(position_, next);
    return std::unexpected(BroadcastError{BroadcastError::Kind::lagged, missed});
  }

  /// Values that wait to be received, or have been missed already; a snapshot.
  [[nodiscard]] std::uint64_t size() const noexcept {
    return channel_->tail() / kPosition - position_;
  }

  class [[nodiscard]] Recv {
   public:
    using Output = std::expected<T, BroadcastError>;
    Recv(Recv&& other) noexcept : receiver_(other.receiver_) {
      BLITZIO_CHECK(!other.wait_.is_waiting());
    }
    Recv(const Recv&) = delete;
    Recv& operator=(const Recv&) = delete;
    Recv& operator=(Recv&&) = delete;
    Poll<Output> poll(Context& context) {
      Output tried = std::unexpected(BroadcastError{BroadcastError::Kind::empty});
      const bool is_done = wait_.poll(receiver_->channel_->receivers_, context, [&] {
        tried = receiver_->try_recv();
        return tried || tried.error().kind != BroadcastError::Kind::empty;
      });
      if (!is_done) return pending;
      return tried;
    }

   private:
    friend class Receiver;
    explicit Recv(Receiver& receiver) noexcept : receiver_(&receiver) {}
    Receiver* receiver_;
    detail::QueueWait wait_;
  };

  /// Waits for the next value.
  /// Returns  future of std::expected<T, BroadcastError>: closed or lagged.
  /// Cancel   dropping the future loses nothing.
  Recv recv() noexcept { return Recv(*this); }

 private:
  friend class Broadcast;
  Receiver(Broadcast& channel, std::uint64_t position) noexcept
      : channel_(&channel), position_(position) {}

  Broadcast* channel_;
  std::uint64_t position_;  ///< of the next value
};

}  // namespace blitzio::channel
