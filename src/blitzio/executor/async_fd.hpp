// `AsyncFd`: a descriptor whose calls are tried at once and wait only when they would block. What
// sockets and pipes are made of; also for descriptors of other libraries.
//
//     AsyncFd pipe = AsyncFd::adopt(std::move(fd)).value();
//     co_await pipe.readable();              // then read(2) does not say EAGAIN
//
// Readiness, not completion, so that a wait holds no buffer and takes no byte: dropping a future
// loses nothing and leaves nothing in the kernel's hands, and a buffer may be the caller's. The
// system call is made by whoever polls, on any thread; only the wait belongs to a driver:
//
//   reading   one poll_multishot, from the first wait on until the descriptor is closed. It stays
//             with the driver of the thread that waited first, the home, whose thread wakes the
//             task; a scheduler then runs the task there, near its connection. If the task was
//             stolen, the wake reaches it all the same.
//   writing   a one-shot poll per wait: sockets are seldom full.
//
// A thread without a loop, which polls inside a ThreadPoll, waits for the descriptor by itself and
// leaves the machine below as it is.
//
// Each direction is a state machine; `home` is set in all states but idle:
//
//            first waiter, on the home's thread
//          ┌────────────────────────────────────────┐
//          │ first waiter, elsewhere      delivered ▼   event: ready, wakes the waiters
//        idle ─────────────────────▶ posted ─────▶ armed ──┐
//          ▲                            │           │ ▲    │
//          │ delivered, but closed      │           │ └────┘
//          └────────────────────────────┘           │
//          └────────────────────────────────────────┘ last completion: one-shot, error, cancelled
//                                                     by close(), driver shut down (then the next
//                                                     wait finds a new home)
//
// Ready means "try": it begins so, an event sets it, and EAGAIN clears it if no event came since
// the try began, which a count of events in the same word tells.
//
// Closing while a direction is armed: on the home's thread the operation is cancelled and the
// descriptor closed at once; elsewhere the home is sent a message and closes it there, so that no
// request of the kernel keeps the file open. The memory goes with the last completion.
//
// A number that is closed may be another file's a moment later. So it is closed only when nobody
// uses it any more: neither a home nor the call of a future that has waited, and that its event may
// have woken just now. Both are counted. Who takes the descriptor back before that gets a
// duplicate. Calls that are made at once are not counted, for that would cost each of them 25 ns:
// who closes on one thread must not let another begin such a call meanwhile (AsyncFd::close()).
//
// Threads: any, also several at a time (two tasks may read, or accept; all of them are woken and
// the fastest gets it). Moving and dropping a handle: who owns it.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/check.hpp>
#include <blitzio/base/intrusive_list.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/base/owned_fd.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/driver/driver.hpp>
#include <blitzio/task/future.hpp>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

namespace blitzio {

enum class IoDirection : std::uint8_t { read, write };

/// What a system call that was tried said.
struct IoAttempt {
  /// What the call is worth, or -errno; -EAGAIN waits.
  std::int64_t result;
  /// The call took all there was: a stream gave less than asked for.
  bool is_drained = false;
  /// With -EAGAIN: the caller waits for something else, which wakes the same task. Only closing the
  /// descriptor is to be heard of here.
  bool waits_elsewhere = false;
};

namespace detail {

// Calls that did not wait since the last one that did.
[[gnu::tls_model("initial-exec")]] inline thread_local constinit std::uint32_t io_streak = 0;

struct IoWaiterTag;

/// A future's place in the queue of a direction. The links and the waker belong to the source's
/// lock while queued.
struct IoWaiter : ListNode<IoWaiterTag> {
  Waker waker;
  // Written under the source's lock, cleared as the waker's last access; read by the future.
  Atomic<bool> is_queued{false};
};
using IoWaiterList = IntrusiveList<IoWaiter, IoWaiterTag>;

class IoSource;

/// One direction of a source.
class IoSide final : public driver::Operation, public driver::Message {
 public:
  IoSide(IoSource& source, IoDirection direction) noexcept;

