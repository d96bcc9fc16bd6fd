// Each field of driver::Config: what it refuses, and that a driver made with it works.
#include <blitzio/base/owned_fd.hpp>
#include <blitzio/driver/driver.hpp>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace blitzio::driver {
namespace {

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
  EXPECT_EQ(problem_of({.ring_entries = 40'000}, bad),
            "ring_entries is 40000; it must be 0 (by memory) to 32768");
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
  void turn() {
    driver_->collect();
    if (!driver_->has_completions()) driver_->wait(Duration::from_secs(10));
    driver_->dispatch();
  }
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
        Setting{"one_tiny_buffer",
                {.backend = kRing, .buffer_bytes = 256, .buffer_count = 1, .buffer_count_max = 1}},
        Setting{"all_polled", {.backend = kRing, .sqpoll = true, .registered_files = Use::always}}),
    [](const auto& setting) { return std::string(setting.param.name); });

// Counts what arrives, and submits nothing anew.
struct Receiver : Operation {
  Receiver() : Operation(on_completion) {}
  static void on_completion(Operation& operation, const Completion& completion) noexcept {
    auto& self = static_cast<Receiver&>(operation);
    self.bytes += completion.data.size();
    if (!completion.more) self.last = completion.result;
    self.is_done = !completion.more;
  }
  std::size_t bytes = 0;
  std::int32_t last = 1;
  bool is_done = false;
};

TEST_P(EachSetting, BytesArriveAndTheEndDoes) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()), 0);
  OwnedFd reader = OwnedFd::adopt(pair[0]);
  OwnedFd writer = OwnedFd::adopt(pair[1]);
  ASSERT_TRUE(driver_->attach(reader.get()));
  Receiver receiver;
  receiver.recv_multishot(reader.get());
  driver_->submit(receiver);
  const std::vector<char> chunk(3000, 'x');
  std::size_t sent = 0;
  for (int i = 0; i < 20; ++i) {
    sent += static_cast<std::size_t>(::send(writer.get(), chunk.data(), chunk.size(), 0));
    while (receiver.bytes < sent) turn();
  }
  writer.reset();
  while (!receiver.is_done) turn();
  EXPECT_EQ(receiver.bytes, 60'000U);
  EXPECT_EQ(receiver.last, 0);
  driver_->detach(reader.get());
}

TEST_P(EachSetting, AReceiveThatIsCancelledEndsOnce) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()), 0);
  const OwnedFd reader = OwnedFd::adopt(pair[0]);
  const OwnedFd writer = OwnedFd::adopt(pair[1]);
  ASSERT_TRUE(driver_->attach(reader.get()));
  Receiver receiver;
  receiver.recv_multishot(reader.get());
  driver_->submit(receiver);
  driver_->collect();
  driver_->cancel(receiver);
  while (!receiver.is_done) turn();
  EXPECT_EQ(receiver.last, -ECANCELED);
  driver_->detach(reader.get());
}

TEST_P(EachSetting, ManyOperationsAtOnceAndAnotherThread) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()), 0);
  const OwnedFd reader = OwnedFd::adopt(pair[0]);
  const OwnedFd writer = OwnedFd::adopt(pair[1]);
  ASSERT_TRUE(driver_->attach(reader.get()));
  Receiver receiver;
  receiver.recv_multishot(reader.get());
  driver_->submit(receiver);
  std::vector<Receiver> nops(100);
  for (Receiver& nop : nops) {
    nop.nop();
    driver_->submit(nop);
  }
  while (!std::ranges::all_of(nops, &Receiver::is_done)) turn();
  // What is in flight goes to another thread, and so do the descriptors.
  driver_->unbind();
  std::thread other([&] {
    ASSERT_TRUE(driver_->bind());
    ASSERT_EQ(::send(writer.get(), "hello", 5, 0), 5);
    while (receiver.bytes < 5) turn();
    driver_->cancel(receiver);
    while (!receiver.is_done) turn();
    driver_->detach(reader.get());
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
