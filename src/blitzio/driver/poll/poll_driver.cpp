// poll(2) is level-triggered and has no memory, so the array of pollfds is the registration: a
// descriptor is in it only while operations wait in its queues, with the union of their events.
//
//   items_   [0] the wake-up eventfd   [1…] one per descriptor; FdEntry::slot is the index back
//
// Who waited and was cancelled leaves its descriptor there, until an event or detach(). The file
// cannot go meanwhile: a thread that is in poll(2) holds what it polls.
//
// A multishot operation on its way to dispatch() is not in a queue, so its descriptor is not polled
// meanwhile. Afterwards it waits again: poll_multishot therefore reports once per turn for as long
// as the descriptor is ready, not once per edge; whoever drains until EAGAIN sees no difference.
// attach() gives nothing here but the remembered EAGAIN of readiness/.
#include <blitzio/driver/poll/poll_driver.hpp>

#include <blitzio/base/owned_fd.hpp>
#include <blitzio/base/platform.hpp>
#include <blitzio/driver/readiness/readiness_driver.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <span>
#include <vector>

namespace blitzio::driver {

namespace {

using readiness::FdEntry;

class PollDriver final : public readiness::ReadinessDriver {
 public:
  PollDriver() noexcept = default;
  ~PollDriver() override { shutdown(); }

  /// Returns 0 or an errno. Once, before anything else.
  [[nodiscard]] int open() noexcept {
    if (const int code = allocate(); code != 0) return code;
    wake_ = OwnedFd::adopt(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) return errno;
    return append({wake_.get(), POLLIN, 0});
  }

  [[nodiscard]] Backend backend() const noexcept override { return Backend::poll; }

 protected:
  int arm(int fd, FdEntry& entry, bool fresh) noexcept override {
    // poll(2) would tell of a bad fd only later, to everybody who waits on it. What waits on a
    // closed one waits until cancelled; what is new learns it here, as from epoll_ctl.
    if (fresh && ::fcntl(fd, F_GETFD) < 0) return errno;
    const auto events = static_cast<short>(entry.interest().events);
    if (entry.slot != FdEntry::kNoSlot) {
      items_[entry.slot].events = events;
      return 0;
    }
    const auto slot = static_cast<std::uint32_t>(items_.size());
    if (const int code = append({fd, events, 0}); code != 0) return code;
    entry.slot = slot;
    entry.registered = true;
    return 0;
  }

  void disarm(int, FdEntry& entry) noexcept override { remove(entry); }

  int attach_in_kernel(int fd, FdEntry&) noexcept override {
    // Nothing to register; refuses what epoll refuses, so that backends do not differ.
    struct stat status{};
    if (::fstat(fd, &status) != 0) return errno;
    const bool is_pollable = !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
    return is_pollable ? 0 : EPERM;
  }

  void detach_in_kernel(int, FdEntry& entry, bool) noexcept override { remove(entry); }

  void gather(Duration timeout) noexcept override {
    ++metrics_.syscalls;
    int left = wait_in_kernel(timeout);
    // EINTR: a signal arrived; wait() may return early. ENOMEM: the kernel had no room for a copy
    // of the array just now; the caller's next turn asks again.
    if (left < 0) BLITZIO_CHECK(errno == EINTR || errno == ENOMEM, errno);
    // Backwards, because an event may remove its own item: the last one, already seen, takes the
    // place. No event adds an item.
    for (std::size_t i = items_.size() - 1; i > 0 && left > 0; --i) {
      const pollfd item = items_[i];
      if (item.revents == 0) continue;
      --left;
      take(item);
    }
    if (left > 0 && items_[0].revents != 0) {
      ++metrics_.wakes;
      std::uint64_t count = 0;
      (void)!::read(wake_.get(), &count, sizeof count);
    }
  }

  void interrupt() noexcept override {
    // Cannot fail: the counter would need 2^64 - 1 wakes to be full.
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
  }

 private:
  void take(const pollfd& item) noexcept {
    FdEntry& entry = *table_.find(item.fd);
    if ((item.revents & POLLNVAL) != 0) {
      // Closed behind our back: those who wait do so until cancelled, or until somebody new waits
      // on a descriptor of this number.
      remove(entry);
      return;
    }
    on_event(item.fd, entry, static_cast<std::uint16_t>(item.revents));
    // Level-triggered: what nobody waits for any more would end every wait at once.
    if (!entry.has_waiters()) remove(entry);
  }

  int append(const pollfd& item) noexcept {
    try {
      items_.push_back(item);
    } catch (const std::bad_alloc&) {
      return ENOMEM;
    }
    return 0;
  }

  void remove(FdEntry& entry) noexcept {
    if (entry.slot == FdEntry::kNoSlot) return;
    const std::uint32_t slot = entry.slot;
    entry.slot = FdEntry::kNoSlot;
    entry.registered = false;
    if (slot + 1 != items_.size()) {
      items_[slot] = items_.back();
      table_.find(items_[slot].fd)->slot = slot;
    }
    items_.pop_back();
  }

  int wait_in_kernel(Duration timeout) noexcept {
    if (faults::hit(faults::Fault::busy)) {
      errno = faults::below(2) == 0 ? EINTR : ENOMEM;
      return -1;
    }
    const int found = poll_items(items_, timeout);
    if (BLITZIO_LIKELY(found >= 0 || errno != EINVAL)) return found;
    return wait_in_slices(timeout);
  }

  static int poll_items(std::span<pollfd> items, Duration timeout) noexcept {
    if (timeout.is_forever()) return ::ppoll(items.data(), items.size(), nullptr, nullptr);
    const std::int64_t nanos = std::max(timeout, Duration::zero()).as_nanos();
    timespec spec{};
    spec.tv_sec = static_cast<time_t>(nanos / 1'000'000'000);
    spec.tv_nsec = static_cast<long>(nanos % 1'000'000'000);
    return ::ppoll(items.data(), items.size(), &spec, nullptr);
  }

  /// poll(2) takes no more items than RLIMIT_NOFILE, which may have been lowered below what is
  /// open. Then a look at each slice, and if nothing is ready a short sleep on the first, which has
  /// the wake-up: the others are noticed late, but they are.
  BLITZIO_COLD int wait_in_slices(Duration timeout) noexcept {
    constexpr Duration kLongestSleep = Duration::from_millis(10);
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
    const std::span<pollfd> all(items_);
    for (pollfd& item : all) item.revents = 0;
    const std::size_t share = std::min<std::size_t>(limit.rlim_cur, all.size());
    int found = 0;
    for (std::size_t at = 0; share != 0 && at < all.size(); at += share) {
      const int here =
          poll_items(all.subspan(at, std::min(share, all.size() - at)), Duration::zero());
      // EINVAL: lowered further just now.
      if (here < 0) return errno == EINVAL ? found : here;
      found += here;
    }
    if (found != 0 || timeout <= Duration::zero()) return found;
    const int woken = poll_items(all.first(share), std::min(timeout, kLongestSleep));
    return woken < 0 && errno == EINVAL ? 0 : woken;
  }

  OwnedFd wake_;
  std::vector<pollfd> items_;
};

}  // namespace

Result<std::unique_ptr<Driver>> make_poll(const Config&) noexcept {
  std::unique_ptr<PollDriver> driver(new (std::nothrow) PollDriver);
  if (driver == nullptr) return fail(Error::os(ENOMEM));
  if (const int code = driver->open(); code != 0) return fail(Error::os(code));
  return driver;
}

}  // namespace blitzio::driver
