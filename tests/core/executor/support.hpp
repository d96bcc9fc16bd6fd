// What the executor's tests share: a fixture whose tests run on every backend that is usable here,
// the backend standing last in a test's name, and a value that counts itself.
#pragma once

#include <blitzio/driver/driver.hpp>
#include <blitzio/executor/local_executor.hpp>

#include <gtest/gtest.h>

#include <atomic>
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

/// How many copies of it live.
class Counted {
 public:
  explicit Counted(std::atomic<int>& alive) : alive_(&alive) { alive_->fetch_add(1); }
  Counted(const Counted& other) : alive_(other.alive_) { alive_->fetch_add(1); }
  Counted& operator=(const Counted&) = delete;
  ~Counted() { alive_->fetch_sub(1); }

 private:
  std::atomic<int>* alive_;
};

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
