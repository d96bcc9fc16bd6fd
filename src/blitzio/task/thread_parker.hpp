// `ThreadParker`: puts one thread to sleep until a waker wakes it.
//
//             wake                     wake (notifies the futex)
//   notified ◀───── empty ───park───▶ parked ────────────▶ notified ──park──▶ empty
//
// A wake before park() makes that park() return at once. Counted references: the thread holds one
// until it ends, each waker one, so a waker may outlive its thread.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/instant.hpp>
#include <blitzio/task/waker.hpp>

#include <cstdint>

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

  ThreadParker(const ThreadParker&) = delete;
  ThreadParker& operator=(const ThreadParker&) = delete;

 private:
  class Holder;
  static constexpr std::uint32_t kEmpty = 0;
  static constexpr std::uint32_t kNotified = 1;
  static constexpr std::uint32_t kParked = 2;

  ThreadParker() noexcept = default;
  ~ThreadParker() = default;
  void unpark() noexcept;
  void add_ref() noexcept;
  void release_ref() noexcept;

  static const WakerVTable kVTable;

  // Written by the thread and by its wakers; publishes what a waker did before it woke.
  Atomic<std::uint32_t> word_{kEmpty};
  // Counted by the thread and by every waker.
  Atomic<std::uint32_t> refs_{1};
};

}  // namespace blitzio
