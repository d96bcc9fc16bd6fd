#include <blitzio/base/function.hpp>

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <utility>

namespace blitzio {
namespace {

TEST(Function, CallsSmallAndLargeCallables) {
  int base = 1;
  Function<int(int)> small = [&base](int x) { return base + x; };
  EXPECT_EQ(small(2), 3);
  const std::array<int, 50> table{1, 2, 3};
  auto large_lambda = [table](int i) { return table[static_cast<std::size_t>(i)]; };
  EXPECT_FALSE(Function<int(int)>::kIsInline<decltype(large_lambda)>);
  Function<int(int)> large = large_lambda;
  EXPECT_EQ(large(2), 3);
  small = std::move(large);
  EXPECT_EQ(small(1), 2);
  EXPECT_FALSE(static_cast<bool>(large));  // NOLINT(bugprone-use-after-move): empty by contract
}

TEST(Function, TakesAndGivesMoveOnlyValues) {
  auto kept = std::make_unique<int>(4);
  Function<std::unique_ptr<int>(std::unique_ptr<int>)> add =
      [kept = std::move(kept)](std::unique_ptr<int> x) {
        *x += *kept;
        return x;
      };
  EXPECT_EQ(*add(std::make_unique<int>(3)), 7);
}

TEST(Function, DestroysItsCallableOnce) {
  auto token = std::make_shared<int>(0);
  {
    Function<void()> small = [token] {};
    Function<void()> large = [token, pad = std::array<char, 100>{}] { static_cast<void>(pad); };
    EXPECT_EQ(token.use_count(), 3);
    Function<void()> moved = std::move(small);
    Function<void()> moved_large = std::move(large);
    EXPECT_EQ(token.use_count(), 3);
    moved.reset();
    EXPECT_EQ(token.use_count(), 2);
  }
  EXPECT_EQ(token.use_count(), 1);
}

TEST(FunctionDeathTest, CallingAnEmptyOneIsCaught) {
  Function<void()> empty;
  EXPECT_DEATH(empty(), "check failed");
}

}  // namespace
}  // namespace blitzio
