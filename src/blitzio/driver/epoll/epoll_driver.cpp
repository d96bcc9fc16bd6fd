// How descriptors are registered:
//
// attached    once, EPOLLET for everything; no epoll_ctl per wait.
// unattached  EPOLLONESHOT, re-armed by EPOLL_CTL_MOD for each new waiter. MOD reports what is
//             ready already, so arming is the readiness check, too. While a multishot operation
//             waits, EPOLLET instead, which needs no re-arming after an event. For poll_again()
//             neither: level-triggered, it stays as it is from turn to turn, and is ended
//             (EPOLL_CTL_MOD) when it is cancelled, or when an event finds nobody.
//
// The kernel forgets a registration when the last descriptor of the file is closed, not when ours
// is. So our belief (FdEntry::registered) may be wrong both ways: MOD that says ENOENT becomes ADD,
// ADD that says EEXIST becomes MOD. A registration that a dup keeps alive is harmless if one-shot
// or edge-triggered: it cannot spin, and its generation tells its events from those of a new user
// of the number. A level-triggered one can spin, and no call can end it, for it is known by a
// number that is closed or another file's: its entry gets a new generation (lose()), and where its
// events keep coming a new set takes the place of the old one (replace_set()).
#include <blitzio/driver/epoll/epoll_driver.hpp>

#include <blitzio/base/owned_fd.hpp>
#include <blitzio/driver/readiness/readiness_driver.hpp>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <utility>

namespace blitzio::driver {

namespace {

using readiness::FdEntry;
using readiness::Interest;

static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLPRI == POLLPRI &&
                  EPOLLERR == POLLERR && EPOLLHUP == POLLHUP && EPOLLRDHUP == POLLRDHUP,
              "masks pass between epoll and poll(2) as they are");

constexpr std::uint32_t kAttachedEvents = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP;

class EpollDriver final : public readiness::ReadinessDriver {
 public:
  EpollDriver() noexcept = default;
  ~EpollDriver() override { shutdown(); }

  /// Returns 0 or an errno. Once, before anything else.
  [[nodiscard]] int open() noexcept {
    if (const int code = allocate(); code != 0) return code;
    epoll_ = OwnedFd::adopt(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_) return errno;
    wake_ = OwnedFd::adopt(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) return errno;
    return add_wake();
  }

  [[nodiscard]] Backend backend() const noexcept override { return Backend::epoll; }

  /// An epoll set can be watched itself: it is readable while it has events that nobody took.
  [[nodiscard]] int nested_fd() const noexcept override { return epoll_.get(); }
  void nested_turn() noexcept override {
    park_.end_sleep();
    is_watched_ = true;
    if (in_child()) return;
    gather(Duration::zero());
    dispatch();
    // What is left, or has come meanwhile, makes the set readable for the next turn.
    if (!park_.begin_sleep() || has_completions()) interrupt();
  }

 protected:
  int arm(int fd, FdEntry& entry, bool fresh) noexcept override {
    if (entry.attached) return 0;
    const Interest interest = entry.interest();
    if (!fresh && entry.persistent && entry.is_level == interest.is_standing) {
      // By level, more than is waited for would be told of in each turn.
      const bool fits = entry.is_level ? interest.events == entry.armed
                                       : (interest.events & ~std::uint32_t{entry.armed}) == 0;
      if (fits) return 0;
    }
    const int code = set(fd, entry, interest.events | mode_of(interest));
    forget_watch(entry, code);
    if (code == 0) {
      entry.armed = static_cast<std::uint16_t>(interest.events);
      entry.persistent = interest.is_multishot || interest.is_standing;
      entry.is_level = interest.is_standing;
    }
    return code;
  }

  void disarm(int fd, FdEntry& entry) noexcept override {
    // A one-shot registration disarmed itself. What fails here is gone already, or out of reach.
    forget_watch(entry, entry.persistent ? control(EPOLL_CTL_MOD, fd, entry, EPOLLONESHOT) : 0);
  }

  int attach_in_kernel(int fd, FdEntry& entry) noexcept override {
    const int code = set(fd, entry, kAttachedEvents | EPOLLET);
    forget_watch(entry, code);
    entry.persistent = code == 0;
    return code;
  }

  void detach_in_kernel(int fd, FdEntry& entry, bool is_last) noexcept override {
    // Explicitly: a dup of the descriptor may keep the file, and so the registration, alive. Fails
    // if the fd was closed before, against the contract; then there is nothing left to remove.
    if (!is_last) (void)control(EPOLL_CTL_DEL, fd, entry, 0);
    forget_watch(entry, 0);
    lose(entry);  // Events that were collected before are stale from now on.
  }

  void gather(Duration timeout) noexcept override {
    ++metrics_.syscalls;
    const int count = wait_in_kernel(timeout);
    // EINTR: a signal arrived; wait() may return early.
    if (count < 0) BLITZIO_CHECK(errno == EINTR, errno);
    bool is_stale = false;
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events_[static_cast<std::size_t>(i)];
      const std::uint64_t token = event.data.u64;
      if (token == kWakeToken) {
        ++metrics_.wakes;
        continue;
      }
      const int fd = static_cast<int>(token & 0xFFFF'FFFF);
      FdEntry* entry = table_.find(fd);
      BLITZIO_CHECK(entry != nullptr, fd);
      if (BLITZIO_UNLIKELY(entry->generation != token >> 32)) {
        is_stale = true;
        continue;
      }
      if (!entry->persistent) entry->armed = 0;
      on_event(fd, *entry, event.events);
    }
    stale_gathers_ = is_stale ? stale_gathers_ + 1 : 0;
    if (BLITZIO_UNLIKELY(stale_gathers_ >= kStaleGathersMax) && !is_watched_) replace_set();
  }

