#include <blitzio/process/detail/reaper.hpp>

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/native_thread.hpp>

#include <poll.h>
#include <pthread.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX's part of it
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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
  Result<void> start() BLITZIO_REQUIRES(mutex_);
  static void* run(void* reaper) noexcept;
  [[nodiscard]] bool collect(std::vector<std::shared_ptr<ChildState>>& children)
      BLITZIO_EXCLUDES(mutex_);

  const ForkGuard fork_guard_;
  Mutex mutex_{LockRank::leaf};
  OwnedFd bell_ BLITZIO_GUARDED_BY(mutex_);  // rung when there are new children
  bool is_running_ BLITZIO_GUARDED_BY(mutex_) = false;
  std::vector<std::shared_ptr<ChildState>> added_ BLITZIO_GUARDED_BY(mutex_);
};

Result<void> Reaper::add(std::shared_ptr<ChildState> child) {
  const MutexLock lock(mutex_);
  added_.push_back(std::move(child));
  if (is_running_) {
    static_cast<void>(::eventfd_write(bell_.get(), 1));
    return {};
  }
  auto started = start();
  if (!started) added_.pop_back();
  return started;
}

Result<void> Reaper::start() {
  if (!bell_) {
    bell_ = OwnedFd::adopt(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!bell_) return fail(Error::os(errno));
  }
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

// Takes what was added. Returns false if the thread shall end: there are no children.
bool Reaper::collect(std::vector<std::shared_ptr<ChildState>>& children) {
  const MutexLock lock(mutex_);
  for (auto& child : added_) children.push_back(std::move(child));
  added_.clear();
  is_running_ = !children.empty();
  return is_running_;
}

void* Reaper::run(void* data) noexcept {
  auto& reaper = *static_cast<Reaper*>(data);
  pthread_setname_np(pthread_self(), "blitzio-reaper");
  int bell = -1;
  {
    const MutexLock lock(reaper.mutex_);
    bell = reaper.bell_.get();
  }
  std::vector<std::shared_ptr<ChildState>> children;
  std::vector<pollfd> waits;
  while (reaper.collect(children)) {
    waits.assign(1, pollfd{bell, POLLIN, 0});
    for (const auto& child : children) waits.push_back({child->pidfd(), POLLIN, 0});
    // Errors (ENOMEM for a moment) and EINTR: look again.
    if (::poll(waits.data(), waits.size(), -1) < 0) continue;
    eventfd_t rung = 0;
    static_cast<void>(::eventfd_read(bell, &rung));
    std::erase_if(children, [](const auto& child) { return child->reap(); });
  }
  return nullptr;
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

bool ChildState::reap() noexcept {
  {
    const MutexLock lock(mutex_);
    if (!collect()) return false;
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
