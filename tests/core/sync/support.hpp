// What the tests of the primitives share: a waker that counts, and polls by hand.
#pragma once

#include <blitzio/task/future.hpp>

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

namespace blitzio::test {

/// Counts its wake-ups. Outlives its wakers.
class WakeCounter {
 public:
  [[nodiscard]] Waker waker() noexcept { return {this, &kVTable}; }
  [[nodiscard]] int count() const noexcept { return count_.load(); }

  template <Future F>
  auto poll(F& future) {
    const Waker own = waker();
    Context context(own);
    return future.poll(context);
  }

 private:
  static void add(void* data) noexcept { static_cast<WakeCounter*>(data)->count_.fetch_add(1); }
  static constexpr WakerVTable kVTable{
      [](void* data) noexcept { return data; },
      add,
      add,
      [](void*) noexcept {},
  };
  std::atomic<int> count_{0};
};

/// Runs `body(index)` on `count` threads and waits for them.
template <class Body>
void on_threads(int count, Body body) {
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) threads.emplace_back([&body, i] { body(i); });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace blitzio::test
