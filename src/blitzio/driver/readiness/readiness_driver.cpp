#include <blitzio/driver/readiness/readiness_driver.hpp>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <new>

namespace blitzio::driver::readiness {

namespace {

constexpr std::uint32_t kEnding = POLLERR | POLLHUP;
constexpr std::uint32_t kReadable = POLLIN | POLLPRI | POLLRDHUP | kEnding;
constexpr std::uint32_t kWritable = POLLOUT | kEnding;

/// For injected faults: whether EAGAIN is among the answers, and readiness is what ends it.
bool may_be_refused(const Operation& operation) noexcept {
  switch (operation.kind()) {
    case OpKind::recv:
    case OpKind::recvmsg:
    case OpKind::send:
    case OpKind::sendmsg:
    case OpKind::accept:
      return !is_special(operation);
    default:
      return false;
  }
}

}  // namespace

int ReadinessDriver::allocate() noexcept {
  receive_buffer_.reset(new (std::nothrow) std::byte[kReceiveBytes]);
  return receive_buffer_ == nullptr ? ENOMEM : 0;
}

Result<void> ReadinessDriver::bind() noexcept {
  if (in_child()) return fail(Error::runtime(RuntimeErrc::closed));
  BLITZIO_CHECK(owner_ == std::thread::id());
  owner_ = std::this_thread::get_id();
  return {};
}

void ReadinessDriver::unbind() noexcept {
  check_owner();
  owner_ = std::thread::id();
}

Result<void> ReadinessDriver::attach(int fd) noexcept {
  FdEntry* entry = nullptr;
  if (in_child()) return {};  // Nothing submitted on it will reach the kernel.
  if (fd < 0) return fail(Error::os(EBADF));
  if (const int code = table_.ensure(fd, entry); code != 0) return fail(Error::os(code));
  if (const int code = attach_in_kernel(fd, *entry); code != 0) return fail(Error::os(code));
  entry->attached = true;
  // Registering reports what is readable already as the first event, so the first receive need not
  // try. Sending must: it is done before the next collect(), and almost always succeeds.
  entry->note_drained();
  entry->write_ready = true;
  entry->sticky = false;
  entry->short_read = ShortRead::unknown;
  return {};
}

void ReadinessDriver::detach(int fd, bool is_last) noexcept {
  FdEntry* entry = fd < 0 ? nullptr : table_.find(fd);
  if (entry == nullptr || !(entry->attached || entry->registered)) return;
  // Somebody closed the descriptor behind the owner's back, and the number serves others by now.
  if (BLITZIO_UNLIKELY(entry->has_waiters() || in_child())) return;
  detach_in_kernel(fd, *entry, is_last);
  entry->attached = false;
}

// ---- turns --------------------------------------------------------------------------------------

void ReadinessDriver::collect() noexcept {
  check_owner();
  if (BLITZIO_UNLIKELY(in_child())) return;
  expire_timeouts();
  // Nobody waits, or only those that may be noticed late. A look now and then serves them, and
  // takes stale events out.
  constexpr std::uint32_t kLookEvery = 32;
  if (foreground_waiting_ == 0 && ++collects_skipped_ % kLookEvery != 0) return;
  gather(Duration::zero());
}

void ReadinessDriver::wait(Duration timeout) noexcept {
  check_owner();
  if (BLITZIO_UNLIKELY(in_child())) return;
  expire_timeouts();
  if (has_completions() || timeout <= Duration::zero() ||
      faults::hit(faults::Fault::spurious_wake)) {
    collect();
    return;
  }
  if (!timeouts_.is_empty()) {
    timeout = std::min(timeout, timeouts_.earliest() - Instant::now());
  }
  if (!begin_sleep(timeout, false)) {
    collect();
    return;
  }
  ++metrics_.waits;
  gather(std::max(timeout, Duration::zero()));
  end_sleep();
  expire_timeouts();
}

void ReadinessDriver::expire_timeouts() noexcept {
  if (timeouts_.is_empty()) return;
  const Instant now = Instant::now();
  while (Operation* due = timeouts_.pop_due(now)) to_done(*due, 0);
}

std::size_t ReadinessDriver::dispatch() noexcept {
  check_owner();
  const bool began_in_child = in_child();
  std::size_t completed = run_ready();
  // Behind the others: what held ones start is left for the next dispatch, too.
  if (BLITZIO_LIKELY(in_child() == began_in_child)) completed += deliver_held();
  if (BLITZIO_LIKELY(in_child() == began_in_child)) completed += deliver_messages();
  return completed;
}

std::size_t ReadinessDriver::run_ready() noexcept {
  const std::uint64_t before = metrics_.completed;
  const bool began_in_child = in_child();
  batch_.splice_back(ready_);
  while (Operation* operation = batch_.pop_front()) {
    if (BLITZIO_UNLIKELY(began_in_child) && operation->backend_word == kRunnable) {
      // What it would perform is the parent's.
      operation->backend_word = kDone;
      operation->backend_result = -ECANCELED;
    }
    run(*operation);
    if (BLITZIO_UNLIKELY(in_child() != began_in_child)) {
      // A completion function forked: the turn ends here.
      batch_.splice_back(ready_);
      ready_.splice_back(batch_);
      break;
    }
  }
  return metrics_.completed - before;
}

void ReadinessDriver::shutdown() noexcept {
  shutting_down_ = true;
  deliver_held(true);
  do {
    in_flight_.for_each([this](Operation& operation) { cancel(operation); });
    run_ready();
    deliver_messages();
  } while (has_in_flight() || has_completions());
}

// ---- starting and stopping ----------------------------------------------------------------------

void ReadinessDriver::start(Operation& operation) noexcept {
  if (BLITZIO_UNLIKELY(shutting_down_ || in_child())) {
    to_done(operation, -ECANCELED);
    return;
  }
  switch (direction_of(operation.kind())) {
    case Direction::none:
      if (operation.kind() == OpKind::timeout) {
        start_timeout(operation);
      } else {
        to_done(operation, perform(operation));
      }
      return;
    case Direction::poll:
      start_poll(operation);
      return;
    case Direction::read:
    case Direction::write:
      if (operation.fd() < 0) {
        to_done(operation, -EBADF);
      } else if (operation.is_multishot()) {
        start_multishot(operation);
      } else {
        start_one_shot(operation);
      }
      return;
  }
}

void ReadinessDriver::start_timeout(Operation& operation) noexcept {
  if (const int code = timeouts_.push(operation); code != 0) to_done(operation, -code);
}

void ReadinessDriver::start_one_shot(Operation& operation) noexcept {
  FdEntry* entry = table_.find(operation.fd());
  const bool is_connect = operation.kind() == OpKind::connect;
  if (is_connect) {
    operation.args().connect.started = false;
  } else if (entry != nullptr) {
    const Direction direction = direction_of(operation.kind());
    const bool is_ready = direction == Direction::read ? entry->read_ready : entry->write_ready;
    // Attached: with the bit clear a try is known to fail. Unattached: behind those who came first.
    const bool must_wait =
        entry->attached ? !is_ready && !is_special(operation) : !entry->queue(direction).is_empty();
    if (must_wait) {
      wait_for(operation, *entry, true);
      return;
    }
  }
  // Arming an unattached descriptor reports what is ready already, so there EAGAIN costs a turn; an
  // attached one reports changes alone, and the kernel does not say EAGAIN without one to come.
  const bool is_refused =
      (entry == nullptr || !entry->attached) && may_be_refused(operation) &&
      faults::refuses(operation.fd(),
                      direction_of(operation.kind()) == Direction::write ? POLLOUT : POLLIN);
  const std::int32_t result = is_refused ? kWouldBlock : perform(operation);
  if (entry != nullptr) note_outcome(*entry, operation, result);
  if (result == kWouldBlock) {
    wait_for(operation);
  } else {
    to_done(operation, result);
  }
}

void ReadinessDriver::start_multishot(Operation& operation) noexcept {
  operation.backend_result = kNeverWaited;
  FdEntry* entry = table_.find(operation.fd());
  if (entry != nullptr && entry->attached && !entry->read_ready) {
    operation.backend_result = kHasWaited;
    wait_for(operation, *entry, true);
  } else {
    to_runnable(operation);
  }
}

void ReadinessDriver::start_poll(Operation& operation) noexcept {
  const std::uint32_t events = operation.args().poll.events;
  FdEntry* entry = nullptr;
  const int code = operation.fd() < 0 ? EBADF : table_.ensure(operation.fd(), entry);
  if (code != 0) {
    to_done(operation, -code);
    return;
  }
  // Arming an unattached fd reports what is ready already; an attached one reports only changes.
  // Where both bits are clear such a change is yet to come, else the state must be asked.
  const bool may_be_ready = ((events & POLLOUT) != 0 && entry->write_ready) ||
                            ((events & ~std::uint32_t{POLLOUT}) != 0 && entry->read_ready) ||
                            (events & POLLPRI) != 0 || entry->may_hide_more();
  if (!entry->attached || !may_be_ready) {
    wait_for(operation, *entry, entry->attached || !operation.args().poll.is_standing);
    return;
  }
  ++metrics_.syscalls;
  const std::int32_t result = ready_now(operation.fd(), events);
  const std::uint32_t ready = result > 0 ? static_cast<std::uint32_t>(result) : 0;
  if (result >= 0 || result == kWouldBlock) {
    if ((events & POLLIN) != 0 && (ready & kReadable) == 0) entry->note_drained();
    if ((events & POLLOUT) != 0 && (ready & kWritable) == 0) entry->write_ready = false;
  }
  if (result == kWouldBlock) {
    wait_for(operation, *entry, true);
  } else if (result > 0 && operation.is_multishot()) {
    operation.backend_result = result;
    to_runnable(operation);
  } else {
    to_done(operation, result);
  }
}

void ReadinessDriver::stop(Operation& operation) noexcept {
  if (operation.kind() == OpKind::timeout && operation.backend_word <= kLargestHeapIndex) {
    timeouts_.remove(operation);
    to_done(operation, -ECANCELED);
    return;
  }
  switch (operation.backend_word) {
    case kDone:
      return;  // What had happened already counts.
    case kRunnable:
      // Nothing is consumed yet.
      static_cast<ListNode<QueueTag>&>(operation).unlink();
      if (operation.kind() == OpKind::poll_multishot) {
        --table_.find(operation.fd())->runnable_pollers;
      }
      break;
    case kRunning:
      break;
    case kWaiting:
      leave_waiting(operation);
      to_done(operation, -ECANCELED);
      if (FdEntry& entry = *table_.find(operation.fd());
          BLITZIO_UNLIKELY(entry.is_level) && !in_child()) {
        if (entry.has_waiters()) {
          rearm(operation.fd(), entry, false);
        } else {
          disarm(operation.fd(), entry);
        }
      }
      return;
    default:
      BLITZIO_CHECK(false && "no such phase", operation.backend_word, operation.kind());
  }
  to_done(operation, -ECANCELED);
  wake_next_reader(operation.fd());
}

// ---- edges of the diagram -----------------------------------------------------------------------

void ReadinessDriver::to_done(Operation& operation, std::int32_t result) noexcept {
  operation.backend_word = kDone;
  operation.backend_result = result;
  ready_.push_back(operation);
}

void ReadinessDriver::to_runnable(Operation& operation) noexcept {
  if (operation.kind() == OpKind::poll_multishot) {
    FdEntry& entry = *table_.find(operation.fd());
    if (entry.runnable_pollers++ == 0) entry.missed = 0;
  }
  operation.backend_word = kRunnable;
  ready_.push_back(operation);
}

void ReadinessDriver::to_waiting(Operation& operation, FdEntry& entry) noexcept {
  operation.backend_word = kWaiting;
  entry.queue(direction_of(operation.kind())).push_back(operation);
  if (!operation.is_background()) ++foreground_waiting_;
}

void ReadinessDriver::leave_waiting(Operation& operation) noexcept {
  BLITZIO_CHECK(operation.backend_word == kWaiting, operation.backend_word);
  static_cast<ListNode<QueueTag>&>(operation).unlink();
  if (!operation.is_background()) --foreground_waiting_;
}

void ReadinessDriver::wait_for(Operation& operation, FdEntry& entry, bool fresh) noexcept {
  to_waiting(operation, entry);
  const int code =
      fresh && faults::hit(faults::Fault::no_memory) ? ENOMEM : arm(operation.fd(), entry, fresh);
  if (code == 0) return;
  if (code == EPERM && direction_of(operation.kind()) == Direction::poll) {
    // Always ready: says so, and a multishot one then has no further edges to report.
    const auto ready = static_cast<std::int32_t>(operation.args().poll.events & (POLLIN | POLLOUT));
    if (!operation.is_multishot()) {
      leave_waiting(operation);
      to_done(operation, ready);
    } else if (fresh) {
      leave_waiting(operation);
      operation.backend_result = ready;
      to_runnable(operation);
    }
    return;
  }
  leave_waiting(operation);
  to_done(operation, -code);
}

void ReadinessDriver::wait_for(Operation& operation) noexcept {
  FdEntry* entry = nullptr;
  if (const int code = table_.ensure(operation.fd(), entry); code != 0) {
    to_done(operation, -code);
  } else {
    wait_for(operation, *entry, true);
  }
}

void ReadinessDriver::wait_again(Operation& operation) noexcept {
  FdEntry* entry = table_.find(operation.fd());
  if (entry == nullptr || operation.backend_result == kNeverWaited) {
    operation.backend_result = kHasWaited;
    wait_for(operation);
  } else {
    wait_for(operation, *entry, false);
  }
}

// ---- events -------------------------------------------------------------------------------------

void ReadinessDriver::on_event(int fd, FdEntry& entry, std::uint32_t events) noexcept {
  const bool was_waited_for = entry.has_waiters();
  if ((events & kReadable) != 0) entry.read_ready = true;
  if ((events & kWritable) != 0) entry.write_ready = true;
  // Each event tells the whole state, so this replaces what an earlier one said; but not that of a
  // mark whose byte was read alone.
  entry.sticky = (events & (POLLRDHUP | kEnding)) != 0;
  if ((events & POLLPRI) != 0) entry.has_mark = true;
  entry.missed = static_cast<std::uint16_t>(entry.missed | events);

  if ((events & kReadable) != 0) {
    // First: an ordinary read that passes the urgent mark drops the urgent byte. For the same
    // reason none is tried when there is nothing but urgent data.
    retry_special(entry);
    if ((events & (kReadable & ~std::uint32_t{POLLPRI})) != 0) retry(entry.readers, entry);
  }
  if ((events & kWritable) != 0) retry(entry.writers, entry);
  notify_pollers(entry, events);

  if (entry.has_waiters()) {
    rearm(fd, entry, false);
  } else if (!was_waited_for && !entry.attached) {
    disarm(fd, entry);
  }
}

void ReadinessDriver::retry_special(FdEntry& entry) noexcept {
  entry.readers.for_each([&](Operation& operation) {
    if (!is_special(operation)) return;
    const std::int32_t result = perform(operation);
    if (result == kWouldBlock) return;
    leave_waiting(operation);
    to_done(operation, result);
  });
}

void ReadinessDriver::retry(WaitQueue& queue, FdEntry& entry) noexcept {
  bool is_blocked = false;
  queue.for_each([&](Operation& operation) {
    if (is_blocked || is_special(operation)) return;
    if (operation.is_multishot()) {
      leave_waiting(operation);
      to_runnable(operation);
      is_blocked = true;  // It takes what comes; those behind it wait for its end.
      return;
    }
    const std::int32_t result = perform(operation);
    note_outcome(entry, operation, result);
    if (result == kWouldBlock) {
      is_blocked = true;
      return;
    }
    leave_waiting(operation);
    to_done(operation, result);
  });
}

void ReadinessDriver::notify_pollers(FdEntry& entry, std::uint32_t events) noexcept {
  entry.pollers.for_each([&](Operation& operation) {
    const std::uint32_t ready = events & (operation.args().poll.events | kEnding);
    if (ready == 0) return;
    leave_waiting(operation);
    if (operation.is_multishot()) {
      operation.backend_result = static_cast<std::int32_t>(ready);
      to_runnable(operation);
    } else {
      to_done(operation, static_cast<std::int32_t>(ready));
    }
  });
}

/// A multishot operation ended without having met EAGAIN: what it left is for those who queued up
/// behind it.
void ReadinessDriver::wake_next_reader(int fd) noexcept {
  if (BLITZIO_UNLIKELY(in_child())) return;
  FdEntry* entry = table_.find(fd);
  if (entry == nullptr || entry->readers.is_empty()) return;
  if (entry->attached && entry->read_ready) retry(entry->readers, *entry);
  if (!entry->attached) rearm(fd, *entry, true);
}

/// After an event, for those who still wait.
void ReadinessDriver::rearm(int fd, FdEntry& entry, bool fresh) noexcept {
  const int code = arm(fd, entry, fresh);
  // EBADF: closed behind our back, they wait until cancelled. EPERM: only after such a close, too.
  if (code == 0 || code == EBADF || code == EPERM) return;
  for (WaitQueue* queue : {&entry.readers, &entry.writers, &entry.pollers}) {
    while (!queue->is_empty()) {
      Operation& operation = queue->front();
      leave_waiting(operation);
      to_done(operation, -code);
    }
  }
}

/// Remembers what a result tells about an attached descriptor.
void ReadinessDriver::note_outcome(FdEntry& entry, const Operation& operation,
                                   std::int32_t result) noexcept {
  if (!entry.attached) return;
  if (direction_of(operation.kind()) == Direction::write) {
    if (result == kWouldBlock) entry.write_ready = false;
    return;
  }
  if (is_special(operation)) {
    // Says nothing about ordinary data but that there is a mark, of which the event may come late.
    if (result >= 0) entry.has_mark = true;
    return;
  }
  if (result == kWouldBlock) {
    entry.note_drained();
    return;
  }
  const bool is_short = result > 0 && (receive_flags(operation) & MSG_PEEK) == 0 &&
                        (operation.kind() == OpKind::recv || operation.kind() == OpKind::read) &&
                        static_cast<std::size_t>(result) < operation.args().buffer.bytes;
  if (is_short && !entry.may_hide_more() && ask(entry, operation.fd()) == ShortRead::drains) {
    entry.note_drained();
  }
}

/// A read that left nothing behind saves the EAGAIN that would tell so. Not after an end, error or
/// urgent mark (FdEntry::may_hide_more()), which are still to be read: what comes after the event
/// that showed none of them is an event of its own.
ShortRead ReadinessDriver::ask(FdEntry& entry, int fd) noexcept {
  if (!entry.attached) return ShortRead::says_nothing;
  if (entry.short_read != ShortRead::unknown) return entry.short_read;
  const auto option = [fd](int name) noexcept {
    int value = -1;
    socklen_t length = sizeof value;
    return ::getsockopt(fd, SOL_SOCKET, name, &value, &length) == 0 ? value : -1;
  };
  if (option(SO_PROTOCOL) == IPPROTO_TCP) {
    entry.short_read = ShortRead::drains;
  } else if (option(SO_DOMAIN) == AF_UNIX && option(SO_TYPE) == SOCK_STREAM) {
    entry.short_read = ShortRead::drains_unless_it_took_fds;
  } else {
    entry.short_read = ShortRead::says_nothing;
  }
  return entry.short_read;
}

}  // namespace blitzio::driver::readiness