  void interrupt() noexcept override {
    // Cannot fail: the counter would need 2^64 - 1 wakes to be full.
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
  }

 private:
  static constexpr std::uint64_t kWakeToken = ~std::uint64_t{0};
  /// In so many gathers one after the other a registration that outlived its descriptor may be
  /// heard of: not one-shot, nor by edge unless its file stays busy.
  static constexpr std::uint32_t kStaleGathersMax = 8;

  static std::uint32_t mode_of(const Interest& interest) noexcept {
    if (interest.is_standing) return 0;  // by level
    return interest.is_multishot ? EPOLLET : EPOLLONESHOT;
  }

  /// What the kernel was to tell is over, or about to be something else. `code`: what it answered;
  /// if it failed, a watch by level is out of reach. Mostly that is gone, with its file; if a dup
  /// keeps it open, its events are stale from now on.
  static void forget_watch(FdEntry& entry, int code) noexcept {
    if (code != 0 && entry.is_level) lose(entry);
    entry.armed = 0;
    entry.persistent = false;
    entry.is_level = false;
  }

  /// There is no registration of this generation.
  static void lose(FdEntry& entry) noexcept {
    entry.registered = false;
    ++entry.generation;
  }

  /// Registers all anew, in a new set: what is out of reach stays in the old one and goes with it.
  /// Edges that were told of already are told of again, which is allowed. If that fails, it spins
  /// until it is tried again.
  BLITZIO_COLD void replace_set() noexcept {
    stale_gathers_ = 0;
    OwnedFd old = std::exchange(epoll_, OwnedFd::adopt(::epoll_create1(EPOLL_CLOEXEC)));
    bool is_complete = epoll_ && add_wake() == 0;
    table_.for_each([&](int fd, FdEntry& entry) {
      if (!is_complete || !entry.registered || (!entry.attached && entry.armed == 0)) return;
      const std::uint32_t mode = !entry.persistent ? std::uint32_t{EPOLLONESHOT}
                                 : entry.is_level  ? 0U
                                                   : std::uint32_t{EPOLLET};
      const std::uint32_t events = entry.attached ? kAttachedEvents : entry.armed;
      const int code = control(EPOLL_CTL_ADD, fd, entry, events | mode);
      if (code == EBADF || code == EPERM) {
        entry.registered = false;  // Closed behind our back.
      } else {
        is_complete = code == 0;
      }
    });
    if (!is_complete) epoll_ = std::move(old);
  }

  int add_wake() noexcept {
    // Edge-triggered: each write is an event, so nobody ever needs to read it.
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.u64 = kWakeToken;
    return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) == 0 ? 0 : errno;
  }

  /// Adds or changes the registration, whichever it takes.
  int set(int fd, FdEntry& entry, std::uint32_t events) noexcept {
    int code = 0;
    if (entry.registered) {
      code = control(EPOLL_CTL_MOD, fd, entry, events);
      if (code != ENOENT) return code;
    }
    ++entry.generation;
    code = control(EPOLL_CTL_ADD, fd, entry, events);
    if (code == EEXIST) code = control(EPOLL_CTL_MOD, fd, entry, events);
    entry.registered = code == 0;
    return code;
  }

  int control(int command, int fd, const FdEntry& entry, std::uint32_t events) noexcept {
    ++metrics_.syscalls;
    epoll_event event{};
    event.events = events;
    event.data.u64 = std::uint64_t{entry.generation} << 32 | static_cast<std::uint32_t>(fd);
    return ::epoll_ctl(epoll_.get(), command, fd, &event) == 0 ? 0 : errno;
  }

  /// epoll_pwait2 keeps nanoseconds; kernels before 5.11 and some seccomp filters lack it.
  int wait_in_kernel(Duration timeout) noexcept {
    if (faults::hit(faults::Fault::busy)) {
      errno = EINTR;
      return -1;
    }
    const int capacity = static_cast<int>(events_.size());
    if (timeout <= Duration::zero()) return ::epoll_wait(epoll_.get(), events_.data(), capacity, 0);
    if (timeout.is_forever()) return ::epoll_wait(epoll_.get(), events_.data(), capacity, -1);
#ifdef SYS_epoll_pwait2
    if (has_pwait2_) {
      struct {
        std::int64_t seconds;
        std::int64_t nanos;
      } spec{timeout.as_secs(), timeout.as_nanos() % 1'000'000'000};
      const long count = ::syscall(SYS_epoll_pwait2, epoll_.get(), events_.data(), capacity, &spec,
                                   nullptr, std::size_t{0});
      if (count >= 0 || errno == EINTR) return static_cast<int>(count);
      has_pwait2_ = false;
    }
#endif
    // Rounded up: a wait is never shorter than asked, or the caller would spin.
    constexpr std::int64_t kLongestMillis = 24LL * 3600 * 1000;
    const std::int64_t millis =
        std::min((timeout + Duration::from_nanos(999'999)).as_millis(), kLongestMillis);
    return ::epoll_wait(epoll_.get(), events_.data(), capacity, static_cast<int>(millis));
  }

  OwnedFd epoll_;
  OwnedFd wake_;
  bool has_pwait2_ = true;
  std::uint32_t stale_gathers_ = 0;
  bool is_watched_ = false;  ///< by its number, which is then to stay (nested_fd())
  std::array<epoll_event, 256> events_;
};

}  // namespace

Result<std::unique_ptr<Driver>> make_epoll(const Config&) noexcept {
  std::unique_ptr<EpollDriver> driver(new (std::nothrow) EpollDriver);
  if (driver == nullptr) return fail(Error::os(ENOMEM));
  if (const int code = driver->open(); code != 0) return fail(Error::os(code));
  return driver;
}

}  // namespace blitzio::driver
