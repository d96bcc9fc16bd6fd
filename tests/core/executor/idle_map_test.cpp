// Whom a new task wakes, and how many search at a time; every interleaving is tests/model's.
#include <blitzio/executor/idle_map.hpp>

#include <gtest/gtest.h>

#include <optional>

namespace blitzio::detail {
namespace {

TEST(IdleMap, OneSearchesAtATime) {
  IdleMap map;
  EXPECT_TRUE(map.begin_search());
  EXPECT_FALSE(map.begin_search());
  EXPECT_TRUE(map.end_search()) << "it was the last";
  EXPECT_TRUE(map.begin_search());
  EXPECT_TRUE(map.end_search());
}

TEST(IdleMap, NobodyIsWokenWhileOneSearches) {
  IdleMap map;
  EXPECT_EQ(map.choose(), std::nullopt) << "all are awake";
  map.sleep(0, false);
  map.sleep(2, false);
  EXPECT_EQ(map.sleeping(), 2U);
  ASSERT_TRUE(map.begin_search());
  EXPECT_FALSE(map.may_choose());
  EXPECT_EQ(map.choose(), std::nullopt);
  EXPECT_TRUE(map.end_search());
  EXPECT_TRUE(map.may_choose());
  EXPECT_EQ(map.choose(), 0U);
  EXPECT_EQ(map.sleeping(), 1U);
  EXPECT_EQ(map.choose(), std::nullopt) << "the one that was chosen searches now";
  EXPECT_FALSE(map.begin_search());
  EXPECT_TRUE(map.wake_up(0)) << "it finds that it was chosen";
  EXPECT_TRUE(map.end_search());
  EXPECT_EQ(map.choose(), 2U);
  EXPECT_TRUE(map.wake_up(2));
}

TEST(IdleMap, WhoWakesByItselfDoesNotSearchAndWhoFindsNothingSleepsAgain) {
  IdleMap map;
  map.sleep(1, false);
  EXPECT_FALSE(map.wake_up(1));
  EXPECT_EQ(map.sleeping(), 0U);
  ASSERT_TRUE(map.begin_search());
  map.sleep(1, true);
  EXPECT_TRUE(map.may_choose()) << "it has stopped searching";
  EXPECT_EQ(map.choose(), 1U);
}

TEST(IdleMap, OneStandsByAndKeepsOthersAsleep) {
  IdleMap map;
  map.sleep(0, false);
  EXPECT_TRUE(map.begin_standby());
  EXPECT_FALSE(map.begin_standby());
  EXPECT_FALSE(map.may_choose());
  map.end_standby();
  EXPECT_TRUE(map.may_choose());
}

}  // namespace
}  // namespace blitzio::detail
