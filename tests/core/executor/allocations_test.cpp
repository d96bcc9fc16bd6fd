// Waiting allocates nothing: every future that the core waits with is polled, left waiting, woken
// and dropped, while each call of `operator new` in the process is counted.
//
// A program of its own, for it replaces operator new. What is counted is the wait; values, tasks
// and coroutines are made before. The first rounds are not counted: a thread makes its parker, a
// worker grows its list of fired timers.
#include <blitzio/base/frame_pool.hpp>
#include <blitzio/channel/broadcast.hpp>
#include <blitzio/channel/channel.hpp>
#include <blitzio/channel/oneshot.hpp>
#include <blitzio/channel/watch.hpp>
#include <blitzio/executor/local_executor.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/sync/barrier.hpp>
#include <blitzio/sync/condition.hpp>
#include <blitzio/sync/event.hpp>
#include <blitzio/sync/mutex.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/sync/once_cell.hpp>
#include <blitzio/sync/rw_lock.hpp>
#include <blitzio/sync/semaphore.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/block_on.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/task/select.hpp>
#include <blitzio/task/thread_parker.hpp>
#include <blitzio/time/interval.hpp>
#include <blitzio/time/sleep.hpp>
#include <blitzio/time/timeout.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace {

// Relaxed: read when the threads that count wait or have ended.
std::atomic<std::uint64_t> allocations{0};

[[maybe_unused]] void* counted(std::size_t size) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(size);
}
[[maybe_unused]] void* counted(std::size_t size, std::align_val_t alignment) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  const auto unit = static_cast<std::size_t>(alignment);
  return std::aligned_alloc(unit, (size + unit - 1) / unit * unit);
}
[[maybe_unused]] void* or_throw(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

#if !BLITZIO_TSAN  // It has its own, linked statically: there, the tests show races only.
// The other forms of new and delete are made of these by the standard library; so are those with
// nothrow, but the address sanitizer has its own of them. Not inline, or GCC sees that what new
// gave is given to free().
[[gnu::noinline]] void* operator new(std::size_t size) {
  return or_throw(counted(size));
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  return or_throw(counted(size, alignment));
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
  return counted(size);
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment,
                                     const std::nothrow_t& /*tag*/) noexcept {
  return counted(size, alignment);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*size*/) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*size*/,
                                       std::align_val_t /*alignment*/) noexcept {
  std::free(memory);
}
#endif

