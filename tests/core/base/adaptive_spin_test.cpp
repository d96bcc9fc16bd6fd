#include <blitzio/base/adaptive_spin.hpp>

#include <gtest/gtest.h>

#include <unistd.h>

#include <vector>

namespace blitzio {
namespace {

class AdaptiveSpinTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::sysconf(_SC_NPROCESSORS_ONLN) == 1) GTEST_SKIP() << "nobody could come meanwhile";
  }
  // Whether it looked for something that does not come.
  bool looks_in_vain() {
    bool has_looked = false;
    EXPECT_FALSE(spin_.until([&] {
      has_looked = true;
      return false;
    }));
    return has_looked;
  }

  AdaptiveSpin spin_;
};

TEST_F(AdaptiveSpinTest, SeesWhatIsThere) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(spin_.until([] { return true; }));
}

TEST_F(AdaptiveSpinTest, LooksTillItComes) {
  int looks = 0;
  EXPECT_TRUE(spin_.until([&] { return ++looks == 20; }));
}

TEST_F(AdaptiveSpinTest, LooksLessAndLessOftenInVain) {
  std::vector<int> pauses;
  int pause = 0;
  while (pauses.size() < 12) {
    if (looks_in_vain()) {
      pauses.push_back(pause);
      pause = 0;
    } else {
      ++pause;
    }
  }
  EXPECT_EQ(pauses, (std::vector{0, 1, 3, 7, 15, 31, 63, 127, 255, 255, 255, 255}));
}

TEST_F(AdaptiveSpinTest, LooksMoreOftenAgainWhenItPays) {
  for (int i = 0; i < 4; ++i) {
    while (!looks_in_vain()) {
    }
  }
  std::vector<int> pauses;
  int pause = 0;
  while (pauses.size() < 6) {
    if (spin_.until([] { return true; })) {
      pauses.push_back(pause);
      pause = 0;
    } else {
      ++pause;
    }
  }
  EXPECT_EQ(pauses, (std::vector{15, 7, 3, 1, 0, 0}));
}

}  // namespace
}  // namespace blitzio
