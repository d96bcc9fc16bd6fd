// The fixture of what the readiness core promises beyond the contract: a test for each of its
// backends, epoll and poll, made directly.
#pragma once

#include "core/driver/support.hpp"

#include <blitzio/driver/epoll/epoll_driver.hpp>
#include <blitzio/driver/poll/poll_driver.hpp>

#include <memory>
#include <utility>

namespace blitzio::driver::contract {

class Readiness : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override {
    auto made = GetParam() == Backend::epoll ? make_epoll({}) : make_poll({});
    ASSERT_TRUE(made.has_value()) << made.error().message();
    driver_ = std::move(*made);
    ASSERT_TRUE(driver_->bind());
  }
  void TearDown() override { EXPECT_FALSE(driver_->has_in_flight()); }

  [[nodiscard]] Driver& driver() { return *driver_; }
  [[nodiscard]] bool run(const Recorder& operation) {
    return run_until(*driver_, [&] { return operation.done(); });
  }
  /// Cancels, and takes the one completion that is still to come.
  void end(Recorder& operation) {
    operation.cancel();
    EXPECT_TRUE(run(operation));
  }
  /// A driver that spins returns from wait() at once, each time; one that was told something stale
  /// does so once or twice.
  [[nodiscard]] bool sleeps() {
    constexpr Duration kNap = Duration::from_millis(2);
    for (int attempt = 0; attempt < 8; ++attempt) {
      const Instant before = Instant::now();
      driver_->wait(kNap);
      driver_->dispatch();
      if (Instant::now() - before >= kNap) return true;
    }
    return false;
  }

  std::unique_ptr<Driver> driver_;
};

}  // namespace blitzio::driver::contract

/// Once per file, in namespace blitzio::driver::contract.
#define BLITZIO_READINESS_TESTS()                                                               \
  INSTANTIATE_TEST_SUITE_P(Backends, Readiness, testing::Values(Backend::epoll, Backend::poll), \
                           backend_name)
