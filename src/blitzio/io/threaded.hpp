// `Threaded`: an Io whose tasks have a thread each, which sleeps while its task waits. Runs
// everywhere, and code that blocks does no harm to other tasks.
//
//     io::Threaded threaded;
//     threaded.io().run(process_files, threaded.io());
//
//   async_()       a thread that is idle takes the task; else a new one, while fewer than
//                  `async_limit` tasks run; else the task runs to its end inside the call.
//   concurrent()   the same up to `concurrent_limit`; beyond, concurrency_unavailable.
//
// Every running task that has a thread counts for both limits. A file is read by the task's own
// thread. What else a task waits for (a socket, a timer, a lock) wakes its thread: one further
// thread, which runs no task, waits for the sockets and timers of all.
//
// A task that runs inside the call delays its starter until it ends; if it waits for something that
// its starter does later, it waits for ever. That is what concurrent() is for.
//
// Destroying it asks every task to end and waits until all have.
//
// Forking: a forked child has none of its threads and must not use it. Destroying it there frees
// nothing of what the parent's threads may have been changing.
//
// Threads: any; destroyed by none of its own.
#pragma once

#include <blitzio/base/duration.hpp>
#include <blitzio/base/fork_guard.hpp>
#include <blitzio/base/intrusive_list.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/executor/blocking_pool.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/io/io.hpp>

#include <cstddef>
#include <limits>
#include <memory>
#include <optional>

namespace blitzio::io {

namespace detail {
struct Native;
class ThreadedTask;
}  // namespace detail

/// A thread for each task; see above. Its end cancels what runs and waits for it.
class Threaded final {
 public:
  static constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

  struct Config {
    /// Tasks that run at once before async_() runs one in place; 0: each; by default as many as
    /// the process may use processors.
    std::optional<std::size_t> async_limit = std::nullopt;
    /// Tasks that run at once before concurrent() fails.
    std::size_t concurrent_limit = kUnlimited;
    /// How long a thread stays without work.
    Duration keep_alive = Duration::from_secs(10);
    /// How the thread that waits for sockets does so.
    driver::Config driver = {};
  };
  struct Metrics {
    std::size_t busy;     ///< tasks that have a thread
    std::size_t threads;  ///< threads, busy and idle
  };

  /// Throws std::system_error or std::runtime_error if the waiting thread cannot be had.
  Threaded() : Threaded(Config()) {}
  explicit Threaded(const Config& config);
  Threaded(const Threaded&) = delete;
  Threaded& operator=(const Threaded&) = delete;
  ~Threaded();

  [[nodiscard]] Io io() noexcept { return {this, kVTableOf<Threaded>}; }
  [[nodiscard]] Metrics metrics() noexcept BLITZIO_EXCLUDES(mutex_);

  // ---- what Io calls -----------------------------------------------------------------------

  Scheduler* admit(Start how) noexcept BLITZIO_EXCLUDES(mutex_);
  bool start(Scheduler& scheduler, Task& task, Start how) BLITZIO_EXCLUDES(mutex_);
  void block_on(AnyFuture<void> work);
  [[nodiscard]] Instant now() const noexcept { return Instant::now(); }
  [[nodiscard]] FileSystem& fs() noexcept;
  [[nodiscard]] Network& net() noexcept;
  [[nodiscard]] Processes& process() noexcept;
  [[nodiscard]] Signals& signal() noexcept;

 private:
  friend class detail::ThreadedTask;

  [[nodiscard]] bool take_place(std::size_t limit) noexcept BLITZIO_EXCLUDES(mutex_);
  void give_place_back() noexcept BLITZIO_EXCLUDES(mutex_);

  // In a forked child, where the lock may be held for ever.
  void abandon_tasks() noexcept BLITZIO_THREAD_ATTRIBUTE(no_thread_safety_analysis) {
    tasks_.abandon();
  }

  const ForkGuard fork_guard_;
  const std::size_t async_limit_;
  const std::size_t concurrent_limit_;
  std::unique_ptr<Runtime> waiter_;
  std::unique_ptr<detail::Native> native_;
  BlockingPool pool_;

  blitzio::Mutex mutex_{LockRank::io_tasks};
  std::size_t busy_ BLITZIO_GUARDED_BY(mutex_) = 0;
  bool is_closed_ BLITZIO_GUARDED_BY(mutex_) = false;
  IntrusiveList<detail::ThreadedTask> tasks_ BLITZIO_GUARDED_BY(mutex_);
};

}  // namespace blitzio::io
