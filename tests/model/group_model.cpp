// `GroupState`: the wait ends after the last child and sees what it did, a cancel reaches every
// child however late it comes, and who waits may leave at any time.
#include <blitzio/base/mutex.hpp>
#include <blitzio/executor/group_state.hpp>
#include <blitzio/sync/waiter.hpp>
#include <blitzio/task/block_on.hpp>
#include <blitzio/task/thread_parker.hpp>

#include <model/support.hpp>

#include <gtest/gtest.h>

#include <array>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>

namespace blitzio::model {
namespace {

using blitzio::detail::GroupMember;
using blitzio::detail::GroupState;
using blitzio::detail::GroupWait;

// A child: its member goes with its future, which here is when it leaves.
class Child {
 public:
  explicit Child(const std::shared_ptr<GroupState>& group) : task_(scheduler_) {
    member_.emplace(group, task_);
  }
  void leave() { member_.reset(); }
  void fail() { member_->fail(std::make_exception_ptr(std::runtime_error("failed"))); }
  [[nodiscard]] bool is_cancelled() const { return task_.cancel_requested(); }

 private:
  NoScheduler scheduler_;
  QueuedTask task_;
  std::optional<GroupMember> member_;
};

void wait_for_two() {
  const auto group = std::make_shared<GroupState>();
  std::array<Child, 2> children{Child(group), Child(group)};
  int data = 0;
  Thread other([&] {
    data = 1;
    children[1].leave();
  });
  children[0].leave();
  block_on(GroupWait(group));
  BLITZIO_CHECK(data == 1 && group->child_count() == 0, data);
  other.join();
}

TEST(GroupModel, TheWaitEndsAfterTheLastChildAndSeesWhatItDid) {
  expect_sound(wait_for_two);
}

TEST(GroupModel, ACancelReachesAChildHoweverLateItEnters) {
  expect_sound([] {
    const auto group = std::make_shared<GroupState>();
    Thread canceller([&] { group->cancel(); });
    Child child(group);
    canceller.join();
    BLITZIO_CHECK(child.is_cancelled());
    child.leave();
  });
}

TEST(GroupModel, AFailureCancelsTheOthersAndReachesWhoWaits) {
  expect_sound([] {
    const auto group = std::make_shared<GroupState>();
    Child failing(group);
    Child other(group);
    Thread thread([&] {
      failing.fail();
      failing.leave();
    });
    other.leave();
    bool has_thrown = false;
    try {
      block_on(GroupWait(group));
    } catch (const std::runtime_error&) {
      has_thrown = true;
    }
    BLITZIO_CHECK(has_thrown && group->is_cancelled());
    thread.join();
  });
}

TEST(GroupModel, WhoWaitsMayLeaveWhileTheLastChildDoes) {
  expect_sound([] {
    const auto group = std::make_shared<GroupState>();
    Child child(group);
    std::optional<GroupWait> leaving(group);
    BLITZIO_CHECK(poll_once(*leaving).is_pending());
    Thread thread([&] { child.leave(); });
    leaving.reset();
    block_on(GroupWait(group));
    thread.join();
  });
}

TEST(GroupModel, TheNodeIsItsOwnersOnceItIsSettled) {
  expect_sound([] {
    const auto group = std::make_shared<GroupState>();
    Child child(group);
    auto wait = std::make_unique<GroupWait>(group);
    BLITZIO_CHECK(poll_once(*wait).is_pending());
    Thread thread([&] { child.leave(); });
    // The node goes as soon as it says that it is settled, or while it is.
    static_cast<void>(poll_once(*wait).is_ready());
    wait.reset();
    thread.join();
  });
}

// GroupState::enqueue() with a known bug: it gives the lock up between the look and the queue.
void wait_in_steps(bool has_bug) {
  Mutex mutex{LockRank::group};
  int children = 1;
  sync::detail::WaiterList waiters;
  sync::detail::Waiter waiter;
  Thread leaving([&] {
    sync::detail::WaiterList woken;
    {
      const MutexLock lock(mutex);
      --children;
      woken.splice_back(waiters);
    }
    sync::detail::settle_all(woken, mutex);
  });
  waiter.waker = ThreadParker::current().waker();
  bool waits = false;
  {
    const MutexLock lock(mutex);
    waits = children != 0;
    if (waits && !has_bug) waiters.push_back(waiter);
  }
  if (waits && has_bug) {
    const MutexLock lock(mutex);
    waiters.push_back(waiter);
  }
  while (waits && waiter.outcome() == sync::detail::Outcome::waiting) {
    ThreadParker::current().park();
  }
  leaving.join();
}

TEST(GroupModel, FindsAWaiterThatQueuesUpTooLate) {
  expect_finds("deadlock", [] { wait_in_steps(true); });
  expect_sound([] { wait_in_steps(false); });
}

}  // namespace
}  // namespace blitzio::model
