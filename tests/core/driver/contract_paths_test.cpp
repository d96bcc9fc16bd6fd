// The driver contract: stat, mkdir, rename, unlink. See support.hpp.
#include "support.hpp"

#include <sys/stat.h>

#include <array>
#include <climits>

namespace blitzio::driver::contract {
namespace {

BLITZIO_DRIVER_CONTRACT();

bool is_there(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}
OwnedFd folder_of(const TempDir& dir) {
  return OwnedFd::adopt(ok(::open(dir.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
}

TEST_P(DriverContract, StatFillsInWhatStatWouldSay) {
  TempDir dir;
  const OwnedFd file = dir.file_with("content");
  const std::string path = dir.path() + "/file0";
  struct statx by_path{};
  struct statx by_fd{};
  Recorder op(driver());
  op.stat(AT_FDCWD, path.c_str(), 0, STATX_BASIC_STATS, &by_path);
  EXPECT_EQ(complete(op), 0);
  EXPECT_EQ(by_path.stx_size, 7U);
  EXPECT_TRUE(S_ISREG(by_path.stx_mode));
  op.stat(file.get(), "", AT_EMPTY_PATH, STATX_BASIC_STATS, &by_fd);
  EXPECT_EQ(complete(op), 0);
  EXPECT_EQ(by_fd.stx_ino, by_path.stx_ino);
}

TEST_P(DriverContract, StatLooksAtALinkOrBehindIt) {
  TempDir dir;
  const std::string link = dir.file("link");
  ok(::symlink(dir.path().c_str(), link.c_str()));
  struct statx status{};
  Recorder op(driver());
  op.stat(AT_FDCWD, link.c_str(), AT_SYMLINK_NOFOLLOW, STATX_TYPE, &status);
  EXPECT_EQ(complete(op), 0);
  EXPECT_TRUE(S_ISLNK(status.stx_mode));
  op.stat(AT_FDCWD, link.c_str(), 0, STATX_TYPE, &status);
  EXPECT_EQ(complete(op), 0);
  EXPECT_TRUE(S_ISDIR(status.stx_mode));
}

TEST_P(DriverContract, MkdirMakesAndUnlinkRemovesRelativeToTheDirectory) {
  TempDir dir;
  const OwnedFd folder = folder_of(dir);
  const std::string path = dir.path() + "/made";
  Recorder op(driver());
  op.mkdir(folder.get(), "made", 0700);
  EXPECT_EQ(complete(op), 0);
  EXPECT_TRUE(is_there(path));
  op.mkdir(folder.get(), "made", 0700);
  EXPECT_EQ(complete(op), -EEXIST);
  op.unlink(folder.get(), "made");
  EXPECT_EQ(complete(op), -EISDIR);
  op.unlink(folder.get(), "made", AT_REMOVEDIR);
  EXPECT_EQ(complete(op), 0);
  EXPECT_FALSE(is_there(path));
  op.unlink(folder.get(), "made", AT_REMOVEDIR);
  EXPECT_EQ(complete(op), -ENOENT);
}

TEST_P(DriverContract, UnlinkRemovesAFileAndNoDirectory) {
  TempDir dir;
  const OwnedFd file = dir.file_with("");
  const std::string path = dir.path() + "/file0";
  Recorder op(driver());
  op.unlink(AT_FDCWD, path.c_str(), AT_REMOVEDIR);
  EXPECT_EQ(complete(op), -ENOTDIR);
  op.unlink(AT_FDCWD, path.c_str());
  EXPECT_EQ(complete(op), 0);
  EXPECT_FALSE(is_there(path));
}

TEST_P(DriverContract, RenameMovesAndReplaces) {
  TempDir dir;
  const OwnedFd folder = folder_of(dir);
  const OwnedFd one = dir.file_with("one");
  const OwnedFd other = dir.file_with("other");
  Recorder op(driver());
  op.rename(folder.get(), "file0", folder.get(), "file1");
  EXPECT_EQ(complete(op), 0);
  EXPECT_FALSE(is_there(dir.path() + "/file0"));
  const OwnedFd kept =
      OwnedFd::adopt(ok(::openat(folder.get(), "file1", O_RDONLY | O_CLOEXEC), "openat"));
  EXPECT_EQ(take(kept), "one");
  op.rename(folder.get(), "file0", folder.get(), "file2");
  EXPECT_EQ(complete(op), -ENOENT);
}

TEST_P(DriverContract, ErrorsOfPathsArriveAsTheyAre) {
  TempDir dir;
  const std::string missing = dir.path() + "/no/such";
  const std::string too_long(PATH_MAX + 1, 'n');
  struct statx status{};
  const struct {
    const char* path;
    int error;
  } cases[] = {{missing.c_str(), ENOENT}, {too_long.c_str(), ENAMETOOLONG}, {"", ENOENT}};
  for (const auto& [path, error] : cases) {
    SCOPED_TRACE(error);
    Recorder op(driver());
    op.stat(AT_FDCWD, path, 0, STATX_BASIC_STATS, &status);
    EXPECT_EQ(complete(op), -error);
    op.mkdir(AT_FDCWD, path, 0700);
    EXPECT_EQ(complete(op), -error);
    op.unlink(AT_FDCWD, path);
    EXPECT_EQ(complete(op), -error);
    op.rename(AT_FDCWD, path, AT_FDCWD, "/nowhere");
    EXPECT_EQ(complete(op), -error);
  }
  Recorder op(driver());
  op.mkdir(kBadFd, "relative", 0700);
  EXPECT_EQ(complete(op), -EBADF);
}

// Whatever a cancel finds, the outcome tells what was done.
TEST_P(DriverContract, ACancelledChangeSaysWhetherItHappened) {
  TempDir dir;
  for (const bool hands_over : {false, true}) {
    const std::string path = dir.path() + "/made";
    Recorder op(driver());
    op.mkdir(AT_FDCWD, path.c_str(), 0700);
    op.submit();
    if (hands_over) driver().hand_over();
    op.cancel();
    ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
    ASSERT_TRUE(op.result() == 0 || op.result() == -ECANCELED) << op.result();
    EXPECT_EQ(is_there(path), op.result() == 0);
    EXPECT_EQ(op.count(), 1U);
    ::rmdir(path.c_str());
  }
}

TEST_P(DriverContract, ShutdownEndsWhatIsOnItsWayToTheDisk) {
  TempDir dir;
  const OwnedFd file = dir.file_with("content");
  std::array<struct statx, 8> found{};
  {
    std::vector<std::unique_ptr<Recorder>> ops;
    for (struct statx& status : found) {
      ops.push_back(std::make_unique<Recorder>(driver()));
      ops.back()->stat(file.get(), "", AT_EMPTY_PATH, STATX_SIZE, &status);
      ops.back()->submit();
    }
    driver().hand_over();
    driver().shutdown();
    for (std::size_t i = 0; i < ops.size(); ++i) {
      ASSERT_TRUE(ops[i]->done());
      if (ops[i]->result() == 0) {
        EXPECT_EQ(found[i].stx_size, 7U);
      } else {
        EXPECT_EQ(ops[i]->result(), -ECANCELED);
      }
    }
  }
}

}  // namespace
}  // namespace blitzio::driver::contract
