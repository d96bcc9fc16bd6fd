// Fixture of the executor's tests: each runs on every backend that is usable here; the backend
// stands last in a test's name.
#pragma once

#include <blitzio/driver/driver.hpp>
#include <blitzio/executor/local_executor.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace blitzio {

inline std::vector<driver::Backend> usable_backends() {
  std::vector<driver::Backend> usable;
  for (const auto& availability : driver::detect()) {
    if (availability.usable) usable.push_back(availability.backend);
  }
  return usable;
}

class OnEachBackend : public testing::TestWithParam<driver::Backend> {
 protected:
  static std::unique_ptr<LocalExecutor> make_executor() {
    auto executor = LocalExecutor::create({.backend = GetParam()});
    if (!executor) {
      ADD_FAILURE() << executor.error().message();
      return nullptr;
    }
    return std::move(*executor);
  }
  void SetUp() override {
    executor_ = make_executor();
    ASSERT_NE(executor_, nullptr);
  }

  std::unique_ptr<LocalExecutor> executor_;
};

inline std::string backend_name(const testing::TestParamInfo<driver::Backend>& info) {
  return std::string(driver::name(info.param));
}

}  // namespace blitzio
