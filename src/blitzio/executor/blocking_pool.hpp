// `BlockingPool`: threads for work that blocks.
//
// A job goes to the thread that became idle last, if there is one; else to a new thread, up to
// `threads_max`; else to a queue, first in, first out. The last idle thread has the warmest cache,
// and the others can grow old: one that is idle for `keep_alive` ends.
//
// One thread at a time is on its way to its job. While it is, further jobs go to the queue and wake
// nobody; before it runs its own it calls a thread for the oldest of these. So no job waits for
// another to end while there is a thread to be had, and a burst of short ones is run by a few
// threads rather than by one each, awake for a microsecond.
//
//     idle ──called──▶ on its way ──looks──▶ running ──queue empty──▶ idle ──keep_alive──▶ gone
//           created ──────▲                   │    ▲
//                                             └────┘ queue not empty, or handed a job meanwhile
//
// A job that has done its work says so before it tells whoever waits: expect_idle(). The next job
// of that one, submitted before this thread is back, goes to this thread and not to another one,
// which would have to be woken.
//
// Each sleeps on a word of its own, so none that is about to end is called, and looks for a moment
// first whether it is needed at all (adaptive_spin.hpp). The job is a node that its owner keeps, so
// submitting allocates nothing, save for the thread it may start.
//
// Threads are detached and share the pool's state by reference count, so a pool may go while jobs
// still run (shutdown(wait = false)); shutdown(wait = true) waits until the last thread has left
// its hooks.
//
// Forking: a forked child has the pool but none of its threads, one of which may have held the
// lock. There submit() refuses, shutdown() and the destructor return at once, metrics() are zeros,
// and the shared state with the jobs in it is never freed. If a job forks, its thread ends in the
// child as soon as the job returns.
//
// Threads: any.
#pragma once

#include <blitzio/base/duration.hpp>
#include <blitzio/base/fork_guard.hpp>
#include <blitzio/base/instant.hpp>
#include <blitzio/base/result.hpp>

#include <cstddef>

namespace blitzio {

/// Work for a BlockingPool: derive from it. Exactly one of the two functions is called, once; the
/// job may be gone when it returns. Neither can throw.
struct BlockingJob {
  using Function = void (*)(BlockingJob& job) noexcept;
  /// `run` does the work, on a pool thread; `drop` is called instead if the pool is shut down with
  /// its queue cancelled, on the thread that does so.
  constexpr BlockingJob(Function on_run, Function on_drop) noexcept : run(on_run), drop(on_drop) {}

  Function run;
  Function drop;
  BlockingJob* next = nullptr;  ///< the pool's
};

class BlockingPool {
 public:
  using Job = BlockingJob;

  static constexpr std::size_t kThreadsMax = 32'768;

  struct Config {
    /// 1 to kThreadsMax.
    std::size_t threads_max = 512;
    /// How long a thread stays without work. Zero or less: it ends at once.
    Duration keep_alive = Duration::from_secs(10);
    /// What a thread is called, before its number; at most 11 characters.
    const char* thread_name = "blitzio-blk";
    /// Run by each thread at its beginning and its end, with `hook_data`, which must stay valid
    /// until shutdown(wait = true) has returned.
    void (*on_thread_start)(void* data) noexcept = nullptr;
    void (*on_thread_stop)(void* data) noexcept = nullptr;
    void* hook_data = nullptr;
  };
  struct Metrics {
    std::size_t threads = 0;  ///< alive, those that are ending included
    std::size_t idle = 0;     ///< waiting for work
    std::size_t queued = 0;   ///< jobs waiting for a thread
  };

  /// Starts no thread.
  BlockingPool() noexcept : BlockingPool(Config()) {}
  explicit BlockingPool(const Config& config) noexcept;
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;
  /// shutdown(true, false), unless shutdown() was called before.
  ~BlockingPool();

  /// Has `job` run on a pool thread. The pool has it until it calls `run` or `drop`.
  /// Errors   shut_down after shutdown() and in a forked child; what creating a thread gave
  /// (EAGAIN), if there is no other
  ///          thread to take the job. The job is untouched then.
  [[nodiscard]] Result<void> submit(Job& job) noexcept;

  /// Takes no more jobs. Those that run are finished, and those in the queue too unless
  /// `cancel_pending`, which drops them before this returns: as concurrent.futures does. With
  /// `wait` it returns when all threads have ended; not from a pool thread then. May be called
  /// again.
  void shutdown(bool wait, bool cancel_pending = false) noexcept;

  /// After shutdown(), for who has other things to look after: waits until all threads have ended,
  /// but no longer than until `deadline`. Not from a pool thread.
  /// Returns  whether they have.
  [[nodiscard]] bool wait_until_ended(Instant deadline) noexcept;

  /// By a job, on its thread, when it has only to tell that it is done: from now on a job may be
  /// handed to this thread, where it waits for this one to return. Elsewhere it does nothing.
  static void expect_idle() noexcept;

  /// Whether the calling thread is one of this pool's.
  [[nodiscard]] bool is_own_thread() const noexcept;

  [[nodiscard]] Metrics metrics() const noexcept;

 private:
  class State;
  State* state_;
  const ForkGuard fork_guard_;
};

}  // namespace blitzio
