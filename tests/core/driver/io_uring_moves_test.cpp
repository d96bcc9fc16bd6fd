// What only the io_uring backend can get wrong: buffers that run out, multishot requests that end
// by themselves, requests that belong to a thread.
#if BLITZIO_HAS_IO_URING

#include <core/driver/io_uring_support.hpp>

#include <algorithm>
#include <array>
#include <deque>
#include <string>
#include <thread>
#include <vector>

namespace blitzio::driver {
namespace {

using contract::bytes;
using contract::fence;
using contract::Pair;
using contract::put;
using contract::Receiving;
using contract::Recorder;
using contract::run_until;
using contract::turn;

BLITZIO_IO_URING_KERNELS();

// ---- provided buffers and multishot
// --------------------------------------------------------------

TEST_P(IoUringDriverTest, ExhaustedBuffersGrowAndDataStaysInOrder) {
  // Of pages they are farther apart than they are long.
  for (const std::uint32_t bytes : {256U, 4096U}) {
    SCOPED_TRACE(bytes);
    make({.buffer_bytes = bytes, .buffer_count = 1, .buffer_count_max = 64});
    const Pair pair = contract::unix_pair();
    Receiving recv(driver(), pair.a);
    const std::string sent = pattern(100'000);
    put(pair.b, sent);
    ASSERT_TRUE(run_until(driver(), [&] { return recv.data_bytes() == sent.size(); }));
    EXPECT_EQ(recv.data(), sent);
    if (newest().multishot_recv && GetParam().features().multishot_recv) {
      EXPECT_GT(driver().metrics().buffers_exhausted, 0U);
    }
    ::shutdown(pair.b.get(), SHUT_WR);
    ASSERT_TRUE(run_until(driver(), [&] { return recv.done(); }));
    EXPECT_EQ(recv.result(), 0);
  }
}

TEST_P(IoUringDriverTest, APipeIsReadInOrderFromFewBuffersAndAcrossMoves) {
  make({.buffer_bytes = 256, .buffer_count = 1, .buffer_count_max = 4});
  Pair pair = contract::pipe_pair();
  Recorder reads(driver());
  reads.read_multishot(pair.a.get());
  reads.submit();
  std::string sent;
  for (char round = 0; round < 10; ++round) {
    const std::string part = pattern(3000, round);
    put(pair.b, part);
    sent += part;
    driver().collect();  // Read, not dispatched.
    on_another_thread([&] {
      put(pair.b, "between");
      sent += "between";
      ASSERT_TRUE(run_until(driver(), [&] { return reads.data_bytes() == sent.size(); }));
    });
  }
  pair.b.reset();
  ASSERT_TRUE(run_until(driver(), [&] { return reads.done(); }));
  EXPECT_EQ(reads.result(), 0);
  EXPECT_EQ(reads.data(), sent);
}

TEST_P(IoUringDriverTest, WhatTheKernelReadsByItselfDependsOnTheKernelAndTheBuffers) {
  EXPECT_EQ(driver().has_kernel_reads(), GetParam().features().multishot_read);
  make({.registered_buffers = Use::never});
  EXPECT_FALSE(driver().has_kernel_reads());
  make({.buffer_bytes = 2048});
  EXPECT_FALSE(driver().has_kernel_reads()) << "what a packet has no room for is lost";
}

TEST_P(IoUringDriverTest, TwoBuffersServeManyConnectionsAtTheLimit) {
  make({.buffer_bytes = 256, .buffer_count = 2, .buffer_count_max = 2});
  constexpr std::size_t kPairs = 300;
  std::vector<Pair> pairs;
  std::deque<Receiving> receivers;
  for (std::size_t i = 0; i < kPairs; ++i) {
    pairs.push_back(contract::unix_pair());
    receivers.emplace_back(driver(), pairs.back().a);
  }
  for (std::size_t i = 0; i < kPairs; ++i) put(pairs[i].b, pattern(1000, char(i % 26)));
  ASSERT_TRUE(run_until(driver(), [&] {
    return std::ranges::all_of(receivers, [](Recorder& one) { return one.data_bytes() == 1000; });
  }));
  for (std::size_t i = 0; i < kPairs; ++i) {
    ASSERT_EQ(receivers[i].data(), pattern(1000, char(i % 26)));
    receivers[i].cancel();
  }
  ASSERT_TRUE(run_until(driver(), [&] { return !driver().has_in_flight(); }));
  for (const Recorder& one : receivers) EXPECT_EQ(one.result(), -ECANCELED);
}

TEST_P(IoUringDriverTest, AStarvedReceiveCanBeCancelled) {
  make({.buffer_bytes = 256, .buffer_count = 1, .buffer_count_max = 1});
  std::vector<Pair> pairs;
  std::deque<Receiving> receivers;
  for (int i = 0; i < 50; ++i) {
    pairs.push_back(contract::unix_pair());
    put(pairs.back().b, pattern(2000));
    receivers.emplace_back(driver(), pairs.back().a);
  }
  turn(driver());
  turn(driver());
  for (Recorder& one : receivers) one.cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return !driver().has_in_flight(); }));
  for (std::size_t i = 0; i < receivers.size(); ++i) {
    EXPECT_EQ(receivers[i].result(), -ECANCELED);
    // Nothing between what was delivered and what is still in the socket.
    EXPECT_EQ(receivers[i].data() + contract::take(pairs[i].a), pattern(2000));
  }
}

