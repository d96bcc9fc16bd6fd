// The price of a primitive that nobody else wants.
#include "../common/allocations.hpp"
#include "benchmarks.hpp"

#include <blitzio/sync/barrier.hpp>
#include <blitzio/sync/mutex.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/sync/once_cell.hpp>
#include <blitzio/sync/rw_lock.hpp>
#include <blitzio/sync/semaphore.hpp>

#include <utility>

namespace blitzio::bench {

namespace {

// The loops below copy what they need into locals: `keep()` clobbers memory, so that what stands in
// a closure would be read again in each round, which is as long as the shortest operations.

// An object made outside the clock, and an operation on it.
template <class T, void (*kOperation)(T&), class... Args>
std::function<std::int64_t()> on_one(std::size_t count, Args... args) {
  return [count, args...] {
    reset_allocations();
    T object(args...);
    return time_of([&] {
      keep(object);
      const std::size_t rounds = count;
      for (std::size_t i = 0; i < rounds; ++i) kOperation(object);
    });
  };
}

// An operation that makes its own object.
template <void (*kOperation)(std::size_t)>
std::function<std::int64_t()> on_fresh(std::size_t count) {
  return [count] {
    reset_allocations();
    return time_of([&] {
      const std::size_t rounds = count;
      for (std::size_t i = 0; i < rounds; ++i) kOperation(i);
    });
  };
}

void lock_and_unlock(sync::Mutex& mutex) {
  require(mutex.try_lock(), "try_lock");
  mutex.unlock();
}
void read_and_unlock(sync::RwLock& lock) {
  require(lock.try_read(), "try_read");
  lock.read_unlock();
}
void write_and_unlock(sync::RwLock& lock) {
  require(lock.try_write(), "try_write");
  lock.write_unlock();
}
void acquire_and_release(sync::Semaphore& semaphore) {
  require(semaphore.try_acquire(1), "try_acquire");
  semaphore.release(1);
}

struct SetCell {
  SetCell() { require(cell.set(42), "set"); }
  sync::OnceCell<std::uint64_t> cell;
};
void get(SetCell& set) {
  keep(set.cell.get());
}

void set_fresh(std::size_t i) {
  sync::OnceCell<std::uint64_t> cell;
  require(cell.set(i), "set");
  keep(cell);
}
void notify_fresh(std::size_t /*i*/) {
  sync::Notify notify;
  notify.notify_one();
  poll_now(notify.wait());
  keep(notify);
}
void pass_fresh(std::size_t /*i*/) {
  sync::Barrier barrier(1);
  require(poll_now(barrier.wait()).is_leader, "leader");
  keep(barrier);
}

}  // namespace

void add_uncontended(std::vector<SyncBenchmark>& list, const Sizes& sizes) {
  const std::size_t count = sizes.sync_ops;
  list.push_back({"mutex", count, on_one<sync::Mutex, lock_and_unlock>(count)});
  list.push_back({"rwlock_read", count, on_one<sync::RwLock, read_and_unlock>(count)});
  list.push_back({"rwlock_write", count, on_one<sync::RwLock, write_and_unlock>(count)});
  list.push_back({"semaphore", count, on_one<sync::Semaphore, acquire_and_release>(count, 10U)});
  list.push_back({"oncecell_get", count, on_one<SetCell, get>(count)});
  list.push_back({"oncecell_set", count, on_fresh<set_fresh>(count)});
  list.push_back({"notify", count, on_fresh<notify_fresh>(count)});
  list.push_back({"barrier", count, on_fresh<pass_fresh>(count)});
}

}  // namespace blitzio::bench
