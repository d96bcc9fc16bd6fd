// `parallel_for`, `parallel_map`: one function on each element of a range, on all processors.
//
//     std::vector<Image> small = co_await parallel_map(std::move(images), shrink);   // in a task
//     blocking_parallel_for(pixels, [](Pixel& pixel) { pixel.invert(); });           // in a thread
//
// The range is cut into chunks, some for each thread of the compute pool, and each thread takes the
// next chunk when it is done with one: so uneven elements spread by themselves.
//
//            take                run                    the last of all chunks
//     next_ ──────▶ a chunk of somebody's ──────▶ done_ ───────────────────────▶ the waiter wakes
//       │                                          ▲
//       └── stop (exception, cancel): the chunks that nobody took count as done ──┘
//
// The first exception stops the others at their next element chunk and reaches the caller; what
// else is thrown meanwhile is dropped.
//
// Calls nest without end. The blocking form works on the chunks itself, and then waits only for
// those that other threads are at; so it needs no thread but its own. The awaitable form leaves all
// to the pool, unless it is polled on one of the pool's threads (in a block_on() there): it works
// on them itself then.
//
// Threads: any.
#pragma once

#include <blitzio/base/atomic.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/executor/blocking_pool.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/task/future.hpp>

#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

namespace blitzio {

namespace detail {

class ParallelWork {
 public:
  ParallelWork(std::size_t count, std::size_t grain, Runtime& runtime) noexcept;
  ParallelWork(const ParallelWork&) = delete;
  ParallelWork& operator=(const ParallelWork&) = delete;

  static constexpr std::size_t kAll = ~std::size_t{0};
  struct Release {
    void operator()(ParallelWork* work) const noexcept { work->release_ref(); }
  };

  /// Has up to `helpers_max` threads of the pool take part. Once.
  /// Returns  false if there is work but no thread, or the pool is shut down.
  [[nodiscard]] bool start(std::size_t helpers_max) noexcept;
  /// Runs chunks on this thread until none is left to take.
  void take_part() noexcept;
  /// Takes the chunks that nobody has begun.
  void cancel() noexcept;
  /// Whether every chunk is done; if not, wakes the context's waker when they are.
  [[nodiscard]] bool poll(Context& context) noexcept BLITZIO_EXCLUDES(mutex_);
  /// All of it, on this thread and others of the pool.
  void run_here() noexcept;
  /// Whether the calling thread is one of the pool.
  [[nodiscard]] bool is_on_pool() const noexcept;
  /// After the end: throws what the first failing chunk threw, or TaskCancelled.
  void rethrow() BLITZIO_EXCLUDES(mutex_);

 protected:
  virtual ~ParallelWork() = default;
  virtual void run(std::size_t first, std::size_t last) = 0;

 private:
  struct Helper : BlockingJob {
    Helper() noexcept;
    ParallelWork* work = nullptr;
  };

  void stop(std::exception_ptr exception) noexcept BLITZIO_EXCLUDES(mutex_);
  void add_done(std::size_t chunks) noexcept BLITZIO_EXCLUDES(mutex_);
  void release_ref() noexcept;
  [[nodiscard]] bool is_done() const noexcept {
    // Acquire: pairs with the release half in add_done(); what the chunks wrote is visible.
    return done_.load(std::memory_order_acquire) == chunk_count_;
  }

  Runtime& runtime_;
  const std::size_t count_;
  const std::size_t chunk_;  // elements in each, save the last
  const std::size_t chunk_count_;
  std::unique_ptr<Helper[]> helpers_;
  // The next chunk to take; chunk_count_ and above: none is left.
  Atomic<std::size_t> next_{0};
  // Chunks that were run or given up. Publishes what they wrote.
  Atomic<std::size_t> done_{0};
  // Counted by the future and by each helper that was submitted.
  Atomic<std::uint32_t> refs_{1};
  Mutex mutex_{LockRank::leaf};
  Waker waker_ BLITZIO_GUARDED_BY(mutex_);
  bool is_stopped_ BLITZIO_GUARDED_BY(mutex_) = false;
  std::exception_ptr exception_ BLITZIO_GUARDED_BY(mutex_);
};

template <class T>
concept ParallelRange =
    std::ranges::random_access_range<T> && std::ranges::sized_range<T> && std::movable<T>;

/// The elements and the function; for results also their places.
template <class Range, class F>
class ParallelOver final : public ParallelWork {
  using Element = std::ranges::range_reference_t<Range>;
  using Made = std::invoke_result_t<F&, Element>;
  static constexpr bool kIsMap = !std::is_void_v<Made>;
  struct Nothing {};

 public:
  using Output = std::conditional_t<
      kIsMap, std::vector<std::conditional_t<kIsMap, std::decay_t<Made>, Nothing>>, void>;

  ParallelOver(Range range, F function, std::size_t grain, Runtime& runtime)
      : ParallelWork(std::ranges::size(range), grain, runtime),
        range_(std::forward<Range>(range)),
        function_(std::forward<F>(function)) {
    if constexpr (kIsMap) results_.resize(std::ranges::size(range_));
  }

