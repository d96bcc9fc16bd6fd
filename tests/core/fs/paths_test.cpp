#include <blitzio/fs/directory.hpp>
#include <blitzio/fs/paths.hpp>
#include <blitzio/fs/temporary.hpp>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <core/fs/support.hpp>

#include <array>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace blitzio::fs {
namespace {

using PathsTest = InFolder;

TEST_F(PathsTest, WholeFilesAreWrittenReplacedAppendedToAndRead) {
  for (int round = 0; round < 3; ++round) {  // the first goes to a thread, the others need not
    EXPECT_TRUE(block_on(write_file(path("a"), bytes("longer than the next"))).has_value());
    EXPECT_TRUE(block_on(write_file(path("a"), bytes("one"), 0600)).has_value());
    EXPECT_TRUE(block_on(append(path("a"), bytes(" two"))).has_value());
    EXPECT_EQ(text(block_on(read_file(path("a"))).value()), "one two");
  }
  EXPECT_TRUE(block_on(append(path("new"), bytes("made"))).has_value());
  EXPECT_EQ(text(block_on(read_file(path("new"))).value()), "made");
  EXPECT_TRUE(block_on(write_file(path("empty"), {})).has_value());
  EXPECT_TRUE(block_on(read_file(path("empty"))).value().empty());
}

TEST_F(PathsTest, LargeFilesGoThroughAThread) {
  const std::string large(1'000'000, 'z');
  EXPECT_TRUE(block_on(write_file(path("large"), bytes(large))).has_value());
  EXPECT_FALSE(try_read_file(path("large")).has_value());
  EXPECT_EQ(text(block_on(read_file(path("large"))).value()), large);
  EXPECT_NE(text(block_on(read_file("/proc/self/status")).value()).find("Pid:"), std::string::npos);
}

TEST_F(PathsTest, FilesWithoutASizeAreReadInOnePiece) {
  const auto limit = blocking_read_file("/proc/sys/fs/inotify/max_queued_events");
  if (!limit) GTEST_SKIP() << "no such file here";
  EXPECT_GT(limit->size(), 1U);
}

TEST_F(PathsTest, ErrorsKeepTheirErrno) {
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(block_on(read_file(path("none"))).error().is_os(ENOENT));
    EXPECT_TRUE(block_on(read_file(path("."))).error().is_os(EISDIR));
    EXPECT_TRUE(block_on(write_file(path("no/where"), {})).error().is_os(ENOENT));
    EXPECT_TRUE(block_on(write_file(path("."), {})).error().is_os(EISDIR));
    EXPECT_TRUE(block_on(stat(path("none"))).error().is_os(ENOENT));
    EXPECT_TRUE(block_on(remove(path("none"))).error().is_os(ENOENT));
    EXPECT_TRUE(block_on(rename(path("none"), path("b"))).error().is_os(ENOENT));
    EXPECT_TRUE(block_on(copy(path("none"), path("b"))).error().is_os(ENOENT));
    EXPECT_TRUE(block_on(read_dir(path("none"))).error().is_os(ENOENT));
    EXPECT_TRUE(block_on(remove_dir(path("none"))).error().is_os(ENOENT));
    EXPECT_TRUE(block_on(remove_dir_all(path("none"))).error().is_os(ENOENT));
    EXPECT_TRUE(block_on(read_link(path("none"))).error().is_os(ENOENT));
    EXPECT_EQ(block_on(read_file(path("a") + '\0' + "b")).error(),
              Error::runtime(RuntimeErrc::invalid_argument));
    static_cast<void>(blocking_stat(path("x")));  // the next round knows the folder
  }
}

