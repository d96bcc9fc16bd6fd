// What the readiness core promises beyond the contract suite, on each of its backends: descriptors
// closed and reused behind the driver's back, descriptors in blocking mode, completion functions
// that change everything around them. See readiness_edges_test.cpp for what arrives when.
#include "core/driver/readiness_support.hpp"

#include <gmock/gmock.h>

#include <poll.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

namespace blitzio::driver::contract {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::Ge;
using testing::Le;

BLITZIO_READINESS_TESTS();

// ---- closed, reused, duplicated
// ------------------------------------------------------------------

TEST_P(Readiness, ANumberClosedAndReusedWithAWaiterServesItsNewUser) {
  Pair old = pipe_pair();
  const int number = old.a.get();
  Recorder abandoned(driver());
  abandoned.poll(number, POLLIN);
  abandoned.submit();
  fence(driver());

  Pair next = pipe_pair();
  ASSERT_EQ(ok(::dup2(next.a.get(), number)), number);  // closes the old end
  Recorder fresh(driver());
  fresh.poll(number, POLLIN);
  fresh.submit();
  fence(driver());
  EXPECT_FALSE(fresh.done());
  put(next.b, "x");
  EXPECT_TRUE(run(fresh));
  EXPECT_EQ(fresh.result(), POLLIN);
  end(abandoned);
}

TEST_P(Readiness, ANumberReusedAfterItsWaitsEndedIsArmedAnew) {
  std::array<std::byte, 8> buffer{};
  for (int round = 0; round < 20; ++round) {
    Pair pair = unix_pair();
    Recorder recv(driver());
    recv.recv(pair.a.get(), buffer);
    recv.submit();
    fence(driver());
    put(pair.b, "abc");
    EXPECT_TRUE(run(recv));
    EXPECT_EQ(recv.result(), 3);
  }
}

TEST_P(Readiness, AWaiterOnAClosedDescriptorWaitsUntilCancelled) {
  Pair pair = unix_pair();
  std::array<std::byte, 8> buffer{};
  Recorder recv(driver());
  recv.recv(pair.a.get(), buffer);
  recv.submit();
  fence(driver());
  pair.a.reset();
  EXPECT_TRUE(sleeps());
  EXPECT_FALSE(recv.done());
  end(recv);
  EXPECT_EQ(recv.result(), -ECANCELED);
}

TEST_P(Readiness, ARegistrationKeptAliveByADupDoesNotSpin) {
  for (const bool is_multishot : {false, true}) {
    Pair pair = pipe_pair();
    Recorder poll(driver());
    if (is_multishot) {
      poll.poll_multishot(pair.a.get(), POLLIN);
    } else {
      poll.poll(pair.a.get(), POLLIN);
    }
    poll.submit();
    fence(driver());
    end(poll);
    const OwnedFd twin = OwnedFd::adopt(ok(::dup(pair.a.get())));
    pair.a.reset();
    put(pair.b, "x");  // The twin stays readable.
    // Somebody waits, so that the driver asks the kernel.
    Pair other = pipe_pair();
    Recorder waiting(driver());
    waiting.poll(other.a.get(), POLLIN);
    waiting.submit();
    EXPECT_TRUE(sleeps());
    put(pair.b, "y");
    EXPECT_TRUE(sleeps());
    end(waiting);
  }
}

TEST_P(Readiness, ADetachedDescriptorIsSilentThoughADupLives) {
  Pair pair = pipe_pair();
  ASSERT_TRUE(driver().attach(pair.a.get()));
  const OwnedFd twin = OwnedFd::adopt(ok(::dup(pair.a.get())));
  driver().detach(pair.a.get());
  const int number = pair.a.release();
  ok(::close(number));
  put(pair.b, "x");

  Pair next = pipe_pair();
  if (next.a.get() != number) {
    ASSERT_EQ(ok(::dup2(next.a.get(), number)), number);
  }
  Recorder poll(driver());
  poll.poll(number, POLLIN);
  poll.submit();
  EXPECT_TRUE(sleeps());
  EXPECT_FALSE(poll.done());
  put(next.b, "y");
  EXPECT_TRUE(run(poll));
  if (next.a.get() != number) ok(::close(number));
}

// A thread in poll(2) holds the files that it polls: their peers would hear of no end.
TEST_P(Readiness, ADetachedDescriptorIsNotHeldWhileTheDriverWaits) {
  Pair pair = unix_pair();
  Recorder poll(driver());
  poll.poll(pair.a.get(), POLLIN);
  poll.submit();
  fence(driver());
  poll.cancel();
  driver().hand_over();
  driver().detach(pair.a.get());
  EXPECT_TRUE(run(poll));

  std::atomic<bool> is_over = false;
  bool sees_end = false;
  std::thread closer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // as a rule the driver waits now
    pair.a.reset();
    pollfd item{pair.b.get(), POLLIN, 0};
    sees_end = ::poll(&item, 1, 30'000) == 1;
    is_over = true;
    driver().wake();
  });
  EXPECT_TRUE(run_until(driver(), [&] { return is_over.load(); }));
  closer.join();
  EXPECT_TRUE(sees_end);
}