TEST_P(IoUringDriverTest, AMultishotReceiveSurvivesAnOverflowingQueue) {
  make({.ring_entries = 1, .buffer_bytes = 256, .buffer_count = 64});
  constexpr std::size_t kPairs = 40;
  std::vector<Pair> pairs;
  std::deque<Receiving> receivers;
  for (std::size_t i = 0; i < kPairs; ++i) {
    pairs.push_back(contract::unix_pair());
    receivers.emplace_back(driver(), pairs.back().a);
  }
  fence(driver());
  const std::string part = pattern(777);
  std::string sent;
  for (int round = 0; round < 20; ++round) {
    sent += part;
    for (const Pair& pair : pairs) put(pair.b, part);
    turn(driver());
  }
  ASSERT_TRUE(run_until(driver(), [&] {
    return std::ranges::all_of(receivers,
                               [&](Recorder& o) { return o.data_bytes() >= sent.size(); });
  }));
  for (Recorder& one : receivers) {
    EXPECT_EQ(one.data(), sent);
    one.cancel();
  }
  ASSERT_TRUE(run_until(driver(), [&] { return !driver().has_in_flight(); }));
}

TEST_P(IoUringDriverTest, AMultishotAcceptSurvivesAnOverflowingQueue) {
  make({.ring_entries = 1});
  const OwnedFd listener = contract::tcp_listener();
  Recorder accept(driver());
  accept.accept_multishot(listener.get());
  accept.submit();
  fence(driver());
  std::vector<OwnedFd> clients;
  for (int i = 0; i < 200; ++i) clients.push_back(contract::tcp_client(listener));
  ASSERT_TRUE(run_until(driver(), [&] { return accept.count() == clients.size(); }));
  for (const auto& seen : accept.seen()) {
    EXPECT_TRUE(seen.more);
    const OwnedFd accepted = OwnedFd::adopt(seen.result);
    EXPECT_TRUE(::fcntl(accepted.get(), F_GETFD) & FD_CLOEXEC);
    EXPECT_TRUE(::fcntl(accepted.get(), F_GETFL) & O_NONBLOCK);
  }
  accept.cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return accept.done(); }));
  EXPECT_EQ(accept.result(), -ECANCELED);
}

TEST_P(IoUringDriverTest, AMultishotPollSurvivesAnOverflowingQueue) {
  make({.ring_entries = 1});
  constexpr std::size_t kPairs = 100;
  std::vector<Pair> pairs;
  std::deque<Recorder> polls;
  for (std::size_t i = 0; i < kPairs; ++i) {
    pairs.push_back(contract::unix_pair());
    Recorder& one = polls.emplace_back(driver());
    one.poll_multishot(pairs.back().a.get(), POLLIN);
    one.submit();
  }
  fence(driver());
  for (std::size_t round = 1; round <= 5; ++round) {
    for (const Pair& pair : pairs) put(pair.b, "x");
    ASSERT_TRUE(run_until(driver(), [&] {
      return std::ranges::all_of(polls, [&](Recorder& one) { return one.count() >= round; });
    }));
    for (const Pair& pair : pairs) EXPECT_FALSE(contract::take(pair.a).empty());
  }
  for (Recorder& one : polls) one.cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return !driver().has_in_flight(); }));
}