  Output take() {
    rethrow();
    if constexpr (kIsMap) {
      Output all;
      all.reserve(results_.size());
      for (auto& result : results_) all.push_back(std::move(*result));
      return all;
    }
  }

 private:
  void run(std::size_t first, std::size_t last) override {
    using Distance = std::ranges::range_difference_t<Range>;
    auto element = std::ranges::begin(range_) + static_cast<Distance>(first);
    for (std::size_t i = first; i != last; ++i, ++element) {
      if constexpr (kIsMap) {
        results_[i].emplace(std::invoke(function_, *element));
      } else {
        std::invoke(function_, *element);
      }
    }
  }

  Range range_;  // a reference in the blocking form
  F function_;
  using Result = std::conditional_t<kIsMap, std::decay_t<Made>, Nothing>;
  std::vector<std::optional<Result>> results_;
};

/// Runtime::current(), which there must be.
[[nodiscard]] Runtime& parallel_runtime() noexcept;

template <class Range, class F>
auto make_parallel(Range&& range, F&& function, std::size_t grain) {
  using Work = ParallelOver<Range, F>;
  return std::unique_ptr<Work, ParallelWork::Release>(
      new Work(std::forward<Range>(range), std::forward<F>(function), grain, parallel_runtime()));
}

}  // namespace detail

/// What parallel_for() and parallel_map() return.
template <class Work>
class [[nodiscard]] Parallel {
 public:
  using Output = typename Work::Output;

  explicit Parallel(std::unique_ptr<Work, detail::ParallelWork::Release> work) noexcept
      : work_(std::move(work)) {}
  Parallel(Parallel&&) noexcept = default;
  Parallel& operator=(Parallel&&) = delete;
  ~Parallel() {
    if (work_ != nullptr) work_->cancel();
  }

  Poll<Output> poll(Context& context) {
    BLITZIO_CHECK(work_ != nullptr);
    if (!std::exchange(is_started_, true)) {
      if (work_->is_on_pool()) {
        work_->run_here();
      } else if (!work_->start(work_->kAll)) {
        work_->cancel();
      }
    }
    if (!work_->poll(context)) return pending;
    const auto work = std::move(work_);
    if constexpr (std::is_void_v<Output>) {
      work->take();
      return ready;
    } else {
      return work->take();
    }
  }

 private:
  std::unique_ptr<Work, detail::ParallelWork::Release> work_;
  bool is_started_ = false;
};

/// Calls `function(element)` for each element of `range`, in any order, on the current runtime's
/// compute pool. The range is a random-access one, and is owned: move it in, or pass a view of what
/// outlives the work. `grain`: elements that are worth a thread's while; 0 chooses.
/// Returns  future of void; throws the first exception of `function`, TaskCancelled after the
///          runtime's end.
/// Cancel   dropping it takes the elements that no thread has begun a chunk with; those that are
///          being worked on are finished, so what `function` refers to must outlive that.
/// Cost     two allocations, and a hand-over to each thread.
template <detail::ParallelRange Range, class F>
  requires std::invocable<F&, std::ranges::range_reference_t<Range>>
auto parallel_for(Range range, F function, std::size_t grain = 0) {
  auto call = [function = std::move(function)](auto&& element) mutable {
    static_cast<void>(std::invoke(function, std::forward<decltype(element)>(element)));
  };
  auto work = detail::make_parallel(std::move(range), std::move(call), grain);
  return Parallel<typename decltype(work)::element_type>(std::move(work));
}

/// The same for a function's results, which come in the order of the elements.
/// Returns  future of std::vector.
template <detail::ParallelRange Range, class F>
  requires(!std::is_void_v<std::invoke_result_t<F&, std::ranges::range_reference_t<Range>>>)
auto parallel_map(Range range, F function, std::size_t grain = 0) {
  auto work = detail::make_parallel(std::move(range), std::move(function), grain);
  return Parallel<typename decltype(work)::element_type>(std::move(work));
}

/// parallel_for() that is done when it returns; the calling thread takes part. Not on a worker,
/// whose other tasks would wait. `range` and `function` are used where they are.
template <class Range, class F>
  requires std::invocable<F&, std::ranges::range_reference_t<Range>>
void blocking_parallel_for(Range&& range, F&& function, std::size_t grain = 0) {
  auto call = [&function](auto&& element) {
    static_cast<void>(std::invoke(function, std::forward<decltype(element)>(element)));
  };
  auto work = detail::make_parallel<Range&, decltype(call)&>(range, call, grain);
  work->run_here();
  work->take();
}

/// parallel_map() in the same way.
template <class Range, class F>
auto blocking_parallel_map(Range&& range, F&& function, std::size_t grain = 0) {
  auto work = detail::make_parallel<Range&, F&>(range, function, grain);
  work->run_here();
  return work->take();
}

}  // namespace blitzio
