#include <blitzio/executor/cancel_token.hpp>
#include <blitzio/task/block_on.hpp>
#include <core/sync/support.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace blitzio {
namespace {

using test::WakeCounter;

TEST(CancelToken, CancellingIsSeenByEveryCopyAndMayBeRepeated) {
  const CancelToken token;
  const CancelToken copy = token;
  const CancelToken other;
  EXPECT_FALSE(copy.cancel_requested());
  EXPECT_TRUE(copy == token);
  EXPECT_FALSE(copy == other);
  token.cancel();
  copy.cancel();
  EXPECT_TRUE(token.cancel_requested());
  EXPECT_TRUE(copy.cancel_requested());
  EXPECT_FALSE(other.cancel_requested());
}

TEST(CancelToken, CancellingWakesAllWhoWait) {
  CancelToken token;
  WakeCounter counter;
  std::vector<std::unique_ptr<CancelToken::Cancelled>> waits;
  for (int i = 0; i < 50; ++i) {
    waits.push_back(std::make_unique<CancelToken::Cancelled>(token.cancelled()));
    EXPECT_TRUE(counter.poll(*waits.back()).is_pending());
  }
  waits[10].reset();  // a dropped wait is not woken
  token.cancel();
  EXPECT_EQ(counter.count(), 49);
  for (auto& wait : waits) {
    EXPECT_TRUE(wait == nullptr || counter.poll(*wait).is_ready());
  }
  auto late = token.cancelled();
  EXPECT_TRUE(counter.poll(late).is_ready());
}

TEST(CancelToken, APendingWaitWakesItsLatestWaker) {
  const CancelToken token;
  WakeCounter first;
  WakeCounter second;
  auto wait = token.cancelled();
  EXPECT_TRUE(first.poll(wait).is_pending());
  EXPECT_TRUE(second.poll(wait).is_pending());
  token.cancel();
  EXPECT_EQ(first.count(), 0);
  EXPECT_EQ(second.count(), 1);
}

TEST(CancelToken, AChildGoesWithItsParentButNotTheOtherWayRound) {
  const CancelToken server;
  const CancelToken connection = server.child();
  const CancelToken request = connection.child();
  const CancelToken sibling = server.child();
  connection.cancel();
  EXPECT_FALSE(server.cancel_requested());
  EXPECT_FALSE(sibling.cancel_requested());
  EXPECT_TRUE(request.cancel_requested());
  server.cancel();
  EXPECT_TRUE(sibling.cancel_requested());
  EXPECT_TRUE(server.child().cancel_requested()) << "born late";
}

TEST(CancelToken, ARequestPassesThroughATokenThatNobodyHoldsAnyMore) {
  const CancelToken root;
  std::optional<CancelToken> middle = root.child();
  const CancelToken leaf = middle->child();
  middle.reset();
  root.cancel();
  EXPECT_TRUE(leaf.cancel_requested());
}

TEST(CancelToken, ALongChainIsCancelledAndFreedWithoutRecursion) {
  const CancelToken root;
  CancelToken last = root;
  for (int i = 0; i < 100'000; ++i) last = last.child();
  root.cancel();
  EXPECT_TRUE(last.cancel_requested());
}

TEST(CancelToken, AWaitKeepsItsTokenAlive) {
  std::optional<CancelToken> token{std::in_place};
  WakeCounter counter;
  auto wait = token->cancelled();
  EXPECT_TRUE(counter.poll(wait).is_pending());
  const CancelToken copy = *token;
  token.reset();
  copy.cancel();
  EXPECT_TRUE(counter.poll(wait).is_ready());
}

TEST(CancelToken, ATreeThatGrowsAndShrinksWhileItIsCancelledLosesNobody) {
  for (int round = 0; round < 50; ++round) {
    const CancelToken root;
    std::atomic<int> ready{0};
    test::on_threads(4, [&](int index) {
      ready.fetch_add(1);
      while (ready.load() != 4) std::this_thread::yield();
      if (index == 0) {
        root.cancel();
        return;
      }
      // Each sees the end in a child of a child, whenever that was born.
      while (!root.cancel_requested()) {
        const CancelToken short_lived = root.child().child();
        static_cast<void>(short_lived.cancel_requested());
      }
      block_on(root.child().child().cancelled());
    });
  }
}

TEST(CancelToken, ThreadsThatWaitInChildrenAreWoken) {
  for (int round = 0; round < 50; ++round) {
    const CancelToken root;
    std::atomic<int> begun{0};
    test::on_threads(4, [&](int index) {
      if (index == 0) {
        while (begun.load() != 3) std::this_thread::yield();
        root.cancel();
        return;
      }
      const CancelToken own = root.child();
      begun.fetch_add(1);
      block_on(own.cancelled());
      EXPECT_TRUE(root.cancel_requested());
    });
  }
}

}  // namespace
}  // namespace blitzio