TEST_P(Readiness, AttachAfterAForgottenDetachServesTheNewDescriptor) {
  Pair old = unix_pair();
  const int number = old.a.get();
  ASSERT_TRUE(driver().attach(number));
  Pair next = unix_pair();
  ASSERT_EQ(ok(::dup2(next.a.get(), number)), number);
  ASSERT_TRUE(driver().attach(number));
  Recorder recv(driver());
  recv.recv_multishot(number);
  recv.submit();
  fence(driver());
  put(next.b, "new");
  EXPECT_TRUE(run_until(driver(), [&] { return recv.data() == "new"; }));
  end(recv);
  driver().detach(number);
}

TEST_P(Readiness, ADescriptorCanBeAttachedWhileOperationsWait) {
  Pair pair = unix_pair();
  Recorder poll(driver());
  poll.poll(pair.a.get(), POLLIN);
  poll.submit();
  fence(driver());
  Attachment attached(driver(), pair.a, true);
  fence(driver());
  EXPECT_FALSE(poll.done());
  put(pair.b, "x");
  EXPECT_TRUE(run(poll));
}

TEST_P(Readiness, AWildNumberIsABadDescriptor) {
  for (const int number : {-1, -7, kBadFd, 1 << 30}) {
    Recorder poll(driver());
    poll.poll(number, POLLIN);
    poll.submit();
    EXPECT_TRUE(run(poll));
    EXPECT_EQ(poll.result(), -EBADF) << number;
    Recorder recv(driver());
    recv.recv_multishot(number);
    recv.submit();
    EXPECT_TRUE(run(recv));
    EXPECT_EQ(recv.result(), -EBADF) << number;
    const Result<void> attached = driver().attach(number);
    ASSERT_FALSE(attached.has_value());
    EXPECT_TRUE(attached.error().is_os(EBADF));
  }
}

// ---- files that are always ready
// -----------------------------------------------------------------

TEST_P(Readiness, ARegularFileIsAlwaysReady) {
  TempDir dir;
  const OwnedFd file = dir.file_with("content");
  Recorder poll(driver());
  poll.poll(file.get(), POLLIN | POLLOUT);
  poll.submit();
  EXPECT_TRUE(run(poll));
  EXPECT_EQ(poll.result(), POLLIN | POLLOUT);

  Recorder edges(driver());
  edges.poll_multishot(file.get(), POLLIN);
  edges.submit();
  EXPECT_TRUE(run_until(driver(), [&] { return edges.count() > 0; }));
  EXPECT_EQ(edges.seen().front().result, POLLIN);
  end(edges);
  EXPECT_EQ(edges.result(), -ECANCELED);

  const Result<void> attached = driver().attach(file.get());
  ASSERT_FALSE(attached.has_value());
  EXPECT_TRUE(attached.error().is_os(EPERM));
}

// ---- blocking mode
// -------------------------------------------------------------------------------

void make_blocking(const OwnedFd& fd) {
  ok(::fcntl(fd.get(), F_SETFL, ok(::fcntl(fd.get(), F_GETFL)) & ~O_NONBLOCK));
}

