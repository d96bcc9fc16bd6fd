#include <blitzio/task/thread_parker.hpp>

#include <blitzio/base/check.hpp>
#include <blitzio/base/futex.hpp>

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
  std::uint32_t expected = kEmpty;
  // Acquire-release: acquire, if a wake came before, pairs with the release in unpark(); release
  // on success only orders the announcement.
  // Acquire on failure: as above, the wake is consumed below.
  if (word_.compare_exchange_strong(expected, kParked, std::memory_order_acq_rel,
                                    std::memory_order_acquire)) {
    futex_wait(word_, kParked, deadline);
  }
  // Acquire: pairs with the release in unpark(); the next poll sees what the waker did.
  word_.exchange(kEmpty, std::memory_order_acquire);
}

void ThreadParker::unpark() noexcept {
  // Acquire-release: publishes what the waker did, pairs with the acquire in park(); the acquire
  // half carries on an earlier waker's release.
  if (word_.exchange(kNotified, std::memory_order_acq_rel) == kParked) futex_wake_one(word_);
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
