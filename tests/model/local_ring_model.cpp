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

void steal_what_was_stolen() {
  Tasks tasks;
  blitzio::detail::BasicLocalRing<4> ring;
  blitzio::detail::BasicLocalRing<4> second;
  const auto drain_all = [&](auto& own) {
    while (Task* task = own.pop()) tasks.take(task);
  };
  // A task is known to who takes it by the rings alone: another thread has prepared it.
  Thread one([&] {
    for (std::size_t i = 0; i < 4; ++i) BLITZIO_CHECK(ring.push(tasks.prepare(i)));
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
}

TEST(LocalRingModel, WhatWasStolenCanBeStolenOn) {
  expect_sound(steal_what_was_stolen);
}

// The owner of a full ring takes half of it out, to be put behind it, while a thief copies the
// other: what the worker's overflow does.
void take_out_half_of_a_full_ring() {
  Tasks tasks;
  Ring ring;
  Thread thief([&] { steal(ring, tasks); });
  for (std::size_t i = 0; i < 3; ++i) {
    QueuedTask& task = tasks.prepare(i);
    if (ring.push(task)) continue;
    if (Task* oldest = ring.pop()) tasks.take(oldest);
    tasks.take(&task);
  }
  drain(ring, tasks);
  thief.join();
  tasks.check(3);
}

TEST(LocalRingModel, HalfOfAFullRingIsTakenOutUnderAThief) {
  expect_sound(take_out_half_of_a_full_ring);
}

void push_one_under_a_thief() {
  Tasks tasks;
  Ring ring;
  Thread thief([&] { steal(ring, tasks); });
  BLITZIO_CHECK(ring.push(tasks.prepare(0)));
  drain(ring, tasks);
  thief.join();
  drain(ring, tasks);
  tasks.check(1);
}

Options weakened(const char* function, Access access, std::memory_order from) {
  Options options;
  options.weakenings = {
      {.file = "executor/local_ring.hpp", .function = function, .access = access, .from = from}};
  return options;
}

TEST(LocalRingModel, FindsATailThatDoesNotPublish) {
  expect_finds("data race", push_one_under_a_thief,
               weakened("push", Access::store, std::memory_order_release));
}

TEST(LocalRingModel, FindsAThiefThatDoesNotSeeWhatWasPushed) {
  expect_finds("data race", push_one_under_a_thief,
               weakened("steal_into", Access::load, std::memory_order_acquire));
}

TEST(LocalRingModel, FindsAThiefWhoseOwnTailDoesNotPublish) {
  expect_finds("data race", steal_what_was_stolen,
               weakened("steal_into", Access::store, std::memory_order_release));
}

}  // namespace
}  // namespace blitzio::model
