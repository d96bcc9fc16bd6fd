// What only the io_uring backend can get wrong: queues that overflow, requests that it says are
// ready, the end. See io_uring_moves_test.cpp for buffers and threads. What every backend promises
// is in contract_*_test.cpp.
#if BLITZIO_HAS_IO_URING

#include <core/driver/io_uring_support.hpp>

#include <sys/wait.h>

#include <array>
#include <deque>
#include <numeric>
#include <vector>

namespace blitzio::driver {
namespace {

using contract::fence;
using contract::Pair;
using contract::put;
using contract::Receiving;
using contract::Recorder;
using contract::run_until;
using contract::turn;

BLITZIO_IO_URING_KERNELS();

// ---- queues ------------------------------------------------------------------------------------

TEST_P(IoUringDriverTest, MoreOperationsThanTheSubmissionQueueHoldsCompleteInOrder) {
  make({.ring_entries = 8});
  std::deque<Recorder> operations;
  std::vector<int> order;
  for (int i = 0; i < 1000; ++i) {
    Recorder& one = operations.emplace_back(driver());
    one.then = [&order, i] { order.push_back(i); };
    one.nop();
    one.submit();
  }
  ASSERT_TRUE(run_until(driver(), [&] { return order.size() == 1000; }));
  std::vector<int> expected(1000);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(order, expected);
}

TEST_P(IoUringDriverTest, AnOverflowingCompletionQueueLosesNothing) {
  make({.ring_entries = 1});
  constexpr std::size_t kTotal = 2000;
  std::deque<Recorder> operations;
  std::size_t done = 0;
  for (std::size_t i = 0; i < kTotal; ++i) {
    Recorder& one = operations.emplace_back(driver());
    one.then = [&] { ++done; };
    one.nop();
    one.submit();
  }
  ASSERT_TRUE(run_until(driver(), [&] { return done == kTotal; }));
  for (const Recorder& one : operations) {
    EXPECT_EQ(one.count(), 1U);
    EXPECT_EQ(one.result(), 0);
  }
}

TEST_P(IoUringDriverTest, CompletionsThatSubmitKeepATinyRingGoing) {
  make({.ring_entries = 2});
  std::deque<Recorder> operations;
  int rounds = 0;
  for (int i = 0; i < 64; ++i) {
    Recorder& one = operations.emplace_back(driver());
    one.then = [&rounds, &one] {
      if (++rounds < 10'000) {
        one.nop();
        one.submit();
      }
    };
    one.nop();
    one.submit();
  }
  ASSERT_TRUE(run_until(driver(), [&] { return !driver().has_in_flight(); }));
  EXPECT_GE(rounds, 10'000);
}

TEST_P(IoUringDriverTest, CancelsBeyondTheSubmissionQueueReachTheirOperations) {
  make({.ring_entries = 2});
  const Pair pair = contract::unix_pair();
  std::deque<Recorder> polls;
  for (int i = 0; i < 500; ++i) {
    Recorder& one = polls.emplace_back(driver());
    one.poll(pair.a.get(), POLLIN);
    one.submit();
  }
  fence(driver());
  for (Recorder& one : polls) one.cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return !driver().has_in_flight(); }));
  for (const Recorder& one : polls) {
    EXPECT_EQ(one.count(), 1U);
    EXPECT_EQ(one.result(), -ECANCELED);
  }
}

TEST_P(IoUringDriverTest, CancelOfAnOperationThatWasNotSubmittedYetEndsIt) {
  const Pair pair = contract::unix_pair();
  Recorder recv(driver());
  std::byte byte{};
  recv.recv(pair.a.get(), {&byte, 1});
  recv.submit();
  recv.cancel();
  EXPECT_EQ(recv.count(), 0U);
  ASSERT_TRUE(run_until(driver(), [&] { return recv.done(); }));
  EXPECT_EQ(recv.result(), -ECANCELED);
}

TEST_P(IoUringDriverTest, ALateCancelDoesNotHitTheNextOperationAtTheSameAddress) {
  const Pair pair = contract::unix_pair();
  put(pair.b, "1");
  Recorder recv(driver());
  std::byte byte{};
  recv.recv(pair.a.get(), {&byte, 1});
  recv.submit();
  driver().collect();  // It is complete in the kernel, nobody has looked.
  recv.cancel();
  driver().dispatch();
  ASSERT_TRUE(recv.done());
  EXPECT_EQ(recv.result(), 1);
  recv.recv(pair.a.get(), {&byte, 1});
  recv.submit();
  fence(driver());
  EXPECT_EQ(recv.count(), 1U) << "the old cancel request ended the new operation";
  put(pair.b, "2");
  ASSERT_TRUE(run_until(driver(), [&] { return recv.done(); }));
  EXPECT_EQ(recv.result(), 1);
}

TEST_P(IoUringDriverTest, ThousandsOfOperationsInFlightEachCompleteOnce) {
  constexpr std::size_t kPairs = 3000;
  std::vector<Pair> pairs;
  std::deque<Receiving> receivers;
  for (std::size_t i = 0; i < kPairs; ++i) {
    pairs.push_back(contract::unix_pair());
    receivers.emplace_back(driver(), pairs.back().a);
  }
  fence(driver());
  for (std::size_t i = 0; i < kPairs; ++i) put(pairs[i].b, pattern(1 + i % 5, char(i % 26)));
  for (Pair& pair : pairs) pair.b.reset();
  ASSERT_TRUE(run_until(driver(), [&] { return !driver().has_in_flight(); }));
  for (std::size_t i = 0; i < kPairs; ++i) {
    ASSERT_EQ(receivers[i].data(), pattern(1 + i % 5, char(i % 26))) << i;
    ASSERT_EQ(receivers[i].result(), 0) << i;
  }
}

