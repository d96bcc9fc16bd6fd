#include <blitzio/signal/detail/delivery.hpp>

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/check.hpp>
#include <blitzio/base/mutex.hpp>

#include <pthread.h>
#include <semaphore.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <type_traits>

namespace blitzio::signal::detail {

namespace {

constexpr std::size_t kSignals = NSIG;
constexpr std::size_t kStackBytes = 256 * 1024;

// What the handler reads and writes, for each signal. Lock-free atomics alone: they are what a
// handler may touch.
struct Slot {
  // Written by the handler, read by the delivery thread.
  Atomic<std::uint64_t> arrivals{0};
  // What was installed before ours, if it is a function: one of the two. Written under the
  // delivery's lock, read by the handler.
  Atomic<void (*)(int)> former_handler{nullptr};
  Atomic<void (*)(int, siginfo_t*, void*)> former_action{nullptr};
  // Whether neither is called. Written under the lock, read by the handler.
  Atomic<bool> is_silent{false};
  // Whether `former` holds what to put back. Written under the lock, read in a forked child.
  Atomic<bool> is_installed{false};
  struct sigaction former{};
};
static_assert(Atomic<std::uint64_t>::is_always_lock_free);

// Constant-initialised and never destroyed: a signal may come at any time.
constinit std::array<Slot, kSignals> slots;
sem_t arrived;
// Whether the thread is in our handler: one that we call may call ours, if it came between.
[[gnu::tls_model("initial-exec")]] thread_local constinit bool is_handling = false;

Slot& slot_of(int number) noexcept {
  return slots[static_cast<std::size_t>(number)];
}

void handle(int number, siginfo_t* info, void* context) noexcept {
  if (is_handling) return;
  is_handling = true;
  const int saved = errno;
  Slot& slot = slot_of(number);
  // Release: the semaphore orders it already; pairs with the acquire in Delivery::deliver().
  slot.arrivals.fetch_add(1, std::memory_order_release);
  ::sem_post(&arrived);
  // Relaxed: a listener's wish from before the signal or after it.
  const bool is_silent = slot.is_silent.load(std::memory_order_relaxed);
  // Acquire, both: pair with the release in remember().
  if (is_silent) {
    // It stands for a default action, which does not happen.
  } else if (auto* const action = slot.former_action.load(std::memory_order_acquire)) {
    action(number, info, context);
  } else if (auto* const handler = slot.former_handler.load(std::memory_order_acquire)) {
    handler(number);
  }
  errno = saved;
  is_handling = false;
}

bool is_ours(const struct sigaction& action) noexcept {
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == handle;
}

bool is_function(const struct sigaction& action) noexcept {
  return (action.sa_flags & SA_SIGINFO) != 0 ||
         (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
}

// SA_RESTART or not: a handler that we call may count on interrupting what its thread waits in, as
// CPython's does, whose own handlers run when the call has returned.
int restart_flag(const struct sigaction& former) noexcept {
  return is_function(former) ? former.sa_flags & SA_RESTART : SA_RESTART;
}

// Tells the handler what to call besides.
void remember(Slot& slot, const struct sigaction& former) noexcept {
  slot.former = former;
  const bool has_info = (former.sa_flags & SA_SIGINFO) != 0;
  // Release, both: pair with the acquire in handle().
  slot.former_action.store(has_info ? former.sa_sigaction : nullptr, std::memory_order_release);
  slot.former_handler.store(!has_info && is_function(former) ? former.sa_handler : nullptr,
                            std::memory_order_release);
}

}  // namespace

class Delivery {
 public:
  /// The process's; never destroyed, because the thread may outlive main().
  static Delivery& get() noexcept {
    static Delivery* const delivery = new Delivery;
    return *delivery;
  }

  Result<void> add(Listener& listener, int number, Former former) noexcept BLITZIO_EXCLUDES(mutex_);
  bool take_back(int number, Former former) noexcept BLITZIO_EXCLUDES(mutex_);
  void remove(Listener& listener) noexcept BLITZIO_EXCLUDES(mutex_);

 private:
  Delivery() noexcept {
    ::sem_init(&arrived, 0, 0);
    // Fails only for want of memory; forking is then as unguarded as without it.
    static_cast<void>(::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child));
  }

  static void* thread_main(void* data) noexcept;
  static void before_fork() noexcept;
  static void after_fork_in_parent() noexcept;
  static void after_fork_in_child() noexcept;