  static constexpr std::uint32_t kReady = 1;  ///< a call may succeed
  static constexpr std::uint32_t kEnded =
      2;                                     ///< the peer is done, or failed: stays so until EAGAIN
  static constexpr std::uint32_t kTick = 4;  ///< counts events, above the flags

  [[nodiscard]] std::uint32_t readiness() const noexcept {
    // Acquire: pairs with the release in note_event(); the try comes after what it tells of.
    return readiness_.load(std::memory_order_acquire);
  }
  /// After a try that began at `seen`: takes `flags` out unless an event came since.
  void clear(std::uint32_t seen, std::uint32_t flags) noexcept {
    // Relaxed: nothing is published; if an event came, its count makes this fail.
    readiness_.compare_exchange_strong(seen, seen & ~flags, std::memory_order_relaxed,
                                       std::memory_order_relaxed);
  }
  /// Whether a short read means that nothing is left; not where the end of the data (or its urgent
  /// mark) may have hidden in the last event.
  [[nodiscard]] bool trusts_short_reads(std::uint32_t seen) const noexcept {
    // Relaxed: set before the event that this try follows.
    return trusts_short_reads_.load(std::memory_order_relaxed) && (seen & kEnded) == 0;
  }
  /// A thread has found it ready by itself; it tries next.
  void note_polled() noexcept { note_event(kReady); }

 private:
  friend class IoSource;
  enum class State : std::uint8_t { idle, posted, armed };

  void note_event(std::uint32_t flags) noexcept;

  IoSource& source_;
  driver::Driver* home_ = nullptr;  // belongs to the lock, as all below but the word
  State state_ = State::idle;
  const IoDirection direction_;
  int error_ = 0;  ///< of the wait itself, for the next who would wait
  IoWaiterList waiters_;
  // Written by events, and cleared by who tried; publishes the event.
  Atomic<std::uint32_t> readiness_{kReady};
  // Written when it is armed, read by those who try.
  Atomic<bool> trusts_short_reads_{false};
};

/// The descriptor with both its directions; shared by handles and by what is in flight.
class IoSource {
 public:
  explicit IoSource(OwnedFd&& fd) noexcept : number_(fd.get()), fd_(std::move(fd)) {}
  IoSource(const IoSource&) = delete;
  IoSource& operator=(const IoSource&) = delete;

  /// -1 once it is closed.
  [[nodiscard]] int fd() const noexcept {
    // Relaxed: the number is all there is.
    return (calls_.load(std::memory_order_relaxed) & kClosed) != 0 ? -1 : number_;
  }
  [[nodiscard]] IoSide& side(IoDirection direction) noexcept {
    return direction == IoDirection::read ? read_ : write_;
  }

  /// A call of a future that has waited: while it lasts the number is not another file's, whoever
  /// closes meanwhile.
  class Call {
   public:
    explicit Call(IoSource& source) noexcept
        : source_(source),
          // Relaxed: which of this and the closing came first the word tells, and nothing rides on
          // it.
          fd_((source.calls_.fetch_add(kCall, std::memory_order_relaxed) & kClosed) == 0
                  ? source.number_
                  : -1) {}
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    ~Call() {
      // Release: the call comes before the end of the number; pairs with the acquire in
      // let_go_of_fd().
      const auto calls = source_.calls_.fetch_sub(kCall, std::memory_order_release);
      if (BLITZIO_UNLIKELY(calls == (kClosed | kCall))) source_.end_last_call();
    }
    /// -1 if it is closed.
    [[nodiscard]] int fd() const noexcept { return fd_; }

   private:
    IoSource& source_;
    const int fd_;
  };

  void add_handle() noexcept {
    // Relaxed: made from a handle that is held; nothing rides on the count going up.
    handles_.fetch_add(1, std::memory_order_relaxed);
  }
  /// The last one closes the descriptor.
  void drop_handle() noexcept;
  enum class Closing : std::uint8_t { plain, listener, gives_fd };
  /// Ends all waits and closes the descriptor, or gives it to the caller. A listener that others
  /// hold stops listening at once.
  OwnedFd close(Closing how) noexcept BLITZIO_EXCLUDES(mutex_);

