// `Injector`: a queue of ready tasks that any worker may take from: the runtime's, of those that
// belong to no worker yet because other threads woke or spawned them, and one behind the ring of
// each worker, of those that had no room in it. First in, first out, linked through the tasks.
//
// Threads: any. The length is read without the lock, so an empty queue costs a load.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/intrusive_queue.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/task/task.hpp>

#include <cstddef>

namespace blitzio::detail {

class Injector {
 public:
  Injector() noexcept = default;
  Injector(const Injector&) = delete;
  Injector& operator=(const Injector&) = delete;
  ~Injector() { BLITZIO_CHECK(is_empty()); }

  void push(Task& task) noexcept BLITZIO_EXCLUDES(mutex_) {
    task.inbox_next = nullptr;
    push_chain(task, task, 1);
  }
  /// Appends tasks that are linked from `first` to `last`.
  void push_chain(Task& first, Task& last, std::size_t count) noexcept BLITZIO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    tasks_.push_chain(first, last);
    // Seq_cst: before the look at the idle map that follows a push (idle_map.hpp).
    size_.store(size_.load(std::memory_order_relaxed) + count, std::memory_order_seq_cst);
  }

  /// Takes up to `count_max` tasks, linked through inbox_next, oldest first; null if there is none.
  [[nodiscard]] Task* pop(std::size_t count_max) noexcept BLITZIO_EXCLUDES(mutex_) {
    if (is_empty()) return nullptr;
    const MutexLock lock(mutex_);
    Task* first = tasks_.peek();
    if (first == nullptr) return nullptr;
    Task* last = first;
    std::size_t count = 1;
    for (; count < count_max && last->inbox_next != nullptr; ++count) {
      last = static_cast<Task*>(last->inbox_next);
    }
    tasks_.pop_until(*last);
    // Relaxed load: the lock's holder alone writes it. Seq_cst store: as in push_chain().
    size_.store(size_.load(std::memory_order_relaxed) - count, std::memory_order_seq_cst);
    return first;
  }

  /// Forgets its tasks; see IntrusiveList::abandon().
  void abandon() noexcept BLITZIO_THREAD_ATTRIBUTE(no_thread_safety_analysis) {
    // A forked child has one thread; another may have held the lock when it was made. Relaxed: so.
    tasks_.abandon();
    size_.store(0, std::memory_order_relaxed);
  }

  /// A snapshot. Seq_cst, so that it can be a sleeper's last look (idle_map.hpp).
  [[nodiscard]] bool is_empty() const noexcept { return size() == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_.load(std::memory_order_seq_cst); }

 private:
  Mutex mutex_{LockRank::leaf};
  IntrusiveQueue<Task> tasks_ BLITZIO_GUARDED_BY(mutex_);
  // Written under the lock, read without it.
  Atomic<std::size_t> size_{0};
};

}  // namespace blitzio::detail
