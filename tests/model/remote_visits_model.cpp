// `RemoteVisits`: an executor that ends, and is freed, while other threads wake its last tasks.
#include <blitzio/base/inbox.hpp>
#include <blitzio/executor/remote_visits.hpp>

#include <model/support.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstddef>

namespace blitzio::model {
namespace {

// Stands for an executor: an inbox, a driver to wake, and its end. Plain memory, touched as the
// last thing of a visit, shows whether that comes before the end.
class Executor {
 public:
  enum class Bug : std::uint8_t { none, counts_itself_in_late, counts_itself_out_early };
  explicit Executor(Bug bug) noexcept : bug_(bug) {}
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  ~Executor() = default;

  /// Any thread.
  void schedule(QueuedTask& task) noexcept {
    if (bug_ == Bug::counts_itself_in_late) {
      inbox_.push(task);
      const blitzio::detail::RemoteVisits::Visit visit(visits_);
      driver_.signal();
      return;
    }
    if (bug_ == Bug::counts_itself_out_early) {
      {
        const blitzio::detail::RemoteVisits::Visit visit(visits_);
        inbox_.push(task);
      }
      driver_.signal();
      return;
    }
    const blitzio::detail::RemoteVisits::Visit visit(visits_);
    inbox_.push(task);
    driver_.signal();
  }
  /// Takes `count` tasks, waiting for those that are on their way, and then for who brought them.
  void shut_down(int count) noexcept {
    while (count > 0) {
      inbox_.take_all([&](Task& task) {
        static_cast<QueuedTask&>(task).take(1);
        --count;
      });
      if (count > 0) yield_thread();
    }
    visits_.wait_until_over();
  }

 private:
  const Bug bug_;
  Inbox<Task> inbox_;
  Event driver_;
  blitzio::detail::RemoteVisits visits_;
};

template <std::size_t visitors>
void end_under_visitors(Executor::Bug bug) {
  NoScheduler scheduler;
  auto* const executor = new Executor(bug);
  std::array<QueuedTask, 2> tasks{QueuedTask(scheduler), QueuedTask(scheduler)};
  const auto wake = [&](std::size_t index) {
    tasks[index].prepare(1);
    executor->schedule(tasks[index]);
  };
  Thread one([&] { wake(0); });
  if constexpr (visitors == 2) {
    Thread two([&] { wake(1); });
    executor->shut_down(2);
    delete executor;
  } else {
    executor->shut_down(1);
    delete executor;
  }
}

TEST(RemoteVisitsModel, TheExecutorIsNotReachedAfterItsEnd) {
  expect_sound([] { end_under_visitors<1>(Executor::Bug::none); });
  expect_sound([] { end_under_visitors<2>(Executor::Bug::none); });
}

TEST(RemoteVisitsModel, FindsAVisitorThatCountsItselfInTooLate) {
  expect_finds("destroys", [] { end_under_visitors<1>(Executor::Bug::counts_itself_in_late); });
}

TEST(RemoteVisitsModel, FindsAVisitorThatCountsItselfOutTooEarly) {
  expect_finds("destroys", [] { end_under_visitors<1>(Executor::Bug::counts_itself_out_early); });
}

TEST(RemoteVisitsModel, FindsAVisitWhoseEndIsNotPublished) {
  expect_finds("destroys", [] { end_under_visitors<1>(Executor::Bug::none); },
               {.weakenings = {{.file = "executor/remote_visits.hpp",
                                .function = "~Visit",
                                .access = Access::exchange,
                                .from = std::memory_order_release}}});
  expect_finds("destroys", [] { end_under_visitors<1>(Executor::Bug::none); },
               {.weakenings = {{.file = "executor/remote_visits.hpp",
                                .function = "wait_until_over",
                                .access = Access::load,
                                .from = std::memory_order_acquire}}});
}

}  // namespace
}  // namespace blitzio::model
