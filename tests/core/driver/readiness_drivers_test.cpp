// What the readiness core promises beyond the contract suite, on each of its backends: descriptors
// closed and reused behind the driver's back, edges that must not get lost, the bounds of a turn,
// descriptors in blocking mode, completion functions that change everything around them.
#include "core/driver/support.hpp"

#include <blitzio/driver/epoll/epoll_driver.hpp>
#include <blitzio/driver/poll/poll_driver.hpp>

#include <gmock/gmock.h>
#include <linux/errqueue.h>
#include <sys/wait.h>

#include <optional>
#include <random>
#include <thread>

namespace blitzio::driver::contract {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::Ge;
using testing::Le;

class Readiness : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override {
    auto made = GetParam() == Backend::epoll ? make_epoll({}) : make_poll({});
    ASSERT_TRUE(made.has_value()) << made.error().message();
    driver_ = std::move(*made);
    ASSERT_TRUE(driver_->bind());
  }
  void TearDown() override { EXPECT_FALSE(driver_->has_in_flight()); }

  [[nodiscard]] Driver& driver() { return *driver_; }
  [[nodiscard]] bool run(const Recorder& operation) {
    return run_until(*driver_, [&] { return operation.done(); });
  }
  /// Cancels, and takes the one completion that is still to come.
  void end(Recorder& operation) {
    operation.cancel();
    EXPECT_TRUE(run(operation));
  }
  /// A driver that spins returns from wait() at once, each time; one that was told something stale
  /// does so once or twice.
  [[nodiscard]] bool sleeps() {
    constexpr Duration kNap = Duration::from_millis(2);
    for (int attempt = 0; attempt < 8; ++attempt) {
      const Instant before = Instant::now();
      driver_->wait(kNap);
      driver_->dispatch();
      if (Instant::now() - before >= kNap) return true;
    }
    return false;
  }

  std::unique_ptr<Driver> driver_;
};

INSTANTIATE_TEST_SUITE_P(Backends, Readiness, testing::Values(Backend::epoll, Backend::poll),
                         backend_name);

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

// ---- no edge is lost
// -----------------------------------------------------------------------------

/// A byte stream that a thread feeds in small pieces, ending right behind the last.
void feed(const OwnedFd& fd, std::size_t total) {
  std::mt19937 random(7);
  std::string piece;
  for (std::size_t sent = 0; sent < total;) {
    piece.assign(std::min<std::size_t>(1 + random() % 300, total - sent), 'p');
    const ssize_t n = ::send(fd.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
    } else {
      pollfd item{fd.get(), POLLOUT, 0};
      ::poll(&item, 1, -1);
    }
    if (random() % 8 == 0) std::this_thread::yield();
  }
  ::shutdown(fd.get(), SHUT_WR);
}

constexpr std::size_t kStreamBytes = 1'000'000;

TEST_P(Readiness, MultishotReceiveMissesNothingThatAThreadSends) {
  for (const bool is_tcp : {true, false}) {
    for (const bool attach : {true, false}) {
      Pair pair = is_tcp ? tcp_pair() : unix_pair();
      Attachment attached(driver(), pair.a, attach);
      Recorder recv(driver());
      recv.recv_multishot(pair.a.get());
      std::size_t bytes_seen = 0;
      recv.then = [&] {
        bytes_seen += recv.data_bytes();
        recv.forget();
      };
      recv.submit();
      std::thread sender([&] { feed(pair.b, kStreamBytes); });
      EXPECT_TRUE(run(recv));
      sender.join();
      EXPECT_EQ(bytes_seen, kStreamBytes) << "tcp " << is_tcp << ", attached " << attach;
    }
  }
}

TEST_P(Readiness, OneShotReceivesMissNothingThatAThreadSends) {
  for (const bool is_tcp : {true, false}) {
    for (const bool attach : {true, false}) {
      Pair pair = is_tcp ? tcp_pair() : unix_pair();
      Attachment attached(driver(), pair.a, attach);
      std::array<std::byte, 200> buffer{};
      Recorder recv(driver());
      std::size_t total = 0;
      bool ended = false;
      const auto next = [&] {
        recv.recv(pair.a.get(), buffer);
        recv.submit();
      };
      recv.then = [&] {
        if (recv.result() <= 0) {
          ended = true;
          return;
        }
        total += static_cast<std::size_t>(recv.result());
        recv.forget();
        next();
      };
      next();
      std::thread sender([&] { feed(pair.b, kStreamBytes / 4); });
      EXPECT_TRUE(run_until(driver(), [&] { return ended; }));
      sender.join();
      EXPECT_EQ(recv.result(), 0);
      EXPECT_EQ(total, kStreamBytes / 4) << "tcp " << is_tcp << ", attached " << attach;
    }
  }
}

