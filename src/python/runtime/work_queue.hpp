// `WorkQueue`: spawned work that waits to be started, first in, first out. It owns a reference to
// each handle.
//
// A mutex, for a worker's queue has thieves and the queue from outside has everybody; uncontended
// it costs a tenth of what starting a task does.
//
// Threads: any, attached.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/mutex.hpp>
#include <python/runtime/join_handle.hpp>

#include <cstddef>

namespace blitzio::python {

class WorkQueue {
 public:
  /// Returns  how many there are now.
  std::size_t push(PyRef handle) noexcept {
    JoinHandleObject& queued = as_join_handle(handle.release());
    const MutexLock lock(mutex_);
    list_.push_back(queued.queued);
    return add(1);
  }
  /// The oldest; null if there is none.
  [[nodiscard]] PyRef pop() noexcept {
    const MutexLock lock(mutex_);
    return take();
  }
  /// The oldest; and, into another queue, what else is in the first of `parts` equal parts.
  [[nodiscard]] PyRef pop_share(std::size_t parts, WorkQueue& into) noexcept {
    List moved;
    std::size_t count = 0;
    PyRef first;
    {
      const MutexLock lock(mutex_);
      const std::size_t share = add(0) / parts;
      first = take();
      for (; count + 1 < share; ++count) moved.push_back(*list_.pop_front());
      add(0 - count);
    }
    if (count != 0) into.append(moved, count);
    return first;
  }
  /// Under the lock: what was queued before the caller's last lock of this queue is seen.
  [[nodiscard]] std::size_t size() const noexcept {
    const MutexLock lock(mutex_);
    // Relaxed: written under the lock.
    return count_.load(std::memory_order_relaxed);
  }
  /// Without the lock: may miss what is queued this moment.
  [[nodiscard]] bool seems_empty() const noexcept {
    // Relaxed: a hint; who must not miss anything asks size().
    return count_.load(std::memory_order_relaxed) == 0;
  }
  /// For the collector. It never waits for the lock: whoever has it is attached, and allocates
  /// nothing meanwhile.
  [[nodiscard]] int traverse(visitproc visit, void* arg) noexcept {
    int outcome = 0;
    const MutexLock lock(mutex_);
    list_.for_each([&](QueuedWork& work) {
      if (outcome == 0) outcome = visit(as_object(work.handle()), arg);
    });
    return outcome;
  }

 private:
  using List = IntrusiveList<QueuedWork, QueuedWorkTag>;

  PyRef take() noexcept BLITZIO_REQUIRES(mutex_) {
    QueuedWork* work = list_.pop_front();
    if (work == nullptr) return {};
    add(std::size_t{0} - 1);
    return PyRef::steal(as_object(work->handle()));
  }
  void append(List& moved, std::size_t count) noexcept {
    const MutexLock lock(mutex_);
    list_.splice_back(moved);
    add(count);
  }
  /// Returns the new count.
  std::size_t add(std::size_t change) noexcept BLITZIO_REQUIRES(mutex_) {
    // Relaxed, both: under the lock; see seems_empty().
    const std::size_t count = count_.load(std::memory_order_relaxed) + change;
    count_.store(count, std::memory_order_relaxed);
    return count;
  }

  mutable Mutex mutex_{LockRank::leaf};
  List list_ BLITZIO_GUARDED_BY(mutex_);
  // Written under the lock.
  Atomic<std::size_t> count_{0};
};

}  // namespace blitzio::python