TEST_F(PathsTest, StatTellsWhatStatTells) {
  ASSERT_TRUE(blocking_write_file(path("a"), bytes("12345")).has_value());
  ASSERT_TRUE(blocking_symlink("a", path("link")).has_value());
  for (const char* name : {"a", "link", "."}) {
    struct stat expected{};
    ASSERT_EQ(::stat(path(name).c_str(), &expected), 0);
    const auto found = block_on(stat(path(name))).value();
    EXPECT_EQ(found.raw().st_ino, expected.st_ino);
    EXPECT_EQ(found.raw().st_dev, expected.st_dev);
    EXPECT_EQ(found.raw().st_mode, expected.st_mode);
    EXPECT_EQ(found.raw().st_nlink, expected.st_nlink);
    EXPECT_EQ(found.raw().st_uid, expected.st_uid);
    EXPECT_EQ(found.raw().st_blocks, expected.st_blocks);
    EXPECT_EQ(found.raw().st_blksize, expected.st_blksize);
    EXPECT_EQ(found.raw().st_mtim.tv_nsec, expected.st_mtim.tv_nsec);
    EXPECT_EQ(found.raw().st_ctim.tv_sec, expected.st_ctim.tv_sec);
  }
  EXPECT_EQ(block_on(stat(path("a"))).value().size(), 5U);
  EXPECT_TRUE(block_on(stat(path("link"))).value().is_file());
  EXPECT_TRUE(block_on(stat(path("link"), false)).value().is_symlink());
  EXPECT_TRUE(block_on(stat(path("."))).value().is_directory());
}

TEST_F(PathsTest, ExistsIsFalseForNothingAndForADanglingLink) {
  ASSERT_TRUE(blocking_write_file(path("a"), {}).has_value());
  ASSERT_TRUE(blocking_symlink("nowhere", path("dangling")).has_value());
  EXPECT_TRUE(block_on(exists(path("a"))).value());
  EXPECT_FALSE(block_on(exists(path("b"))).value());
  EXPECT_FALSE(block_on(exists(path("a/b"))).value());
  EXPECT_FALSE(block_on(exists(path("dangling"))).value());
}

TEST_F(PathsTest, DirectoriesAreMadeListedAndRemoved) {
  EXPECT_TRUE(block_on(mkdir(path("d"))).has_value());
  EXPECT_TRUE(block_on(mkdir(path("d"))).error().is_os(EEXIST));
  EXPECT_TRUE(block_on(mkdir(path("x/y/z"))).error().is_os(ENOENT));
  EXPECT_TRUE(block_on(mkdir_all(path("d/e/f/"))).has_value());
  EXPECT_TRUE(block_on(mkdir_all(path("d/e/f"))).has_value());
  ASSERT_TRUE(blocking_write_file(path("d/file"), {}).has_value());
  ASSERT_TRUE(blocking_symlink("file", path("d/link")).has_value());
  EXPECT_TRUE(block_on(mkdir_all(path("d/file"))).error().is_os(EEXIST));
  EXPECT_TRUE(block_on(mkdir_all(path("d/file/g"))).error().is_os(ENOTDIR));

  std::vector<std::pair<std::string, FileType>> found;
  const auto entries = block_on(read_dir(path("d"))).value();
  for (const DirEntry& entry : entries) {
    found.emplace_back(entry.name, entry.type);
  }
  EXPECT_THAT(found, testing::UnorderedElementsAre(testing::Pair("e", FileType::directory),
                                                   testing::Pair("file", FileType::file),
                                                   testing::Pair("link", FileType::symlink)));

  EXPECT_TRUE(block_on(remove_dir(path("d"))).error().is_os(ENOTEMPTY));
  EXPECT_TRUE(block_on(remove_dir(path("d/e/f"))).has_value());
  EXPECT_TRUE(block_on(remove_dir_all(path("d/file"))).error().is_os(ENOTDIR));
  EXPECT_TRUE(block_on(remove_dir_all(path("d"))).has_value());
  EXPECT_FALSE(blocking_exists(path("d")).value());
}

TEST_F(PathsTest, RenameRemoveAndLinks) {
  ASSERT_TRUE(blocking_write_file(path("a"), bytes("A")).has_value());
  ASSERT_TRUE(blocking_write_file(path("b"), bytes("B")).has_value());
  EXPECT_TRUE(block_on(rename(path("a"), path("b"))).has_value());
  EXPECT_EQ(text(blocking_read_file(path("b")).value()), "A");
  EXPECT_TRUE(block_on(hard_link(path("b"), path("c"))).has_value());
  EXPECT_EQ(block_on(stat(path("c"))).value().raw().st_nlink, 2U);
  const std::string far(600, 'x');
  EXPECT_TRUE(block_on(symlink(far, path("link"))).has_value());
  EXPECT_EQ(block_on(read_link(path("link"))).value(), far);
  EXPECT_TRUE(block_on(remove(path("link"))).has_value());
  EXPECT_TRUE(block_on(remove(path("b"))).has_value());
  EXPECT_EQ(text(blocking_read_file(path("c")).value()), "A");
}

