#include <blitzio/executor/async_fd.hpp>

#include <blitzio/driver/driver_context.hpp>
#include <blitzio/executor/process_pool.hpp>
#include <blitzio/executor/thread_poll.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <new>

namespace blitzio {

namespace detail {

// ---- one direction ---------------------------------------------------------------------------

IoSide::IoSide(IoSource& source, IoDirection direction) noexcept
    : Operation(IoSource::on_completion),
      Message(IoSource::on_message),
      source_(source),
      direction_(direction) {}

void IoSide::note_event(std::uint32_t flags) noexcept {
  // Relaxed: a guess that the compare-exchange verifies.
  std::uint32_t word = readiness_.load(std::memory_order_relaxed);
  // Release: publishes what the driver saw; pairs with the acquire in readiness().
  while (!readiness_.compare_exchange_weak(word, (word + kTick) | flags, std::memory_order_release,
                                           std::memory_order_relaxed)) {
  }
}

// ---- the source ------------------------------------------------------------------------------

void IoSource::add_ref() noexcept {
  // Relaxed: made while another reference is held.
  refs_.fetch_add(1, std::memory_order_relaxed);
}

void IoSource::release_ref() noexcept {
  // Acquire-release: the last holder sees what the others did; pairs with itself.
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

void IoSource::drop_handle() noexcept {
  // Acquire-release: the last handle sees what was done through the others; pairs with itself.
  if (handles_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  static_cast<void>(close(Closing::plain));
  release_ref();
}

IoSource::Wait IoSource::wait(IoSide& side, IoWaiter& waiter, const Waker& waker,
                              int& error) noexcept {
  // Made before the lock, and the old one dropped after it: either may run code of others.
  Waker own = waker.clone();
  bool arms = false;
  {
    const MutexLock lock(mutex_);
    if (fd() < 0) return Wait::closed;
    if ((side.readiness() & (IoSide::kReady | IoSide::kEnded)) != 0) return Wait::retry;
    if (side.error_ != 0) {
      error = std::exchange(side.error_, 0);
      return Wait::failed;
    }
    enqueue(side, waiter, own);
    if (ThreadPoll* thread = ThreadPoll::current()) {
      const int events = side.direction_ == IoDirection::read ? POLLIN | POLLRDHUP : POLLOUT;
      error = thread->add(side, fd_.get(), static_cast<short>(events));
      return error == 0 ? Wait::waiting : Wait::failed;
    }
    if (side.state_ == IoSide::State::idle) {
      side.home_ = driver::DriverContext::current();
      BLITZIO_CHECK(side.home_ != nullptr);  // there is no executor on this thread
      ++holders_;
      add_ref();
      arms = driver::DriverContext::is_owner();
      side.state_ = arms ? IoSide::State::armed : IoSide::State::posted;
      // With the lock: from now on the home may complete, and the source be closed.
      if (!arms) side.home_->post(side);
    }
  }
  if (arms) arm(side);
  return Wait::waiting;
}

IoSource::Wait IoSource::wait_for_close(IoSide& side, IoWaiter& waiter,
                                        const Waker& waker) noexcept {
  Waker own = waker.clone();  // Outside of the lock, as in wait().
  const MutexLock lock(mutex_);
  if (fd() < 0) return Wait::closed;
  enqueue(side, waiter, own);
  return Wait::waiting;
}

void IoSource::enqueue(IoSide& side, IoWaiter& waiter, Waker& waker) noexcept {
  std::swap(waiter.waker, waker);
  if (waiter.is_linked()) return;
  side.waiters_.push_back(waiter);
  // Relaxed: for the eyes of this waiter's future, which runs here.
  waiter.is_queued.store(true, std::memory_order_relaxed);
}

// On the home's thread.
void IoSource::arm(IoSide& side) noexcept {
  const bool is_io_uring = side.home_->backend() == driver::Backend::io_uring;
  if (side.direction_ == IoDirection::write) {
    side.poll(number_, POLLOUT);
  } else if (side.home_->backend() == driver::Backend::poll) {
    // Level-triggered: a multishot one would report in each turn until somebody reads.
    side.poll(number_, POLLIN | POLLRDHUP);
  } else {
    // Urgent data ends a read short of what is there. Asking io_uring for it costs a poll(2) per
    // event, more than the EAGAIN that trusting saves.
    side.poll_multishot(number_, POLLIN | POLLRDHUP | (is_io_uring ? 0U : unsigned{POLLPRI}));
  }
  // Relaxed: see trusts_short_reads().
  side.trusts_short_reads_.store(!is_io_uring, std::memory_order_relaxed);
  side.home_->submit(side);
}

void IoSource::leave(IoWaiter& waiter) noexcept {
  const MutexLock lock(mutex_);
  if (!waiter.is_linked()) return;
  waiter.unlink();
  // Relaxed: the node is its owner's again, who runs here.
  waiter.is_queued.store(false, std::memory_order_relaxed);
}

// ---- closing ---------------------------------------------------------------------------------

bool IoSource::is_held_elsewhere() noexcept {
  const MutexLock lock(mutex_);
  return others_hold();
}

bool IoSource::others_hold() noexcept {
  const driver::Driver* own =
      driver::DriverContext::is_owner() ? driver::DriverContext::current() : nullptr;
  for (const IoSide* side : {&read_, &write_}) {
    const bool is_own = side->state_ == IoSide::State::armed && side->home_ == own;
    // Not idle: a loop waits. Waiters of an idle side: threads in poll(2), or who waits for the
    // end.
    if (!is_own && (side->state_ != IoSide::State::idle || !side->waiters_.is_empty())) return true;
  }
  return false;
}

OwnedFd IoSource::close(Closing how) noexcept {
  std::array<IoSide*, 2> ours{};
  {
    const MutexLock lock(mutex_);
    // Relaxed: see Call.
    if ((calls_.fetch_or(kClosed, std::memory_order_relaxed) & kClosed) != 0) return {};
    // Until the end of this: whoever lets go meanwhile must not close what is to be given.
    ++holders_;
    // With the lock, under which the home lets go of the descriptor; and after it is marked, for
    // this wakes who waits. ENOTCONN, the only error it can give: it does not listen.
    if (how == Closing::listener && others_hold()) {
      static_cast<void>(::shutdown(fd_.get(), SHUT_RDWR));
    }
    std::size_t count = 0;
    for (IoSide* side : {&read_, &write_}) {
      if (side->state_ != IoSide::State::armed) continue;  // posted: deliver_arm() will see
      if (driver::DriverContext::is_owner() && side->home_ == driver::DriverContext::current()) {
        ours[count++] = side;
      } else {
        add_ref();
        // With the lock: complete() takes it, so the home cannot end before it has this message.
        side->home_->post(*side);
      }
    }
  }
  // Nobody else can make these complete: we are on their home's thread.
  driver::Driver* home = nullptr;
  for (IoSide* side : ours) {
    if (side == nullptr) break;
    home = side->home_;
    home->cancel(*side);
  }
  if (home != nullptr) {
    home->hand_over();
    // The file may outlive our number, and is nothing that this loop has to hear of.
    if (how != Closing::plain) home->detach(number_);
  }
  OwnedFd given;
  OwnedFd closing;
  {
    const MutexLock lock(mutex_);
    --holders_;
    for (IoSide* side : ours) holders_ -= side != nullptr ? 1 : 0;
    if (how == Closing::gives_fd) {
      given = give_fd();
    } else {
      closing = let_go_of_fd();
    }
  }
  wake_waiters(read_);
  wake_waiters(write_);
  close_fd(std::move(closing));
  return given;
}

// The descriptor, if it is to be closed and nobody uses it any more.
OwnedFd IoSource::let_go_of_fd() noexcept {
  // Acquire: pairs with the release at the end of a call.
  const bool is_unused = holders_ == 0 && calls_.load(std::memory_order_acquire) == kClosed;
  return is_unused ? std::move(fd_) : OwnedFd();
}

// The descriptor, or a duplicate while others use its number.
OwnedFd IoSource::give_fd() noexcept {
  OwnedFd given = let_go_of_fd();
  if (!given) given = OwnedFd::adopt(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  // Without a free number it is this one, and what others still do with it concerns the caller.
  if (!given) given = std::move(fd_);
  return given;
}

void IoSource::end_last_call() noexcept {
  OwnedFd closing;
  {
    const MutexLock lock(mutex_);
    closing = let_go_of_fd();
  }
  close_fd(std::move(closing));
}

// Without the lock.
void IoSource::close_fd(OwnedFd closing) noexcept {
  // Relaxed: set through a handle, all of which are gone, or by who closes.
  if (BLITZIO_LIKELY(!lingers_.load(std::memory_order_relaxed)) || !closing) return;
  try {
    static_cast<void>(
        spawn_on_process_pool([fd = std::move(closing)]() mutable noexcept { fd.reset(); }));
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): then it was closed here
  }
}

// ---- on the home's thread --------------------------------------------------------------------

void IoSource::on_message(driver::Message& message) noexcept {
  auto& side = static_cast<IoSide&>(message);
  // Ours to read: nobody but this thread ends the state in which the message was posted.
  if (side.state_ == IoSide::State::posted) {
    side.source_.deliver_arm(side);
  } else {
    side.source_.deliver_cancel(side);
  }
}

void IoSource::on_completion(driver::Operation& operation,
                             const driver::Completion& completion) noexcept {
  auto& side = static_cast<IoSide&>(operation);
  side.source_.complete(side, completion);
}

// posted → armed, or if it was closed meanwhile → idle.
void IoSource::deliver_arm(IoSide& side) noexcept {
  OwnedFd closing;
  {
    const MutexLock lock(mutex_);
    const bool is_closed = fd() < 0;
    side.state_ = is_closed ? IoSide::State::idle : IoSide::State::armed;
    if (is_closed) {
      side.home_ = nullptr;
      --holders_;
      closing = let_go_of_fd();
    }
  }
  if (side.state_ == IoSide::State::armed) {
    arm(side);
  } else {
    close_fd(std::move(closing));
    release_ref();
  }
}

// Closed elsewhere while it was armed; it may have completed by itself since.
void IoSource::deliver_cancel(IoSide& side) noexcept {
  if (side.state_ == IoSide::State::armed) {
    side.home_->cancel(side);
    side.home_->hand_over();
  }
  OwnedFd closing;
  {
    const MutexLock lock(mutex_);
    // As in close(). Of a number that was given away nothing is known.
    if (side.home_ != nullptr && fd_) side.home_->detach(number_);
    --holders_;
    closing = let_go_of_fd();
  }
  close_fd(std::move(closing));
  release_ref();
}

void IoSource::complete(IoSide& side, const driver::Completion& completion) noexcept {
  std::uint32_t flags = IoSide::kReady;
  if (completion.result >= 0 &&
      (completion.result & (POLLRDHUP | POLLHUP | POLLERR | POLLPRI)) != 0) {
    flags |= IoSide::kEnded;
  }
  const bool is_last = !completion.more;
  if (is_last) {
    const MutexLock lock(mutex_);
    side.state_ = IoSide::State::idle;
    side.home_ = nullptr;
    if (fd() >= 0) {
      --holders_;
      // ECANCELED: the driver was shut down, and the next wait finds another.
      if (completion.result < 0 && completion.result != -ECANCELED) {
        side.error_ = -completion.result;
      }
    }
  }
  side.note_event(flags);
  wake_waiters(side);
  if (is_last) release_ref();
}

// All of them: each is a task that will find out by itself whether anything is left for it.
void IoSource::wake_waiters(IoSide& side) noexcept {
  IoWaiterList woken;
  std::array<Waker, 8> wakers;
  for (bool is_first = true, is_done = false; !is_done; is_first = false) {
    std::size_t count = 0;
    {
      const MutexLock lock(mutex_);
      // Only those of now: who queues up meanwhile has seen the event.
      if (is_first) woken.splice_back(side.waiters_);
      while (!woken.is_empty() && count < wakers.size()) {
        IoWaiter& waiter = *woken.pop_front();
        wakers[count++] = std::move(waiter.waker);
        // Release: the last access; gives the node back to its future, see IoWait::leave().
        waiter.is_queued.store(false, std::memory_order_release);
      }
      is_done = woken.is_empty();
    }
    for (std::size_t i = 0; i < count; ++i) wakers[i].wake();
  }
}

}  // namespace detail

// ---- the handle ------------------------------------------------------------------------------

Result<AsyncFd> AsyncFd::adopt(OwnedFd&& fd) noexcept {
  auto* source = new (std::nothrow) detail::IoSource(std::move(fd));
  if (source == nullptr) return fail(Error::os(ENOMEM));
  return AsyncFd(source);
}

AsyncFd AsyncFd::clone() const noexcept {
  if (source_ != nullptr) source_->add_handle();
  return AsyncFd(source_);
}

void AsyncFd::close() noexcept {
  if (source_ != nullptr) static_cast<void>(source_->close(detail::IoSource::Closing::plain));
}

void AsyncFd::close_listener() noexcept {
  if (source_ != nullptr) static_cast<void>(source_->close(detail::IoSource::Closing::listener));
}

OwnedFd AsyncFd::release() noexcept {
  return source_ == nullptr ? OwnedFd() : source_->close(detail::IoSource::Closing::gives_fd);
}

Poll<Result<void>> AsyncFd::Ready::poll(Context& context) noexcept {
  const bool is_read = direction_ == IoDirection::read;
  auto answer = wait_.poll(context, [is_read](int fd) noexcept -> IoAttempt {
    pollfd item{fd, static_cast<short>(is_read ? POLLIN | POLLRDHUP : POLLOUT), 0};
    int found = 0;
    do {
      found = ::poll(&item, 1, 0);
    } while (found < 0 && errno == EINTR);
    if (found < 0) return {-errno};
    if ((item.revents & POLLNVAL) != 0) return {-EBADF};
    return {found == 0 ? -EAGAIN : 0};
  });
  if (answer.is_pending()) return pending;
  if (!answer.value()) return Result<void>(fail(answer.value().error()));
  return Result<void>();
}

}  // namespace blitzio
