// `block_on`: runs a future on a plain thread that has no executor; the thread sleeps while the
// future is pending. For futures that others complete (channels, locks, join handles): there is no
// driver and no timer here.
#pragma once

#include <blitzio/base/instant.hpp>
#include <blitzio/base/platform.hpp>
#include <blitzio/task/future.hpp>
#include <blitzio/task/thread_parker.hpp>

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace blitzio {

namespace detail {

/// What the calling thread does before it blocks; null if it runs nobody's tasks. A worker lets
/// others have what only it could run.
using BeforeBlocking = void (*)() noexcept;
extern thread_local constinit BeforeBlocking before_blocking;
BLITZIO_COLD void worker_blocks() noexcept;

/// If a worker is about to block, it prepares for that, and debug builds say so.
inline void about_to_block() noexcept {
  if (BLITZIO_UNLIKELY(before_blocking != nullptr)) worker_blocks();
}

/// The calling thread sleeps between polls: if it has an executor, that does not run meanwhile, so
/// futures must not wait for it.
class BlockedThread {
 public:
  BlockedThread() noexcept { ++depth_; }
  BlockedThread(const BlockedThread&) = delete;
  BlockedThread& operator=(const BlockedThread&) = delete;
  ~BlockedThread() { --depth_; }
  [[nodiscard]] static bool is_current() noexcept { return depth_ != 0; }

 private:
  [[gnu::tls_model("initial-exec")]] static inline thread_local constinit unsigned depth_ = 0;
};

/// Puts a thread to sleep until a waker wakes it or a deadline passes.
class TimedParker {
 public:
  class Bell;

  TimedParker();
  [[nodiscard]] Waker waker() const;
  /// Returns  false if the deadline has passed without a wake.
  [[nodiscard]] bool park_until(Instant deadline) noexcept;

 private:
  std::shared_ptr<Bell> bell_;
};

}  // namespace detail

/// Polls `future` until it is ready and returns its value.
/// Thread   any that may block; not one that runs an executor: debug builds warn.
/// Cost     no allocation after the thread's first call.
template <Future F>
OutputOf<F> block_on(F&& future) {
  const detail::BlockedThread blocked;
  ThreadParker& parker = ThreadParker::current();
  const Waker waker = parker.waker();
  Context context(waker);
  bool is_first = true;
  while (true) {
    auto answer = future.poll(context);
    if (answer.is_ready()) return std::move(answer).take();
    if (std::exchange(is_first, false)) detail::about_to_block();
    parker.park();
  }
}

/// The same until `deadline`: nothing if the future is not ready by then. It is the caller's, and
/// may be polled further.
/// Returns  optional of the value; for a future of void, whether it was ready.
/// Cost     an allocation, and one for each clone of the waker.
template <Future F>
auto block_on_until(F& future, Instant deadline) {
  using Output = OutputOf<F>;
  using Answer =
      std::conditional_t<std::is_void_v<Output>, bool, std::optional<detail::ValueOf<Output>>>;
  const detail::BlockedThread blocked;
  detail::TimedParker parker;
  const Waker waker = parker.waker();
  Context context(waker);
  bool is_in_time = true;
  while (true) {
    auto answer = future.poll(context);
    if (answer.is_ready()) {
      if constexpr (std::is_void_v<Output>) {
        return Answer(true);
      } else {
        return Answer(std::move(answer).take());
      }
    }
    if (!is_in_time) return Answer();
    detail::about_to_block();
    is_in_time = parker.park_until(deadline);
  }
}

}  // namespace blitzio