TEST_P(IoUringDriverTest, CancellingFromItsOwnCompletionEndsAReceiveThatWasArmedAgain) {
  make({.buffer_bytes = 256, .buffer_count = 1, .buffer_count_max = 1});
  const Pair pair = contract::unix_pair();
  Recorder recv(driver());
  recv.then = [&] { recv.cancel(); };
  recv.recv_multishot(pair.a.get());
  recv.submit();
  put(pair.b, pattern(1000));
  ASSERT_TRUE(run_until(driver(), [&] { return recv.done(); }));
  EXPECT_EQ(recv.result(), -ECANCELED);
  EXPECT_EQ(recv.data() + contract::take(pair.a), pattern(1000));
}

TEST_P(IoUringDriverTest, BytesThatCameBeforeTheCancelAreDelivered) {
  const Pair pair = contract::unix_pair();
  Receiving recv(driver(), pair.a);
  fence(driver());
  put(pair.b, "early");
  driver().collect();
  recv.cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return recv.done(); }));
  EXPECT_EQ(recv.data() + contract::take(pair.a), "early");
  EXPECT_EQ(recv.result(), -ECANCELED);
}

// ---- threads
// -------------------------------------------------------------------------------------

TEST_P(IoUringDriverTest, OperationsInFlightMoveToAnotherThread) {
  const Pair one = contract::unix_pair();
  const Pair two = contract::unix_pair();
  const Pair three = contract::pipe_pair();
  const OwnedFd listener = contract::tcp_listener();
  std::array<std::byte, 16> buffer{};
  std::array<std::byte, 16> read_buffer{};
  Recorder recv(driver());
  Recorder recv_multishot(driver());
  Recorder accept_multishot(driver());
  Recorder poll(driver());
  Recorder timeout(driver());
  Recorder read(driver());
  recv.recv(one.a.get(), buffer);
  recv_multishot.recv_multishot(two.a.get());
  accept_multishot.accept_multishot(listener.get());
  poll.poll(one.b.get(), POLLIN);
  timeout.timeout(Instant::now() + Duration::from_millis(50));
  read.read(three.a.get(), read_buffer);
  for (Recorder* each : {&recv, &recv_multishot, &accept_multishot, &poll, &timeout, &read}) {
    each->submit();
  }
  fence(driver());
  on_another_thread([&] {
    fence(driver());
    put(one.b, "recv");
    put(two.b, "multishot");
    put(one.a, "poll");
    put(three.b, "read");
    const OwnedFd client = contract::tcp_client(listener);
    ASSERT_TRUE(run_until(driver(), [&] {
      return recv.done() && poll.done() && timeout.done() && read.done() &&
             recv_multishot.count() == 1 && accept_multishot.count() == 1;
    }));
  });
  EXPECT_EQ(recv.result(), 4);
  EXPECT_EQ(poll.result(), POLLIN);
  EXPECT_EQ(timeout.result(), 0);
  EXPECT_EQ(read.result(), 4);
  EXPECT_EQ(recv_multishot.data(), "multishot");
  const OwnedFd accepted = OwnedFd::adopt(accept_multishot.result());
  EXPECT_TRUE(accepted);
  put(two.b, "!");
  ASSERT_TRUE(run_until(driver(), [&] { return recv_multishot.count() == 2; }));
  EXPECT_EQ(recv_multishot.data(), "multishot!");
  recv_multishot.cancel();
  accept_multishot.cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return !driver().has_in_flight(); }));
}

TEST_P(IoUringDriverTest, BytesReceivedBeforeAMoveComeBeforeThoseAfterIt) {
  make({.buffer_bytes = 256, .buffer_count = 4, .buffer_count_max = 8});
  const Pair pair = contract::unix_pair();
  Receiving recv(driver(), pair.a);
  fence(driver());
  std::string sent;
  for (char round = 0; round < 10; ++round) {
    const std::string part = pattern(1500, round);
    put(pair.b, part);
    sent += part;
    driver().collect();  // Received, not dispatched.
    on_another_thread([&] {
      put(pair.b, "between");
      sent += "between";
      if (round % 2 == 0) {
        ASSERT_TRUE(run_until(driver(), [&] { return recv.data_bytes() == sent.size(); }));
      }
    });
  }
  ASSERT_TRUE(run_until(driver(), [&] { return recv.data_bytes() == sent.size(); }));
  EXPECT_EQ(recv.data(), sent);
  recv.cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return recv.done(); }));
}