TEST_P(Readiness, ABlockingPipeNeverBlocksTheDriver) {
  Pair pair = pipe_pair();
  make_blocking(pair.a);
  make_blocking(pair.b);
  std::array<std::byte, 64> in{};
  Recorder read(driver());
  read.read(pair.a.get(), in);
  read.submit();
  fence(driver());
  EXPECT_FALSE(read.done());

  const std::string block(300'000, 'w');
  Recorder write(driver());
  write.write(pair.b.get(), bytes(block));
  write.submit();
  EXPECT_TRUE(run(write));
  EXPECT_THAT(write.result(), AllOf(Ge(1), Le(65536)));
  EXPECT_TRUE(run(read));
  EXPECT_EQ(read.result(), 64);
  EXPECT_EQ(in[63], std::byte{'w'});

  // Until it is full: then a write waits for a reader.
  while (write.done()) {
    write.write(pair.b.get(), bytes(block));
    write.submit();
    fence(driver());
  }
  make_blocking(pair.a);
  char drain[65536];
  ok(static_cast<int>(::read(pair.a.get(), drain, sizeof drain)));
  EXPECT_TRUE(run(write));
  EXPECT_GT(write.result(), 0);
}

TEST_P(Readiness, BlockingSocketsNeverBlockTheDriver) {
  const OwnedFd listener = tcp_listener();
  make_blocking(listener);
  Recorder accept(driver());
  accept.accept(listener.get());
  accept.submit();
  fence(driver());
  EXPECT_FALSE(accept.done());

  const OwnedFd client = inet_socket();
  make_blocking(client);
  const sockaddr_in address = address_of(listener);
  Recorder connect(driver());
  connect.connect(client.get(), generic(address), sizeof address);
  connect.submit();
  EXPECT_TRUE(run(connect));
  EXPECT_EQ(connect.result(), 0);
  EXPECT_EQ(::fcntl(client.get(), F_GETFL) & O_NONBLOCK, 0) << "the mode is the caller's";
  EXPECT_TRUE(run(accept));
  const OwnedFd server = OwnedFd::adopt(accept.result());
  make_blocking(server);

  std::array<std::byte, 16> in{};
  Recorder recv(driver());
  recv.recv(server.get(), in);
  recv.submit();
  Recorder read(driver());
  read.read(client.get(), in);
  read.submit();
  fence(driver());
  EXPECT_FALSE(recv.done());
  EXPECT_FALSE(read.done());
  const std::string block(1 << 20, 's');
  Recorder send(driver());
  do {
    send.send(client.get(), bytes(block));
    send.submit();
    fence(driver());
  } while (send.done());
  EXPECT_TRUE(run(recv));
  EXPECT_EQ(recv.result(), 16);
  end(send);
  end(read);
}

// ---- connecting
// ----------------------------------------------------------------------------------

TEST_P(Readiness, AnEventBeforeTheOutcomeIsNotTakenForAConnection) {
  const OwnedFd listener = tcp_listener(0);
  const sockaddr_in address = address_of(listener);
  // One fits into a backlog of zero; the handshakes of the others are not answered.
  std::vector<OwnedFd> crowd;
  for (int i = 0; i < 3; ++i) crowd.push_back(tcp_client(listener));
  for (const bool attach : {true, false}) {
    const OwnedFd client = inet_socket();
    Attachment attached(driver(), client, attach);
    Recorder connect(driver());
    connect.connect(client.get(), generic(address), sizeof address);
    connect.submit();
    EXPECT_TRUE(sleeps());
    EXPECT_FALSE(connect.done()) << connect.result();
    end(connect);
    EXPECT_EQ(connect.result(), -ECANCELED);
  }
}

TEST_P(Readiness, AnOperationSubmittedAgainConnectsAgain) {
  const OwnedFd listener = tcp_listener();
  const sockaddr_in address = address_of(listener);
  Recorder connect(driver());
  for (int round = 0; round < 3; ++round) {
    const OwnedFd client = inet_socket();
    connect.connect(client.get(), generic(address), sizeof address);
    connect.submit();
    EXPECT_TRUE(run(connect));
    EXPECT_EQ(connect.result(), 0);
    // The same socket: connect(2) itself says 0 once more after EINPROGRESS, then EISCONN.
    connect.submit();
    EXPECT_TRUE(run(connect));
    EXPECT_THAT(connect.result(), AnyOf(0, -EISCONN));
    connect.submit();
    EXPECT_TRUE(run(connect));
    EXPECT_EQ(connect.result(), -EISCONN);
  }
}

// ---- completion functions that change everything
// -------------------------------------------------

TEST_P(Readiness, ACompletionMayCancelItsOwnMultishot) {
  for (const bool attach : {true, false}) {
    Pair pair = unix_pair(SOCK_SEQPACKET);
    Attachment attached(driver(), pair.a, attach);
    for (int i = 0; i < 3; ++i) put(pair.b, "x");
    Recorder recv(driver());
    recv.then = [&] { recv.cancel(); };
    recv.recv_multishot(pair.a.get());
    recv.submit();
    EXPECT_TRUE(run(recv));
    EXPECT_EQ(recv.count(), 2U);
    EXPECT_EQ(recv.result(), -ECANCELED);
    // What it did not take is there for the next one.
    recv.then = nullptr;
    recv.submit();
    EXPECT_TRUE(run_until(driver(), [&] { return recv.data() == "xxx"; }));
    end(recv);
  }
}

TEST_P(Readiness, ACompletionMayEndItsNeighboursAndMakeTheTableGrow) {
  Pair pair = unix_pair();
  Recorder first(driver());
  std::optional<Recorder> second(std::in_place, driver());
  std::optional<Recorder> third(std::in_place, driver());
  std::vector<std::unique_ptr<Recorder>> distant;
  std::vector<OwnedFd> twins;
  first.then = [&] {
    second->cancel();
    for (const int number : {2000, 9000}) {
      twins.push_back(OwnedFd::adopt(ok(::fcntl(pair.a.get(), F_DUPFD_CLOEXEC, number))));
      distant.push_back(std::make_unique<Recorder>(driver()));
      distant.back()->poll(twins.back().get(), POLLOUT);
      distant.back()->submit();
    }
  };
  third->then = [&] {
    if (second->done()) second.reset();
  };
  first.poll(pair.a.get(), POLLIN);
  first.submit();
  second->poll_multishot(pair.a.get(), POLLIN);
  second->submit();
  third->poll(pair.a.get(), POLLIN);
  third->submit();
  fence(driver());
  put(pair.b, "x");
  EXPECT_TRUE(run_until(driver(), [&] {
    return first.done() && third->done() && (!second || second->done()) && distant.size() == 2 &&
           distant[0]->done() && distant[1]->done();
  }));
}

TEST_P(Readiness, AReaderBehindAMultishotGetsWhatThatLeft) {
  for (const bool attach : {true, false}) {
    Pair pair = unix_pair(SOCK_SEQPACKET);
    Attachment attached(driver(), pair.a, attach);
    Recorder all(driver());
    all.recv_multishot(pair.a.get());
    all.then = [&] { all.cancel(); };
    all.submit();
    fence(driver());
    std::array<std::byte, 8> buffer{};
    Recorder one(driver());
    one.recv(pair.a.get(), buffer);
    one.submit();
    fence(driver());
    put(pair.b, "first");
    put(pair.b, "second");
    EXPECT_TRUE(run(all));
    EXPECT_TRUE(run(one));
    EXPECT_EQ(all.data(), "first");
    EXPECT_EQ(one.result(), 6);
  }
}

TEST_P(Readiness, ShutdownInsideACompletionEndsEverything) {
  Pair pair = unix_pair(SOCK_SEQPACKET);
  for (int i = 0; i < 3; ++i) put(pair.b, "x");
  Recorder recv(driver());
  Recorder waiting(driver());
  Recorder timeout(driver());
  waiting.poll(pair.a.get(), POLLPRI);
  waiting.submit();
  timeout.timeout(Instant::max());
  timeout.submit();
  recv.recv_multishot(pair.a.get());
  recv.then = [&] {
    if (recv.count() == 1) driver().shutdown();
  };
  recv.submit();
  EXPECT_TRUE(run(recv));
  EXPECT_EQ(recv.result(), -ECANCELED);
  EXPECT_EQ(waiting.result(), -ECANCELED);
  EXPECT_EQ(timeout.result(), -ECANCELED);
  EXPECT_FALSE(driver().has_in_flight());
  Recorder late(driver());
  late.nop();
  late.submit();
  driver().shutdown();
  EXPECT_EQ(late.result(), -ECANCELED);
}

// ---- limits
// --------------------------------------------------------------------------------------

TEST_P(Readiness, ALimitOfDescriptorsBelowWhatIsWatchedOnlySlowsItDown) {
  std::vector<Pair> pairs;
  std::vector<std::unique_ptr<Recorder>> polls;
  for (int i = 0; i < 12; ++i) {
    pairs.push_back(pipe_pair());
    polls.push_back(std::make_unique<Recorder>(driver()));
    polls.back()->poll(pairs.back().a.get(), POLLIN);
    polls.back()->submit();
  }
  rlimit before{};
  ok(::getrlimit(RLIMIT_NOFILE, &before));
  for (const rlim_t few : {5U, 0U}) {
    const rlimit lowered{few, before.rlim_max};
    ok(::setrlimit(RLIMIT_NOFILE, &lowered));
    fence(driver());
    driver().wait(Duration::from_millis(1));
    if (few != 0) {
      put(pairs.back().b, "x");
      EXPECT_TRUE(run(*polls.back()));
    }
    ok(::setrlimit(RLIMIT_NOFILE, &before));
  }
  put(pairs.front().b, "x");
  EXPECT_TRUE(run(*polls.front()));
  for (const auto& each : polls) end(*each);
}

}  // namespace
}  // namespace blitzio::driver::contract