TEST_F(PathsTest, CopyTakesContentAndPermissions) {
  const std::string content(200'000, 'c');
  ASSERT_TRUE(blocking_write_file(path("a"), bytes(content), WriteMode::replace, 0600).has_value());
  ASSERT_TRUE(blocking_write_file(path("b"), bytes(content + "longer")).has_value());
  EXPECT_EQ(block_on(copy(path("a"), path("b"))).value(), content.size());
  EXPECT_EQ(text(blocking_read_file(path("b")).value()), content);
  EXPECT_EQ(blocking_stat(path("b")).value().mode() & 07777, 0600U);
  EXPECT_TRUE(block_on(copy(path("a"), path("a"))).error().is_os(EINVAL));
  EXPECT_EQ(blocking_stat(path("a")).value().size(), content.size());
  EXPECT_TRUE(block_on(copy(path("."), path("c"))).error().is_os(EISDIR));
  EXPECT_GT(block_on(copy("/proc/self/status", path("status"))).value(), 0U);
}

TEST_F(PathsTest, PermissionsAreSetByPathAndByFile) {
  ASSERT_TRUE(blocking_write_file(path("a"), {}).has_value());
  ASSERT_TRUE(blocking_symlink("a", path("link")).has_value());
  const auto permissions = [this] { return blocking_stat(path("a")).value().mode() & 07777U; };
  EXPECT_TRUE(block_on(set_permissions(path("a"), 0640)).has_value());
  EXPECT_EQ(permissions(), 0640U);
  EXPECT_TRUE(block_on(set_permissions(path("link"), 0600)).has_value());
  EXPECT_EQ(permissions(), 0600U) << "the link is followed";
  EXPECT_TRUE(blocking_set_permissions(path("a"), 0604).has_value());
  EXPECT_EQ(permissions(), 0604U);
  auto file = File::blocking_open(path("a"));
  ASSERT_TRUE(file.has_value());
  EXPECT_TRUE(block_on(file->set_permissions(0400)).has_value());
  EXPECT_EQ(permissions(), 0400U);
  EXPECT_TRUE(block_on(set_permissions(path("none"), 0600)).error().is_os(ENOENT));
  EXPECT_TRUE(blocking_set_permissions(path("none"), 0600).error().is_os(ENOENT));
}

TEST_F(PathsTest, ThreadsHaveAFormOfEachOfTheirOwn) {
  EXPECT_TRUE(blocking_mkdir(path("d")).has_value());
  EXPECT_TRUE(blocking_mkdir_all(path("d/e/f")).has_value());
  ASSERT_TRUE(blocking_write_file(path("d/a"), bytes("content")).has_value());
  EXPECT_TRUE(blocking_write_file(path("d/a"), bytes("s"), WriteMode::append).has_value());
  EXPECT_EQ(blocking_copy(path("d/a"), path("d/b")).value(), 8U);
  EXPECT_TRUE(blocking_copy(path("d/a"), path("d/a")).error().is_os(EINVAL));
  EXPECT_TRUE(blocking_symlink("a", path("d/link")).has_value());
  EXPECT_EQ(blocking_read_link(path("d/link")).value(), "a");
  EXPECT_TRUE(blocking_read_link(path("d/a")).error().is_os(EINVAL));
  EXPECT_TRUE(blocking_hard_link(path("d/a"), path("d/c")).has_value());
  const ino_t number = blocking_stat(path("d/a")).value().raw().st_ino;
  EXPECT_EQ(blocking_stat(path("d/c")).value().raw().st_ino, number);
  EXPECT_TRUE(blocking_rename(path("d/c"), path("d/moved")).has_value());
  EXPECT_FALSE(blocking_exists(path("d/c")).value());
  const auto entries = blocking_read_dir(path("d")).value();
  EXPECT_THAT(entries, testing::Contains(testing::AllOf(testing::Field(&DirEntry::name, "moved"),
                                                        testing::Field(&DirEntry::inode, number))));
  EXPECT_TRUE(blocking_remove_dir(path("d/e/f")).has_value());
  EXPECT_TRUE(blocking_remove_dir(path("d")).error().is_os(ENOTEMPTY));
  EXPECT_TRUE(blocking_remove(path("d/b")).has_value());
  EXPECT_TRUE(blocking_remove_dir_all(path("d")).has_value());
  EXPECT_FALSE(blocking_exists(path("d")).value());
}

TEST_F(PathsTest, WhatIsKnownIsToldOnTheSpot) {
  ASSERT_TRUE(blocking_write_file(path("a"), bytes("12")).has_value());
  ASSERT_TRUE(blocking_symlink("nowhere", path("dangling")).has_value());
  static_cast<void>(blocking_stat(path("a")));  // from here on the folder is known
  // Empty is an answer, too: it would have to wait. Here the kernel has just been asked the same.
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(try_exists(path("a")).value_or(true).value());
    EXPECT_FALSE(try_exists(path("b")).value_or(false).value());
    EXPECT_FALSE(try_exists(path("dangling")).value_or(false).value());
    const auto known = try_stat(path("a"));
    EXPECT_TRUE(!known || known->value().size() == 2);
    EXPECT_TRUE(block_on(exists(path("a"))).value());
  }
}