TEST_P(IoUringDriverTest, ATurnWithNothingToDoMakesNoSyscall) {
  Recorder poll(driver());
  const Pair pair = contract::unix_pair();
  poll.poll(pair.a.get(), POLLIN);
  poll.submit();
  fence(driver());
  driver().collect();
  const auto before = driver().metrics().syscalls;
  for (int i = 0; i < 100; ++i) {
    driver().collect();
    EXPECT_FALSE(driver().has_completions());
    EXPECT_EQ(driver().dispatch(), 0U);
  }
  EXPECT_EQ(driver().metrics().syscalls, before);
  put(pair.b, "x");
  ASSERT_TRUE(run_until(driver(), [&] { return poll.done(); }));
}

// ---- readiness
// -----------------------------------------------------------------------------------

TEST_P(IoUringDriverTest, ReadingANonBlockingTerminalWaitsForInput) {
  const OwnedFd master = OwnedFd::adopt(::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK));
  if (!master || ::grantpt(master.get()) != 0 || ::unlockpt(master.get()) != 0) {
    GTEST_SKIP() << "no terminals here";
  }
  const OwnedFd terminal =
      OwnedFd::adopt(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  ASSERT_TRUE(terminal);
  Recorder read(driver());
  std::array<std::byte, 16> buffer{};
  read.read(terminal.get(), buffer);
  read.submit();
  fence(driver());
  EXPECT_EQ(read.count(), 0U);
  put(master, "hi\n");
  ASSERT_TRUE(run_until(driver(), [&] { return read.done(); }));
  EXPECT_EQ(read.result(), 3);
  read.read(terminal.get(), buffer);
  read.submit();
  fence(driver());
  read.cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return read.done(); }));
  EXPECT_EQ(read.result(), -ECANCELED);
}

// ---- the end
// -------------------------------------------------------------------------------------

TEST_P(IoUringDriverTest, ShutdownEndsWhatIsInFlightAndWhatItsCompletionsStart) {
  make({.ring_entries = 4, .buffer_bytes = 256, .buffer_count = 1, .buffer_count_max = 1});
  std::vector<Pair> pairs;
  std::deque<Receiving> operations;
  Recorder again(driver());
  for (int i = 0; i < 100; ++i) {
    pairs.push_back(contract::unix_pair());
    put(pairs.back().b, pattern(600));
    operations.emplace_back(driver(), pairs.back().a);
  }
  turn(driver());
  operations.front().then = [&] {
    if (again.count() > 0 || !again.is_idle()) return;
    again.nop();
    again.submit();
  };
  driver().shutdown();
  EXPECT_FALSE(driver().has_in_flight());
  for (std::size_t i = 0; i < operations.size(); ++i) {
    EXPECT_EQ(operations[i].result(), -ECANCELED);
    EXPECT_EQ(operations[i].data() + contract::take(pairs[i].a), pattern(600));
  }
  EXPECT_EQ(again.result(), -ECANCELED);
  again.forget();
  again.nop();
  again.submit();
  driver().dispatch();
  EXPECT_EQ(again.result(), -ECANCELED);
  driver().shutdown();
  driver().wake();
  driver().wait(Duration::max());
}

TEST_P(IoUringDriverTest, AForkedChildThatDestroysTheDriverLeavesTheParentsAlone) {
  const Pair pair = contract::unix_pair();
  Receiving recv(driver(), pair.a);
  fence(driver());
  Recorder pending(driver());
  pending.nop();
  pending.submit();  // Prepared in shared memory, not submitted.
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    recv.cancel();
    Recorder own(driver());
    own.nop();
    own.submit();
    driver().collect();
    driver().wait(Duration::zero());
    driver().dispatch();
    driver_.reset();
    const bool right =
        recv.result() == -ECANCELED && pending.result() == -ECANCELED && own.result() == -ECANCELED;
    ::_exit(right ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  put(pair.b, "parent");
  ASSERT_TRUE(run_until(driver(), [&] { return pending.done() && recv.count() == 1; }));
  EXPECT_EQ(pending.result(), 0);
  EXPECT_EQ(recv.data(), "parent");
  recv.cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return recv.done(); }));
}

TEST(IoUring, TheFactoryRefusesAConfigOutOfRange) {
  for (const Config& config : {
           Config{.ring_entries = 65'536},
           Config{.ring_entries = 3},
           Config{.buffer_bytes = 1000},
           Config{.buffer_bytes = 128},
           Config{.buffer_count = 0},
           Config{.buffer_count = 3},
           Config{.buffer_count = 64, .buffer_count_max = 32},
           Config{.buffer_count_max = 65'536},
       }) {
    const auto refused = make_io_uring(config);
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().is(RuntimeErrc::invalid_argument));
  }
}

TEST(IoUring, TheLargestConfigWorks) {
  if (!io_uring::probe().usable) GTEST_SKIP() << io_uring::probe().reason;
  const auto driver =
      make_io_uring({.ring_entries = 32'768, .buffer_count = 1, .buffer_count_max = 32'768});
  ASSERT_TRUE(driver) << driver.error().message();
  ASSERT_TRUE((*driver)->bind());
  fence(**driver);
}

}  // namespace
}  // namespace blitzio::driver

#endif  // BLITZIO_HAS_IO_URING
