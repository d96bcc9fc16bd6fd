// The driver contract: how connections begin. See support.hpp.
#include "support.hpp"

#include <sys/un.h>

#include <algorithm>

namespace blitzio::driver::contract {
namespace {

BLITZIO_DRIVER_CONTRACT();

sockaddr_un unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

void expect_accepted_flags(int fd) {
  EXPECT_EQ(::fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  EXPECT_EQ(::fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}

/// Closes what an accepting operation brought.
void close_accepted(const Recorder& accept) {
  for (const Recorder::Seen& one : accept.seen()) {
    if (one.result >= 0) ::close(one.result);
  }
}

// ---- accept
// --------------------------------------------------------------------------------------

TEST_P(DriverContract, AcceptGivesANonBlockingCloseOnExecSocket) {
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    const OwnedFd listener = tcp_listener();
    Attachment attachment(driver(), listener, attached);
    Recorder accept(driver());
    for (const bool waits : {false, true}) {
      OwnedFd client;
      if (!waits) client = tcp_client(listener);
      accept.accept(listener.get());
      accept.submit();
      if (waits) {
        fence(driver());
        EXPECT_FALSE(accept.done());
        client = tcp_client(listener);
      }
      ASSERT_TRUE(run_until(driver(), [&] { return accept.done(); }));
      ASSERT_GE(accept.result(), 0);
      const OwnedFd server = OwnedFd::adopt(accept.result());
      expect_accepted_flags(server.get());
      put(client, "hi");
      ASSERT_TRUE(wait_for(server, POLLIN));
      EXPECT_EQ(take(server), "hi");
    }
  }
}

TEST_P(DriverContract, AcceptMultishotReportsEachConnectionUntilCancelled) {
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    const OwnedFd listener = tcp_listener();
    Attachment attachment(driver(), listener, attached);
    Recorder accept(driver());
    accept.accept_multishot(listener.get());
    std::vector<OwnedFd> clients;
    for (int i = 0; i < 100; ++i) clients.push_back(tcp_client(listener));
    accept.submit();
    ASSERT_TRUE(run_until(driver(), [&] { return accept.count() >= 100; }));
    for (int i = 0; i < 20; ++i) {
      clients.push_back(tcp_client(listener));
      const std::size_t now = clients.size();
      ASSERT_TRUE(run_until(driver(), [&] { return accept.count() >= now; }));
    }
    EXPECT_EQ(accept.count(), 120U);
    std::vector<int> fds;
    for (const Recorder::Seen& one : accept.seen()) {
      ASSERT_TRUE(one.more);
      ASSERT_GE(one.result, 0);
      expect_accepted_flags(one.result);
      fds.push_back(one.result);
    }
    std::ranges::sort(fds);
    EXPECT_EQ(std::ranges::adjacent_find(fds), fds.end());
    accept.cancel();
    ASSERT_TRUE(run_until(driver(), [&] { return accept.done(); }));
    EXPECT_EQ(accept.result(), -ECANCELED);
    close_accepted(accept);
  }
}

TEST_P(DriverContract, AcceptMultishotTellsThePeerOrNothing) {
  const OwnedFd listener = tcp_listener();
  Recorder accept(driver());
  accept.accept_multishot(listener.get());
  accept.submit();
  for (std::size_t i = 0; i < 3; ++i) {
    const OwnedFd client = tcp_client(listener);
    ASSERT_TRUE(run_until(driver(), [&] { return accept.count() > i; }));
    const sockaddr_in name = address_of(client);
    const std::string expected(reinterpret_cast<const char*>(&name), sizeof name);
    const std::string& told = accept.seen()[i].data;
    EXPECT_TRUE(told == expected || (told.empty() && GetParam() == Backend::io_uring));
  }
  accept.cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return accept.done(); }));
  close_accepted(accept);
}

TEST_P(DriverContract, HandOverFreesTheAddressOfACancelledListener) {
  change_faults("busy=0.5", "requests stayed behind that the kernel had not taken at once");
  for (const bool was_armed : {false, true}) {
    SCOPED_TRACE(was_armed);
    OwnedFd listener = tcp_listener();
    const sockaddr_in to = address_of(listener);
    Attachment attachment(driver(), listener, true);
    Recorder accept(driver());
    accept.accept_multishot(listener.get());
    accept.submit();
    if (was_armed) fence(driver());
    accept.cancel();
    driver().hand_over();
    EXPECT_FALSE(accept.done()) << "completions come from dispatch() alone";
    attachment.detach();
    listener.reset();
    const OwnedFd client = OwnedFd::adopt(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(client.get(), generic(to), sizeof to), -1);
    EXPECT_EQ(errno, ECONNREFUSED);
    ASSERT_TRUE(run_until(driver(), [&] { return accept.done(); }));
    EXPECT_EQ(accept.result(), -ECANCELED);
  }
}