namespace blitzio {
namespace {

constexpr int kWarmUps = 8;
constexpr int kRounds = 64;

std::uint64_t count() noexcept {
  return allocations.load(std::memory_order_relaxed);
}

TEST(Allocations, AreCounted) {
  if (BLITZIO_TSAN) GTEST_SKIP() << "the thread sanitizer has operators of its own";
  const std::uint64_t before = count();
  auto one = std::make_unique<int>(1);
  const std::vector<int> two(100, *one);
  EXPECT_EQ(count() - before, 2U);
}

// ---- polled by hand --------------------------------------------------------------------------

// Waits again and again for the future that `make()` gives until `wake()` is called: once until it
// is there, once given up while waiting, once given up when it was woken. `again()` makes it so
// that the next one has to wait.
template <class Make, class Wake, class Again>
void expect_none(const char* what, Make make, Wake wake, Again again) {
  const Waker waker = ThreadParker::current().waker();
  Context context(waker);
  bool has_waited = true;
  bool was_ready = true;
  const auto round = [&] {
    {
      auto future = make();
      // The second poll replaces the waker.
      has_waited &= future.poll(context).is_pending() && future.poll(context).is_pending();
      wake();
      was_ready &= future.poll(context).is_ready();
    }
    again();
    {
      auto given_up = make();
      has_waited &= given_up.poll(context).is_pending();
    }
    {
      auto woken = make();
      has_waited &= woken.poll(context).is_pending();
      wake();
    }
    again();
  };
  for (int i = 0; i < kWarmUps; ++i) round();
  const std::uint64_t before = count();
  for (int i = 0; i < kRounds; ++i) round();
  EXPECT_EQ(count() - before, 0U) << what;
  EXPECT_TRUE(has_waited) << what;
  EXPECT_TRUE(was_ready) << what;
}

void nothing() {}

TEST(Allocations, NoneToWaitForALock) {
  sync::Mutex mutex;
  ASSERT_TRUE(mutex.try_lock());
  // The guard that a future gave is gone with its answer.
  expect_none(
      "Mutex", [&] { return mutex.lock(); }, [&] { mutex.unlock(); },
      [&] { EXPECT_TRUE(mutex.try_lock()); });
  mutex.unlock();

  sync::RwLock lock;
  ASSERT_TRUE(lock.try_write());
  expect_none(
      "RwLock::read", [&] { return lock.read(); }, [&] { lock.write_unlock(); },
      [&] { EXPECT_TRUE(lock.try_write()); });
  expect_none(
      "RwLock::write", [&] { return lock.write(); }, [&] { lock.write_unlock(); },
      [&] { EXPECT_TRUE(lock.try_write()); });
  lock.write_unlock();
}

TEST(Allocations, NoneToWaitForPermitsAndSignals) {
  sync::Semaphore semaphore(0);
  expect_none(
      "Semaphore", [&] { return semaphore.acquire(2); }, [&] { semaphore.release(2); },
      [&] { EXPECT_TRUE(semaphore.try_acquire(2)); });

  sync::Notify notify;
  expect_none(
      "Notify::notify_one", [&] { return notify.wait(); }, [&] { notify.notify_one(); },
      [&] { static_cast<void>(notify.try_wait()); });
  expect_none(
      "Notify::notify_all", [&] { return notify.wait(); }, [&] { notify.notify_all(); }, nothing);

  sync::Event event;
  expect_none("Event", [&] { return event.wait(); }, [&] { event.set(); }, [&] { event.clear(); });

  sync::Barrier barrier(2);
  const Waker waker = ThreadParker::current().waker();
  expect_none(
      "Barrier", [&] { return barrier.wait(); },
      [&] {
        Context context(waker);
        auto last = barrier.wait();
        EXPECT_TRUE(last.poll(context).is_ready());
      },
      nothing);

  sync::Mutex mutex;
  sync::Condition condition;
  const auto wait = [&] {
    EXPECT_TRUE(mutex.try_lock());
    return condition.wait(mutex.adopt());
  };
  expect_none("Condition::signal", wait, [&] { condition.signal(); }, nothing);
  expect_none("Condition::broadcast", wait, [&] { condition.broadcast(); }, nothing);
}

TEST(Allocations, NoneToWaitForAOnceCell) {
  const Waker waker = ThreadParker::current().waker();
  Context context(waker);
  std::uint64_t made = 0;
  for (int i = 0; i < kWarmUps + kRounds; ++i) {
    sync::OnceCell<int> cell;
    const std::uint64_t before = count();
    {
      std::optional making(cell.get_or_init([] { return Pending<int>(); }));
      EXPECT_TRUE(making->poll(context).is_pending());
      auto waiting = cell.get_or_init([] { return 3; });
      auto given_up = cell.get_or_init([] { return 4; });
      EXPECT_TRUE(waiting.poll(context).is_pending());
      EXPECT_TRUE(given_up.poll(context).is_pending());
      making.reset();
      EXPECT_EQ(*waiting.poll(context).take(), 3);
    }
    if (i >= kWarmUps) made += count() - before;
  }
  EXPECT_EQ(made, 0U);
}

TEST(Allocations, NoneToWaitForAChannel) {
  channel::Channel<int> channel(1);
  const auto drain = [&] { static_cast<void>(channel.try_recv()); };
  expect_none(
      "Channel::recv", [&] { return channel.recv(); },
      [&] { EXPECT_EQ(channel.try_send(1), channel::SendStatus::sent); }, drain);
  const auto fill = [&] { static_cast<void>(channel.try_send(1)); };
  fill();
  expect_none(
      "Channel::send", [&] { return channel.send(2); }, [&] { EXPECT_TRUE(channel.try_recv()); },
      fill);

  channel::Broadcast<int> broadcast(2);
  auto receiver = broadcast.subscribe();
  expect_none(
      "Broadcast", [&] { return receiver.recv(); }, [&] { EXPECT_TRUE(broadcast.send(1)); },
      [&] { static_cast<void>(receiver.try_recv()); });

  channel::Watch<int> watch(0);
  auto watcher = watch.subscribe();
  expect_none(
      "Watch", [&] { return watcher.changed(); }, [&] { EXPECT_TRUE(watch.send(1)); },
      [&] { static_cast<void>(watcher.get_and_update()); });

  // A channel for one value: each wait has its own.
  std::optional<channel::Oneshot<int>> oneshot(std::in_place);
  expect_none(
      "Oneshot", [&] { return oneshot->recv(); }, [&] { EXPECT_TRUE(oneshot->send(1)); },
      [&] { oneshot.emplace(); });
}

TEST(Allocations, NoneToWaitForTheFirstOfSeveral) {
  channel::Channel<int> channel(1);
  sync::Semaphore semaphore(0);
  sync::Notify notify;
  sync::Mutex mutex;
  ASSERT_TRUE(mutex.try_lock());
  const auto drain = [&] {
    static_cast<void>(channel.try_recv());
    static_cast<void>(notify.try_wait());
  };
  expect_none(
      "select",
      [&] { return select(channel.recv(), semaphore.acquire(), notify.wait(), mutex.lock()); },
      [&] { notify.notify_one(); }, drain);
  expect_none(
      "select_biased", [&] { return select_biased(mutex.lock(), channel.recv()); },
      [&] { EXPECT_EQ(channel.try_send(1), channel::SendStatus::sent); }, drain);
  expect_none(
      "race", [&] { return race(notify.wait(), pending); }, [&] { notify.notify_one(); }, drain);
  mutex.unlock();
}

// ---- in tasks and threads --------------------------------------------------------------------

// A future that tells when it has to wait.
template <Future F>
class Watched {
 public:
  using Output = OutputOf<F>;
  Watched(F future, int& waits) : future_(std::move(future)), waits_(&waits) {}
  Poll<Output> poll(Context& context) {
    auto answer = future_.poll(context);
    if (answer.is_pending() && !std::exchange(has_waited_, true)) ++*waits_;
    return answer;
  }

