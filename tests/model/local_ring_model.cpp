// The workers' ring under thieves: no task is lost, none is taken twice, and whoever takes one
// knows of what was done to it before.
#include <blitzio/executor/local_ring.hpp>

#include <model/support.hpp>

#include <gtest/gtest.h>

#include <array>

namespace blitzio::model {
namespace {

using Ring = blitzio::detail::BasicLocalRing<2>;

struct Tasks {
  NoScheduler scheduler;
  std::array<QueuedTask, 4> all{QueuedTask(scheduler), QueuedTask(scheduler), QueuedTask(scheduler),
                                QueuedTask(scheduler)};
  QueuedTask& prepare(std::size_t index) noexcept {
    all[index].prepare(static_cast<int>(index) + 1);
    return all[index];
  }
  void take(Task* task) noexcept {
    auto* queued = static_cast<QueuedTask*>(task);
    queued->take(static_cast<int>(queued - all.data()) + 1);
  }
  void check(std::size_t count) const noexcept {
    for (std::size_t i = 0; i < all.size(); ++i) {
      BLITZIO_CHECK(all[i].takes() == (i < count ? 1 : 0), i, all[i].takes());
    }
  }
};

void drain(Ring& ring, Tasks& tasks) noexcept {
  while (Task* task = ring.pop()) tasks.take(task);
}

// Steals once, and runs what it got.
void steal(Ring& from, Tasks& tasks) noexcept {
  Ring own;
  if (Task* task = from.steal_into(own)) tasks.take(task);
  drain(own, tasks);
}

TEST(LocalRingModel, OwnerAndThiefShareTheTasks) {
  expect_sound([] {
    Tasks tasks;
    Ring ring;
    Thread thief([&] { steal(ring, tasks); });
    for (std::size_t i = 0; i < 2; ++i) BLITZIO_CHECK(ring.push(tasks.prepare(i)));
    drain(ring, tasks);
    thief.join();
    drain(ring, tasks);
    tasks.check(2);
  });
}

TEST(LocalRingModel, SlotsThatAThiefReadsAreNotOverwritten) {
  expect_sound([] {
    Tasks tasks;
    Ring ring;
    Thread thief([&] { steal(ring, tasks); });
    // The ring is full after two; the others find room only if the thief has given back its slots.
    for (std::size_t i = 0; i < 4; ++i) {
      QueuedTask& task = tasks.prepare(i);
      if (!ring.push(task)) tasks.take(&task);
    }
    drain(ring, tasks);
    thief.join();
    tasks.check(4);
  });
}

TEST(LocalRingModel, SeveralThievesDoNotTakeTheSame) {
  expect_sound([] {
    Tasks tasks;
    Ring ring;
    for (std::size_t i = 0; i < 2; ++i) BLITZIO_CHECK(ring.push(tasks.prepare(i)));
    Thread one([&] { steal(ring, tasks); });
    Thread two([&] { steal(ring, tasks); });
    drain(ring, tasks);
    one.join();
    two.join();
    drain(ring, tasks);
    tasks.check(2);
  });
}

TEST(LocalRingModel, WhatWasStolenCanBeStolenOn) {
  expect_sound([] {
    Tasks tasks;
    blitzio::detail::BasicLocalRing<4> ring;
    blitzio::detail::BasicLocalRing<4> second;
    for (std::size_t i = 0; i < 4; ++i) BLITZIO_CHECK(ring.push(tasks.prepare(i)));
    const auto drain_all = [&](auto& own) {
      while (Task* task = own.pop()) tasks.take(task);
    };
    Thread one([&] {
      if (Task* task = ring.steal_into(second)) tasks.take(task);
      drain_all(second);
    });
    Thread two([&] {
      blitzio::detail::BasicLocalRing<4> third;
      if (Task* task = second.steal_into(third)) tasks.take(task);
      drain_all(third);
    });
    one.join();
    two.join();
    drain_all(second);
    drain_all(ring);
    tasks.check(4);
  });
}

TEST(LocalRingModel, FindsATailThatDoesNotPublish) {
  expect_finds("data race",
               [] {
                 Tasks tasks;
                 Ring ring;
                 Thread thief([&] { steal(ring, tasks); });
                 BLITZIO_CHECK(ring.push(tasks.prepare(0)));
                 drain(ring, tasks);
                 thief.join();
                 drain(ring, tasks);
               },
               {.weakenings = {{.file = "executor/local_ring.hpp",
                                .function = "push",
                                .access = Access::store,
                                .from = std::memory_order_release}}});
}

}  // namespace
}  // namespace blitzio::model
