#include <blitzio/executor/parallel.hpp>

#include <blitzio/task/block_on.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/task/join_result.hpp>

#include <algorithm>

namespace blitzio::detail {

namespace {

// Few enough that taking one costs nothing beside it, enough that nobody waits long for the last.
constexpr std::size_t kChunksPerThread = 8;

}  // namespace

Runtime& parallel_runtime() noexcept {
  Runtime* runtime = Runtime::current();
  BLITZIO_CHECK(runtime != nullptr);  // neither in a task of a Runtime nor in its block_on()
  return *runtime;
}

ParallelWork::ParallelWork(std::size_t count, std::size_t grain, Runtime& runtime) noexcept
    : runtime_(runtime),
      count_(count),
      chunk_(std::max<std::size_t>(
          {count / (runtime.config().compute_threads * kChunksPerThread), grain, 1})),
      chunk_count_(count / chunk_ + (count % chunk_ != 0 ? 1 : 0)) {}

bool ParallelWork::is_on_pool() const noexcept {
  return runtime_.compute_pool().is_own_thread();
}

ParallelWork::Helper::Helper() noexcept
    : BlockingJob(
          [](BlockingJob& job) noexcept {
            ParallelWork& helped = *static_cast<Helper&>(job).work;
            const Runtime::Entered entered(helped.runtime_);
            helped.take_part();
            helped.release_ref();
          },
          [](BlockingJob& job) noexcept {
            ParallelWork& helped = *static_cast<Helper&>(job).work;
            helped.stop(nullptr);
            helped.release_ref();
          }) {}

bool ParallelWork::start(std::size_t helpers_max) noexcept {
  const std::size_t number =
      std::min<std::size_t>({helpers_max, runtime_.config().compute_threads, chunk_count_});
  if (number == 0) return true;
  helpers_.reset(new Helper[number]);
  for (std::size_t i = 0; i != number; ++i) {
    helpers_[i].work = this;
    // Relaxed, both: the caller holds a reference itself.
    refs_.fetch_add(1, std::memory_order_relaxed);
    if (runtime_.compute_pool().submit(helpers_[i])) continue;
    refs_.fetch_sub(1, std::memory_order_relaxed);
    return i != 0;
  }
  return true;
}

void ParallelWork::take_part() noexcept {
  for (;;) {
    // Relaxed: hands out numbers; the elements were published to the pool's threads by its lock.
    const std::size_t index = next_.fetch_add(1, std::memory_order_relaxed);
    if (index >= chunk_count_) return;
    const std::size_t first = index * chunk_;
    try {
      run(first, std::min(first + chunk_, count_));
    } catch (...) {
      stop(std::current_exception());
    }
    add_done(1);
  }
}

void ParallelWork::run_here() noexcept {
  // Without help it is done all the same.
  if (chunk_count_ > 1) static_cast<void>(start(chunk_count_ - 1));
  take_part();
  blitzio::block_on(poll_fn([this](Context& context) -> Poll<void> {
    if (poll(context)) return ready;
    return pending;
  }));
}

void ParallelWork::cancel() noexcept {
  stop(nullptr);
}

// Takes all chunks that are left. Once: the first exception counts.
void ParallelWork::stop(std::exception_ptr exception) noexcept {
  {
    const MutexLock lock(mutex_);
    if (is_stopped_) return;
    is_stopped_ = true;
    exception_ = std::move(exception);
  }
  // Relaxed: as in take_part().
  const std::size_t taken = next_.exchange(chunk_count_, std::memory_order_relaxed);
  if (taken < chunk_count_) add_done(chunk_count_ - taken);
}

void ParallelWork::add_done(std::size_t chunks) noexcept {
  // Acquire-release: each chunk's results go to the waiter by way of whoever finishes last; pairs
  // with is_done() and itself.
  if (done_.fetch_add(chunks, std::memory_order_acq_rel) + chunks != chunk_count_) return;
  Waker waker;
  {
    const MutexLock lock(mutex_);
    waker = std::move(waker_);
  }
  waker.wake();
}

bool ParallelWork::poll(Context& context) noexcept {
  if (is_done()) return true;
  Waker waker = context.waker().clone();
  const MutexLock lock(mutex_);
  // Looked at under the lock: who finishes last takes it afterwards.
  if (is_done()) return true;
  std::swap(waker_, waker);
  return false;
}

void ParallelWork::rethrow() {
  std::exception_ptr exception;
  {
    const MutexLock lock(mutex_);
    if (!is_stopped_) return;
    exception = exception_;
  }
  if (exception) std::rethrow_exception(std::move(exception));
  throw TaskCancelled();
}

void ParallelWork::release_ref() noexcept {
  // Acquire-release: the last holder sees everybody's accesses; pairs with itself.
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

}  // namespace blitzio::detail