TEST_P(DriverContract, AcceptErrorsArriveAsTheyAre) {
  const Pair pipe = pipe_pair();
  const OwnedFd udp = bound_socket(SOCK_DGRAM);
  const OwnedFd idle = inet_socket();
  Recorder op(driver());
  for (const bool multishot : {false, true}) {
    SCOPED_TRACE(multishot);
    const auto outcome = [&](int fd) {
      if (multishot) {
        op.accept_multishot(fd);
      } else {
        op.accept(fd);
      }
      op.forget();
      complete(op);
      EXPECT_EQ(op.count(), 1U);
      return op.result();
    };
    EXPECT_EQ(outcome(kBadFd), -EBADF);
    EXPECT_EQ(outcome(-1), -EBADF);
    EXPECT_EQ(outcome(pipe.a.get()), -ENOTSOCK);
    EXPECT_EQ(outcome(udp.get()), -EOPNOTSUPP);
    EXPECT_EQ(outcome(idle.get()), -EINVAL) << "no listener";
  }
}

TEST_P(DriverContract, AcceptReportsThatDescriptorsRanOut) {
  for (const bool multishot : {false, true}) {
    SCOPED_TRACE(multishot);
    const OwnedFd listener = tcp_listener();
    const OwnedFd client = tcp_client(listener);
    ASSERT_TRUE(wait_for(listener, POLLIN));
    Recorder op(driver());
    if (multishot) {
      op.accept_multishot(listener.get());
    } else {
      op.accept(listener.get());
    }
    {
      const NoFreeDescriptor none;
      complete(op);
    }
    EXPECT_EQ(op.result(), -EMFILE);
    // The connection is not lost.
    op.accept(listener.get());
    EXPECT_GE(complete(op), 0);
    ::close(op.result());
  }
}

// ---- connect
// -------------------------------------------------------------------------------------

TEST_P(DriverContract, ConnectWaitsForTheHandshake) {
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    const OwnedFd listener = tcp_listener();
    const sockaddr_in to = address_of(listener);
    const OwnedFd client = inet_socket();
    Attachment attachment(driver(), client, attached);
    Recorder op(driver());
    op.connect(client.get(), generic(to), sizeof to);
    EXPECT_EQ(complete(op), 0);
    put(client, "x");
  }
}

TEST_P(DriverContract, ConnectIsRefusedWithoutAListener) {
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    const OwnedFd bound = bound_socket(SOCK_STREAM);  // Bound, so nobody else gets the port.
    const sockaddr_in to = address_of(bound);
    const OwnedFd client = inet_socket();
    Attachment attachment(driver(), client, attached);
    Recorder op(driver());
    op.connect(client.get(), generic(to), sizeof to);
    EXPECT_EQ(complete(op), -ECONNREFUSED);
  }
}

TEST_P(DriverContract, ConnectErrorsArriveAsTheyAre) {
  TempDir dir;
  const sockaddr_in to = loopback(1);
  const Pair pipe = pipe_pair();
  Recorder op(driver());
  op.connect(kBadFd, generic(to), sizeof to);
  EXPECT_EQ(complete(op), -EBADF);
  op.connect(-1, generic(to), sizeof to);
  EXPECT_EQ(complete(op), -EBADF);
  op.connect(pipe.a.get(), generic(to), sizeof to);
  EXPECT_EQ(complete(op), -ENOTSOCK);
  const OwnedFd client =
      OwnedFd::adopt(ok(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)));
  const sockaddr_un missing = unix_address(dir.path() + "/missing");
  op.connect(client.get(), generic(missing), sizeof missing);
  EXPECT_EQ(complete(op), -ENOENT);
  op.connect(client.get(), generic(to), sizeof to);
  EXPECT_EQ(complete(op), -EINVAL) << "an address of another family";
  const Pair connected = tcp_pair();
  op.connect(connected.b.get(), generic(to), sizeof to);
  EXPECT_EQ(complete(op), -EISCONN);
}

TEST_P(DriverContract, ConnectToAFullUnixBacklogNeverClaimsSuccess) {
  TempDir dir;
  const sockaddr_un to = unix_address(dir.file("socket"));
  const auto unix_socket = [] {
    return OwnedFd::adopt(ok(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)));
  };
  const OwnedFd listener = unix_socket();
  ok(::bind(listener.get(), generic(to), sizeof to));
  ok(::listen(listener.get(), 0));
  const OwnedFd first = unix_socket();
  ok(::connect(first.get(), generic(to), sizeof to));
  const OwnedFd second = unix_socket();
  Recorder op(driver());
  op.connect(second.get(), generic(to), sizeof to);
  op.submit();
  fence(driver());
  op.cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
  EXPECT_TRUE(op.result() == -EAGAIN || op.result() == -ECANCELED) << op.result();
}

}  // namespace
}  // namespace blitzio::driver::contract