TEST_P(Readiness, PollAndOwnReadsMissNothingThatAThreadSends) {
  for (const bool is_multishot : {false, true}) {
    for (const bool attach : {true, false}) {
      Pair pair = tcp_pair();
      Attachment attached(driver(), pair.a, attach);
      Recorder poll(driver());
      std::size_t total = 0;
      bool ended = false;
      const auto next = [&] {
        if (is_multishot) {
          poll.poll_multishot(pair.a.get(), POLLIN);
        } else {
          poll.poll(pair.a.get(), POLLIN);
        }
        poll.submit();
      };
      poll.then = [&] {
        char buffer[500];
        ssize_t n = 0;
        while (!ended && (n = ::read(pair.a.get(), buffer, sizeof buffer)) >= 0) {
          total += static_cast<std::size_t>(n);
          ended = n == 0;
        }
        poll.forget();
        if (!is_multishot && !ended) next();
      };
      next();
      std::thread sender([&] { feed(pair.b, kStreamBytes / 4); });
      EXPECT_TRUE(run_until(driver(), [&] { return ended; }));
      sender.join();
      poll.then = nullptr;
      if (!poll.done()) end(poll);
      EXPECT_EQ(total, kStreamBytes / 4) << "multishot " << is_multishot << ", attached " << attach;
    }
  }
}

TEST_P(Readiness, DataAndEndInOneEventBothArrive) {
  for (const bool attach : {true, false}) {
    Pair pair = tcp_pair();
    Attachment attached(driver(), pair.a, attach);
    Recorder recv(driver());
    recv.recv_multishot(pair.a.get());
    recv.submit();
    fence(driver());
    put(pair.b, "last words");
    ok(::shutdown(pair.b.get(), SHUT_WR));
    EXPECT_TRUE(run(recv));
    EXPECT_EQ(recv.data(), "last words");
    EXPECT_EQ(recv.result(), 0);
  }
}

TEST_P(Readiness, DataBehindAnUrgentMarkArrivesWithoutFurtherTraffic) {
  Pair pair = tcp_pair();
  Attachment attached(driver(), pair.a, true);
  Recorder recv(driver());
  recv.recv_multishot(pair.a.get());
  recv.submit();
  fence(driver());
  put(pair.b, "abc");
  ok(static_cast<int>(::send(pair.b.get(), "!", 1, MSG_OOB)));
  put(pair.b, "def");
  EXPECT_TRUE(run_until(driver(), [&] { return recv.data() == "abcdef"; })) << recv.data();
  end(recv);
}

TEST_P(Readiness, ADatagramReadIsNotTakenForADrainedQueue) {
  const OwnedFd to = bound_socket(SOCK_DGRAM);
  const OwnedFd from = inet_socket(SOCK_DGRAM);
  const sockaddr_in address = address_of(to);
  ok(::connect(from.get(), generic(address), sizeof address));
  Attachment attached(driver(), to, true);
  std::array<std::byte, 100> buffer{};
  Recorder recv(driver());
  recv.recv(to.get(), buffer);
  recv.submit();
  fence(driver());
  put(from, "one");
  put(from, "three");
  EXPECT_TRUE(run(recv));
  EXPECT_EQ(recv.result(), 3);
  recv.recv(to.get(), buffer);
  recv.submit();
  EXPECT_TRUE(run(recv));
  EXPECT_EQ(recv.result(), 5);
}

TEST_P(Readiness, BytesBehindAPassedDescriptorArrive) {
  Pair pair = unix_pair();
  Attachment attached(driver(), pair.a, true);
  Recorder recv(driver());
  recv.recv_multishot(pair.a.get());
  recv.submit();
  fence(driver());

  iovec vector = vector_of(bytes("with"));
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int passed = pair.b.get();
  std::memcpy(CMSG_DATA(header), &passed, sizeof passed);
  ok(static_cast<int>(::sendmsg(pair.b.get(), &message, 0)));
  put(pair.b, "behind");
  EXPECT_TRUE(run_until(driver(), [&] { return recv.data() == "withbehind"; }));
  end(recv);
}

