// `ThreadParker`: puts one thread to sleep until a waker wakes it.
//
//             wake                         wake (notifies the futex)
//   notified ◀───── empty ─────park─────▶ parked ──────────────────▶ notified ──park──▶ empty
//                     └────park_polling──▶ polling ────────────────▶ notified
//                                                  wake (writes to the eventfd)
//
// A wake before park() makes that park() return at once. Counted references: the thread holds one
// until it ends, each waker one, so a waker may outlive its thread.
//
// park_polling() sleeps in poll(2), on an eventfd and on what the caller waits for. The eventfd is
// made when the thread first needs it, and lives as long as the parker.
#pragma once

#include <blitzio/base/adaptive_spin.hpp>
#include <blitzio/base/atomic.hpp>
#include <blitzio/base/fork_guard.hpp>
#include <blitzio/base/instant.hpp>
#include <blitzio/base/owned_fd.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/task/waker.hpp>

#include <poll.h>

#include <cstdint>
#include <optional>
#include <span>

namespace blitzio {

class ThreadParker {
 public:
  /// The calling thread's parker.
  [[nodiscard]] static ThreadParker& current() noexcept;

  /// A waker for this thread; any thread may use it.
  [[nodiscard]] Waker waker() noexcept;
  /// Sleeps until a wake that no park() has consumed yet. May return without one.
  /// Thread   the parker's own.
  void park() noexcept;
  /// As park(), but returns at `deadline` too, and when a signal's handler has run in this thread.
  void park_until(Instant deadline) noexcept;
  /// As park_until(), but returns too when a descriptor is ready, as poll(2) tells in `revents`.
  /// `items`  the first is the parker's own and need not be filled in; at least one.
  /// Errors   os (EMFILE, ENFILE, ENOMEM): then it has not slept.
  [[nodiscard]] Result<void> park_polling(std::span<pollfd> items, Instant deadline) noexcept;

  ThreadParker(const ThreadParker&) = delete;
  ThreadParker& operator=(const ThreadParker&) = delete;

 private:
  class Holder;
  static constexpr std::uint32_t kEmpty = 0;
  static constexpr std::uint32_t kNotified = 1;
  static constexpr std::uint32_t kParked = 2;
  static constexpr std::uint32_t kPolling = 3;

  ThreadParker() noexcept = default;
  ~ThreadParker() = default;
  void unpark() noexcept;
  [[nodiscard]] Result<void> open_bell() noexcept;
  void add_ref() noexcept;
  void release_ref() noexcept;

  static const WakerVTable kVTable;

  // Written by the thread and by its wakers; publishes what a waker did before it woke.
  Atomic<std::uint32_t> word_{kEmpty};
  // Counted by the thread and by every waker.
  Atomic<std::uint32_t> refs_{1};
  AdaptiveSpin spin_;  // the thread's
  // Written by the thread, before it says that it is polling; then read by wakers.
  struct Bell {
    OwnedFd eventfd;
    ForkGuard guard;  // a forked child's would ring in its parent
  };
  std::optional<Bell> bell_;
};

}  // namespace blitzio