 private:
  F future_;
  int* waits_;
  bool has_waited_ = false;
};

// A task awaits what `make()` gives, round by round; another calls `feed()` whenever it waits. Both
// run on one thread.
template <class Executor, class Make, class Feed>
void expect_none_in_tasks(const char* what, Executor& executor, Make make, Feed feed) {
  std::uint64_t made = 0;
  int waits = 0;
  bool is_over = false;
  const auto rounds = [&]() -> Async<void> {
    std::uint64_t before = 0;
    for (int i = 0; i < kWarmUps + kRounds; ++i) {
      if (i == kWarmUps) before = count();
      Watched future(make(), waits);
      static_cast<void>(co_await future);
    }
    made = count() - before;
    is_over = true;
  };
  const auto feeding = [&]() -> Async<void> {
    int fed = 0;
    while (!is_over) {
      if (std::exchange(fed, waits) != waits) feed();
      co_await yield_now();
    }
  };
  // In this order: on a Runtime the first rounds run while this thread goes on.
  auto feeder = executor.spawn(feeding());
  auto waiter = executor.spawn(rounds());
  executor.block_on(waiter).get();
  executor.block_on(feeder).get();
  EXPECT_EQ(made, 0U) << what;
  EXPECT_GE(waits, kRounds) << what;
}

template <class Executor>
void expect_none_on(Executor& executor) {
  static_cast<void>(ThreadParker::current());  // this thread's, which block_on() would make
  constexpr Duration kSoon = Duration::from_micros(1);
  constexpr Duration kLate = Duration::from_secs(3600);
  channel::Channel<int> channel(1);
  const auto send = [&] { EXPECT_EQ(channel.try_send(1), channel::SendStatus::sent); };
  sync::Notify never;
  expect_none_in_tasks("recv", executor, [&] { return channel.recv(); }, send);
  expect_none_in_tasks("sleep", executor, [&] { return time::sleep(kSoon); }, nothing);
  expect_none_in_tasks(
      "timeout in time", executor, [&] { return time::timeout(kLate, channel.recv()); }, send);
  expect_none_in_tasks(
      "timeout too late", executor, [&] { return time::timeout(kSoon, never.wait()); }, nothing);
  expect_none_in_tasks(
      "select with a timer", executor,
      [&] { return select(channel.recv(), time::sleep(kLate), never.wait()); }, send);

  // A turn for each, for in which order they begin is the scheduler's.
  std::array<sync::Notify, kWarmUps + kRounds> turns;
  const auto wait_for = [](sync::Notify& turn) -> Async<void> { co_await turn.wait(); };
  std::vector<JoinHandle<void>> handles;
  for (sync::Notify& turn : turns) handles.push_back(executor.spawn(wait_for(turn)));
  std::size_t next = 0;
  expect_none_in_tasks(
      "join", executor,
      [&] {
        JoinHandle<void>& handle = handles.at(next++);
        return poll_fn([&handle](Context& context) { return handle.poll(context); });
      },
      [&] { turns.at(next - 1).notify_one(); });
}

TEST(Allocations, NoneToWaitInATaskOfALocalExecutor) {
  const auto executor = LocalExecutor::create().value();
  expect_none_on(*executor);
}

TEST(Allocations, NoneToWaitInATaskOfARuntime) {
  Config config;
  config.workers = 1;
  const auto runtime = Runtime::create(config).value();
  expect_none_on(*runtime);
}

TEST(Allocations, NoneToTick) {
  const auto executor = LocalExecutor::create().value();
  const auto ticks = [&]() -> Async<std::uint64_t> {
    time::Interval every = time::interval(Duration::from_micros(50));
    every.set_missed(time::MissedTicks::delay);
    std::uint64_t before = 0;
    for (int i = 0; i < kWarmUps + kRounds; ++i) {
      if (i == kWarmUps) before = count();
      co_await every.tick();
    }
    co_return count() - before;
  };
  EXPECT_EQ(executor->block_on(ticks()), 0U);
}

TEST(Allocations, NoneToWaitInAThread) {
  channel::Channel<int> ping(1);
  channel::Channel<int> pong(1);
  std::thread other([&] {
    while (const auto value = block_on(ping.recv())) {
      EXPECT_TRUE(block_on(pong.send(*value)).has_value());
    }
  });
  std::uint64_t before = 0;
  for (int i = 0; i < kWarmUps + kRounds; ++i) {
    if (i == kWarmUps) before = count();
    EXPECT_TRUE(block_on(ping.send(i)).has_value());
    EXPECT_EQ(block_on(pong.recv()), i);
  }
  EXPECT_EQ(count() - before, 0U);
  ping.close();
  other.join();
}

// The frame of a coroutine that another awaits comes from the thread's pool, and the memory of a
// task as well; sanitizers see every one of them.
TEST(Allocations, FramesAndTasksComeFromThePool) {
  if (!FramePool::is_enabled_on_this_thread()) GTEST_SKIP() << "the pool is off under a sanitizer";
  const auto executor = LocalExecutor::create().value();
  const auto step = []() -> Async<int> {
    co_await yield_now();
    co_return 1;
  };
  const auto steps = [&]() -> Async<std::uint64_t> {
    std::uint64_t before = 0;
    for (int i = 0; i < kWarmUps + kRounds; ++i) {
      if (i == kWarmUps) before = count();
      EXPECT_EQ(co_await step(), 1);
      EXPECT_EQ((co_await executor->spawn(step())).get(), 1);
    }
    co_return count() - before;
  };
  EXPECT_EQ(executor->block_on(steps()), 0U);
}

}  // namespace
}  // namespace blitzio
