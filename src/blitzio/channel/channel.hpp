// `Channel<T>`: a bounded queue from any number of senders to any number of receivers.
//
// try_send() and try_recv() never take a lock (ring.hpp); only who has to wait does, to stand in
// line (sync/wait_queue.hpp). A waiting sender keeps its value in its future, so cancelling a send
// loses nothing that was accepted, and cancelling a receive loses nothing at all.
//
// After close() nothing more can be sent; what was accepted is received first, then the receivers
// are told.
#pragma once

#include <blitzio/base/backoff.hpp>
#include <blitzio/channel/queue_wait.hpp>
#include <blitzio/channel/ring.hpp>
#include <blitzio/sync/wait_queue.hpp>
#include <blitzio/task/future.hpp>

#include <cstddef>
#include <expected>
#include <optional>
#include <utility>

namespace blitzio::channel {

/// What try_send() says.
enum class SendStatus : std::uint8_t { sent, full, closed };
/// Why try_recv() has no value.
enum class RecvStatus : std::uint8_t { empty, closed };

/// Thread: any. Outlives its futures.
template <class T>
class Channel {
 public:
  /// Holds up to `capacity` values; 0 counts as 1.
  explicit Channel(std::size_t capacity) : ring_(capacity == 0 ? 1 : capacity) {}

  /// Moves `value` in if there is room; leaves it alone otherwise.
  /// Cost     one compare-exchange; never allocates.
  [[nodiscard]] SendStatus try_send(T&& value) noexcept { return try_send(value); }
  /// The same; after `full` and `closed`, `value` is as it was.
  [[nodiscard]] SendStatus try_send(T& value) noexcept {
    for (Backoff backoff;;) {
      switch (ring_.push(value)) {
        case detail::RingStatus::done:
          receivers_.notify_one();
          return SendStatus::sent;
        case detail::RingStatus::closed:
          return SendStatus::closed;
        case detail::RingStatus::busy:
          backoff.wait();
          continue;
        case detail::RingStatus::full:
        case detail::RingStatus::empty:
          return SendStatus::full;
      }
    }
  }

  /// The oldest value, if there is one.
  /// Cost     one compare-exchange; never allocates.
  [[nodiscard]] std::expected<T, RecvStatus> try_recv() noexcept {
    std::expected<T, RecvStatus> result = std::unexpected(RecvStatus::empty);
    for (Backoff backoff;;) {
      switch (ring_.pop_with([&](T&& value) noexcept { result.emplace(std::move(value)); })) {
        case detail::RingStatus::done:
          senders_.notify_one();
          return result;
        case detail::RingStatus::closed:
          result = std::unexpected(RecvStatus::closed);
          return result;
        case detail::RingStatus::busy:
          backoff.wait();
          continue;
        case detail::RingStatus::full:
        case detail::RingStatus::empty:
          return result;
      }
    }
  }

  class Send;
  class Recv;

  /// Sends `value`, after waiting for room.
  /// Returns  future of std::expected<void, T>: the value itself if the channel is closed.
  /// Cancel   dropping the future drops the value; it was not sent. Send::take_back() saves it.
  /// Cost     as try_send() when there is room; never allocates.
  Send send(T value) noexcept { return Send(*this, std::move(value)); }

  /// Waits for the oldest value.
  /// Returns  future of std::optional<T>: empty once the channel is closed and drained.
  /// Cancel   dropping the future loses no value; a wake it was given goes to the next receiver.
  /// Cost     as try_recv() when there is one; never allocates.
  Recv recv() noexcept { return Recv(*this); }

  /// Nothing can be sent any more; waiting senders get their values back, receivers what is left.
  void close() noexcept {
    if (!ring_.close()) return;
    receivers_.notify_all();
    senders_.notify_all();
  }
  /// Whether close() was called; there may be values left.
  [[nodiscard]] bool is_closed() const noexcept { return ring_.is_closed(); }
  /// How many values there is room for.
  [[nodiscard]] std::size_t capacity() const noexcept { return ring_.capacity(); }
  /// Calls `visit(T&)` on each value inside, oldest first. Nobody may send or receive meanwhile.
  template <class Visit>
  void for_each(Visit&& visit) noexcept {
    ring_.for_each(visit);
  }
  /// Values inside; a snapshot.
  [[nodiscard]] std::size_t size() const noexcept { return ring_.size(); }
  /// Snapshots as well.
  [[nodiscard]] bool is_empty() const noexcept { return size() == 0; }
  [[nodiscard]] bool is_full() const noexcept { return size() == capacity(); }

 private:
  detail::Ring<T> ring_;
  sync::detail::WaitQueue receivers_;
  sync::detail::WaitQueue senders_;
};

template <class T>
class [[nodiscard]] Channel<T>::Send {
 public:
  using Output = std::expected<void, T>;

  Send(Send&& other) noexcept : channel_(other.channel_), value_(std::move(other.value_)) {
    BLITZIO_CHECK(!other.wait_.is_waiting());
  }
  Send(const Send&) = delete;
  Send& operator=(const Send&) = delete;
  Send& operator=(Send&&) = delete;

  Poll<Output> poll(Context& context) noexcept {
    SendStatus status = SendStatus::full;
    const bool is_done = wait_.poll(channel_->senders_, context, [&]() noexcept {
      status = channel_->try_send(value_);
      return status != SendStatus::full;
    });
    if (!is_done) return pending;
    is_over_ = true;
    if (status == SendStatus::sent) return Output();
    return Output(std::unexpected(std::move(value_)));
  }
  /// What is to be sent; moved from once the send is over.
  [[nodiscard]] const T& value() const noexcept { return value_; }
  /// Gives the send up and its value back: for one that lost a select(), to which it was lent.
  /// Returns  empty if the send was over: the value was sent, or came back as the error.
  [[nodiscard]] std::optional<T> take_back() noexcept {
    if (std::exchange(is_over_, true)) return std::nullopt;
    wait_.leave();
    return std::move(value_);
  }

 private:
  friend class Channel;
  Send(Channel& channel, T value) noexcept : channel_(&channel), value_(std::move(value)) {}

  Channel* channel_;
  T value_;
  bool is_over_ = false;
  detail::QueueWait wait_;
};

template <class T>
class [[nodiscard]] Channel<T>::Recv {
 public:
  using Output = std::optional<T>;

  Recv(Recv&& other) noexcept : channel_(other.channel_) {
    BLITZIO_CHECK(!other.wait_.is_waiting());
  }
  Recv(const Recv&) = delete;
  Recv& operator=(const Recv&) = delete;
  Recv& operator=(Recv&&) = delete;

  Poll<Output> poll(Context& context) noexcept {
    std::expected<T, RecvStatus> tried = std::unexpected(RecvStatus::empty);
    const bool is_done = wait_.poll(channel_->receivers_, context, [&]() noexcept {
      tried = channel_->try_recv();
      return tried || tried.error() != RecvStatus::empty;
    });
    if (!is_done) return pending;
    if (tried) return Output(std::move(*tried));
    return Output();
  }

 private:
  friend class Channel;
  explicit Recv(Channel& channel) noexcept : channel_(&channel) {}

  Channel* channel_;
  detail::QueueWait wait_;
};

}  // namespace blitzio::channel