  enum class Wait : std::uint8_t { waiting, retry, closed, failed };
  /// Queues `waiter` unless readiness has come; arms the direction if it must, or leaves it to the
  /// thread's ThreadPoll.
  /// Returns  retry: try again; failed: the wait cannot be had, `error` says why.
  [[nodiscard]] Wait wait(IoSide& side, IoWaiter& waiter, const Waker& waker, int& error) noexcept
      BLITZIO_EXCLUDES(mutex_);
  /// Queues `waiter` for the end alone; an event may wake it too, if others wait for one.
  /// Returns  waiting or closed.
  [[nodiscard]] Wait wait_for_close(IoSide& side, IoWaiter& waiter, const Waker& waker) noexcept
      BLITZIO_EXCLUDES(mutex_);
  void leave(IoWaiter& waiter) noexcept BLITZIO_EXCLUDES(mutex_);
  void set_lingers(bool lingers) noexcept {
    // Relaxed: close_fd() comes after it, by what orders the handles.
    lingers_.store(lingers, std::memory_order_relaxed);
  }
  /// Whether others than the calling thread's loop wait for it: then the kernel keeps the file open
  /// for a moment after close().
  [[nodiscard]] bool is_held_elsewhere() noexcept BLITZIO_EXCLUDES(mutex_);

 private:
  friend class IoSide;
  ~IoSource() = default;

  static constexpr std::uint32_t kClosed = 1;
  static constexpr std::uint32_t kCall = 2;  ///< counts calls, above the flag

  BLITZIO_COLD void end_last_call() noexcept BLITZIO_EXCLUDES(mutex_);

  static void on_completion(driver::Operation& operation,
                            const driver::Completion& completion) noexcept;
  static void on_message(driver::Message& message) noexcept;

  void complete(IoSide& side, const driver::Completion& completion) noexcept;
  void deliver_arm(IoSide& side) noexcept BLITZIO_EXCLUDES(mutex_);
  void deliver_cancel(IoSide& side) noexcept BLITZIO_EXCLUDES(mutex_);
  void wake_waiters(IoSide& side) noexcept BLITZIO_EXCLUDES(mutex_);
  void arm(IoSide& side) noexcept;
  /// `waker` gets the waiter's old one.
  void enqueue(IoSide& side, IoWaiter& waiter, Waker& waker) noexcept BLITZIO_REQUIRES(mutex_);
  [[nodiscard]] OwnedFd let_go_of_fd() noexcept BLITZIO_REQUIRES(mutex_);
  [[nodiscard]] OwnedFd give_fd() noexcept BLITZIO_REQUIRES(mutex_);
  /// Where it may block.
  void close_fd(OwnedFd closing) noexcept BLITZIO_EXCLUDES(mutex_);
  [[nodiscard]] bool others_hold() noexcept BLITZIO_REQUIRES(mutex_);
  void add_ref() noexcept;
  void release_ref() noexcept;

  const int number_;
  // Whether it is closed, set once under the lock, and how many calls are under way.
  Atomic<std::uint32_t> calls_{0};
  Mutex mutex_{LockRank::async_fd};
  OwnedFd fd_ BLITZIO_GUARDED_BY(mutex_);
  // Directions whose operation may be in the kernel, not cancelled, and a close() under way.
  unsigned holders_ BLITZIO_GUARDED_BY(mutex_) = 0;
  // Whether close(2) may block.
  Atomic<bool> lingers_{false};
  // Counted by the AsyncFd objects.
  Atomic<std::uint32_t> handles_{1};
  // Counted by each direction that is not idle, each message that cancels one, and by all handles
  // together.
  Atomic<std::uint32_t> refs_{1};
  IoSide read_{*this, IoDirection::read};
  IoSide write_{*this, IoDirection::write};
};

}  // namespace detail

class AsyncFd;

/// Waits until a call on a descriptor succeeds; what I/O futures are made of. It cannot move once
/// it has waited, and the descriptor's handle outlives it.
class IoWait {
 public:
  IoWait(const AsyncFd& fd, IoDirection direction) noexcept;
  IoWait(IoWait&& other) noexcept : source_(other.source_), side_(other.side_) {
    BLITZIO_CHECK(!other.may_be_queued_);
  }
  IoWait(const IoWait&) = delete;
  IoWait& operator=(const IoWait&) = delete;
  IoWait& operator=(IoWait&&) = delete;
  ~IoWait() { leave(); }

