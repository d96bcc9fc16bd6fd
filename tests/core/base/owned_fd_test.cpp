#include <blitzio/base/owned_fd.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>

#include <utility>

namespace blitzio {
namespace {

int some_fd() {
  return ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}
bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

TEST(OwnedFd, ClosesWhatItOwnsWhenItGoes) {
  int number = -1;
  {
    const OwnedFd fd = OwnedFd::adopt(some_fd());
    number = fd.get();
    ASSERT_TRUE(fd);
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(OwnedFd, OwnsNothingByDefaultAndAfterAFailedCall) {
  EXPECT_FALSE(OwnedFd());
  EXPECT_FALSE(OwnedFd::adopt(-1));
}

TEST(OwnedFd, MovingHandsOver) {
  OwnedFd from = OwnedFd::adopt(some_fd());
  const int number = from.get();
  OwnedFd to = std::move(from);
  EXPECT_EQ(to.get(), number);
  EXPECT_EQ(from.get(), -1);  // NOLINT(bugprone-use-after-move): that is the question

  OwnedFd other = OwnedFd::adopt(some_fd());
  const int closed = other.get();
  other = std::move(to);
  EXPECT_EQ(other.get(), number);
  EXPECT_FALSE(is_open(closed));
  EXPECT_TRUE(is_open(number));
}

TEST(OwnedFd, AssigningItToItselfKeepsIt) {
  OwnedFd fd = OwnedFd::adopt(some_fd());
  OwnedFd& same = fd;
  fd = std::move(same);
  ASSERT_TRUE(fd);
  EXPECT_TRUE(is_open(fd.get()));
}

TEST(OwnedFd, ReleaseGivesItToTheCallerOpen) {
  OwnedFd fd = OwnedFd::adopt(some_fd());
  const int number = fd.release();
  EXPECT_FALSE(fd);
  EXPECT_TRUE(is_open(number));
  ::close(number);
}

TEST(OwnedFd, ResetClosesAndTakesOverTheNext) {
  OwnedFd fd = OwnedFd::adopt(some_fd());
  const int first = fd.get();
  const int second = some_fd();
  fd.reset(second);
  EXPECT_FALSE(is_open(first));
  EXPECT_EQ(fd.get(), second);
  fd.reset();
  EXPECT_FALSE(is_open(second));
}

}  // namespace
}  // namespace blitzio
