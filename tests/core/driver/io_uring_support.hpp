// The fixture of what only the io_uring backend can get wrong. Each test runs with what the kernel
// here offers and with what older ones do: the suite is parametrised over Features.
#pragma once

#include <blitzio/driver/io_uring/driver_impl.hpp>
#include <blitzio/driver/io_uring/io_uring_driver.hpp>

#include <core/driver/support.hpp>

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <memory>
#include <string>
#include <thread>

namespace blitzio::driver {

using io_uring::Features;
using io_uring::IoUringDriver;

struct Kernel {
  const char* name;
  Features (*features)();
};

inline Features newest() {
  return io_uring::probe().features;
}
inline Features like_6_0() {
  Features features = newest();
  features.defer_taskrun = false;
  features.multishot_read = false;
  return features;
}
inline Features like_5_19() {
  return {};
}

class IoUringDriverTest : public testing::TestWithParam<Kernel> {
 protected:
  void SetUp() override {
    if (!io_uring::probe().usable) GTEST_SKIP() << io_uring::probe().reason;
    make({});
  }
  void make(const Config& config) {
    driver_ = made(config);
    ASSERT_TRUE(driver_->bind());
  }
  [[nodiscard]] static std::unique_ptr<Driver> made(const Config& config) {
    auto driver = std::make_unique<IoUringDriver>(
        config, GetParam().features(), OwnedFd::adopt(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
    EXPECT_TRUE(driver->open());
    return driver;
  }
  [[nodiscard]] Driver& driver() { return *driver_; }

  /// Gives the driver to another thread, which runs `work` and gives it back.
  template <class Work>
  void on_another_thread(Work&& work) {
    driver().unbind();
    std::thread([&] {
      ASSERT_TRUE(driver().bind());
      work();
      driver().unbind();
    }).join();
    ASSERT_TRUE(driver().bind());
  }

  std::unique_ptr<Driver> driver_;
};

inline std::string pattern(std::size_t bytes, char seed = 0) {
  std::string out(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) out[i] = static_cast<char>('a' + (i * 7 + seed) % 26);
  return out;
}

}  // namespace blitzio::driver

/// Once per file, in namespace blitzio::driver.
#define BLITZIO_IO_URING_KERNELS()                                                                 \
  INSTANTIATE_TEST_SUITE_P(Kernels, IoUringDriverTest,                                             \
                           testing::Values(Kernel{"newest", newest}, Kernel{"like_6_0", like_6_0}, \
                                           Kernel{"like_5_19", like_5_19}),                        \
                           [](const auto& kernel) { return std::string(kernel.param.name); })