  /// Calls `attempt(fd)`, which returns an IoAttempt, until it says something else than EAGAIN.
  /// Now and then it yields although the call might succeed, so that a descriptor that is always
  /// ready leaves room for other tasks.
  /// Errors   what the call says; closed after AsyncFd::close(); what waiting gives (ENOMEM).
  /// Cancel   loses nothing: a call is made only by a poll that returns its result.
  template <class Attempt>
  Poll<Result<std::size_t>> poll(Context& context, Attempt&& attempt) {
    for (;;) {
      const std::uint32_t seen = side_->readiness();
      if (BLITZIO_LIKELY((seen & (detail::IoSide::kReady | detail::IoSide::kEnded)) != 0)) {
        if (BLITZIO_UNLIKELY(++detail::io_streak == kStreakMax)) return give_way(context);
        const IoAttempt done =
            BLITZIO_LIKELY(!may_be_queued_) ? try_on(source_->fd(), attempt) : try_again(attempt);
        if (BLITZIO_UNLIKELY(done.result == kClosed)) {
          return failed(Error::runtime(RuntimeErrc::closed));
        }
        if (BLITZIO_LIKELY(done.result != -EAGAIN)) {
          if (done.is_drained && side_->trusts_short_reads(seen)) {
            side_->clear(seen, detail::IoSide::kReady);
          }
          leave();
          if (BLITZIO_UNLIKELY(done.result < 0)) {
            // A listener is told to end before it is closed: then that is what the call met.
            return failed(source_->fd() < 0 ? Error::runtime(RuntimeErrc::closed)
                                            : Error::os(static_cast<int>(-done.result)));
          }
          return Result<std::size_t>(static_cast<std::size_t>(done.result));
        }
        if (BLITZIO_UNLIKELY(done.waits_elsewhere)) {
          may_be_queued_ = true;
          if (source_->wait_for_close(*side_, waiter_, context.waker()) ==
              detail::IoSource::Wait::closed) {
            return failed(Error::runtime(RuntimeErrc::closed));
          }
          return pending;
        }
        side_->clear(seen, detail::IoSide::kReady | detail::IoSide::kEnded);
      }
      int error = 0;
      may_be_queued_ = true;
      switch (source_->wait(*side_, waiter_, context.waker(), error)) {
        case detail::IoSource::Wait::waiting:
          detail::io_streak = 0;
          return pending;
        case detail::IoSource::Wait::retry:
          break;
        case detail::IoSource::Wait::closed:
          return failed(Error::runtime(RuntimeErrc::closed));
        case detail::IoSource::Wait::failed:
          return failed(Error::os(error));
      }
    }
  }

 private:
  /// What no call says.
  static constexpr std::int64_t kClosed = std::numeric_limits<std::int64_t>::min();
  template <class Attempt>
  static IoAttempt try_on(int fd, Attempt& attempt) {
    return BLITZIO_LIKELY(fd >= 0) ? attempt(fd) : IoAttempt{kClosed};
  }
  template <class Attempt>
  [[gnu::noinline]] IoAttempt try_again(Attempt& attempt) {
    const detail::IoSource::Call call(*source_);
    return try_on(call.fd(), attempt);
  }

  /// Calls in a row that did not wait, of all tasks of a thread.
  static constexpr std::uint32_t kStreakMax = 128;

  static Poll<Result<std::size_t>> failed(Error error) noexcept {
    return Result<std::size_t>(fail(error));
  }
  Poll<Result<std::size_t>> give_way(Context& context) noexcept {
    detail::io_streak = 0;
    context.waker().wake_by_ref();
    return pending;
  }
  void leave() noexcept {
    // Acquire: pairs with the release in wake_waiters(); the node is ours again.
    if (may_be_queued_ && waiter_.is_queued.load(std::memory_order_acquire)) {
      source_->leave(waiter_);
    }
    may_be_queued_ = false;
  }

