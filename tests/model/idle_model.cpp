// Injector and idle map together, as the workers use them (executor/worker.cpp): a task that was
// queued is run, whoever goes to sleep meanwhile.
#include <blitzio/driver/park_word.hpp>
#include <blitzio/executor/idle_map.hpp>
#include <blitzio/executor/injector.hpp>

#include <model/support.hpp>

#include <gtest/gtest.h>

#include <array>
#include <utility>

namespace blitzio::model {
namespace {

TEST(InjectorModel, EveryTaskIsTakenOnce) {
  expect_sound([] {
    NoScheduler scheduler;
    QueuedTask one(scheduler);
    QueuedTask two(scheduler);
    blitzio::detail::Injector injector;
    const auto push = [&](QueuedTask& task) {
      task.prepare(5);
      injector.push(task);
    };
    const auto pop = [&] {
      if (Task* task = injector.pop(1)) static_cast<QueuedTask*>(task)->take(5);
    };
    Thread pusher([&] { push(one); });
    Thread popper(pop);
    push(two);
    pop();
    pusher.join();
    popper.join();
    pop();
    BLITZIO_CHECK(one.takes() == 1 && two.takes() == 1, one.takes(), two.takes());
    BLITZIO_CHECK(injector.is_empty());
  });
}

// The parts of a Runtime that decide who sleeps.
struct Workers {
  blitzio::detail::Injector injector;
  blitzio::detail::IdleMap idle;
  struct Sleep {
    driver::ParkWord park;
    Event event;
  };
  std::array<Sleep, 2> sleeps;

  // Runtime::schedule() from elsewhere.
  void schedule(QueuedTask& task) {
    injector.push(task);
    notify();
  }
  void notify() {
    if (const auto index = idle.choose()) wake(*index);
  }
  void wake(unsigned index) {
    if (sleeps[index].park.notify()) sleeps[index].event.signal();
  }
  // Worker::run(), of a worker that has nothing of its own, until it has run `count` tasks.
  void run(unsigned index, int count) {
    bool is_searching = false;
    while (count > 0) {
      Task* task = injector.pop(1);
      if (task == nullptr) {
        park(index, is_searching);
        continue;
      }
      if (std::exchange(is_searching, false) && idle.end_search()) notify();
      static_cast<QueuedTask*>(task)->take(5);
      --count;
    }
    if (is_searching && idle.end_search()) notify();
  }
  void park(unsigned index, bool& is_searching) {
    idle.sleep(index, std::exchange(is_searching, false));
    if (injector.is_empty() && sleeps[index].park.begin_sleep()) {
      sleeps[index].event.wait();
      sleeps[index].park.end_sleep();
    }
    is_searching = idle.wake_up(index);
  }
};

TEST(IdleMapModel, ATaskFromElsewhereWakesTheWorker) {
  expect_sound([] {
    NoScheduler scheduler;
    QueuedTask one(scheduler);
    QueuedTask two(scheduler);
    Workers workers;
    Thread worker([&] { workers.run(0, 2); });
    for (QueuedTask* task : {&one, &two}) {
      task->prepare(5);
      workers.schedule(*task);
    }
    worker.join();
  });
}

TEST(IdleMapModel, TwoProducersAndOneWorker) {
  expect_sound([] {
    NoScheduler scheduler;
    QueuedTask one(scheduler);
    QueuedTask two(scheduler);
    Workers workers;
    const auto produce = [&](QueuedTask& task) {
      task.prepare(5);
      workers.schedule(task);
    };
    Thread worker([&] { workers.run(0, 2); });
    Thread producer([&] { produce(one); });
    produce(two);
    producer.join();
    worker.join();
  });
}

TEST(IdleMapModel, TwoWorkersShareTwoTasks) {
  expect_sound([] {
    NoScheduler scheduler;
    QueuedTask one(scheduler);
    QueuedTask two(scheduler);
    Workers workers;
    Thread first([&] { workers.run(0, 1); });
    Thread second([&] { workers.run(1, 1); });
    for (QueuedTask* task : {&one, &two}) {
      task->prepare(5);
      workers.schedule(*task);
    }
    first.join();
    second.join();
  });
}

void one_task_one_worker() {
  NoScheduler scheduler;
  QueuedTask task(scheduler);
  Workers workers;
  Thread worker([&] { workers.run(0, 1); });
  task.prepare(5);
  workers.schedule(task);
  worker.join();
}

TEST(IdleMapModel, FindsATaskThatIsQueuedWithoutSeqCst) {
  expect_finds("deadlock", one_task_one_worker,
               {.weakenings = {{.file = "executor/injector.hpp",
                                .function = "push_chain",
                                .access = Access::store,
                                .from = std::memory_order_seq_cst,
                                .to = std::memory_order_release}}});
}

TEST(IdleMapModel, FindsASleeperWhoseLastLookIsTooEarly) {
  expect_finds("deadlock", one_task_one_worker,
               {.weakenings = {{.file = "executor/injector.hpp",
                                .function = "size",
                                .access = Access::load,
                                .from = std::memory_order_seq_cst,
                                .to = std::memory_order_acquire}}});
}

}  // namespace
}  // namespace blitzio::model
