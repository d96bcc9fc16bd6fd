// What is epoll's own: the price of a wait in system calls, batches larger than its event array,
// events of registrations that outlived their descriptor, interrupted waits.
#include "core/driver/support.hpp"

#include <blitzio/driver/epoll/epoll_driver.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

namespace blitzio::driver::contract {
namespace {

class Epoll : public testing::Test {
 protected:
  void SetUp() override {
    auto made = make_epoll({});
    ASSERT_TRUE(made.has_value()) << made.error().message();
    driver_ = std::move(*made);
    ASSERT_TRUE(driver_->bind());
  }
  [[nodiscard]] Driver& driver() { return *driver_; }
  [[nodiscard]] bool run(const Recorder& operation) {
    return run_until(*driver_, [&] { return operation.done(); });
  }
  void end(Recorder& operation) {
    operation.cancel();
    EXPECT_TRUE(run(operation));
  }

  std::unique_ptr<Driver> driver_;
};

TEST_F(Epoll, AnUnattachedPollCostsOneArmingAndOneWait) {
  Pair pair = pipe_pair();
  Recorder poll(driver());
  std::uint64_t before = 0;
  for (int round = 0; round < 5; ++round) {
    before = driver().metrics().syscalls;
    poll.poll(pair.a.get(), POLLIN);
    poll.submit();
    put(pair.b, "x");
    driver().wait(kPatience);
    EXPECT_EQ(driver().dispatch(), 1U);
    EXPECT_EQ(driver().metrics().syscalls - before, 2U);
    EXPECT_EQ(take(pair.a), "x");
  }
}

TEST_F(Epoll, APollAgainCostsAWaitAlone) {
  Pair pair = pipe_pair();
  Recorder poll(driver());
  for (int round = 0; round < 6; ++round) {
    const std::uint64_t before = driver().metrics().syscalls;
    if (round == 0) {
      poll.poll(pair.a.get(), POLLIN);
    } else {
      poll.poll_again(pair.a.get(), POLLIN);
    }
    poll.submit();
    put(pair.b, "x");
    driver().wait(kPatience);
    EXPECT_EQ(driver().dispatch(), 1U);
    // The second arms it for good.
    EXPECT_EQ(driver().metrics().syscalls - before, round < 2 ? 2U : 1U);
    EXPECT_EQ(take(pair.a), "x");
  }
}

/// A poll of `fd` that the kernel goes on with by level.
void stand(Driver& driver, Recorder& poll, int fd) {
  for (int round = 0; round < 3; ++round) {
    if (round == 0) {
      poll.poll(fd, POLLIN);
    } else {
      poll.poll_again(fd, POLLIN);
    }
    poll.submit();
    ASSERT_TRUE(run_until(driver, [&] { return poll.done(); }));
    EXPECT_EQ(poll.result(), POLLIN);
    poll.forget();
  }
}

/// An end that is empty and polled by level, in flight.
void wait_standing(Driver& driver, Recorder& poll, const Pair& pair) {
  put(pair.b, "x");
  stand(driver, poll, pair.a.get());
  EXPECT_EQ(take(pair.a), "x");
  poll.poll_again(pair.a.get(), POLLIN);
  poll.submit();
}

/// Whether the set has events that would end every wait at once.
bool has_events(Driver& driver) {
  pollfd set{driver.nested_fd(), POLLIN, 0};
  return ::poll(&set, 1, 0) == 1;
}

TEST_F(Epoll, WhoDoesNotComeBackToAPollIsNotWokenForIt) {
  Pair pair = pipe_pair();
  put(pair.b, "x");
  Recorder poll(driver());
  stand(driver(), poll, pair.a.get());
  EXPECT_TRUE(has_events(driver()));
  driver().wait(Duration::from_millis(1));
  EXPECT_EQ(driver().dispatch(), 0U);
  EXPECT_FALSE(has_events(driver()));
  // And with one that is cancelled while it waits.
  stand(driver(), poll, pair.a.get());
  EXPECT_EQ(take(pair.a), "x");
  poll.poll_again(pair.a.get(), POLLIN);
  poll.submit();
  end(poll);
  put(pair.b, "x");
  EXPECT_FALSE(has_events(driver()));
}

TEST_F(Epoll, APollAgainOfOneSideIsNotWokenForTheOther) {
  Pair pair = unix_pair();
  Recorder read(driver());
  Recorder write(driver());
  wait_standing(driver(), read, pair);
  write.poll(pair.a.get(), POLLOUT);
  write.submit();
  EXPECT_TRUE(run(write));
  fence(driver());
  EXPECT_FALSE(has_events(driver()));
  EXPECT_FALSE(read.done());
  put(pair.b, "x");
  EXPECT_TRUE(run(read));
}

TEST_F(Epoll, AStandingPollWhoseFileADupKeepsOpenDoesNotSpin) {
  for (const bool is_reused : {false, true}) {
    Pair pair = pipe_pair();
    Pair other = unix_pair();
    Attachment attached(driver(), other.a, true);
    Recorder recv(driver());
    std::byte byte{};
    recv.recv(other.a.get(), {&byte, 1});
    recv.submit();
    put(pair.b, "x");
    Recorder poll(driver());
    stand(driver(), poll, pair.a.get());
    const int number = pair.a.get();
    const OwnedFd kept = OwnedFd::adopt(::dup(number));
    pair.a.reset();
    Pair next;
    Recorder anew(driver());
    if (is_reused) {
      next = unix_pair();
      ASSERT_EQ(next.a.get(), number);
      anew.poll(number, POLLIN);
      anew.submit();
    }
    for (int turns = 0; turns < 20; ++turns) {
      driver().collect();
      driver().dispatch();
    }
    EXPECT_FALSE(has_events(driver()));
    // The others are watched as before, and wake the owner from a sleep.
    put(other.b, "x");
    EXPECT_TRUE(run(recv));
    if (is_reused) {
      put(next.b, "x");
      EXPECT_TRUE(run(anew));
      EXPECT_EQ(anew.result(), POLLIN);
    }
    std::thread([this] { driver().wake(); }).join();
    driver().wait(Duration::max());
  }
}

TEST_F(Epoll, AStandingPollOfAClosedDescriptorCostsNothingWithoutADup) {
  Pair pair = pipe_pair();
  Recorder poll(driver());
  wait_standing(driver(), poll, pair);
  const int set = driver().nested_fd();
  pair.a.reset();
  const std::uint64_t before = driver().metrics().syscalls;
  end(poll);
  fence(driver());
  EXPECT_LE(driver().metrics().syscalls - before, 4U);
  EXPECT_EQ(driver().nested_fd(), set);
}

TEST_F(Epoll, AStandingPollDoesNotSpinOnceDescriptorsAreToBeHadAgain) {
  if (kNeedsDescriptors) GTEST_SKIP() << "the sanitizer needs descriptors of its own";
  Pair pair = pipe_pair();
  put(pair.b, "x");
  Recorder poll(driver());
  stand(driver(), poll, pair.a.get());
  poll.poll_again(pair.a.get(), POLLIN);
  poll.submit();
  const OwnedFd kept = OwnedFd::adopt(::dup(pair.a.get()));
  pair.a.reset();
  const auto turns = [this] {
    for (int turn = 0; turn < 20; ++turn) {
      driver().wait(Duration::from_millis(1));
      driver().dispatch();
    }
  };
  {
    const NoFreeDescriptor none;
    poll.cancel();
    turns();
    EXPECT_TRUE(has_events(driver()));
  }
  turns();
  EXPECT_FALSE(has_events(driver()));
}

TEST_F(Epoll, AStandingPollCancelledInAForkedChildGoesOnInTheParent) {
  Pair pair = pipe_pair();
  Recorder poll(driver());
  wait_standing(driver(), poll, pair);
  fence(driver());
  const pid_t child = ::fork();
  if (child == 0) {
    driver().shutdown();
    ::_exit(0);
  }
  ASSERT_GT(child, 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  put(pair.b, "x");
  EXPECT_TRUE(run(poll));
}

TEST_F(Epoll, AnUnattachedPollOnWhatIsReadyCompletesAtTheNextCollect) {
  Pair pair = pipe_pair();
  put(pair.b, "x");
  Recorder poll(driver());
  for (int round = 0; round < 3; ++round) {
    poll.poll(pair.a.get(), POLLIN);
    poll.submit();
    driver().collect();
    EXPECT_EQ(driver().dispatch(), 1U);
    EXPECT_EQ(poll.result(), POLLIN);
  }
}

TEST_F(Epoll, APollMultishotReportsOncePerEdgeAndArmsOnce) {
  for (const bool attach : {true, false}) {
    Pair pair = pipe_pair();
    Attachment attached(driver(), pair.a, attach);
    Recorder poll(driver());
    poll.poll_multishot(pair.a.get(), POLLIN);
    poll.submit();
    fence(driver());
    const std::uint64_t before = driver().metrics().syscalls;
    for (std::size_t round = 1; round <= 5; ++round) {
      put(pair.b, "x");
      driver().collect();
      EXPECT_EQ(driver().dispatch(), 1U);
      EXPECT_EQ(poll.count(), round);
    }
    EXPECT_EQ(driver().metrics().syscalls - before, 5U);
    fence(driver());
    EXPECT_EQ(poll.count(), 5U) << "not drained, but no further edge";
    end(poll);
  }
}

TEST_F(Epoll, OperationsOfOneDescriptorShareItsRegistration) {
  Pair pair = unix_pair();
  fill(pair.a);
  std::array<std::byte, 8> buffer{};
  Recorder recv(driver());
  recv.recv(pair.a.get(), buffer);
  recv.submit();
  Recorder send(driver());
  send.send(pair.a.get(), bytes("out"));
  send.submit();
  Recorder poll(driver());
  poll.poll(pair.a.get(), POLLIN);
  poll.submit();
  fence(driver());
  EXPECT_FALSE(recv.done() || send.done() || poll.done());
  put(pair.b, "in");
  EXPECT_TRUE(run(recv));
  EXPECT_TRUE(run(poll));
  EXPECT_EQ(recv.result(), 2);
  EXPECT_FALSE(send.done());
  EXPECT_FALSE(take(pair.b).empty());
  EXPECT_TRUE(run(send));
  EXPECT_EQ(send.result(), 3);
}

TEST_F(Epoll, MoreEventsThanTheArrayHoldsAreAllServed) {
  std::vector<Pair> pairs;
  std::vector<std::unique_ptr<Recorder>> polls;
  for (int i = 0; i < 1000; ++i) {
    pairs.push_back(pipe_pair());
    polls.push_back(std::make_unique<Recorder>(driver()));
    polls.back()->poll(pairs.back().a.get(), POLLIN);
    polls.back()->submit();
    put(pairs.back().b, "x");
  }
  std::size_t done = 0;
  EXPECT_TRUE(run_until(driver(), [&] {
    done = 0;
    for (const auto& poll : polls) done += poll->done() ? 1 : 0;
    return done == polls.size();
  }));
}

TEST_F(Epoll, EventsOfAnEarlierUserOfTheNumberAreIgnored) {
  Pair old = pipe_pair();
  const int number = old.a.get();
  Recorder poll(driver());
  poll.poll(number, POLLIN);
  poll.submit();
  fence(driver());
  end(poll);
  const OwnedFd twin = OwnedFd::adopt(ok(::dup(number)));  // keeps the registration alive, armed
  Pair next = pipe_pair();
  ASSERT_EQ(ok(::dup2(next.a.get(), number)), number);
  poll.poll(number, POLLIN);
  poll.submit();
  put(old.b, "for the twin");
  fence(driver());
  EXPECT_FALSE(poll.done());
  put(next.b, "x");
  EXPECT_TRUE(run(poll));
}

TEST_F(Epoll, ALastDescriptorNeedsNoCallToBeDetached) {
  for (const bool has_twin : {false, true}) {
    SCOPED_TRACE(has_twin);
    Pair old = unix_pair();
    const int number = old.a.get();
    ASSERT_TRUE(driver().attach(number));
    // Against what was promised: as a child does that was forked off meanwhile.
    const OwnedFd twin = has_twin ? OwnedFd::adopt(ok(::dup(number))) : OwnedFd();
    const std::uint64_t before = driver().metrics().syscalls;
    driver().detach_last(number);
    EXPECT_EQ(driver().metrics().syscalls, before);
    old.a.reset();
    Pair next = unix_pair();
    if (next.a.get() != number) {
      ASSERT_EQ(ok(::dup2(next.a.get(), number)), number);
      next.a = OwnedFd::adopt(number);
    }
    Attachment attached(driver(), next.a, true);
    Recorder poll(driver());
    poll.poll_multishot(number, POLLIN);
    poll.submit();
    if (has_twin) put(old.b, "for the twin");
    fence(driver());
    EXPECT_EQ(poll.count(), 0U);
    put(next.b, "x");
    EXPECT_TRUE(run_until(driver(), [&] { return poll.count() == 1; }));
    end(poll);
  }
}

TEST_F(Epoll, ANumberThatBecomesItsOldFileAgainIsArmedOverTheOldRegistration) {
  Pair pair = pipe_pair();
  const int number = pair.a.get();
  Recorder poll(driver());
  poll.poll(number, POLLIN);
  poll.submit();
  fence(driver());
  end(poll);
  const OwnedFd twin = OwnedFd::adopt(ok(::dup(number)));
  // Another file takes the number and is armed: the driver now believes in that registration.
  Pair other = pipe_pair();
  ASSERT_EQ(ok(::dup2(other.a.get(), number)), number);
  poll.poll(number, POLLIN);
  poll.submit();
  fence(driver());
  end(poll);
  // The first file comes back to it. The kernel still has that registration: ENOENT, then EEXIST,
  // or a change at once, as the kernel sees it.
  ASSERT_EQ(ok(::dup2(twin.get(), number)), number);
  poll.poll(number, POLLIN);
  poll.submit();
  fence(driver());
  EXPECT_FALSE(poll.done());
  put(pair.b, "x");
  EXPECT_TRUE(run(poll));
}

TEST_F(Epoll, AWaitIsNeverShorterThanItsTimeout) {
  for (const std::int64_t micros : {1, 300, 1'500}) {
    const Instant before = Instant::now();
    driver().wait(Duration::from_micros(micros));
    EXPECT_GE((Instant::now() - before).as_nanos(), micros * 1000);
  }
}

TEST_F(Epoll, ASignalEndsAWaitEarly) {
  static std::atomic<bool> ran{false};
  ran = false;
  struct sigaction action{};
  action.sa_handler = [](int) { ran = true; };
  struct sigaction saved{};
  ok(::sigaction(SIGUSR1, &action, &saved));
  const pthread_t self = ::pthread_self();
  std::atomic<bool> stop{false};
  // Again and again, because a signal may come before the wait has begun.
  std::thread sender([&] {
    while (!stop) {
      ::pthread_kill(self, SIGUSR1);
      ::usleep(1000);
    }
  });
  driver().wait(Duration::max());
  stop = true;
  sender.join();
  EXPECT_TRUE(ran);
  ok(::sigaction(SIGUSR1, &saved, nullptr));
}

TEST_F(Epoll, AnotherThreadEndsTheWaitWithOneWakeUp) {
  std::thread waker([&] { driver().wake(); });
  driver().wait(Duration::max());
  waker.join();
  EXPECT_LE(driver().metrics().wakes, 1U);
}

TEST_F(Epoll, RunningOutOfDescriptorsEndsAMultishotAcceptAndLosesNoConnection) {
  if (kNeedsDescriptors) GTEST_SKIP() << "the sanitizer needs descriptors of its own";
  const OwnedFd listener = tcp_listener();
  const OwnedFd client = tcp_client(listener);
  ASSERT_TRUE(wait_for(listener, POLLIN));
  Recorder accept(driver());
  accept.accept_multishot(listener.get());
  {
    const NoFreeDescriptor none;
    accept.submit();
    EXPECT_TRUE(run(accept));
  }
  EXPECT_EQ(accept.result(), -EMFILE);
  accept.forget();
  accept.submit();
  EXPECT_TRUE(run_until(driver(), [&] { return accept.count() == 1; }));
  const OwnedFd server = OwnedFd::adopt(accept.result());
  EXPECT_TRUE(is_open(server.get()));
  end(accept);
}

TEST(MakeEpoll, SaysWhenDescriptorsRunOut) {
  if (kNeedsDescriptors) GTEST_SKIP() << "the sanitizer needs descriptors of its own";
  const auto made = [] {
    const NoFreeDescriptor none;
    return make_epoll({});
  }();
  ASSERT_FALSE(made.has_value());
  EXPECT_TRUE(made.error().is_os(EMFILE));
}

}  // namespace
}  // namespace blitzio::driver::contract