TEST_P(IoUringDriverTest, BuffersSavedAcrossAMoveAreGivenBack) {
  make({.buffer_bytes = 256, .buffer_count = 2, .buffer_count_max = 2});
  const Pair pair = contract::unix_pair();
  const Pair other = contract::unix_pair();
  Recorder recv(driver());
  Recorder late(driver());
  recv.recv_multishot(pair.a.get());
  for (int round = 0; round < 20; ++round) {
    recv.forget();
    if (recv.is_idle()) recv.recv_multishot(pair.a.get());
    recv.submit();
    fence(driver());
    put(pair.b, pattern(512));
    driver().collect();
    // Cancelled, so that the new ring learns of the buffers only from `late`, which the delivery of
    // the saved bytes starts.
    recv.cancel();
    bool started = false;
    recv.then = [&] {
      if (std::exchange(started, true)) return;
      late.recv_multishot(other.a.get());
      late.submit();
    };
    driver().unbind();
    std::thread([&] {
      ASSERT_TRUE(driver().bind());
      ASSERT_TRUE(run_until(driver(), [&] { return recv.done(); }));
      EXPECT_EQ(recv.data() + contract::take(pair.a), pattern(512));
      late.forget();
      put(other.b, pattern(2000));
      ASSERT_TRUE(run_until(driver(), [&] { return late.data_bytes() == 2000; }));
      EXPECT_EQ(late.data(), pattern(2000));
      late.cancel();
      ASSERT_TRUE(run_until(driver(), [&] { return late.done(); }));
      driver().unbind();
    }).join();
    ASSERT_TRUE(driver().bind());
  }
}

TEST_P(IoUringDriverTest, UnbindingAndBindingAgainOnTheSameThreadGoesOn) {
  const Pair pair = contract::unix_pair();
  Receiving recv(driver(), pair.a);
  std::string sent;
  for (int i = 0; i < 50; ++i) {
    sent += static_cast<char>('a' + i % 26);
    put(pair.b, std::string_view(sent).substr(sent.size() - 1));
    driver().unbind();
    ASSERT_TRUE(driver().bind());
    if (i % 3 == 0) turn(driver());
  }
  ASSERT_TRUE(run_until(driver(), [&] { return recv.data_bytes() == sent.size(); }));
  EXPECT_EQ(recv.data(), sent);
  recv.cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return recv.done(); }));
}

TEST_P(IoUringDriverTest, ABackgroundOperationCostsARunThatNeverSleepsNothing) {
  const Pair pair = contract::unix_pair();
  fence(driver());
  Recorder background(driver());
  background.set_background();
  background.poll(pair.a.get(), POLLIN);
  background.submit();
  const std::uint64_t before = driver().metrics().syscalls;
  for (int run = 0; run < 10; ++run) {
    driver().collect();
    driver().unbind();
    ASSERT_TRUE(driver().bind());
  }
  EXPECT_EQ(driver().metrics().syscalls, before);
  // A wait that may block looks at once.
  put(pair.b, "x");
  driver().wait(contract::kPatience);
  driver().dispatch();
  EXPECT_EQ(background.result(), POLLIN);
}

TEST_P(IoUringDriverTest, ABusyOwnerNoticesABackgroundOperationInTime) {
  const Pair pair = contract::unix_pair();
  Recorder background(driver());
  background.set_background();
  background.poll(pair.a.get(), POLLIN);
  background.submit();
  put(pair.b, "x");
  for (int turns = 0; turns < 40 && !background.done(); ++turns) {
    driver().collect();
    driver().dispatch();
  }
  EXPECT_EQ(background.result(), POLLIN);
}

TEST_P(IoUringDriverTest, ABackgroundOperationThatWasNotSubmittedYetCanBeCancelled) {
  const Pair pair = contract::unix_pair();
  Recorder background(driver());
  background.set_background();
  background.poll(pair.a.get(), POLLIN);
  background.submit();
  background.cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return background.done(); }));
  EXPECT_EQ(background.result(), -ECANCELED);
}