TEST_F(PathsTest, TimesAreThoseOfTheFile) {
  ASSERT_TRUE(blocking_write_file(path("a"), {}).has_value());
  const std::array times{timespec{1'000'000'000, 5}, timespec{1'200'000'000, 7}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path("a").c_str(), times.data(), 0), 0);
  const Metadata found = block_on(stat(path("a"))).value();
  EXPECT_EQ(found.accessed(), Duration::from_secs(1'000'000'000) + Duration::from_nanos(5));
  EXPECT_EQ(found.modified(), Duration::from_secs(1'200'000'000) + Duration::from_nanos(7));
  EXPECT_GT(found.changed(), found.modified());
}

TEST_F(PathsTest, TemporaryThingsAreMadeByThreads) {
  const auto named = blocking_named_temp_file("n-", path("."));
  ASSERT_TRUE(named.has_value());
  EXPECT_EQ(blocking_stat(named->path.path()).value().mode() & 07777, 0600U);
  auto nameless = blocking_temp_file(path("."));
  ASSERT_TRUE(nameless.has_value());
  EXPECT_EQ(nameless->blocking_write_at(bytes("u"), 0).value(), 1U);
  EXPECT_EQ(blocking_read_dir(path(".")).value().size(), 1U) << "only the named one has a name";
  EXPECT_TRUE(blocking_temp_file(path("none")).error().is_os(ENOENT));
  EXPECT_TRUE(blocking_named_temp_file("n-", path("none")).error().is_os(ENOENT));
}

TEST_F(PathsTest, TheEnvironmentNamesTheFolderOfTemporaryThings) {
  const char* set = std::getenv("TMPDIR");
  const auto before = set == nullptr ? std::nullopt : std::optional<std::string>(set);
  ASSERT_EQ(::setenv("TMPDIR", path("").c_str(), 1), 0);
  EXPECT_EQ(temp_folder(), path(""));
  ASSERT_EQ(::unsetenv("TMPDIR"), 0);
  EXPECT_EQ(temp_folder(), "/tmp");
  if (before) ::setenv("TMPDIR", before->c_str(), 1);
}

TEST_F(PathsTest, TemporaryThingsGoWithTheirOwner) {
  std::string name;
  {
    auto made = block_on(temp_dir("keep-", path(".")));
    ASSERT_TRUE(made.has_value());
    name = made->path();
    EXPECT_EQ(blocking_stat(name).value().mode() & 07777, 0700U);
    EXPECT_TRUE(blocking_write_file(name + "/inside", {}).has_value());
  }
  EXPECT_FALSE(blocking_exists(name).value());

  auto named = block_on(named_temp_file("n-", path(".")));
  ASSERT_TRUE(named.has_value());
  EXPECT_TRUE(block_on(named->file.write_all(bytes("t"))).has_value());
  EXPECT_EQ(text(blocking_read_file(named->path.path()).value()), "t");
  EXPECT_TRUE(block_on(named->path.remove()).has_value());
  EXPECT_TRUE(block_on(named->path.remove()).error().is_os(ENOENT));

  auto nameless = block_on(temp_file(path(".")));
  ASSERT_TRUE(nameless.has_value());
  EXPECT_TRUE(block_on(nameless->write_all(bytes("u"))).has_value());
  EXPECT_EQ(text(block_on(nameless->read_at(op::Bytes(1), 0)).buffer), "u");
  EXPECT_TRUE(block_on(read_dir(path("."))).value().empty());
  EXPECT_TRUE(block_on(temp_dir("x", path("none"))).error().is_os(ENOENT));
}

}  // namespace
}  // namespace blitzio::fs