TEST_P(Readiness, BytesBehindAUnixSocketsUrgentMarkArrive) {
  Pair pair = unix_pair();
  Attachment attached(driver(), pair.a, true);
  Recorder recv(driver());
  recv.recv_multishot(pair.a.get());
  recv.submit();
  fence(driver());
  put(pair.b, "abc");
  if (::send(pair.b.get(), "!", 1, MSG_OOB) < 0) {
    EXPECT_EQ(errno, EOPNOTSUPP);  // Kernels before 5.15, or built without it.
  }
  put(pair.b, "def");
  EXPECT_TRUE(run_until(driver(), [&] { return recv.data() == "abcdef"; })) << recv.data();
  put(pair.b, "more");
  EXPECT_TRUE(run_until(driver(), [&] { return recv.data() == "abcdefmore"; })) << recv.data();
  end(recv);
}

TEST_P(Readiness, WhatSeveralWritersSendToASocketThatAsksForTheirNamesArrives) {
  // A read then ends where the writer changes.
  Pair pair = unix_pair();
  const int on = 1;
  ok(::setsockopt(pair.a.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
  Attachment attached(driver(), pair.a, true);
  Recorder recv(driver());
  recv.recv_multishot(pair.a.get());
  recv.submit();
  fence(driver());
  put(pair.b, "mine");
  const pid_t child = ok(::fork());
  if (child == 0) {
    (void)!::write(pair.b.get(), "theirs", 6);
    ::_exit(0);
  }
  int status = 0;
  ok(::waitpid(child, &status, 0));
  put(pair.b, "mine");
  EXPECT_TRUE(run_until(driver(), [&] { return recv.data() == "minetheirsmine"; })) << recv.data();
  end(recv);
}

TEST_P(Readiness, AShortReadOfAUnixStreamIsNotFollowedByAnother) {
  // Told by a byte that arrives between the two: it takes another turn.
  Pair pair = unix_pair();
  Attachment attached(driver(), pair.a, true);
  Recorder recv(driver());
  recv.recv_multishot(pair.a.get());
  recv.then = [&] {
    if (recv.count() == 1) put(pair.b, "second");
  };
  recv.submit();
  fence(driver());
  put(pair.b, "first");
  while (recv.count() == 0) {
    driver().wait(Duration::from_secs(1));
    driver().dispatch();
  }
  EXPECT_EQ(recv.data(), "first");
  EXPECT_TRUE(run_until(driver(), [&] { return recv.data() == "firstsecond"; }));
  end(recv);
}

TEST_P(Readiness, EventsThatComeBeforeDispatchAreAllReported) {
  Pair pair = tcp_pair();
  Attachment attached(driver(), pair.a, true);
  Recorder poll(driver());
  poll.poll_multishot(pair.a.get(), POLLIN | POLLRDHUP);
  poll.submit();
  fence(driver());
  const auto all = [&] {
    std::int32_t mask = 0;
    for (const auto& one : poll.seen()) mask |= one.result;
    return mask;
  };
  put(pair.b, "x");
  driver().collect();
  ok(::shutdown(pair.b.get(), SHUT_WR));
  driver().collect();
  EXPECT_TRUE(run_until(driver(), [&] { return all() == (POLLIN | POLLRDHUP); }));
  end(poll);
}

// ---- the share of one turn
// -----------------------------------------------------------------------

TEST_P(Readiness, OneMultishotReceiveDoesNotTakeTheWholeTurn) {
  for (const bool attach : {true, false}) {
    Pair pair = unix_pair(SOCK_SEQPACKET);
    Attachment attached(driver(), pair.a, attach);
    Recorder recv(driver());
    recv.recv_multishot(pair.a.get());
    recv.submit();
    fence(driver());
    for (int i = 0; i < 20; ++i) put(pair.b, "x");
    driver().wait(kPatience);
    EXPECT_EQ(driver().dispatch(), 16U);
    EXPECT_TRUE(driver().has_completions());
    driver().collect();
    EXPECT_EQ(driver().dispatch(), 4U);
    EXPECT_EQ(recv.data(), std::string(20, 'x'));
    end(recv);
  }
}

TEST_P(Readiness, OneMultishotAcceptDoesNotTakeTheWholeTurn) {
  const OwnedFd listener = tcp_listener();
  std::vector<OwnedFd> clients;
  for (int i = 0; i < 100; ++i) clients.push_back(tcp_client(listener));
  Recorder accept(driver());
  accept.accept_multishot(listener.get());
  accept.submit();
  driver().collect();
  EXPECT_EQ(driver().dispatch(), 64U);
  EXPECT_TRUE(run_until(driver(), [&] { return accept.count() == 100; }));
  end(accept);
  for (const auto& seen : accept.seen()) {
    if (seen.result >= 0) ::close(seen.result);
  }
}

TEST_P(Readiness, ABigReceiveIsReadOnUntilTheSocketIsEmpty) {
  Pair pair = tcp_pair();
  const int size = 4 << 20;
  ok(::setsockopt(pair.a.get(), SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
  Attachment attached(driver(), pair.a, true);
  Recorder recv(driver());
  recv.recv_multishot(pair.a.get());
  recv.submit();
  std::size_t sent = 0;
  for (int round = 0; round < 20; ++round) {
    sent += fill(pair.b);
    EXPECT_TRUE(run_until(driver(), [&] { return recv.data_bytes() == sent; }));
  }
  end(recv);
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

// ---- the error queue
// -----------------------------------------------------------------------------

TEST_P(Readiness, AWaiterForTheErrorQueueNeitherSpinsNorHidesData) {
  for (const bool attach : {true, false}) {
    const OwnedFd to = bound_socket(SOCK_DGRAM);
    const OwnedFd from = inet_socket(SOCK_DGRAM);
    const sockaddr_in address = address_of(to);
    ok(::connect(from.get(), generic(address), sizeof address));
    Attachment attached(driver(), to, attach);
    msghdr message{};
    Recorder errors(driver());
    errors.recvmsg(to.get(), &message, MSG_ERRQUEUE);
    errors.submit();
    fence(driver());
    put(from, "data");
    EXPECT_TRUE(sleeps());
    EXPECT_FALSE(errors.done());
    std::array<std::byte, 16> buffer{};
    Recorder recv(driver());
    recv.recv(to.get(), buffer);
    recv.submit();
    EXPECT_TRUE(run(recv));
    EXPECT_EQ(recv.result(), 4);
    end(errors);
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

// ---- what it costs
// -------------------------------------------------------------------------------

TEST_P(Readiness, CollectingWithNobodyWaitingMakesNoSystemCall) {
  Pair pair = unix_pair();
  Attachment attached(driver(), pair.a, true);
  const std::uint64_t before = driver().metrics().syscalls;
  for (int i = 0; i < 31; ++i) driver().collect();
  EXPECT_EQ(driver().metrics().syscalls, before);
}

TEST_P(Readiness, CollectingForBackgroundOperationsAloneLooksNowAndThen) {
  Pair pair = unix_pair();
  Recorder background(driver());
  background.set_background();
  background.poll(pair.a.get(), POLLIN);
  background.submit();
  put(pair.b, "x");
  int collects = 0;
  for (; !driver().has_completions() && collects < 100; ++collects) driver().collect();
  EXPECT_EQ(collects, 32);
  EXPECT_EQ(driver().dispatch(), 1U);
  EXPECT_EQ(background.result(), POLLIN);
  // A wait that may block looks at once.
  background.poll(pair.a.get(), POLLIN);
  background.submit();
  driver().wait(kPatience);
  EXPECT_EQ(driver().dispatch(), 1U);
}

TEST_P(Readiness, AnAttachedStreamCostsOneSystemCallPerTurn) {
  Pair pair = tcp_pair();
  Attachment attached(driver(), pair.a, true);
  Recorder recv(driver());
  recv.recv_multishot(pair.a.get());
  recv.submit();
  fence(driver());
  const std::uint64_t before = driver().metrics().syscalls;
  for (int i = 0; i < 10; ++i) {
    put(pair.b, "ping");
    driver().wait(kPatience);
    EXPECT_EQ(driver().dispatch(), 1U);
  }
  EXPECT_EQ(driver().metrics().syscalls - before, 10U);
  end(recv);
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
