#include <blitzio/task/block_on.hpp>

#include <blitzio/base/mutex.hpp>

#include <cstdio>
#include <memory>

namespace blitzio::detail {

thread_local constinit BeforeBlocking before_blocking = nullptr;

void worker_blocks() noexcept {
#if BLITZIO_DEBUG
  std::fputs("blitzio: a worker blocks, and its other tasks cannot run meanwhile\n", stderr);
#endif
  before_blocking();
}

// Counted by the thread and by every waker, which may be in use when the thread has gone on.
class TimedParker::Bell {
 public:
  [[nodiscard]] bool wait_until(Instant deadline) noexcept {
    const MutexLock lock(mutex_);
    while (!has_rung_) {
      if (!rung_.wait_until(mutex_, deadline) && !has_rung_) return false;
    }
    has_rung_ = false;
    return true;
  }
  void ring() noexcept {
    {
      const MutexLock lock(mutex_);
      has_rung_ = true;
    }
    rung_.notify_one();
  }

 private:
  Mutex mutex_{LockRank::leaf};
  CondVar rung_;
  bool has_rung_ BLITZIO_GUARDED_BY(mutex_) = false;
};

namespace {

using Shared = std::shared_ptr<TimedParker::Bell>;

const WakerVTable kBellVTable{
    [](void* data) noexcept -> void* { return new Shared(*static_cast<Shared*>(data)); },
    [](void* data) noexcept {
      const std::unique_ptr<Shared> bell(static_cast<Shared*>(data));
      (*bell)->ring();
    },
    [](void* data) noexcept { (*static_cast<Shared*>(data))->ring(); },
    [](void* data) noexcept { delete static_cast<Shared*>(data); },
};

}  // namespace

TimedParker::TimedParker() : bell_(std::make_shared<Bell>()) {}

Waker TimedParker::waker() const {
  return {new Shared(bell_), &kBellVTable};
}

bool TimedParker::park_until(Instant deadline) noexcept {
  return bell_->wait_until(deadline);
}

}  // namespace blitzio::detail
