#include <blitzio/base/instant.hpp>

#include <gtest/gtest.h>

namespace blitzio {
namespace {

TEST(Instant, TheClockDoesNotGoBack) {
  Instant last = Instant::now();
  for (int i = 0; i < 1000; ++i) {
    const Instant now = Instant::now();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(Instant, DifferencesAndSumsAreInverse) {
  const Instant at = Instant::from_nanos(1'000);
  const Duration by = Duration::from_nanos(250);
  EXPECT_EQ((at + by).as_nanos(), 1'250);
  EXPECT_EQ((at - by).as_nanos(), 750);
  EXPECT_EQ((at + by) - at, by);
  EXPECT_EQ(at - (at + by), Duration::from_nanos(-250));
}

TEST(Instant, ForEverFromNowIsNever) {
  EXPECT_EQ(Instant::now() + Duration::max(), Instant::max());
  EXPECT_LT(Instant::now(), Instant::max());
}

TEST(Instant, MovesAndTellsHowLongAgoItWas) {
  Instant at = Instant::now();
  EXPECT_GE(at.elapsed(), Duration::zero());
  at += Duration::from_hours(1);
  EXPECT_TRUE(at.elapsed().is_negative());
  at -= Duration::from_hours(2);
  EXPECT_GE(at.elapsed(), Duration::from_hours(1));
}

}  // namespace
}  // namespace blitzio
