// What the readiness core promises beyond the contract suite, on each of its backends: edges that
// must not get lost, the bounds of a turn, and what a turn costs.
#include "core/driver/readiness_support.hpp"

#include <linux/errqueue.h>
#include <sys/wait.h>

#include <random>
#include <thread>

namespace blitzio::driver::contract {
namespace {

BLITZIO_READINESS_TESTS();

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
    Receiving recv(driver(), pair.a);
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
  Receiving recv(driver(), pair.a);
  fence(driver());
  put(pair.b, "abc");
  ok(static_cast<int>(::send(pair.b.get(), "!", 1, MSG_OOB)));
  put(pair.b, "def");
  EXPECT_TRUE(run_until(driver(), [&] { return recv.data() == "abcdef"; })) << recv.data();
  end(recv);
}

// The mark stays where the urgent byte was when that is read alone, and events are silent of it:
// one that follows looks like any other, but a read ends at the mark.
TEST_P(Readiness, DataBehindTheMarkOfAnUrgentByteThatWasReadArrives) {
  for (const bool sees_mark : {true, false}) {
    Pair pair = tcp_pair();
    Attachment attached(driver(), pair.a, true);
    std::array<std::byte, 100> buffer{};
    std::array<std::byte, 1> urgent{};
    const auto look = [&] {
      for (int i = 0; i < 32; ++i) driver().collect();  // Nobody waits: one of them does.
    };
    const auto receive = [&](std::span<std::byte> into, int flags) {
      Recorder recv(driver());
      recv.recv(pair.a.get(), into, flags);
      recv.submit();
      EXPECT_TRUE(run(recv));
      return text(into.first(static_cast<std::size_t>(std::max(recv.result(), 0))));
    };
    put(pair.b, "abc");
    ok(static_cast<int>(::send(pair.b.get(), "!", 1, MSG_OOB)));
    put(pair.b, "def");
    EXPECT_TRUE(wait_for(pair.a, POLLPRI));
    if (sees_mark) look();
    EXPECT_EQ(receive(urgent, MSG_OOB), "!");
    put(pair.b, "ghi");
    look();
    std::string all;
    while (all.size() < 9) {
      const std::string some = receive(buffer, 0);
      ASSERT_NE(some, "") << all;
      all += some;
    }
    EXPECT_EQ(all, "abcdefghi");
  }
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
  Receiving recv(driver(), pair.a);
  fence(driver());
  const MessageWithFd message("with", pair.b);
  ok(static_cast<int>(::sendmsg(pair.b.get(), message.get(), 0)));
  put(pair.b, "behind");
  EXPECT_TRUE(run_until(driver(), [&] { return recv.data() == "withbehind"; }));
  end(recv);
}

TEST_P(Readiness, BytesBehindAUnixSocketsUrgentMarkArrive) {
  Pair pair = unix_pair();
  Attachment attached(driver(), pair.a, true);
  Receiving recv(driver(), pair.a);
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
  Receiving recv(driver(), pair.a);
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
    Receiving recv(driver(), pair.a);
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
  Receiving recv(driver(), pair.a);
  std::size_t sent = 0;
  for (int round = 0; round < 20; ++round) {
    sent += fill(pair.b);
    EXPECT_TRUE(run_until(driver(), [&] { return recv.data_bytes() == sent; }));
  }
  end(recv);
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
  Receiving recv(driver(), pair.a);
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

}  // namespace
}  // namespace blitzio::driver::contract
