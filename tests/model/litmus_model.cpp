// The explorer itself: the classic small programs of memory models. For each outcome, whether it
// must be found or must never be.
#include <blitzio/base/atomic.hpp>
#include <blitzio/base/check.hpp>

#include <model/model.hpp>

#include <gtest/gtest.h>

#include <set>
#include <utility>

namespace blitzio::model {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;
constexpr auto kAcqRel = std::memory_order_acq_rel;
constexpr auto kSeqCst = std::memory_order_seq_cst;

// Explores without a bound and returns every outcome that the scenario left in `outcome`.
using Outcomes = std::set<std::pair<int, int>>;
template <class Scenario>
Outcomes outcomes_of(Scenario scenario) {
  Outcomes outcomes;
  const Report report = explore(
      [&] {
        const std::pair<int, int> outcome = scenario();
        const arena::Closed closed;
        outcomes.insert(outcome);
      },
      {.preemptions_max = 100, .stale_reads_max = 100, .weakenings = {}});
  EXPECT_TRUE(report.is_complete) << report.text();
  EXPECT_FALSE(report.was_bounded);
  return outcomes;
}

Outcomes store_buffering(std::memory_order store, std::memory_order load, bool has_fences) {
  return outcomes_of([=] {
    Atomic<int> x{0};
    Atomic<int> y{0};
    int a = 0;
    Thread thread([&] {
      x.store(1, store);
      if (has_fences) fence(kSeqCst);
      a = y.load(load);
    });
    y.store(1, store);
    if (has_fences) fence(kSeqCst);
    const int b = x.load(load);
    thread.join();
    return std::pair(a, b);
  });
}

TEST(LitmusModel, StoreBufferingNeedsSeqCst) {
  EXPECT_TRUE(store_buffering(kRelease, kAcquire, false).contains({0, 0}));
  EXPECT_TRUE(store_buffering(kSeqCst, kAcquire, false).contains({0, 0}));
  EXPECT_EQ(store_buffering(kSeqCst, kSeqCst, false), (Outcomes{{0, 1}, {1, 0}, {1, 1}}));
  EXPECT_EQ(store_buffering(kRelaxed, kRelaxed, true), (Outcomes{{0, 1}, {1, 0}, {1, 1}}));
}

Outcomes message_passing(std::memory_order store, std::memory_order load) {
  return outcomes_of([=] {
    Atomic<int> data{0};
    Atomic<int> flag{0};
    Thread thread([&] {
      data.store(1, kRelaxed);
      flag.store(1, store);
    });
    const int f = flag.load(load);
    const int d = data.load(kRelaxed);
    thread.join();
    return std::pair(f, d);
  });
}

TEST(LitmusModel, MessagePassingNeedsReleaseAndAcquire) {
  EXPECT_TRUE(message_passing(kRelaxed, kAcquire).contains({1, 0}));
  EXPECT_TRUE(message_passing(kRelease, kRelaxed).contains({1, 0}));
  EXPECT_EQ(message_passing(kRelease, kAcquire), (Outcomes{{0, 0}, {0, 1}, {1, 1}}));
}

TEST(LitmusModel, FencesPublishWhatRelaxedAccessesCarry) {
  EXPECT_EQ(outcomes_of([] {
              Atomic<int> data{0};
              Atomic<int> flag{0};
              Thread thread([&] {
                data.store(1, kRelaxed);
                fence(kRelease);
                flag.store(1, kRelaxed);
              });
              const int f = flag.load(kRelaxed);
              fence(kAcquire);
              const int d = data.load(kRelaxed);
              thread.join();
              return std::pair(f, d);
            }),
            (Outcomes{{0, 0}, {0, 1}, {1, 1}}));
}

TEST(LitmusModel, LoadsOfOneAtomicNeverGoBack) {
  EXPECT_EQ(outcomes_of([] {
              Atomic<int> x{0};
              Thread thread([&] {
                x.store(1, kRelaxed);
                x.store(2, kRelaxed);
              });
              const int first = x.load(kRelaxed);
              const int second = x.load(kRelaxed);
              thread.join();
              return std::pair(first, second);
            }),
            (Outcomes{{0, 0}, {0, 1}, {0, 2}, {1, 1}, {1, 2}, {2, 2}}));
}

TEST(LitmusModel, ReadModifyWritesContinueAReleaseSequence) {
  const auto through = [](auto middle) {
    return outcomes_of([middle] {
      Atomic<int> data{0};
      Atomic<int> flag{0};
      Thread writer([&] {
        data.store(1, kRelaxed);
        flag.store(1, kRelease);
      });
      Thread other([&] { middle(flag); });
      const int f = flag.load(kAcquire);
      const int d = data.load(kRelaxed);
      writer.join();
      other.join();
      return std::pair(f, d);
    });
  };
  // 11 is read only if the other came second: then the first store heads its sequence.
  EXPECT_FALSE(through([](Atomic<int>& flag) { flag.fetch_add(10, kRelaxed); }).contains({11, 0}));
  // A plain store in its place breaks the sequence.
  EXPECT_TRUE(through([](Atomic<int>& flag) {
                if (flag.load(kRelaxed) == 1) flag.store(11, kRelaxed);
              }).contains({11, 0}));
}

TEST(LitmusModel, IndependentReadsOfIndependentWritesAgreeOnlyIfSeqCst) {
  const auto disagree = [](std::memory_order order) {
    bool found = false;
    const Report report = explore(
        [&] {
          Atomic<int> x{0};
          Atomic<int> y{0};
          int a = 0;
          int b = 0;
          Thread first([&] { x.store(1, order); });
          Thread second([&] { y.store(1, order); });
          Thread third([&] {
            a = x.load(order == kRelease ? kAcquire : order);
            if (a == 1 && y.load(order == kRelease ? kAcquire : order) == 1) a = 2;
          });
          b = y.load(order == kRelease ? kAcquire : order);
          if (b == 1 && x.load(order == kRelease ? kAcquire : order) == 1) b = 2;
          first.join();
          second.join();
          third.join();
          if (a == 1 && b == 1) found = true;
        },
        {.preemptions_max = 100, .stale_reads_max = 100, .weakenings = {}});
    EXPECT_TRUE(report.is_complete);
    return found;
  };
  EXPECT_TRUE(disagree(kRelease));
  EXPECT_FALSE(disagree(kSeqCst));
}

TEST(LitmusModel, ReadModifyWritesAreNeverLost) {
  expect_sound([] {
    Atomic<int> count{0};
    Thread one([&] { count.fetch_add(1, kRelaxed); });
    Thread two([&] { count.fetch_add(1, kRelaxed); });
    one.join();
    two.join();
    BLITZIO_CHECK(count.load(kRelaxed) == 2);
  });
  expect_finds("check failed", [] {
    Atomic<int> count{0};
    Thread one([&] { count.store(count.load() + 1); });
    count.store(count.load() + 1);
    one.join();
    BLITZIO_CHECK(count.load() == 2);
  });
}

TEST(LitmusModel, DekkerNeedsSeqCst) {
  const auto dekker = [](std::memory_order store, std::memory_order load) {
    return [=] {
      Atomic<int> x{0};
      Atomic<int> y{0};
      int shared = 0;
      Thread thread([&] {
        x.store(1, store);
        if (y.load(load) == 0) ++shared;
      });
      y.store(1, store);
      if (x.load(load) == 0) ++shared;
      thread.join();
      BLITZIO_CHECK(shared <= 1, shared);
    };
  };
  expect_sound(dekker(kSeqCst, kSeqCst));
  expect_finds("data race", dekker(kRelease, kAcquire));
}

TEST(LitmusModel, DataRacesOnPlainMemoryAreFound) {
  const auto publish = [](std::memory_order store, std::memory_order load) {
    return [=] {
      int data = 0;
      Atomic<bool> flag{false};
      Thread thread([&] {
        data = 1;
        flag.store(true, store);
      });
      if (flag.load(load)) BLITZIO_CHECK(data == 1);
      thread.join();
    };
  };
  expect_sound(publish(kRelease, kAcquire));
  expect_finds("data race", publish(kRelaxed, kAcquire));
  expect_finds("data race", publish(kRelease, kRelaxed));
}

TEST(LitmusModel, UseAfterFreeIsFound) {
  expect_finds("use after free", [] {
    auto* value = new int(1);
    Atomic<bool> is_freed{false};
    Thread thread([&] {
      delete value;
      is_freed.store(true);
    });
    if (is_freed.load()) *value = 2;
    thread.join();
  });
}

TEST(LitmusModel, LastReferenceMustSeeTheOthers) {
  const auto release = [](std::memory_order order) {
    return [=] {
      struct Shared {
        int value = 0;
        Atomic<int> references{2};
      };
      auto* shared = new Shared;
      const auto drop = [=] {
        static_cast<void>(shared->value);
        if (shared->references.fetch_sub(1, order) == 1) delete shared;
      };
      Thread thread(drop);
      drop();
      thread.join();
    };
  };
  expect_sound(release(kAcqRel));
  expect_finds("destroys", release(kRelease));
}

TEST(LitmusModel, LeaksAreFound) {
  expect_finds("leak", [] {
    Atomic<int*> place{nullptr};
    const auto put = [&] {
      auto* mine = new int(1);
      int* none = nullptr;
      place.compare_exchange_strong(none, mine);
    };
    Thread thread(put);
    put();
    thread.join();
    delete place.load();
  });
}

TEST(LitmusModel, LostWakesAreFound) {
  expect_finds("deadlock", [] {
    Atomic<bool> is_ready{false};
    Event event;
    Atomic<bool> is_sleeping{false};
    Thread thread([&] {
      is_ready.store(true);
      if (is_sleeping.load()) event.signal();
    });
    if (!is_ready.load()) {
      is_sleeping.store(true);
      event.wait();
    }
    thread.join();
  });
}

TEST(LitmusModel, LivelocksAreFound) {
  expect_finds("deadlock: T0 is in yield", [] {
    Atomic<int> x{0};
    while (x.load() != 1) Execution::active()->yield(Where::current());
  });
}

TEST(LitmusModel, SpinningSeesTheStoreInTheEnd) {
  expect_sound([] {
    int data = 0;
    Atomic<bool> flag{false};
    Thread thread([&] {
      data = 1;
      flag.store(true, kRelease);
    });
    while (!flag.load(kAcquire)) Execution::active()->yield(Where::current());
    BLITZIO_CHECK(data == 1);
    thread.join();
  });
}

}  // namespace
}  // namespace blitzio::model
