// Tasks: wakers, the join handle and cancelling against the thread that polls. Every result reaches
// its joiner or is dropped, the future is polled by one thread at a time and gone afterwards, and
// the memory goes with the last reference.
#include <blitzio/task/join_handle.hpp>
#include <blitzio/task/task.hpp>

#include <model/support.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <utility>

namespace blitzio::model {
namespace {

using Value = std::unique_ptr<int>;

// Is ready when another thread, which it starts when it is polled first, has made the answer.
class WokenFuture {
 public:
  using Output = Value;
  // `is_impatient`: the thread wakes it once before, for nothing.
  explicit WokenFuture(bool is_impatient) noexcept : is_impatient_(is_impatient) {}
  WokenFuture(WokenFuture&& other) noexcept : is_impatient_(other.is_impatient_) {}
  WokenFuture(const WokenFuture&) = delete;
  WokenFuture& operator=(const WokenFuture&) = delete;
  WokenFuture& operator=(WokenFuture&&) = delete;

  Poll<Value> poll(Context& context) {
    if (!thread_) {
      waker_ = context.waker().clone();
      thread_.emplace([this] {
        Waker waker = std::move(waker_);
        if (is_impatient_) waker.wake_by_ref();
        answer_ = 42;
        if (is_impatient_) is_made_.store(true, std::memory_order_release);
        waker.wake();
      });
      return pending;
    }
    if (is_impatient_ && !is_made_.load(std::memory_order_acquire)) return pending;
    // If it was woken once, the wake alone has published the answer.
    return std::make_unique<int>(answer_);
  }

 private:
  bool is_impatient_;
  Atomic<bool> is_made_{false};
  int answer_ = 0;
  Waker waker_;
  std::optional<Thread> thread_;
};

void run_what_another_thread_wakes() {
  OneThreadScheduler scheduler;
  auto [task, handle] = make_task(WokenFuture(false), scheduler);
  scheduler.adopt(*task);
  scheduler.run();
  BLITZIO_CHECK(*handle.try_join().value().get() == 42);
}

TEST(TaskModel, AWakeLeadsToAPollThatSeesWhatWasDone) {
  expect_sound(run_what_another_thread_wakes);
}

TEST(TaskModel, AWakeDuringThePollLeadsToAnother) {
  expect_sound([] {
    OneThreadScheduler scheduler;
    auto [task, handle] = make_task(WokenFuture(true), scheduler);
    scheduler.adopt(*task);
    scheduler.run();
    BLITZIO_CHECK(*handle.try_join().value().get() == 42);
  });
}

// Is ready at once.
class ReadyValue {
 public:
  using Output = Value;
  Poll<Value> poll(Context& /*context*/) { return std::make_unique<int>(7); }
};

void join_what_another_thread_runs() {
  OneThreadScheduler scheduler;
  auto made = make_task(ReadyValue(), scheduler);
  scheduler.adopt(*made.first);
  Thread runner([&] { scheduler.run(); });
  const Value value = made.second.blocking_join().get();
  BLITZIO_CHECK(*value == 7);
  runner.join();
}

TEST(TaskModel, TheJoinerGetsTheResult) {
  expect_sound(join_what_another_thread_runs);
}

TEST(TaskModel, AJoinHandleMayBeDroppedWhileTheTaskEnds) {
  expect_sound([] {
    OneThreadScheduler scheduler;
    auto made = make_task(ReadyValue(), scheduler);
    scheduler.adopt(*made.first);
    Thread runner([&] { scheduler.run(); });
    made.second.detach();
    runner.join();
  });
}

TEST(TaskModel, AWaitingJoinHandleMayBeDroppedWhileTheTaskEnds) {
  expect_sound([] {
    OneThreadScheduler scheduler;
    auto made = make_task(ReadyValue(), scheduler);
    scheduler.adopt(*made.first);
    Thread runner([&] { scheduler.run(); });
    {
      const Waker waker = ThreadParker::current().waker();
      Context context(waker);
      // Lends its waker, takes it back to replace it, and goes.
      auto answer = made.second.poll(context);
      if (answer.is_pending()) answer = made.second.poll(context);
      if (answer.is_ready()) BLITZIO_CHECK(*std::move(answer).take().get() == 7);
    }
    made.second.detach();
    runner.join();
  });
}

TEST(TaskModel, ACancelledTaskEndsInEveryState) {
  expect_sound([] {
    OneThreadScheduler scheduler;
    auto made = make_task(ReadyValue(), scheduler);
    scheduler.adopt(*made.first);
    Thread runner([&] { scheduler.run(); });
    made.second.cancel();
    auto result = made.second.blocking_join();
    if (!result.is_cancelled()) BLITZIO_CHECK(*std::move(result).get() == 7);
    runner.join();
  });
}

// Waits for ever, and hands out its waker.
class NeverReady {
 public:
  using Output = void;
  explicit NeverReady(Waker& waker) noexcept : waker_(&waker) {}
  Poll<void> poll(Context& context) {
    if (waker_->is_empty()) *waker_ = context.waker().clone();
    return pending;
  }

