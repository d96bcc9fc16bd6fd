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
    int looks = 0;
    EXPECT_FALSE(spin_.until([&] {
      ++looks;
      return false;
    }));
    return looks > 1;
  }
  // Whether it looked for something that comes at once, but is not there yet.
  bool looks_and_sees() {
    int looks = 0;
    return spin_.until([&] { return ++looks == 2; });
  }
  // How often it does not look before it does.
  template <class Look>
  static int pause_until(Look look) {
    int pause = 0;
    while (!look()) ++pause;
    return pause;
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
  while (pauses.size() < 12) pauses.push_back(pause_until([this] { return looks_in_vain(); }));
  EXPECT_EQ(pauses, (std::vector{0, 1, 3, 7, 15, 31, 63, 127, 255, 255, 255, 255}));
}

TEST_F(AdaptiveSpinTest, LooksMoreOftenAgainWhenItPays) {
  for (int i = 0; i < 4; ++i) pause_until([this] { return looks_in_vain(); });
  std::vector<int> pauses;
  while (pauses.size() < 6) pauses.push_back(pause_until([this] { return looks_and_sees(); }));
  EXPECT_EQ(pauses, (std::vector{15, 7, 3, 1, 0, 0}));
}

TEST_F(AdaptiveSpinTest, LearnsNothingFromWhatIsThereAlready) {
  for (int i = 0; i < 4; ++i) pause_until([this] { return looks_in_vain(); });
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(spin_.until([] { return true; }));
  EXPECT_EQ(pause_until([this] { return looks_in_vain(); }), 15);
}

}  // namespace
}  // namespace blitzio