TEST_P(IoUringDriverTest, OperationsSubmittedAndCancelledWhileUnboundCompleteAfterwards) {
  const Pair pair = contract::unix_pair();
  Recorder before(driver());
  Recorder after(driver());
  Recorder nop(driver());
  std::byte byte{};
  before.recv(pair.a.get(), {&byte, 1});
  before.submit();
  fence(driver());
  driver().unbind();
  std::thread([&] {
    before.cancel();
    after.recv(pair.a.get(), {&byte, 1});
    after.submit();
    after.cancel();
    nop.nop();
    nop.submit();
    EXPECT_EQ(nop.count(), 0U);
    ASSERT_TRUE(driver().bind());
    ASSERT_TRUE(run_until(driver(), [&] { return before.done() && after.done() && nop.done(); }));
    driver().unbind();
  }).join();
  EXPECT_EQ(before.result(), -ECANCELED);
  EXPECT_EQ(after.result(), -ECANCELED);
  EXPECT_EQ(nop.result(), 0);
}

TEST_P(IoUringDriverTest, AConnectionAttemptSurvivesAMove) {
  // With its backlog full a listener drops the handshake's first packet, so the attempt lasts until
  // the packet is sent again (one second).
  const OwnedFd listener = contract::tcp_listener(0);
  const OwnedFd first = contract::tcp_client(listener);
  ASSERT_TRUE(contract::wait_for(first, POLLOUT));
  const OwnedFd socket = contract::inet_socket();
  const sockaddr_in to = contract::address_of(listener);
  Recorder connect(driver());
  connect.connect(socket.get(), contract::generic(to), sizeof to);
  connect.submit();
  fence(driver());
  if (connect.done()) GTEST_SKIP() << "the kernel's backlog holds more than asked for";
  on_another_thread([&] {
    fence(driver());
    EXPECT_FALSE(connect.done());
    const OwnedFd accepted =
        OwnedFd::adopt(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(run_until(driver(), [&] { return connect.done(); }));
  });
  EXPECT_EQ(connect.result(), 0);
}

TEST_P(IoUringDriverTest, ThousandsOfOperationsMoveAtOnce) {
  make({.ring_entries = 16});
  const Pair pair = contract::unix_pair();
  std::deque<Recorder> polls;
  for (int i = 0; i < 3000; ++i) {
    Recorder& one = polls.emplace_back(driver());
    one.poll(pair.a.get(), POLLIN);
    one.submit();
  }
  on_another_thread([&] { fence(driver()); });
  EXPECT_TRUE(std::ranges::none_of(polls, [](Recorder& one) { return one.done(); }));
  put(pair.b, "x");
  ASSERT_TRUE(run_until(driver(), [&] { return !driver().has_in_flight(); }));
  for (const Recorder& one : polls) EXPECT_EQ(one.result(), POLLIN);
}

TEST_P(IoUringDriverTest, AWakeReachesTheDriverOnEveryThreadItMovesTo) {
  for (int i = 0; i < 20; ++i) {
    driver().unbind();
    std::thread([&] {
      ASSERT_TRUE(driver().bind());
      const auto waits = driver().metrics().waits;
      Atomic<bool> woken{false};
      std::thread waker([&] {
        woken.store(true);
        driver().wake();
      });
      while (!woken.load() || driver().metrics().waits == waits) {
        driver().wait(Duration::from_secs(30));
        driver().dispatch();
        if (woken.load()) break;
      }
      waker.join();
      driver().unbind();
    }).join();
    ASSERT_TRUE(driver().bind());
  }
}

TEST_P(IoUringDriverTest, AnOwnerThatNeverSleepsEntersTheKernelForNothing) {
  const auto syscalls = driver().metrics().syscalls;
  for (int i = 0; i < 10; ++i) {
    driver().wait(Duration::zero());
    driver().dispatch();
  }
  EXPECT_EQ(driver().metrics().syscalls, syscalls);
}

TEST_P(IoUringDriverTest, WakesWhileTheOwnerIsAwakeCostNoSyscall) {
  fence(driver());
  const auto wakes = driver().metrics().wakes;
  std::thread([&] {
    for (int i = 0; i < 1000; ++i) driver().wake();
  }).join();
  driver().wait(Duration::max());
  driver().dispatch();
  EXPECT_EQ(driver().metrics().wakes, wakes);
}

}  // namespace
}  // namespace blitzio::driver

#endif  // BLITZIO_HAS_IO_URING
