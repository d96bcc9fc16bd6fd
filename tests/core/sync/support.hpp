// What the tests of the primitives share: a waker that counts, and polls by hand.
#pragma once

#include <blitzio/task/future.hpp>

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

namespace blitzio::test {

/// Counts its wake-ups. Its wakers share the count, so that one may be called after the future that
/// kept it, and this object, are gone: another thread may have taken it out of a queue before.
class WakeCounter {
 public:
  WakeCounter() = default;
  WakeCounter(const WakeCounter&) = delete;
  WakeCounter& operator=(const WakeCounter&) = delete;
  ~WakeCounter() { release(count_); }

  [[nodiscard]] Waker waker() noexcept { return {share(count_), &kVTable}; }
  [[nodiscard]] int count() const noexcept { return count_->wakes.load(); }

  template <Future F>
  auto poll(F& future) {
    const Waker own = waker();
    Context context(own);
    return future.poll(context);
  }

 private:
  struct Count {
    std::atomic<int> wakes{0};
    std::atomic<int> refs{1};
  };
  static void* share(void* data) noexcept {
    static_cast<Count*>(data)->refs.fetch_add(1);
    return data;
  }
  static void release(void* data) noexcept {
    auto* count = static_cast<Count*>(data);
    if (count->refs.fetch_sub(1) == 1) delete count;
  }
  static void add(void* data) noexcept { static_cast<Count*>(data)->wakes.fetch_add(1); }
  static void add_and_release(void* data) noexcept {
    add(data);
    release(data);
  }
  static constexpr WakerVTable kVTable{share, add_and_release, add, release};

  Count* count_ = new Count;
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
