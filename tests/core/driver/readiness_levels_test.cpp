// Trigger::level: what a poll leaves is reported again, to who asked for that and as long as
// somebody does.
#include "core/driver/readiness_support.hpp"

namespace blitzio::driver::contract {
namespace {

BLITZIO_READINESS_TESTS();

void take_one(const OwnedFd& fd) {
  char byte = 0;
  ASSERT_EQ(::read(fd.get(), &byte, 1), 1);
}

TEST_P(Readiness, ALevelIsReportedInEachTurnWhileSomethingIsLeft) {
  EXPECT_TRUE(driver().has_level_trigger());
  const Pair pair = pipe_pair();
  Recorder poll(driver());
  poll.poll_multishot(pair.a.get(), POLLIN, Trigger::level);
  poll.submit();
  fence(driver());
  for (std::size_t round = 0; round < 3; ++round) {
    put(pair.b, "xyz");
    for (std::size_t turn = 1; turn <= 3; ++turn) {
      driver().collect();
      EXPECT_EQ(driver().dispatch(), 1U);
      EXPECT_EQ(poll.count(), 3 * round + turn);
      take_one(pair.a);
    }
    EXPECT_TRUE(sleeps());
    EXPECT_EQ(poll.count(), 3 * round + 3);
  }
  end(poll);
}

TEST_P(Readiness, ALevelThatNobodyWaitsForAnyMoreDoesNotSpin) {
  for (const bool is_ended : {false, true}) {
    SCOPED_TRACE(is_ended);
    Pair pair = pipe_pair();
    Recorder poll(driver());
    poll.poll_multishot(pair.a.get(), POLLIN, Trigger::level);
    poll.submit();
    put(pair.b, "x");
    if (is_ended) pair.b.reset();
    EXPECT_TRUE(run_until(driver(), [&] { return poll.count() >= 1; }));
    end(poll);
    poll.forget();
    EXPECT_TRUE(sleeps());
    poll.poll_multishot(pair.a.get(), POLLIN, Trigger::level);
    poll.submit();
    EXPECT_TRUE(run_until(driver(), [&] { return poll.count() >= 1; }));
    end(poll);
    EXPECT_TRUE(sleeps());
  }
}

TEST_P(Readiness, ALevelIsNotLostWhenOthersWaitOnTheDescriptorForAWhile) {
  for (const bool is_multishot : {false, true}) {
    SCOPED_TRACE(is_multishot);
    const Pair pair = pipe_pair();
    put(pair.b, "xxxx");
    Recorder other(driver());
    Recorder level(driver());
    level.poll_multishot(pair.a.get(), POLLIN, Trigger::level);
    level.then = [&] {
      if (!other.is_idle()) return;
      is_multishot ? other.poll_multishot(pair.a.get(), POLLIN) : other.poll(pair.a.get(), POLLIN);
      other.submit();
    };
    level.submit();
    EXPECT_TRUE(run_until(driver(), [&] { return level.count() >= 1 && other.count() >= 1; }));
    level.then = nullptr;
    if (is_multishot) end(other);
    const std::size_t before = level.count();
    EXPECT_TRUE(run_until(driver(), [&] { return level.count() >= before + 3; }));
    end(level);
  }
}

}  // namespace
}  // namespace blitzio::driver::contract
