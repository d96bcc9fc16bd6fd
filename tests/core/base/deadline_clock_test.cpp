#include <blitzio/base/deadline_clock.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>
#include <thread>

namespace blitzio {
namespace {

constexpr Duration kCountFor = Duration::from_micros(50);

/// Calls `check` with readings of the clock around one of the deadlines' clock, again and again,
/// for longer than it takes that one to begin to count. At least once, even if this thread does not
/// run meanwhile.
template <class Check>
void read_both(Check&& check) {
  const Instant end = Instant::now() + Duration::from_millis(60);
  Instant before;
  do {
    before = Instant::now();
    const Instant read = DeadlineClock::now();
    check(before, read, Instant::now());
  } while (before < end);
}

TEST(DeadlineClock, IsNeverFurtherFromTheClockThanItCounts) {
  read_both([](Instant before, Instant read, Instant after) {
    ASSERT_GE(read, before - kCountFor);
    ASSERT_LE(read, after + kCountFor);
  });
}

TEST(DeadlineClock, MostlyAgreesWithTheClock) {
  constexpr Duration kSlack = Duration::from_nanos(100);
  std::int64_t all = 0;
  std::int64_t agree = 0;
  read_both([&](Instant before, Instant read, Instant after) {
    ++all;
    if (read >= before - kSlack && read <= after + kSlack) ++agree;
  });
  EXPECT_GT(agree, all / 10 * 9);
}

TEST(DeadlineClock, DoesNotGoBack) {
  Instant last = DeadlineClock::now();
  read_both([&](Instant /*before*/, Instant read, Instant /*after*/) {
    ASSERT_GE(read, last);
    last = read;
  });
}

TEST(DeadlineClock, EachThreadHasItsOwnCount) {
  std::thread([] {
    Instant last = DeadlineClock::now();
    read_both([&](Instant before, Instant read, Instant /*after*/) {
      ASSERT_GE(read, last);
      ASSERT_GE(read, before - kCountFor);
      last = read;
    });
  }).join();
}

#if defined(__x86_64__)

using detail::CycleCount;

constexpr std::uint64_t kGigahertz = std::uint64_t{1} << 32;  // a cycle per nanosecond
constexpr std::int64_t kMillis = 1'000'000;

TEST(CycleCount, CountsOnceTwoMeasurementsAgree) {
  CycleCount count;
  count.measure(1'000, 10 * kMillis);
  EXPECT_EQ(count.cycles_max, 0U);
  count.measure(1'000 + 10 * kMillis, 20 * kMillis);
  EXPECT_EQ(count.cycles_max, 0U) << "the first one counted from nothing";
  count.measure(1'000 + 20 * kMillis, 30 * kMillis);
  EXPECT_EQ(count.rate, kGigahertz);
  EXPECT_EQ(count.cycles_max, static_cast<std::uint64_t>(kCountFor.as_nanos()));
}

TEST(CycleCount, StopsWhereTheRateChangesAndGoesOnWithTheNewOne) {
  CycleCount count;
  for (int i = 1; i <= 3; ++i) count.measure(1'000 + i * 10 * kMillis, i * 10 * kMillis);
  ASSERT_NE(count.cycles_max, 0U);
  count.measure(1'000 + 50 * kMillis, 40 * kMillis);
  EXPECT_EQ(count.cycles_max, 0U) << "twice as fast";
  count.measure(1'000 + 70 * kMillis, 50 * kMillis);
  EXPECT_EQ(count.rate, kGigahertz / 2);
  EXPECT_EQ(count.cycles_max, static_cast<std::uint64_t>(kCountFor.as_nanos()) * 2);
}

TEST(CycleCount, FollowsARateThatDrifts) {
  CycleCount count;
  for (int i = 1; i <= 3; ++i) count.measure(1'000 + i * 10 * kMillis, i * 10 * kMillis);
  count.measure(1'000 + 40 * kMillis + 5'000, 40 * kMillis);  // by a two thousandth
  EXPECT_NE(count.cycles_max, 0U);
  EXPECT_LT(count.rate, kGigahertz);
}

TEST(CycleCount, DoesNotCountWithACounterThatStandsOrGoesBack) {
  CycleCount count;
  for (int i = 1; i <= 4; ++i) {
    count.measure(1'000, i * 10 * kMillis);
    EXPECT_EQ(count.cycles_max, 0U);
  }
  CycleCount backward;
  for (int i = 1; i <= 4; ++i) {
    backward.measure(1'000'000'000 - i * 10 * kMillis, i * 10 * kMillis);
    EXPECT_EQ(backward.cycles_max, 0U);
  }
}

TEST(CycleCount, ReadsTheClockAnewWhereTheCounterWentBack) {
  CycleCount& count = detail::cycle_count;
  read_both([](Instant, Instant, Instant) {});
  count.begin += std::uint64_t{1} << 40;
  const Instant before = Instant::now();
  const Instant read = DeadlineClock::now();
  EXPECT_GE(read, before);
  EXPECT_LE(read, Instant::now() + kCountFor);
}

TEST(CycleCount, FollowsAClockThatWentFarBack) {
  CycleCount& count = detail::cycle_count;
  count.said = (Instant::now() + Duration::from_secs(3'600)).as_nanos();
  count.cycles_max = 0;
  const Instant read = DeadlineClock::now();  // Before the clock it is held against.
  EXPECT_LE(read, Instant::now() + kCountFor);
}

TEST(CycleCount, CountsWhereTheKernelDoes) {
  std::string source;
  std::ifstream("/sys/devices/system/clocksource/clocksource0/current_clocksource") >> source;
  if (source != "tsc") {
    read_both([](Instant, Instant, Instant) {});
    EXPECT_EQ(detail::cycle_count.cycles_max, 0U);
    return;
  }
  // A reading that was interrupted does not count, and under some tools each one is.
  bool has_counted = false;
  read_both([&](Instant, Instant, Instant) {
    has_counted = has_counted || detail::cycle_count.cycles_max != 0;
  });
  if (!has_counted) GTEST_SKIP() << "no reading was prompt enough";
  EXPECT_TRUE(has_counted);
}

#endif

}  // namespace
}  // namespace blitzio
