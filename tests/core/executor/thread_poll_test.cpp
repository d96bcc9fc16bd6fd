// ThreadPoll: threads without a driver wait for descriptors.
#include "core/executor/support.hpp"

#include <blitzio/executor/async_fd.hpp>
#include <blitzio/executor/local_executor.hpp>
#include <blitzio/executor/thread_poll.hpp>
#include <blitzio/net/tcp.hpp>
#include <blitzio/net/unix.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/task/select.hpp>

#include <array>
#include <cerrno>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace blitzio {
namespace {

/// The future's output, waited for by this thread alone; none at the deadline.
template <Future F>
std::optional<OutputOf<F>> wait_here(F future, Instant deadline = Instant::max()) {
  EXPECT_EQ(driver::DriverContext::current(), nullptr);
  ThreadParker& parker = ThreadParker::current();
  const Waker waker = parker.waker();
  Context context(waker);
  ThreadPoll descriptors;
  for (;;) {
    {
      const ThreadPoll::Scope scope(descriptors);
      if (auto answer = future.poll(context); answer.is_ready()) return std::move(answer).take();
    }
    if (Instant::now() >= deadline) return std::nullopt;
    EXPECT_TRUE(descriptors.park_until(parker, deadline));
  }
}

struct Pair {
  net::UnixStream ours;
  net::UnixStream theirs;
};
Pair make_pair() {
  auto pair = net::UnixStream::pair().value();
  return {std::move(pair.first), std::move(pair.second)};
}

std::string read_here(net::UnixStream& stream) {
  std::string buffer(16, '.');
  const auto count = wait_here(stream.read(std::as_writable_bytes(std::span(buffer))));
  buffer.resize(count.value().value());
  return buffer;
}

TEST(ThreadPoll, WaitsForBytesThatAreSentLater) {
  Pair pair = make_pair();
  std::thread sender([&pair] {
    EXPECT_EQ(read_here(pair.theirs), "go");
    EXPECT_TRUE(wait_here(pair.theirs.write(std::as_bytes(std::span("went", 4))))->has_value());
  });
  EXPECT_TRUE(wait_here(pair.ours.write(std::as_bytes(std::span("go", 2))))->has_value());
  EXPECT_EQ(read_here(pair.ours), "went");
  sender.join();
}

TEST(ThreadPoll, ReturnsAtTheDeadline) {
  Pair pair = make_pair();
  std::array<std::byte, 4> buffer{};
  EXPECT_FALSE(wait_here(pair.ours.read(buffer), Instant::now() + Duration::from_millis(1)));
  EXPECT_FALSE(pair.ours.async_fd().is_held_elsewhere());
}

TEST(ThreadPoll, WaitsForTheFirstOfSeveralDescriptors) {
  Pair a = make_pair();
  Pair b = make_pair();
  std::thread sender([&b] {
    EXPECT_TRUE(wait_here(b.theirs.write(std::as_bytes(std::span("b", 1))))->has_value());
  });
  const auto first = wait_here(select(a.ours.readable(), b.ours.readable()));
  EXPECT_EQ(first.value().index(), 1U);
  sender.join();
  EXPECT_EQ(read_here(b.ours), "b");
}

TEST(ThreadPoll, ClosingElsewhereEndsTheWait) {
  Pair pair = make_pair();
  std::thread closer([&pair] {
    while (!pair.ours.async_fd().is_held_elsewhere()) std::this_thread::yield();
    pair.ours.close();
  });
  std::array<std::byte, 4> buffer{};
  const auto count = wait_here(pair.ours.read(buffer));
  EXPECT_EQ(count.value().error(), Error::runtime(RuntimeErrc::closed));
  closer.join();
}

TEST(ThreadPoll, NeedsNotTheLoopOnWhichATaskWaits) {
  Pair pair = make_pair();
  auto executor = LocalExecutor::create({}).value();
  std::string buffer(4, '.');
  auto waiting = executor->spawn(pair.ours.read(std::as_writable_bytes(std::span(buffer))));
  executor->block_on(yield_now());
  for (const char* text : {"1", "2"}) {
    std::thread([&pair, text] {
      EXPECT_TRUE(wait_here(pair.theirs.write(std::as_bytes(std::span(text, 1))))->has_value());
    }).join();
    if (text[0] == '1') std::thread([&pair] { EXPECT_EQ(read_here(pair.ours), "1"); }).join();
  }
  EXPECT_EQ(executor->block_on(waiting).get().value(), 1U);
  EXPECT_EQ(buffer[0], '2');
}

TEST(Listener, IsClosedAtOnceWhoeverWaitsOnIt) {
  net::TcpListener listener = net::TcpListener::bind(Address::loopback_v4(0)).value();
  const Address address = listener.local_address().value();
  auto executor = LocalExecutor::create({}).value();
  // The executor stands still afterwards, so that it cannot give the socket back.
  auto waiting = executor->spawn(listener.accept());
  executor->block_on(yield_now());
  std::thread([&] {
    EXPECT_TRUE(listener.async_fd().is_held_elsewhere());
    listener.close();
    auto refused = wait_here(net::TcpStream::connect(address));
    EXPECT_EQ(refused.value().error(), Error::os(ECONNREFUSED));
    EXPECT_TRUE(net::TcpListener::bind(address, {.reuse_address = true}).has_value());
  }).join();
  EXPECT_EQ(executor->block_on(waiting).get().error(), Error::runtime(RuntimeErrc::closed));
}

}  // namespace
}  // namespace blitzio
