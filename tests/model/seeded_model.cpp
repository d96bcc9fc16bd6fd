// Known bugs, in small structures made for it: each must be found, and its cure must be sound. The
// other scenarios weaken orders; these here get the steps wrong.
#include <blitzio/base/atomic.hpp>
#include <blitzio/base/check.hpp>
#include <blitzio/base/mutex.hpp>
#include <blitzio/task/waker.hpp>

#include <model/support.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <utility>

namespace blitzio::model {
namespace {

// Runs the scenario with the bug and without it.
template <class Scenario>
void expect_bug(std::string_view what, Scenario scenario) {
  expect_finds(what, [=] { scenario(true); });
  expect_sound([=] { scenario(false); });
}

TEST(SeededModel, AFlagThatIsLookedAtBeforeThePublishing) {
  expect_bug("deadlock", [](bool has_bug) {
    Atomic<bool> is_ready{false};
    Atomic<bool> is_sleeping{false};
    Event event;
    Thread producer([&] {
      // Wrong: the sleeper may fall asleep between.
      const bool was_sleeping = has_bug && is_sleeping.load();
      is_ready.store(true);
      if (has_bug ? was_sleeping : is_sleeping.load()) event.signal();
    });
    while (!is_ready.load()) {
      is_sleeping.store(true);
      if (!is_ready.load()) event.wait();
    }
    producer.join();
  });
}

TEST(SeededModel, AQueueThatIsEnteredWithoutASecondLook) {
  expect_bug("deadlock", [](bool has_bug) {
    Atomic<int> items{0};
    Atomic<bool> has_waiter{false};
    Event event;
    Thread producer([&] {
      items.fetch_add(1);
      if (has_waiter.exchange(false)) event.signal();
    });
    while (items.load() == 0) {
      has_waiter.store(true);
      if (has_bug || items.load() == 0) event.wait();
    }
    producer.join();
  });
}

// A stack whose pop reads the link of a node that another may have popped and pushed again.
struct Stack {
  struct Node {
    Atomic<Node*> next{nullptr};
    int pops = 0;
  };
  // The head with a count of changes, which the bug leaves alone.
  struct Head {
    std::uint32_t index;  ///< of the node, from 1; 0: empty
    std::uint32_t changes;
  };

  explicit Stack(bool bug) : has_bug(bug) {}
  void push(std::uint32_t index) {
    Head head = top.load();
    Head next{};
    do {
      nodes[index - 1].next.store(head.index == 0 ? nullptr : &nodes[head.index - 1]);
      next = {index, head.changes + (has_bug ? 0 : 1)};
    } while (!top.compare_exchange_strong(head, next));
  }
  std::uint32_t pop() {
    Head head = top.load();
    for (;;) {
      if (head.index == 0) return 0;
      const Node* next = nodes[head.index - 1].next.load();
      const Head rest{next == nullptr ? 0 : static_cast<std::uint32_t>(next - nodes.data()) + 1,
                      head.changes + (has_bug ? 0 : 1)};
      if (top.compare_exchange_strong(head, rest)) return head.index;
    }
  }

  const bool has_bug;
  std::array<Node, 2> nodes;
  Atomic<Head> top{Head{0, 0}};
};

TEST(SeededModel, AnABAOnAStack) {
  expect_bug("check failed", [](bool has_bug) {
    Stack stack(has_bug);
    stack.push(2);
    stack.push(1);
    Atomic<std::uint32_t> kept{0};
    Thread other([&] {
      // Takes both, and gives the first back.
      const std::uint32_t first = stack.pop();
      const std::uint32_t second = stack.pop();
      if (first != 0) stack.push(first);
      kept.store(second);
    });
    const std::uint32_t mine = stack.pop();
    other.join();
    std::array<int, 2> owners{};
    if (mine != 0) ++owners[mine - 1];
    if (kept.load() != 0) ++owners[kept.load() - 1];
    while (const std::uint32_t left = stack.pop()) ++owners[left - 1];
    BLITZIO_CHECK(owners[0] == 1 && owners[1] == 1, owners[0], owners[1]);
  });
}

TEST(SeededModel, ANodeThatIsTouchedAfterItWasGivenBack) {
  expect_bug("data race", [](bool has_bug) {
    struct Node {
      Atomic<bool> is_settled{false};
      int waker = 1;
    };
    auto* node = new Node;
    Thread granter([=] {
      int waker = has_bug ? 0 : node->waker;
      node->is_settled.store(true, std::memory_order_release);
      if (has_bug) waker = node->waker;
      BLITZIO_CHECK(waker == 1, waker);
    });
    if (node->is_settled.load(std::memory_order_acquire)) delete std::exchange(node, nullptr);
    granter.join();
    delete node;
  });
}

TEST(SeededModel, SlotsThatAreGivenBackBeforeTheyAreRead) {
  expect_bug("data race", [](bool has_bug) {
    int slot = 1;
    Atomic<bool> is_free{false};
    Thread thief([&] {
      if (has_bug) is_free.store(true, std::memory_order_release);
      const int stolen = slot;
      if (!has_bug) is_free.store(true, std::memory_order_release);
      BLITZIO_CHECK(stolen == 1, stolen);
    });
    if (is_free.load(std::memory_order_acquire)) slot = 2;
    thief.join();
  });
}

TEST(SeededModel, AWakerThatIsTakenThoughItWasNotLent) {
  expect_bug("data race", [](bool has_bug) {
    enum State : int { empty, waiting, claimed, closed };
    Atomic<int> state{empty};
    int waker = 0;
    Thread closer([&] {
      int from = state.load(std::memory_order_relaxed);
      while (!state.compare_exchange_weak(from, claimed, std::memory_order_acquire,
                                          std::memory_order_relaxed)) {
      }
      if (has_bug || from == waiting) waker = 0;
      state.store(closed, std::memory_order_release);
    });
    waker = 1;
    int expected = empty;
    state.compare_exchange_strong(expected, waiting, std::memory_order_release,
                                  std::memory_order_acquire);
    closer.join();
  });
}

TEST(SeededModel, ANotificationWithoutTheMutex) {
  expect_bug("deadlock", [](bool has_bug) {
    blitzio::Mutex mutex{LockRank::leaf};
    CondVar condition;
    Atomic<bool> is_ready{false};
    Thread notifier([&] {
      if (has_bug) {
        is_ready.store(true);
      } else {
        const MutexLock lock(mutex);
        is_ready.store(true);
      }
      condition.notify_one();
    });
    {
      const MutexLock lock(mutex);
      while (!is_ready.load()) condition.wait(mutex);
    }
    notifier.join();
  });
}

TEST(SeededModel, TwoLocksInDifferentOrder) {
  expect_bug("deadlock", [](bool has_bug) {
    NativeMutex first;
    NativeMutex second;
    Thread other([&] {
      NativeMutex& outer = has_bug ? second : first;
      NativeMutex& inner = has_bug ? first : second;
      outer.lock();
      inner.lock();
      inner.unlock();
      outer.unlock();
    });
    first.lock();
    second.lock();
    second.unlock();
    first.unlock();
    other.join();
  });
}

}  // namespace
}  // namespace blitzio::model