 private:
  Waker* waker_;
};

TEST(TaskModel, AWakerAndACancelMeet) {
  expect_sound([] {
    OneThreadScheduler scheduler;
    Waker waker;
    auto made = make_task(NeverReady(waker), scheduler);
    // Polled once, so that there is a waker.
    BLITZIO_CHECK(made.first->run() == Task::RunOutcome::idle);
    scheduler.expect(1);
    Thread canceller([&] { made.second.cancel(); });
    Thread runner([&] { scheduler.run(); });
    waker.wake();
    canceller.join();
    runner.join();
    BLITZIO_CHECK(made.second.try_join().value().is_cancelled());
  });
}

void drop_the_last_waker() {
  OneThreadScheduler scheduler;
  Waker waker;
  auto made = make_task(NeverReady(waker), scheduler);
  BLITZIO_CHECK(made.first->run() == Task::RunOutcome::idle);
  scheduler.expect(1);
  made.second.cancel();
  made.second.detach();
  Waker second = waker.clone();
  Thread other([&] { second.wake(); });
  Thread runner([&] { scheduler.run(); });
  waker.reset();
  other.join();
  runner.join();
}

TEST(TaskModel, WakersOutliveTheTask) {
  expect_sound(drop_the_last_waker);
}

// ---- the state word with an order that is too weak ---------------------------------------------

Options weakened(const char* function, std::memory_order from, std::memory_order to) {
  Options options;
  options.weakenings = {{.file = "task/task_state.hpp",
                         .function = function,
                         .access = Access::exchange,
                         .from = from,
                         .to = to}};
  return options;
}

TEST(TaskModel, FindsAWakeDuringThePollThatDoesNotPublish) {
  expect_finds(
      "data race", run_what_another_thread_wakes,
      weakened("schedule_and_release_ref", std::memory_order_acq_rel, std::memory_order_acquire));
}

TEST(TaskModel, FindsAPollThatDoesNotSeeTheWakersWork) {
  expect_finds("data race", run_what_another_thread_wakes,
               weakened("start_running", std::memory_order_acquire, std::memory_order_relaxed));
}

TEST(TaskModel, FindsAResultThatIsNotPublished) {
  expect_finds("data race", join_what_another_thread_runs,
               weakened("complete", std::memory_order_acq_rel, std::memory_order_acquire));
}

TEST(TaskModel, FindsAJoinWakerThatIsNotPublished) {
  expect_finds("data race", join_what_another_thread_runs,
               weakened("add_flags", std::memory_order_acq_rel, std::memory_order_acquire));
}

TEST(TaskModel, FindsACompleterThatDoesNotSeeTheJoinWaker) {
  expect_finds("data race", join_what_another_thread_runs,
               weakened("complete", std::memory_order_acq_rel, std::memory_order_release));
}

TEST(TaskModel, FindsMemoryThatIsFreedUnderItsUsers) {
  for (const auto to : {std::memory_order_acquire, std::memory_order_release}) {
    expect_finds("destroys", drop_the_last_waker,
                 weakened("release_ref", std::memory_order_acq_rel, to));
  }
}

}  // namespace
}  // namespace blitzio::model
