// Fixtures of the network tests: each runs on every backend that is usable here, once on one thread
// and once on a Runtime of two workers.
#pragma once

#include "core/executor/support.hpp"

#include <blitzio/executor/runtime.hpp>
#include <blitzio/net/address.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace blitzio::net {

inline std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}
inline std::span<std::byte> room(std::string& text) {
  return std::as_writable_bytes(std::span(text));
}

/// A Result's value; an error is an exception, which ends the test.
template <class T>
T get(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

struct Where {
  driver::Backend backend;
  bool is_runtime;
};

inline std::vector<Where> everywhere() {
  std::vector<Where> all;
  for (const driver::Backend backend : usable_backends()) {
    all.push_back({backend, false});
    all.push_back({backend, true});
  }
  return all;
}

inline std::string where_name(const testing::TestParamInfo<Where>& info) {
  return std::string(info.param.is_runtime ? "runtime_" : "local_") +
         std::string(driver::name(info.param.backend));
}

class Everywhere : public testing::TestWithParam<Where> {
 public:
  [[nodiscard]] bool is_runtime() const { return runtime_ != nullptr; }
  /// Starts a task beside the caller's.
  template <Future F>
  JoinHandle<OutputOf<F>> spawn(F future) {
    if (is_runtime()) return runtime_->spawn(std::move(future));
    return executor_->spawn(std::move(future));
  }

 protected:
  void SetUp() override {
    if (GetParam().is_runtime) {
      Config config;
      config.workers = 2;
      config.driver.backend = GetParam().backend;
      runtime_ = get(Runtime::create(config));
    } else {
      executor_ = get(LocalExecutor::create({.backend = GetParam().backend}));
    }
  }

  template <Future F>
  OutputOf<F> run(F future) {
    if (is_runtime()) return runtime_->spawn(std::move(future)).blocking_join().get();
    return executor_->block_on(future);
  }
  std::unique_ptr<LocalExecutor> executor_;
  std::unique_ptr<Runtime> runtime_;
};

/// Polls once, with a waker that does nothing.
template <Future F>
Poll<OutputOf<F>> poll_once(F& future) {
  const Waker waker;
  Context context(waker);
  return future.poll(context);
}

}  // namespace blitzio::net