  [[nodiscard]] Result<void> start_thread() noexcept BLITZIO_REQUIRES(mutex_);
  void deliver(std::size_t number) noexcept BLITZIO_REQUIRES(mutex_);
  bool install(int number) noexcept BLITZIO_REQUIRES(mutex_);
  void restore(int number) noexcept BLITZIO_REQUIRES(mutex_);

  Mutex mutex_{LockRank::leaf};
  std::array<IntrusiveList<Listener>, kSignals> listeners_ BLITZIO_GUARDED_BY(mutex_);
  std::size_t count_ BLITZIO_GUARDED_BY(mutex_) = 0;
  // Of the signal being delivered: those whose turn is yet to come.
  IntrusiveList<Listener> waiting_ BLITZIO_GUARDED_BY(mutex_);
  Listener* called_ BLITZIO_GUARDED_BY(mutex_) = nullptr;
  CondVar returned_;
  bool is_running_ BLITZIO_GUARDED_BY(mutex_) = false;
  pthread_t thread_ BLITZIO_GUARDED_BY(mutex_){};
};

// ---- listeners -------------------------------------------------------------------------------

Result<void> Delivery::add(Listener& listener, int number, Former former) noexcept {
  const MutexLock lock(mutex_);
  if (!is_running_) {
    if (auto started = start_thread(); !started) return started;
  }
  auto& list = listeners_[static_cast<std::size_t>(number)];
  // Acquire: as in deliver().
  listener.seen_ = slot_of(number).arrivals.load(std::memory_order_acquire);
  Slot& slot = slot_of(number);
  // Relaxed, both: see handle(). Before ours is there, for a signal may come at once.
  if (former == Former::silent) slot.is_silent.store(true, std::memory_order_relaxed);
  const bool is_anew = install(number);
  if (is_anew && former == Former::called) slot.is_silent.store(false, std::memory_order_relaxed);
  list.push_back(listener);
  ++count_;
  return {};
}

bool Delivery::take_back(int number, Former former) noexcept {
  const MutexLock lock(mutex_);
  if (!install(number)) return false;
  // Relaxed: see handle().
  slot_of(number).is_silent.store(former == Former::silent, std::memory_order_relaxed);
  return true;
}

void Delivery::remove(Listener& listener) noexcept {
  const MutexLock lock(mutex_);
  const int number = listener.number_;
  listener.unlink();
  // Those that wait for their turn are still listening.
  const bool is_last = listeners_[static_cast<std::size_t>(number)].is_empty() &&
                       (waiting_.is_empty() || waiting_.front().number_ != number);
  if (is_last) restore(number);
  if (--count_ == 0) ::sem_post(&arrived);  // the thread ends
  if (called_ != &listener || ::pthread_equal(thread_, ::pthread_self()) != 0) return;
  while (called_ == &listener) returned_.wait(mutex_);
}

// Returns false if ours stood there already.
bool Delivery::install(int number) noexcept {
  Slot& slot = slot_of(number);
  struct sigaction former{};
  // Remembered before ours is there, for a signal may come at once; and again, should somebody
  // have been faster. None of these calls fails for a signal that can_be_handled().
  ::sigaction(number, nullptr, &former);
  if (is_ours(former)) return false;
  remember(slot, former);
  struct sigaction own{};
  own.sa_sigaction = handle;
  own.sa_flags = SA_SIGINFO | SA_ONSTACK | restart_flag(former);
  ::sigfillset(&own.sa_mask);
  ::sigaction(number, &own, &former);
  if (!is_ours(former)) remember(slot, former);
  // Release: publishes `former` to after_fork_in_child().
  slot.is_installed.store(true, std::memory_order_release);
  return true;
}

void Delivery::restore(int number) noexcept {
  Slot& slot = slot_of(number);
  struct sigaction current{};
  ::sigaction(number, nullptr, &current);
  // Relaxed: see handle().
  slot.is_silent.store(false, std::memory_order_relaxed);
  // Somebody's who came later stays; he may go on calling ours, and that what was there before.
  if (!is_ours(current)) return;
  ::sigaction(number, &slot.former, nullptr);
  // Relaxed: only a fork reads it, and that holds the lock.
  slot.is_installed.store(false, std::memory_order_relaxed);
}

// ---- the thread ------------------------------------------------------------------------------

Result<void> Delivery::start_thread() noexcept {
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  ::pthread_attr_setstacksize(&attributes, kStackBytes);
  sigset_t all;
  sigset_t former;
  ::sigfillset(&all);
  // The new thread inherits the mask: handlers shall run elsewhere.
  ::pthread_sigmask(SIG_SETMASK, &all, &former);
  const int error = ::pthread_create(
      &thread_, &attributes, [](void* data) -> void* { return thread_main(data); }, this);
  ::pthread_sigmask(SIG_SETMASK, &former, nullptr);
  ::pthread_attr_destroy(&attributes);
  if (error != 0) return fail(Error::os(error));
  is_running_ = true;
  return {};
}

void* Delivery::thread_main(void* data) noexcept {
  auto& self = *static_cast<Delivery*>(data);
  ::pthread_setname_np(::pthread_self(), "blitzio-signal");
  for (;;) {
    while (::sem_wait(&arrived) != 0) {
    }
    const MutexLock lock(self.mutex_);
    for (std::size_t number = 1; number < kSignals; ++number) self.deliver(number);
    if (self.count_ != 0) continue;
    self.is_running_ = false;
    return nullptr;
  }
}

// Calls the listeners of one signal that have not heard of its latest arrival, without the lock.
void Delivery::deliver(std::size_t number) noexcept {
  if (listeners_[number].is_empty()) return;
  waiting_.splice_back(listeners_[number]);
  while (Listener* listener = waiting_.pop_front()) {
    listeners_[number].push_back(*listener);
    // Acquire: pairs with the release in handle().
    const std::uint64_t arrivals = slots[number].arrivals.load(std::memory_order_acquire);
    if (listener->seen_ == arrivals) continue;
    listener->seen_ = arrivals;
    called_ = listener;
    mutex_.unlock();
    listener->on_signal_(*listener);  // may be gone afterwards
    mutex_.lock();
    called_ = nullptr;
    returned_.notify_all();
  }
}

// ---- forking ---------------------------------------------------------------------------------

// The lock is held over a fork, so that the child finds a state that is whole.
void Delivery::before_fork() noexcept BLITZIO_THREAD_ATTRIBUTE(no_thread_safety_analysis) {
  get().mutex_.lock();
}

void Delivery::after_fork_in_parent() noexcept BLITZIO_THREAD_ATTRIBUTE(no_thread_safety_analysis) {
  get().mutex_.unlock();
}

void Delivery::after_fork_in_child() noexcept BLITZIO_THREAD_ATTRIBUTE(no_thread_safety_analysis) {
  Delivery& self = get();
  for (int number = 1; number < NSIG; ++number) {
    // Relaxed: written under the lock, which the forking thread holds.
    if (slot_of(number).is_installed.load(std::memory_order_relaxed)) self.restore(number);
    // The parent's listeners.
    while (self.listeners_[static_cast<std::size_t>(number)].pop_front() != nullptr) {
    }
  }
  while (self.waiting_.pop_front() != nullptr) {
  }
  self.count_ = 0;
  self.called_ = nullptr;
  self.is_running_ = false;
  ::sem_init(&arrived, 0, 0);
  self.mutex_.unlock();
}

// ---- the listener ----------------------------------------------------------------------------

bool can_be_handled(int number) noexcept {
  switch (number) {
    case SIGKILL:
    case SIGSTOP:
    case SIGILL:
    case SIGFPE:
    case SIGSEGV:
    case SIGBUS:
      return false;
    default: {
      // The C library keeps some for itself, and says so.
      struct sigaction current{};
      return number > 0 && number < NSIG && ::sigaction(number, nullptr, &current) == 0;
    }
  }
}

Result<void> Listener::start(int number, Former former) noexcept {
  BLITZIO_CHECK(number_ == 0, number_);
  if (!can_be_handled(number)) return fail(Error::runtime(RuntimeErrc::invalid_argument));
  fork_guard_ = ForkGuard();
  number_ = number;
  auto added = Delivery::get().add(*this, number, former);
  if (!added) number_ = 0;
  return added;
}

bool Listener::take_back(Former former) noexcept {
  if (number_ == 0 || fork_guard_.in_child()) return false;
  return Delivery::get().take_back(number_, former);
}

void Listener::stop() noexcept {
  if (number_ == 0) return;
  if (!fork_guard_.in_child()) Delivery::get().remove(*this);
  number_ = 0;
}

}  // namespace blitzio::signal::detail
