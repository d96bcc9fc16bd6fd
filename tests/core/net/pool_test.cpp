// Pool: lending, limits, health, ends.
#include "core/net/support.hpp"

#include <blitzio/net/pool.hpp>
#include <blitzio/net/unix.hpp>

#include <atomic>
#include <cerrno>
#include <vector>

namespace blitzio::net {
namespace {

/// A server's ends of what the pool has connected.
struct Server {
  Async<Result<UnixStream>> connect() {
    co_await yield_now();
    if (is_down) co_return fail(Error::os(ECONNREFUSED));
    auto [ours, theirs] = get(UnixStream::pair());
    ends.push_back(std::move(theirs));
    co_return std::move(ours);
  }
  auto connector() {
    return [this] { return connect(); };
  }
  std::vector<UnixStream> ends;
  bool is_down = false;
};

// One thread is enough: the pool's parts for many threads are the semaphore's and a lock.
class PoolTest : public testing::Test {
 protected:
  void SetUp() override { executor_ = get(LocalExecutor::create()); }
  auto acquire(Pool<UnixStream>& pool) { return get(executor_->block_on(pool.acquire())); }

  std::unique_ptr<LocalExecutor> executor_;
  Server server_;
};

TEST_F(PoolTest, LendsTheLatestAgain) {
  Pool<UnixStream> pool({}, server_.connector());
  int first = -1;
  {
    auto one = acquire(pool);
    auto two = acquire(pool);
    first = one->fd();
    EXPECT_EQ(pool.lent_count(), 2U);
  }
  EXPECT_EQ(pool.idle_count(), 2U);
  EXPECT_EQ(acquire(pool)->fd(), first) << "destroyed last, given back last";
  EXPECT_EQ(server_.ends.size(), 2U);
}

TEST_F(PoolTest, MakesNoMoreThanTheLimitAndServesWaitersInOrder) {
  Pool<UnixStream> pool({.connections_max = 1}, server_.connector());
  std::vector<int> order;
  auto held = acquire(pool);
  std::vector<JoinHandle<void>> waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.push_back(executor_->spawn([](auto& from, auto& log, int me) -> Async<> {
      auto mine = get(co_await from.acquire());
      log.push_back(me);
    }(pool, order, i)));
  }
  executor_->block_on(yield_now());
  EXPECT_TRUE(order.empty());
  EXPECT_FALSE(pool.try_acquire().has_value());
  waiting[1].cancel();
  {
    auto given_back = std::move(held);
  }
  for (auto& one : waiting) static_cast<void>(executor_->block_on(one));
  EXPECT_EQ(order, (std::vector{0, 2}));
  EXPECT_EQ(server_.ends.size(), 1U);
}

TEST_F(PoolTest, ClosesThoseThatAreNotHealthy) {
  Pool<UnixStream> pool({}, server_.connector());
  {
    auto one = acquire(pool);
  }
  server_.ends.clear();  // the peer has left
  EXPECT_FALSE(pool.try_acquire().has_value());
  EXPECT_EQ(pool.idle_count(), 0U);
  {
    auto fresh = acquire(pool);
  }
  get(executor_->block_on(server_.ends[0].write(bytes("unasked"))));
  EXPECT_FALSE(pool.try_acquire().has_value());
  EXPECT_EQ(pool.lent_count(), 0U);
}

TEST_F(PoolTest, ClosesOldAndDiscardedOnes) {
  Pool<UnixStream> pool({.idle_timeout = Duration::from_nanos(-1)}, server_.connector());
  {
    auto one = acquire(pool);
  }
  EXPECT_EQ(pool.idle_count(), 1U);
  EXPECT_FALSE(pool.try_acquire().has_value()) << "too old at once";
  {
    auto one = acquire(pool);
  }
  pool.reap();
  EXPECT_EQ(pool.idle_count(), 0U);
  auto bad = acquire(pool);
  bad.discard();
  EXPECT_EQ(pool.idle_count(), 0U);
  EXPECT_EQ(pool.lent_count(), 0U);
  Pool<UnixStream> forgetful({.idle_max = 0}, server_.connector());
  {
    auto one = acquire(forgetful);
  }
  EXPECT_EQ(forgetful.idle_count(), 0U);
}

TEST_F(PoolTest, AFailedOrDroppedConnectGivesItsPlaceBack) {
  Pool<UnixStream> pool({.connections_max = 1}, server_.connector());
  server_.is_down = true;
  const auto refused = executor_->block_on(pool.acquire());
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is_os(ECONNREFUSED));
  server_.is_down = false;
  {
    auto dropped = pool.acquire();
    EXPECT_TRUE(poll_once(dropped).is_pending());
    EXPECT_EQ(pool.lent_count(), 1U);
  }
  EXPECT_EQ(pool.lent_count(), 0U);
  EXPECT_TRUE(acquire(pool)->is_open());
}

TEST_F(PoolTest, CloseEndsWaitersAndLentOnesLater) {
  auto pool =
      std::make_unique<Pool<UnixStream>>(PoolOptions{.connections_max = 1}, server_.connector());
  auto held = acquire(*pool);
  auto waiting = executor_->spawn(pool->acquire());
  executor_->block_on(yield_now());
  pool.reset();
  const auto refused = executor_->block_on(waiting).get();
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(RuntimeErrc::closed));
  EXPECT_TRUE(held->is_open());
  {
    auto given_back = std::move(held);
  }
  std::string text(1, '.');
  EXPECT_EQ(get(executor_->block_on(server_.ends[0].read(room(text)))), 0U) << "it is closed";
}

}  // namespace
}  // namespace blitzio::net
