#include <blitzio/process/detail/reaper.hpp>

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/native_thread.hpp>

#include <pthread.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX's part of it
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>
#include <vector>

namespace blitzio::process::detail {

namespace {

// What is reported for a child whose status somebody else has taken.
constexpr int kUnknownCode = 255;

ExitStatus to_status(const siginfo_t& info) noexcept {
  if (info.si_code == CLD_EXITED) return ExitStatus::exited(info.si_status);
  return ExitStatus::killed(info.si_status);
}

class Reaper {
 public:
  Result<void> add(std::shared_ptr<ChildState> child) BLITZIO_EXCLUDES(mutex_);
  [[nodiscard]] bool in_child() const noexcept { return fork_guard_.in_child(); }

 private:
  Result<void> watch(ChildState& child) BLITZIO_REQUIRES(mutex_);
  Result<void> start() BLITZIO_REQUIRES(mutex_);
  static void* run(void* reaper) noexcept;
  [[nodiscard]] bool forget(const ChildState* child) BLITZIO_EXCLUDES(mutex_);

  const ForkGuard fork_guard_;
  Mutex mutex_{LockRank::leaf};
  OwnedFd epoll_ BLITZIO_GUARDED_BY(mutex_);  // made once; the thread waits on it without the lock
  bool is_running_ BLITZIO_GUARDED_BY(mutex_) = false;
  // Those that the epoll set has, by whose addresses it knows them. Only the thread takes one out
  // that is watched.
  std::vector<std::shared_ptr<ChildState>> children_ BLITZIO_GUARDED_BY(mutex_);
};

Result<void> Reaper::add(std::shared_ptr<ChildState> child) {
  const MutexLock lock(mutex_);
  children_.push_back(std::move(child));
  ChildState& last = *children_.back();
  auto added = watch(last);
  if (added && !is_running_) {
    added = start();
    if (!added) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, last.pidfd(), nullptr);
  }
  if (!added) children_.pop_back();
  return added;
}

Result<void> Reaper::watch(ChildState& child) {
  if (!epoll_) {
    epoll_ = OwnedFd::adopt(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_) return fail(Error::os(errno));
  }
  epoll_event event{EPOLLIN, {.ptr = &child}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, child.pidfd(), &event) != 0) {
    return fail(Error::os(errno));
  }
  return {};
}

Result<void> Reaper::start() {
  // Signals are for other threads.
  sigset_t all;
  sigset_t former;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &former);
  const int error = start_detached_thread([](void* data) -> void* { return run(data); }, this);
  pthread_sigmask(SIG_SETMASK, &former, nullptr);
  if (error != 0) return fail(Error::os(error));
  is_running_ = true;
  return {};
}

// Returns false if the thread shall end: there are no children.
bool Reaper::forget(const ChildState* child) {
  std::shared_ptr<ChildState> last;  // dropped after the lock
  const MutexLock lock(mutex_);
  const auto found = std::ranges::find(children_, child, &std::shared_ptr<ChildState>::get);
  last = std::move(*found);
  children_.erase(found);
  is_running_ = !children_.empty();
  return is_running_;
}

void* Reaper::run(void* data) noexcept {
  auto& reaper = *static_cast<Reaper*>(data);
  pthread_setname_np(pthread_self(), "blitzio-reaper");
  int epoll = -1;
  {
    const MutexLock lock(reaper.mutex_);
    epoll = reaper.epoll_.get();
  }
  for (;;) {
    epoll_event event{};
    // EINTR: look again.
    if (::epoll_wait(epoll, &event, 1, -1) < 1) continue;
    auto* child = static_cast<ChildState*>(event.data.ptr);
    if (child->reap(epoll) && !reaper.forget(child)) return nullptr;
  }
}

// Never destroyed: its thread may live as long as the process. Made anew in a forked child.
constinit Atomic<Reaper*> reaper{nullptr};

Reaper& the_reaper() {
  // Acquire: one that another thread made; pairs with the release below.
  Reaper* current = reaper.load(std::memory_order_acquire);
  while (current == nullptr || current->in_child()) {
    auto made = std::make_unique<Reaper>();
    // Release: publishes it. Acquire on failure: somebody else's.
    if (reaper.compare_exchange_strong(current, made.get(), std::memory_order_release,
                                       std::memory_order_acquire)) {
      current = made.release();
    }
  }
  return *current;
}

}  // namespace

ChildState::ChildState(pid_t pid, OwnedFd pidfd) noexcept : pid_(pid), pidfd_(std::move(pidfd)) {
  if (!pidfd_) status_ = ExitStatus::exited(kUnknownCode);
}

std::optional<ExitStatus> ChildState::collect() noexcept {
  if (!status_ && !fork_guard_.in_child()) {
    siginfo_t info{};
    const int result = ::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG);
    if (result == 0 && info.si_pid != 0) {
      status_ = to_status(info);
    } else if (result != 0 && errno == ECHILD) {
      status_ = ExitStatus::exited(kUnknownCode);
    }
  }
  return status_;
}

void ChildState::wake_waiters() noexcept {
  for (;;) {
    // Woken one by one, without the lock: waking may drop the others.
    Waker waker;
    {
      const MutexLock lock(mutex_);
      ExitWaiter* waiter = waiters_.pop_front();
      if (waiter == nullptr) return;
      waker = std::move(waiter->waker);
    }
    waker.wake();
  }
}

std::optional<ExitStatus> ChildState::try_wait() noexcept {
  std::optional<ExitStatus> status;
  {
    const MutexLock lock(mutex_);
    status = collect();
  }
  if (status) wake_waiters();
  return status;
}

bool ChildState::reap(int epoll) noexcept {
  {
    const MutexLock lock(mutex_);
    if (!collect()) return false;
    // By hand: a forked child may keep a copy of it open.
    ::epoll_ctl(epoll, EPOLL_CTL_DEL, pidfd_.get(), nullptr);
    pidfd_.reset();
  }
  wake_waiters();
  return true;
}

Result<void> ChildState::send_signal(int number) noexcept {
  const MutexLock lock(mutex_);
  if (status_ || fork_guard_.in_child()) return fail(Error::os(ESRCH));
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0U) != 0) {
    return fail(Error::os(errno));
  }
  return {};
}

std::optional<ExitStatus> ChildState::wait(ExitWaiter& waiter, const Waker& waker) noexcept {
  // Made before the lock, and the old one dropped after it: either may run code of others.
  Waker own = waker.clone();
  const MutexLock lock(mutex_);
  if (status_) {
    if (waiter.is_linked()) waiter.unlink();
    return status_;
  }
  std::swap(waiter.waker, own);
  if (!waiter.is_linked()) waiters_.push_back(waiter);
  return std::nullopt;
}

void ChildState::leave(ExitWaiter& waiter) noexcept {
  const MutexLock lock(mutex_);
  if (waiter.is_linked()) waiter.unlink();
}

Result<void> reap_at_end(std::shared_ptr<ChildState> child) noexcept {
  try {
    return the_reaper().add(std::move(child));
  } catch (const std::bad_alloc&) {
    return fail(Error::os(ENOMEM));
  }
}

}  // namespace blitzio::process::detail
