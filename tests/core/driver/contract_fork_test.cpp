// The driver contract: forking. A child has copies of everything and owns none of it. See
// support.hpp.
#include "support.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

namespace blitzio::driver::contract {
namespace {

BLITZIO_DRIVER_CONTRACT();

/// Runs `body` in a forked child; true if it returned true.
template <class Body>
[[nodiscard]] bool in_child(Body&& body) {
  const pid_t child = ok(::fork(), "fork");
  if (child == 0) ::_exit(body() && !testing::Test::HasFailure() ? 0 : 1);
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_P(DriverContract, AForkedChildThatEndsItsCopyOfTheDriverLeavesTheParentsAlone) {
  change_faults("late=0", "counts turns");
  const Pair attached = tcp_pair();
  const Pair plain = unix_pair();
  const Pair polled = unix_pair();
  const Pair written = unix_pair();
  const Pair piped = pipe_pair();
  Attachment attachment(driver(), attached.a, true);
  std::array<std::byte, 8> buffer{};
  Recorder stream(driver()), recv(driver()), poll(driver()), later(driver()), write(driver());
  Recorder reads(driver());
  stream.recv_multishot(attached.a.get());
  recv.recv(plain.a.get(), buffer);
  poll.poll(polled.a.get(), POLLIN);
  later.timeout(Instant::now() + Duration::from_millis(1));
  fill(written.a);
  write.send(written.a.get(), bytes("x"));
  reads.read_multishot(piped.a.get());
  for (Recorder* each : {&stream, &recv, &poll, &later, &write, &reads}) each->submit();
  fence(driver());

  EXPECT_TRUE(in_child([&] {
    put(attached.b, "for ");
    put(piped.b, "by the ");
    put(plain.b, "all");
    recv.cancel();
    Recorder own(driver());
    own.recv(attached.a.get(), buffer);
    own.submit();
    driver().wake();
    turn(driver(), Duration::max());
    turn(driver(), Duration::max());
    const bool stopped = recv.result() == -ECANCELED && own.result() == -ECANCELED;
    attachment.detach();
    driver_.reset();
    return stopped && stream.result() == -ECANCELED && poll.result() == -ECANCELED &&
           write.result() == -ECANCELED && reads.result() == -ECANCELED && stream.count() == 1;
  }));

  put(attached.b, "the parent");
  put(polled.b, "x");
  ASSERT_TRUE(run_until(driver(), [&] {
    return recv.done() && poll.done() && later.done() && stream.data_bytes() == 14;
  }));
  EXPECT_EQ(stream.data(), "for the parent");
  EXPECT_EQ(recv.result(), 3);
  EXPECT_FALSE(write.done());
  (void)take(written.b);
  ASSERT_TRUE(run_until(driver(), [&] { return write.done(); }));
  EXPECT_EQ(write.result(), 1);
  put(piped.b, "parent");
  ASSERT_TRUE(run_until(driver(), [&] { return reads.data_bytes() == 13; }));
  EXPECT_EQ(reads.data(), "by the parent");
  for (Recorder* each : {&stream, &reads}) {
    each->cancel();
    ASSERT_TRUE(run_until(driver(), [&] { return each->done(); }));
  }
}

TEST_P(DriverContract, ACompletionThatForksEndsTheChildsTurn) {
  // Several connections with data, so that the turn has more to do than the one that forks.
  const std::string data(2'000, 'd');
  std::vector<Pair> pairs;
  std::vector<std::unique_ptr<Recorder>> streams;
  pid_t child = -1;
  int status = -1;
  std::size_t at_fork = 0;
  const auto received = [&] {
    std::size_t total = 0;
    for (const auto& each : streams) total += each->data_bytes();
    return total;
  };
  for (int i = 0; i < 4; ++i) {
    pairs.push_back(i % 2 == 0 ? tcp_pair() : unix_pair());
    streams.push_back(std::make_unique<Recorder>(driver()));
    streams.back()->recv_multishot(pairs.back().a.get());
    streams.back()->then = [&] {
      if (child >= 0) return;
      at_fork = received();
      child = ok(::fork(), "fork");
      if (child == 0) return;
      // Only when the child is gone, so that it would have had its chance to take what is there.
      EXPECT_EQ(::waitpid(child, &status, 0), child);
    };
    streams.back()->submit();
  }
  fence(driver());
  for (const Pair& pair : pairs) put(pair.b, data);
  const auto all_came = [&] {
    return std::ranges::all_of(streams,
                               [](const auto& each) { return each->data_bytes() == 2'000; });
  };
  while (child < 0) turn(driver(), kPatience);
  if (child == 0) {
    for (int i = 0; i < 3; ++i) turn(driver());
    const bool quiet = received() == at_fork;
    driver().shutdown();
    const bool ended = std::ranges::all_of(
        streams, [](const auto& each) { return each->is_idle() && each->result() == -ECANCELED; });
    ::_exit(quiet && ended ? 0 : 1);
  }
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  ASSERT_TRUE(run_until(driver(), all_came));
  for (const auto& each : streams) {
    EXPECT_EQ(each->data(), data);
    each->cancel();
  }
  ASSERT_TRUE(run_until(driver(), [&] { return !driver().has_in_flight(); }));
}

TEST_P(DriverContract, AForkedChildCannotBindItsCopyAndMakesADriverOfItsOwn) {
  driver().unbind();
  EXPECT_TRUE(in_child([&] {
    const auto bound = driver().bind();
    if (bound || !bound.error().is(RuntimeErrc::closed)) return false;
    driver_ = make_driver(GetParam());
    if (!driver_->bind()) return false;
    fence(driver());
    return true;
  }));
  ASSERT_TRUE(driver().bind());
  fence(driver());
}

}  // namespace
}  // namespace blitzio::driver::contract
