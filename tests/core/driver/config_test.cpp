// Each field of driver::Config: what it refuses, and that a driver made with it works.
#include "core/driver/support.hpp"

#include <blitzio/driver/driver.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace blitzio::driver {
namespace {

using contract::Attachment;
using contract::Pair;
using contract::Receiving;
using contract::Recorder;

bool has_io_uring() {
  return detect().front().backend == Backend::io_uring && detect().front().usable;
}

std::string problem_of(const Config& config, RuntimeErrc code) {
  const auto problem = problem_in(config);
  if (!problem) return "none";
  EXPECT_EQ(static_cast<int>(problem->code), static_cast<int>(code)) << problem->text;
  const auto valid = validate(config);
  EXPECT_TRUE(!valid && valid.error().is(code));
  const auto made = create(config);
  EXPECT_TRUE(!made && made.error().is(code));
  return problem->text;
}

TEST(DriverConfig, TheDefaultIsValid) {
  EXPECT_FALSE(problem_in(Config{}).has_value());
  EXPECT_EQ(std::size_t{Config{}.buffer_bytes} * Config{}.buffer_count_max, 64U * 1024 * 1024);
}

TEST(DriverConfig, AProblemNamesFieldValueAndRange) {
  const auto bad = RuntimeErrc::invalid_argument;
  EXPECT_EQ(problem_of({.ring_entries = 65'536}, bad),
            "ring_entries is 65536; it must be 0 (by memory) or a power of two up to 32768");
  EXPECT_EQ(problem_of({.ring_entries = 3}, bad),
            "ring_entries is 3; it must be 0 (by memory) or a power of two up to 32768");
  EXPECT_EQ(problem_of({.buffer_bytes = 1000}, bad),
            "buffer_bytes is 1000; it must be a power of two from 256 to 16777216");
  EXPECT_EQ(problem_of({.buffer_count = 0}, bad),
            "buffer_count is 0; it must be a power of two from 1 to 32768");
  EXPECT_EQ(problem_of({.buffer_count = 128, .buffer_count_max = 64}, bad),
            "buffer_count_max is 64; it must be a power of two from 128 to 32768");
  EXPECT_NE(problem_of({.sqpoll = true, .defer_taskrun = Use::always}, bad).find("exclude"),
            std::string::npos);
  EXPECT_NE(
      problem_of({.single_issuer = Use::never, .defer_taskrun = Use::always}, bad).find("needs"),
      std::string::npos);
}

TEST(DriverConfig, ANumberThatIsNoEnumeratorIsRefused) {
  const auto bad = RuntimeErrc::invalid_argument;
  EXPECT_EQ(problem_of({.backend = static_cast<Backend>(4)}, bad),
            "backend is 4; it must be one of Backend");
  const auto use = static_cast<Use>(3);
  EXPECT_EQ(problem_of({.single_issuer = use}, bad), "single_issuer is 3; it must be one of Use");
  EXPECT_EQ(problem_of({.defer_taskrun = use}, bad), "defer_taskrun is 3; it must be one of Use");
  EXPECT_EQ(problem_of({.registered_buffers = use}, bad),
            "registered_buffers is 3; it must be one of Use");
  EXPECT_EQ(problem_of({.registered_files = use}, bad),
            "registered_files is 3; it must be one of Use");
  EXPECT_EQ(problem_of({.ring_files = use}, bad), "ring_files is 3; it must be one of Use");
}

TEST(DriverConfig, WhatABackendLacksIsRefused) {
  const auto lacks = RuntimeErrc::unsupported;
  EXPECT_NE(problem_of({.iopoll = true}, lacks).find("iopoll"), std::string::npos);
  for (const Backend backend : {Backend::epoll, Backend::poll}) {
    EXPECT_EQ(problem_of({.backend = backend, .sqpoll = true}, lacks),
              "sqpoll: only the io_uring backend has it, and the backend is " +
                  std::string(name(backend)));
    EXPECT_NE(problem_of({.backend = backend, .single_issuer = Use::always}, lacks), "none");
    EXPECT_NE(problem_of({.backend = backend, .defer_taskrun = Use::always}, lacks), "none");
    EXPECT_NE(problem_of({.backend = backend, .registered_buffers = Use::always}, lacks), "none");
    EXPECT_NE(problem_of({.backend = backend, .registered_files = Use::always}, lacks), "none");
    EXPECT_NE(problem_of({.backend = backend, .ring_files = Use::always}, lacks), "none");
    EXPECT_FALSE(problem_in({.backend = backend, .defer_taskrun = Use::never}).has_value());
  }
  if (!has_io_uring()) {
    EXPECT_NE(problem_of({.sqpoll = true}, lacks).find("cannot run here"), std::string::npos);
  }
}

TEST(DriverConfig, AutomaticChoosesTheBackendThatHasWhatIsAskedFor) {
  if (!has_io_uring()) GTEST_SKIP() << "io_uring cannot be used here";
  const auto driver = create({.registered_files = Use::always});
  ASSERT_TRUE(driver);
  EXPECT_EQ((*driver)->backend(), Backend::io_uring);
}

// ---- settings that must work -----------------------------------------------------------------

struct Setting {
  const char* name;
  Config config;
};

class EachSetting : public testing::TestWithParam<Setting> {
 protected:
  void SetUp() override {
    if (!has_io_uring()) GTEST_SKIP() << "io_uring cannot be used here";
    if (problem_in(GetParam().config)) GTEST_SKIP() << problem_in(GetParam().config)->text;
    auto made = create(GetParam().config);
    ASSERT_TRUE(made) << made.error().message();
    driver_ = std::move(*made);
    ASSERT_TRUE(driver_->bind());
  }
  void TearDown() override {
    if (driver_ == nullptr) return;
    driver_->shutdown();
    driver_->unbind();
  }
  void turn() { contract::turn(*driver_, Duration::from_secs(10)); }
  std::unique_ptr<Driver> driver_;
};

constexpr Backend kRing = Backend::io_uring;

INSTANTIATE_TEST_SUITE_P(
    DriverConfig, EachSetting,
    testing::Values(
        Setting{"defaults", {.backend = kRing}},
        Setting{"smallest_ring", {.backend = kRing, .ring_entries = 1}},
        Setting{"sqpoll", {.backend = kRing, .ring_entries = 2, .sqpoll = true}},
        Setting{"many_issuers", {.backend = kRing, .single_issuer = Use::never}},
        Setting{"cooperative", {.backend = kRing, .defer_taskrun = Use::never}},
        Setting{"deferred",
                {.backend = kRing, .single_issuer = Use::always, .defer_taskrun = Use::always}},
        Setting{"plain_buffers", {.backend = kRing, .registered_buffers = Use::never}},
        Setting{"registered_files", {.backend = kRing, .registered_files = Use::always}},
        Setting{"ring_files", {.backend = kRing, .ring_files = Use::always}},
        Setting{"one_tiny_buffer",
                {.backend = kRing, .buffer_bytes = 256, .buffer_count = 1, .buffer_count_max = 1}},
        Setting{"all_polled", {.backend = kRing, .sqpoll = true, .registered_files = Use::always}}),
    [](const auto& setting) { return std::string(setting.param.name); });

TEST_P(EachSetting, BytesArriveAndTheEndDoes) {
  for (const bool is_pipe : {false, true}) {
    SCOPED_TRACE(is_pipe);
    Pair pair = is_pipe ? contract::pipe_pair() : contract::unix_pair();
    Attachment attached(*driver_, pair.a, true);
    Recorder receiver(*driver_);
    if (is_pipe) {
      receiver.read_multishot(pair.a.get());
    } else {
      receiver.recv_multishot(pair.a.get());
    }
    receiver.submit();
    const std::string chunk(3000, 'x');
    for (std::size_t sent = 0; sent < 60'000;) {
      contract::put(pair.b, chunk);
      sent += chunk.size();
      while (receiver.data_bytes() < sent) turn();
    }
    pair.b.reset();
    while (!receiver.done()) turn();
    EXPECT_EQ(receiver.data_bytes(), 60'000U);
    EXPECT_EQ(receiver.result(), 0);
  }
}

TEST_P(EachSetting, AReceiveThatIsCancelledEndsOnce) {
  const Pair pair = contract::unix_pair();
  Attachment attached(*driver_, pair.a, true);
  Receiving receiver(*driver_, pair.a);
  driver_->collect();
  receiver.cancel();
  while (!receiver.done()) turn();
  EXPECT_EQ(receiver.result(), -ECANCELED);
}

TEST_P(EachSetting, ManyOperationsAtOnceAndAnotherThread) {
  const Pair pair = contract::unix_pair();
  Attachment attached(*driver_, pair.a, true);
  Receiving receiver(*driver_, pair.a);
  std::deque<Recorder> nops;
  for (int i = 0; i < 100; ++i) {
    nops.emplace_back(*driver_).nop();
    nops.back().submit();
  }
  while (!std::ranges::all_of(nops, &Recorder::done)) turn();
  // What is in flight goes to another thread, and so do the descriptors.
  driver_->unbind();
  std::thread other([&] {
    ASSERT_TRUE(driver_->bind());
    contract::put(pair.b, "hello");
    while (receiver.data_bytes() < 5) turn();
    receiver.cancel();
    while (!receiver.done()) turn();
    attached.detach();
    driver_->unbind();
  });
  other.join();
  ASSERT_TRUE(driver_->bind());
}

TEST_P(EachSetting, AnotherThreadsWakeEndsTheWait) {
  driver_->collect();
  std::thread waker([&] { driver_->wake(); });
  driver_->wait(Duration::from_secs(60));
  waker.join();
}

}  // namespace
}  // namespace blitzio::driver
