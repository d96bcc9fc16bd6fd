// What the tests of files share: a folder of their own, bytes and text, and a way to run a future.
#pragma once

#include <blitzio/executor/operations.hpp>
#include <blitzio/fs/temporary.hpp>
#include <blitzio/task/block_on.hpp>

#include <gtest/gtest.h>

#include <span>
#include <string>
#include <string_view>

namespace blitzio::fs {

inline op::Bytes bytes(std::string_view text) {
  const auto view = std::as_bytes(std::span(text));
  return {view.begin(), view.end()};
}
inline std::string text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class InFolder : public testing::Test {
 protected:
  void SetUp() override {
    auto made = blocking_temp_dir("blitzio-test-");
    ASSERT_TRUE(made.has_value());
    folder_ = std::move(*made);
  }
  [[nodiscard]] std::string path(std::string_view name) const {
    return folder_.path() + "/" + std::string(name);
  }

 private:
  TempPath folder_{TempPath::Kind::directory, {}};
};

}  // namespace blitzio::fs
