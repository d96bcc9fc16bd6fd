#include <blitzio/task/thread_parker.hpp>

#include <blitzio/base/check.hpp>
#include <blitzio/base/futex.hpp>

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

namespace blitzio {

// The thread's own reference.
class ThreadParker::Holder {
 public:
  Holder() : parker_(new ThreadParker) {}
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  ~Holder() { parker_->release_ref(); }
  [[nodiscard]] ThreadParker& get() const noexcept { return *parker_; }

 private:
  ThreadParker* parker_;
};

ThreadParker& ThreadParker::current() noexcept {
  thread_local const Holder holder;
  return holder.get();
}

Waker ThreadParker::waker() noexcept {
  add_ref();
  return {this, &kVTable};
}

void ThreadParker::park() noexcept {
  park_until(Instant::max());
}

void ThreadParker::park_until(Instant deadline) noexcept {
  // Relaxed: a hint; the exchange below acquires.
  const auto is_notified = [this] { return word_.load(std::memory_order_relaxed) == kNotified; };
  std::uint32_t expected = kEmpty;
  // Acquire-release: acquire, if a wake came before, pairs with the release in unpark(); release
  // on success only orders the announcement.
  // Acquire on failure: as above, the wake is consumed below.
  if (!spin_.until(is_notified) &&
      word_.compare_exchange_strong(expected, kParked, std::memory_order_acq_rel,
                                    std::memory_order_acquire)) {
    futex_wait(word_, kParked, deadline);
  }
  // Acquire: pairs with the release in unpark(); the next poll sees what the waker did.
  word_.exchange(kEmpty, std::memory_order_acquire);
}

Result<void> ThreadParker::open_bell() noexcept {
  if (bell_ && !bell_->guard.in_child()) return {};
  OwnedFd eventfd = OwnedFd::adopt(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!eventfd) return fail(Error::os(errno));
  bell_ = Bell{std::move(eventfd), ForkGuard()};
  return {};
}

Result<void> ThreadParker::park_polling(std::span<pollfd> items, Instant deadline) noexcept {
  if (auto opened = open_bell(); !opened) return opened;
  items[0] = {bell_->eventfd.get(), POLLIN, 0};
  std::uint32_t expected = kEmpty;
  // Acquire-release: release publishes the eventfd to unpark(); acquire as in park_until().
  // Acquire on failure: as there.
  if (word_.compare_exchange_strong(expected, kPolling, std::memory_order_acq_rel,
                                    std::memory_order_acquire)) {
    timespec wait{};
    if (deadline != Instant::max()) {
      const Duration left = std::max(deadline - Instant::now(), Duration());
      wait = {.tv_sec = left.as_secs(), .tv_nsec = left.as_nanos() % 1'000'000'000};
    }
    // It fails with EINTR, when a signal came, or with ENOMEM: as if somebody had woken it.
    static_cast<void>(
        ::ppoll(items.data(), items.size(), deadline == Instant::max() ? nullptr : &wait, nullptr));
    if ((items[0].revents & POLLIN) != 0) {
      eventfd_t rung = 0;
      static_cast<void>(::eventfd_read(bell_->eventfd.get(), &rung));
    }
  }
  // Acquire: as in park_until(). Who wakes from now on does not ring; who did just before leaves a
  // ring behind, which ends the next sleep early.
  word_.exchange(kEmpty, std::memory_order_acquire);
  return {};
}

void ThreadParker::unpark() noexcept {
  // Acquire-release: publishes what the waker did, pairs with the acquire in park(); the acquire
  // half carries on an earlier waker's release, or gets the eventfd.
  switch (word_.exchange(kNotified, std::memory_order_acq_rel)) {
    case kParked:
      futex_wake_one(word_);
      break;
    case kPolling:
      static_cast<void>(::eventfd_write(bell_->eventfd.get(), 1));
      break;
    default:
      break;
  }
}

void ThreadParker::add_ref() noexcept {
  // Relaxed: made from a reference that is held.
  refs_.fetch_add(1, std::memory_order_relaxed);
}

void ThreadParker::release_ref() noexcept {
  // Acquire-release: the last holder sees everybody's accesses; pairs with itself.
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

const WakerVTable ThreadParker::kVTable{
    [](void* data) noexcept -> void* {
      static_cast<ThreadParker*>(data)->add_ref();
      return data;
    },
    [](void* data) noexcept {
      static_cast<ThreadParker*>(data)->unpark();
      static_cast<ThreadParker*>(data)->release_ref();
    },
    [](void* data) noexcept { static_cast<ThreadParker*>(data)->unpark(); },
    [](void* data) noexcept { static_cast<ThreadParker*>(data)->release_ref(); },
};

}  // namespace blitzio
