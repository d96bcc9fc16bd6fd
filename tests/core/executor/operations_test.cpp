#include <blitzio/base/owned_fd.hpp>
#include <blitzio/executor/operations.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/time/sleep.hpp>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <core/executor/support.hpp>

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace blitzio {
namespace {

using OperationsTest = OnEachBackend;
INSTANTIATE_TEST_SUITE_P(Executor, OperationsTest, testing::ValuesIn(usable_backends()),
                         backend_name);

struct Pair {
  Pair() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    a = OwnedFd::adopt(fds[0]);
    b = OwnedFd::adopt(fds[1]);
  }
  OwnedFd a;
  OwnedFd b;
};

op::Bytes bytes(std::string_view text) {
  const auto view = std::as_bytes(std::span(text));
  return {view.begin(), view.end()};
}
std::string text(const op::Transferred& done) {
  return {reinterpret_cast<const char*>(done.buffer.data()), done.count.value_or(0)};
}

TEST_P(OperationsTest, DataGoesThroughASocketPair) {
  Pair pair;
  auto body = [](int from, int to) -> Async<std::string> {
    auto sent = co_await op::send(from, bytes("..hello"), 2);
    EXPECT_EQ(sent.count.value(), 5U);
    EXPECT_EQ(sent.buffer.size(), 7U);
    co_return text(co_await op::recv(to, op::Bytes(64)));
  };
  EXPECT_EQ(executor_->block_on(body(pair.a.get(), pair.b.get())), "hello");
}

TEST_P(OperationsTest, AReceiverWaitsForItsSender) {
  Pair pair;
  auto receiving = [](int fd) -> Async<std::string> {
    co_return text(co_await op::recv(fd, op::Bytes(64)));
  };
  auto sending = [](int fd) -> Async<> {
    co_await time::sleep(Duration::from_millis(1));
    auto sent = co_await op::send(fd, bytes("late"));
    EXPECT_TRUE(sent.count.has_value());
  };
  auto sender = executor_->spawn(sending(pair.a.get()));
  EXPECT_EQ(executor_->block_on(receiving(pair.b.get())), "late");
}

TEST_P(OperationsTest, ErrorsKeepTheirErrno) {
  auto body = []() -> Async<int> {
    auto done = co_await op::recv(-1, op::Bytes(8));
    co_return done.count ? 0 : done.count.error().code();
  };
  EXPECT_EQ(executor_->block_on(body()), EBADF);
}

TEST_P(OperationsTest, DroppedInFlightItsBufferLivesUntilTheDriverIsDone) {
  Pair pair;
  ASSERT_TRUE(executor_->bind().has_value());
  for (int round = 0; round < 50; ++round) {
    auto handle = executor_->spawn([](int fd) -> Async<> {
      const auto done = co_await op::recv(fd, op::Bytes(4096));
      ADD_FAILURE() << "received " << done.count.value_or(0);
    }(pair.b.get()));
    executor_->turn(Duration::zero());
    handle.cancel();
    if (round % 2 == 0) {
      // The bytes race with the cancellation: whatever the driver answers, nothing leaks.
      ASSERT_EQ(write(pair.a.get(), "x", 1), 1);
    }
    executor_->turn(Duration::zero());
    EXPECT_TRUE(handle.try_join()->is_cancelled());
    while (executor_->driver().has_in_flight()) executor_->turn(Duration::max());
    char drained[8];
    static_cast<void>(recv(pair.b.get(), drained, sizeof drained, MSG_DONTWAIT));
  }
  executor_->unbind();
}

TEST_P(OperationsTest, AFutureThatOutlivesItsExecutorFreesItsBlock) {
  Pair pair;
  std::optional<decltype(op::recv(0, {}))> kept(op::recv(pair.b.get(), op::Bytes(16)));
  ASSERT_TRUE(executor_->bind().has_value());
  const Waker nobody;
  Context context(nobody);
  EXPECT_TRUE(kept->poll(context).is_pending());
  executor_->turn(Duration::zero());
  executor_->shutdown();
  executor_->unbind();
  executor_.reset();
  auto answer = kept->poll(context);
  ASSERT_TRUE(answer.is_ready());
  EXPECT_TRUE(answer.value().count.error().is_os(ECANCELED));
  kept.reset();
}

TEST_P(OperationsTest, ShutdownCancelsWhatItsTasksHaveInFlight) {
  Pair pair;
  ASSERT_TRUE(executor_->bind().has_value());
  auto handle = executor_->spawn(op::recv(pair.b.get(), op::Bytes(16)));
  executor_->turn(Duration::zero());
  executor_->shutdown();
  EXPECT_FALSE(executor_->driver().has_in_flight());
  EXPECT_TRUE(handle.try_join()->is_cancelled());
  executor_->unbind();
}

TEST_P(OperationsTest, ReadinessIsReportedAndLosesNothingWhenDropped) {
  Pair pair;
  auto body = [](Pair& both) -> Async<std::uint32_t> {
    {
      auto dropped = op::poll(both.b.get(), POLLIN);
    }
    auto sent = co_await op::send(both.a.get(), bytes("x"));
    EXPECT_TRUE(sent.count.has_value());
    co_return (co_await op::poll(both.b.get(), POLLIN)).value();
  };
  EXPECT_TRUE(executor_->block_on(body(pair)) & POLLIN);
}

struct Listener {
  Listener() {
    fd = OwnedFd::adopt(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    EXPECT_EQ(bind(fd.get(), generic(), length), 0);
    EXPECT_EQ(listen(fd.get(), 16), 0);
    EXPECT_EQ(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  }
  const sockaddr* generic() const { return reinterpret_cast<const sockaddr*>(&address); }
  OwnedFd fd;
  sockaddr_in address{};
};

TEST_P(OperationsTest, AcceptAndConnectMeet) {
  Listener listener;
  auto serving = [](int fd) -> Async<OwnedFd> {
    auto accepted = co_await op::accept(fd);
    co_return std::move(accepted).value();
  };
  auto server = executor_->spawn(serving(listener.fd.get()));
  auto body = [](Listener& to, JoinHandle<OwnedFd>& accepting) -> Async<std::string> {
    const auto client =
        OwnedFd::adopt(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    auto connected = co_await op::connect(client.get(), to.generic(), sizeof to.address);
    EXPECT_TRUE(connected.has_value());
    const OwnedFd peer = (co_await accepting).get();
    auto sent = co_await op::send(client.get(), bytes("through"));
    EXPECT_EQ(sent.count.value(), 7U);
    co_return text(co_await op::recv(peer.get(), op::Bytes(32)));
  };
  EXPECT_EQ(executor_->block_on(body(listener, server)), "through");
}

TEST_P(OperationsTest, AConnectionAcceptedForADroppedFutureIsClosed) {
  Listener listener;
  ASSERT_TRUE(executor_->bind().has_value());
  auto handle = executor_->spawn(op::accept(listener.fd.get()));
  executor_->turn(Duration::zero());
  const auto client = OwnedFd::adopt(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(connect(client.get(), listener.generic(), sizeof listener.address), 0);
  handle.cancel();
  while (executor_->driver().has_in_flight() || !handle.is_finished()) {
    executor_->turn(Duration::max());
  }
  executor_->unbind();
  EXPECT_TRUE(handle.try_join()->is_cancelled());
  // The driver had the connection already, and then it is closed with the result that nobody takes,
  // or the listener still queues it: without the listener the client has no peer.
  listener.fd.reset();
  char byte = 0;
  EXPECT_LE(recv(client.get(), &byte, 1, 0), 0);
}

}  // namespace
}  // namespace blitzio
