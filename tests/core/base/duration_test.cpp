#include <blitzio/base/duration.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace blitzio {
namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();

TEST(Duration, UnitsConvertBothWays) {
  EXPECT_EQ(Duration::from_secs(2).as_nanos(), 2'000'000'000);
  EXPECT_EQ(Duration::from_millis(-3).as_micros(), -3'000);
  EXPECT_EQ(Duration::from_micros(1'999).as_millis(), 1);
  EXPECT_EQ(Duration::from_nanos(2'999'999'999).as_secs(), 2);
  EXPECT_DOUBLE_EQ(Duration::from_millis(1'500).as_secs_f64(), 1.5);
  EXPECT_TRUE(Duration().is_zero());
  EXPECT_EQ(Duration(), Duration::zero());
}

TEST(Duration, SecondsAsFloatRoundUpSoThatAWaitIsNeverTooShort) {
  EXPECT_EQ(Duration::from_secs_f64(0.25), Duration::from_millis(250));
  EXPECT_EQ(Duration::from_secs_f64(1e-10).as_nanos(), 1);
  EXPECT_EQ(Duration::from_secs_f64(1.5e-9).as_nanos(), 2);
  EXPECT_EQ(Duration::from_secs_f64(-1.5e-9).as_nanos(), -1);
  EXPECT_EQ(Duration::from_secs_f64(-0.25), Duration::from_millis(-250));
}

TEST(Duration, FloatsOutOfRangeSaturateAndNanIsZero) {
  EXPECT_TRUE(Duration::from_secs_f64(1e300).is_forever());
  EXPECT_TRUE(Duration::from_secs_f64(std::numeric_limits<double>::infinity()).is_forever());
  EXPECT_EQ(Duration::from_secs_f64(-1e300), Duration::min());
  EXPECT_TRUE(Duration::from_secs_f64(std::nan("")).is_zero());
}

TEST(Duration, SumsSaturateAtBothEnds) {
  const Duration one = Duration::from_nanos(1);
  EXPECT_EQ(Duration::max() + one, Duration::max());
  EXPECT_EQ(Duration::min() - one, Duration::min());
  EXPECT_EQ(Duration::min() + Duration::from_nanos(-1), Duration::min());
  EXPECT_EQ(Duration::max() - Duration::from_nanos(-1), Duration::max());
  EXPECT_EQ(Duration::zero() - Duration::min(), Duration::max());
  EXPECT_EQ((Duration::max() - one).as_nanos(), kMax - 1);
}

TEST(Duration, ProductsSaturateWithTheRightSign) {
  EXPECT_EQ(Duration::from_secs(kMax), Duration::max());
  EXPECT_EQ(Duration::from_secs(kMin), Duration::min());
  EXPECT_EQ(Duration::from_secs(3) * 4, Duration::from_secs(12));
  EXPECT_EQ(Duration::max() * 2, Duration::max());
  EXPECT_EQ(Duration::max() * -2, Duration::min());
  EXPECT_EQ(Duration::min() * -1, Duration::max());
  EXPECT_EQ(Duration::max() * 0, Duration::zero());
}

TEST(Duration, DivisionByMinusOneSaturatesInsteadOfOverflowing) {
  EXPECT_EQ(Duration::from_secs(9) / 2, Duration::from_millis(4'500));
  EXPECT_EQ(Duration::from_secs(9) / -1, Duration::from_secs(-9));
  EXPECT_EQ(Duration::min() / -1, Duration::max());
}

TEST(Duration, IsOrdered) {
  EXPECT_LT(Duration::min(), Duration::from_nanos(-1));
  EXPECT_LT(Duration::from_nanos(-1), Duration::zero());
  EXPECT_LT(Duration::zero(), Duration::max());
}

TEST(Duration, HasLiteralsForItsUnits) {
  using namespace literals;
  EXPECT_EQ(1_h + 2_min + 3_s + 4_ms + 5_us + 6_ns, Duration::from_nanos(3'723'004'005'006));
  EXPECT_EQ(1.5_s, 1500_ms);
  EXPECT_EQ((90_min).as_hours(), 1);
  EXPECT_EQ((-90_s).as_mins(), -1);
  EXPECT_EQ(Duration::from_hours(INT64_MAX), Duration::max());
}

TEST(Duration, DividesBySpansAndAssigns) {
  using namespace literals;
  EXPECT_EQ(7_s / 2_s, 3);
  EXPECT_EQ(7_s % 2_s, 1_s);
  EXPECT_EQ(Duration::min() % Duration::from_nanos(-1), Duration::zero());
  EXPECT_EQ(Duration::min() / Duration::from_nanos(-1), INT64_MAX);
  EXPECT_EQ(3 * 2_s, 6_s);
  Duration span = 1_s;
  span += 2_s;
  span -= 1_s;
  span *= 6;
  span /= 4;
  EXPECT_EQ(span, 3_s);
  EXPECT_EQ((-span).abs(), span);
  EXPECT_TRUE((-span).is_negative());
  EXPECT_EQ(-Duration::min(), Duration::max()) << "it saturates";
  EXPECT_EQ(Duration::min().abs(), Duration::max());
}

}  // namespace
}  // namespace blitzio
