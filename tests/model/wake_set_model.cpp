// `WakeSet`, through the combinators made of it: each child that was woken is polled, whatever is
// dropped meanwhile.
#include <blitzio/task/block_on.hpp>
#include <blitzio/task/wake_set.hpp>

#include <model/support.hpp>

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <utility>

namespace blitzio::model {
namespace {

using blitzio::detail::WakeSet;

// Waits until each of two children was woken `wakes` times at least once after its mark was set.
struct Children {
  WakeSet::Owner set{2};
  std::array<int, 2> marks{};  // plain: published by the wakes

  Waker waker(std::size_t index) { return set->waker(index).get().clone(); }
  // A poll of the parent: takes note of who was woken.
  void poll(const Waker& parent, std::array<bool, 2>& seen) {
    set->set_waker(parent);
    set->take_woken([&](std::size_t index) {
      BLITZIO_CHECK(marks[index] == 1, index, marks[index]);
      seen[index] = true;
    });
  }
};

void two_children_are_woken() {
  Children children;
  Waker first = children.waker(0);
  Waker second = children.waker(1);
  Thread one([&] {
    children.marks[0] = 1;
    first.wake();
  });
  Thread two([&] {
    children.marks[1] = 1;
    second.wake();
  });
  const Waker parent = ThreadParker::current().waker();
  std::array<bool, 2> seen{};
  for (;;) {
    children.poll(parent, seen);
    if (seen[0] && seen[1]) break;
    ThreadParker::current().park();
  }
  one.join();
  two.join();
}

TEST(WakeSetModel, EveryWakeReachesTheParent) {
  expect_sound(two_children_are_woken);
}

TEST(WakeSetModel, TheParentMayGoWhileAChildIsWoken) {
  expect_sound([] {
    std::optional<Children> children(std::in_place);
    Waker first = children->waker(0);
    Thread one([&] { first.wake(); });
    children->set->set_waker(ThreadParker::current().waker());
    children.reset();
    one.join();
  });
}

TEST(WakeSetModel, AChildMayBeWokenAgainWhileItIsTaken) {
  expect_sound([] {
    Children children;
    children.marks = {1, 1};
    Waker first = children.waker(0);
    Atomic<int> wakes{0};
    Thread one([&] {
      first.wake_by_ref();
      wakes.fetch_add(1, std::memory_order_release);
      first.wake();
    });
    const Waker parent = ThreadParker::current().waker();
    std::array<bool, 2> seen{};
    for (;;) {
      seen = {};
      children.poll(parent, seen);
      // The poll of a child that finds its condition true.
      if (seen[0] && wakes.load(std::memory_order_acquire) == 1) break;
      ThreadParker::current().park();
    }
    one.join();
  });
}

TEST(WakeSetModel, FindsAWakeThatDoesNotPublish) {
  // Woken through another's batch: only the mark's own exchange publishes.
  expect_finds("data race", two_children_are_woken,
               {.weakenings = {{.file = "base/inbox.hpp",
                                .function = "push",
                                .access = Access::exchange,
                                .from = std::memory_order_release},
                               {.file = "task/wake_set.cpp",
                                .function = "wake",
                                .access = Access::exchange,
                                .from = std::memory_order_acq_rel}}});
}

}  // namespace
}  // namespace blitzio::model