  detail::IoSource* source_;
  detail::IoSide* side_;
  detail::IoWaiter waiter_;
  bool may_be_queued_ = false;
};

class AsyncFd {
 public:
  /// Empty: no descriptor.
  AsyncFd() noexcept = default;
  /// Takes over `fd`, which should be in non-blocking mode; it is closed with the last handle.
  /// Errors   ENOMEM; `fd` is as it was then.
  [[nodiscard]] static Result<AsyncFd> adopt(OwnedFd&& fd) noexcept;
  AsyncFd(AsyncFd&& other) noexcept : source_(std::exchange(other.source_, nullptr)) {}
  AsyncFd& operator=(AsyncFd&& other) noexcept {
    if (this != &other) {
      reset();
      source_ = std::exchange(other.source_, nullptr);
    }
    return *this;
  }
  AsyncFd(const AsyncFd&) = delete;
  AsyncFd& operator=(const AsyncFd&) = delete;
  ~AsyncFd() { reset(); }

  /// Another handle of the same descriptor, which is closed with the last of them.
  [[nodiscard]] AsyncFd clone() const noexcept;
  /// The descriptor's number; -1 if empty or closed.
  [[nodiscard]] int get() const noexcept { return source_ == nullptr ? -1 : source_->fd(); }
  [[nodiscard]] explicit operator bool() const noexcept { return source_ != nullptr; }

  /// Closes the descriptor for all its handles: waits and later calls end with `closed`. Where
  /// another thread's loop waits for it, or somebody who waited makes a call just now, the file
  /// stays open for a moment.
  /// Thread   the caller sees to it that no other thread begins to use the descriptor meanwhile:
  ///          the first poll of a future, or a call on get(). Such a call may find the number
  ///          closed (EBADF), or belonging to another file by then. Who has waited is safe.
  void close() noexcept;
  /// close() of a listening socket. Where another thread waits for it, the kernel keeps the socket
  /// open until that thread knows; so this ends listening, and nobody can connect any more. A
  /// process that shares the socket finds it ended, too.
  void close_listener() noexcept;
  /// Whether close() would leave the file open for a moment, as another thread waits for it.
  [[nodiscard]] bool is_held_elsewhere() const noexcept {
    return source_ != nullptr && source_->is_held_elsewhere();
  }
  /// Whether close(2) of it blocks, as that of a socket with SO_LINGER does although it is in
  /// non-blocking mode: then a thread of the process's pool calls it.
  void set_lingers(bool lingers) const noexcept { source_->set_lingers(lingers); }
  /// As close(), but gives the descriptor to the caller; none if it was closed. Where close() would
  /// leave the file open for a moment it is a duplicate, with another number.
  [[nodiscard]] OwnedFd release() noexcept;

  class [[nodiscard]] Ready {
   public:
    using Output = Result<void>;
    Poll<Result<void>> poll(Context& context) noexcept;

   private:
    friend class AsyncFd;
    Ready(const AsyncFd& fd, IoDirection direction) noexcept
        : wait_(fd, direction), direction_(direction) {}
    IoWait wait_;
    IoDirection direction_;
  };
  /// Waits until a read would not block: there are bytes, or the end, or an error.
  /// Cancel   loses nothing.   Cost   one poll(2) when ready.
  [[nodiscard]] Ready readable() const noexcept { return {*this, IoDirection::read}; }
  /// Waits until a write would not block.
  [[nodiscard]] Ready writable() const noexcept { return {*this, IoDirection::write}; }

 private:
  friend class IoWait;
  explicit AsyncFd(detail::IoSource* source) noexcept : source_(source) {}
  void reset() noexcept {
    if (auto* source = std::exchange(source_, nullptr)) source->drop_handle();
  }

  detail::IoSource* source_ = nullptr;
};

inline IoWait::IoWait(const AsyncFd& fd, IoDirection direction) noexcept : source_(fd.source_) {
  BLITZIO_CHECK(source_ != nullptr);
  side_ = &source_->side(direction);
}

}  // namespace blitzio
