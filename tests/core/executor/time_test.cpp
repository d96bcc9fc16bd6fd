// Timers on what runs futures: a LocalExecutor, workers, and threads in a runtime's block_on().
#include <blitzio/channel/channel.hpp>
#include <blitzio/executor/local_executor.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/task/join_all.hpp>
#include <blitzio/task/select.hpp>
#include <blitzio/time/interval.hpp>
#include <blitzio/time/sleep.hpp>
#include <blitzio/time/timeout.hpp>

#include <gtest/gtest.h>
#include <core/executor/support.hpp>

#include <memory>
#include <optional>
#include <vector>

namespace blitzio {
namespace {

// Waits in each way that needs a timer. Returns whether all went as it should.
Async<bool> use_time() {
  const Instant start = Instant::now();
  co_await time::sleep(1_ms);
  bool is_right = start.elapsed() >= 1_ms;
  channel::Channel<int> silent(1);
  const auto late = co_await time::timeout(1_ms, silent.recv());
  is_right = is_right && !late && late.error().is(RuntimeErrc::timed_out);
  is_right = is_right && (co_await time::timeout(Duration::max(), yield_now())).has_value();
  auto first = co_await select(silent.recv(), time::sleep(1_ms));
  is_right = is_right && first.index() == 1;
  time::Interval interval = time::interval(1_ms);
  const Instant tick = co_await interval.tick();
  for (int i = 1; i <= 3; ++i) {
    is_right = is_right && co_await interval.tick() == tick + i * 1_ms;
    is_right = is_right && Instant::now() >= tick + i * 1_ms;
  }
  co_return is_right;
}

using TimeOnLocalExecutor = OnEachBackend;
INSTANTIATE_TEST_SUITE_P(Executor, TimeOnLocalExecutor, testing::ValuesIn(usable_backends()),
                         backend_name);

TEST_P(TimeOnLocalExecutor, TimersWork) {
  EXPECT_TRUE(executor_->block_on(use_time()));
  EXPECT_TRUE(executor_->wheel().is_empty());
}

std::unique_ptr<Runtime> make_runtime(Strategy strategy = Strategy::work_stealing) {
  Config config;
  config.workers = 2;
  config.strategy = strategy;
  return Runtime::create(config).value();
}

TEST(TimeOnRuntime, TimersWorkOnWorkersAndInBlockOn) {
  for (const Strategy strategy : {Strategy::work_stealing, Strategy::thread_per_core}) {
    auto runtime = make_runtime(strategy);
    EXPECT_TRUE(runtime->block_on(use_time()));
    std::vector<JoinHandle<bool>> tasks;
    for (int i = 0; i < 20; ++i) tasks.push_back(runtime->spawn(use_time()));
    for (const bool is_right : runtime->block_on(join_all(std::move(tasks)))) EXPECT_TRUE(is_right);
  }
}

// A sleep is armed on one worker and polled, reset and dropped on whichever runs its task next.
TEST(TimeOnRuntime, SleepsMoveBetweenWorkersWithTheirTasks) {
  auto runtime = make_runtime();
  std::vector<JoinHandle<void>> tasks;
  for (int i = 0; i < 50; ++i) {
    tasks.push_back(runtime->spawn([i]() -> Async<> {
      time::Sleep sleep = time::sleep(1_ms);
      for (int round = 0; round < 20; ++round) {
        auto first = co_await select(sleep, yield_now());
        if (first.index() == 0 || (i + round) % 7 == 0) sleep.reset(Instant::now() + 100_us);
      }
      if (i % 2 == 0 && !sleep.is_elapsed()) co_await sleep;
    }));
  }
  runtime->block_on(join_all(std::move(tasks)));
}

TEST(TimeOnRuntime, ACancelledTasksTimersAreDisarmed) {
  auto runtime = make_runtime();
  std::vector<JoinHandle<void>> tasks;
  for (int i = 0; i < 50; ++i)
    tasks.push_back(runtime->spawn(time::sleep(Duration::from_hours(1))));
  for (auto& task : tasks) task.cancel();
  for (auto& task : tasks) EXPECT_TRUE(runtime->block_on(task).is_cancelled());
}

}  // namespace
}  // namespace blitzio
