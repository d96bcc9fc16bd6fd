// Futures written by hand: a state machine, one that another thread wakes, one around another; and
// what an executor does with them, step by step.
#include <blitzio/executor/runtime.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/future.hpp>
#include <blitzio/task/futures.hpp>

#include <atomic>
#include <cstdio>
#include <exception>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

using namespace blitzio;

namespace {

// Pending once, ready then.
class DelayedValue {
 public:
  using Output = int;
  Poll<int> poll(Context& context) {
    if (std::exchange(is_done_, true)) return 42;
    context.waker().wake_by_ref();  // poll me again, as soon as you like
    return pending;
  }

 private:
  bool is_done_ = false;
};
static_assert(Future<DelayedValue>);

// A value that another thread makes: it keeps the waker, and wakes when the value is there.
class FromThread {
 public:
  using Output = int;
  FromThread() = default;
  // Only before the first poll: the thread refers to it.
  FromThread(FromThread&&) noexcept {}
  ~FromThread() {
    if (thread_.joinable()) thread_.join();
  }
  Poll<int> poll(Context& context) {
    if (!thread_.joinable()) {
      thread_ = std::thread([this, waker = context.waker().clone()]() mutable {
        value_.store(7, std::memory_order_release);
        waker.wake();
      });
    }
    const int value = value_.load(std::memory_order_acquire);
    if (value == 0) return pending;
    return value;
  }

 private:
  std::thread thread_;
  std::atomic<int> value_{0};
};

// Tries `make()` again, at most so many times, while its future gives an error.
template <class Make>
class Retry {
  using Inner = std::invoke_result_t<Make&>;

 public:
  using Output = OutputOf<Inner>;
  Retry(Make make, int retries) : make_(std::move(make)), retries_(retries) {}
  Poll<Output> poll(Context& context) {
    for (;;) {
      if (!inner_) inner_.emplace(make_());
      auto answer = inner_->poll(context);
      if (answer.is_pending() || answer.value() || retries_ == 0) return answer;
      --retries_;
      inner_.reset();
    }
  }

 private:
  Make make_;
  std::optional<Inner> inner_;
  int retries_;
};

// A waker that counts.
const WakerVTable kCounting{[](void* count) noexcept { return count; },
                            [](void* count) noexcept { ++*static_cast<int*>(count); },
                            [](void* count) noexcept { ++*static_cast<int*>(count); },
                            [](void*) noexcept {}};

bool poll_by_hand() {
  int wakes = 0;
  const Waker waker(&wakes, &kCounting);
  Context context(waker);
  DelayedValue future;
  const bool was_pending = future.poll(context).is_pending();
  std::printf("first poll: pending, woken %d time(s)\n", wakes);
  return was_pending && wakes == 1 && std::move(future.poll(context)).take() == 42;
}

Async<bool> demonstrate() {
  int calls = 0;
  const auto flaky = [&]() -> Async<Result<int>> {
    co_await yield_now();
    if (++calls < 3) co_return fail(Error::runtime(RuntimeErrc::timed_out));
    co_return calls;
  };
  const Result<int> third = co_await Retry(flaky, 5);
  // Those that are there already.
  const int all = co_await ready(1) + co_await lazy([] { return 2; }) +
                  co_await fn_future([](int a, int b) { return a * b; }, 3, 4) +
                  co_await DelayedValue() + co_await FromThread();
  std::printf("ready after %d calls; the sum is %d\n", calls, all);
  co_return third == 3 && all == 1 + 2 + 12 + 42 + 7;
}

}  // namespace

int main() {
  try {
    return poll_by_hand() && run(demonstrate) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
