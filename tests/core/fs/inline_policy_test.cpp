// When calls may be made on the spot: the account of their time, and what a known folder allows.
#include <blitzio/fs/detail/inline_policy.hpp>
#include <blitzio/fs/directory.hpp>
#include <blitzio/fs/file.hpp>
#include <blitzio/fs/paths.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <core/fs/support.hpp>

#include <cerrno>
#include <string>
#include <thread>

namespace blitzio::fs {
namespace {

using namespace blitzio::literals;
using detail::kCreditMax;
using detail::kHandOver;
using detail::kPatience;
using detail::kPauseMax;
using detail::Pace;

/// A Pace and the time, which moves by what is done.
class PaceTest : public testing::Test {
 protected:
  void call(Duration takes) {
    const Instant begin = now_;
    now_ += takes;
    pace_.pay(begin, now_);
  }
  [[nodiscard]] bool is_going() const { return pace_.is_going(now_); }

  Pace pace_;
  Instant now_ = Instant::from_nanos(1'000'000'000);
};

TEST_F(PaceTest, CallsAsQuickAsAHandOverNeverPause) {
  for (int i = 0; i < 10'000; ++i) call(kHandOver);
  EXPECT_TRUE(is_going());
  EXPECT_TRUE(pace_.is_untroubled());
}

TEST_F(PaceTest, ThePauseIsInProportionToTheStall) {
  for (const Duration stall : {1_ms, 20_ms, 500_ms}) {
    call(kHandOver + stall);
    EXPECT_FALSE(is_going());
    now_ += stall * kPatience - 1_ns;
    EXPECT_FALSE(is_going());
    now_ += 1_ns;
    EXPECT_TRUE(is_going());
  }
  EXPECT_FALSE(pace_.is_untroubled());
}

TEST_F(PaceTest, WhatSavedNothingEarnsNothing) {
  for (int i = 0; i < 100; ++i) {
    const Instant begin = now_;
    now_ += 1_us;
    pace_.pay(begin, now_, Duration::zero());
    now_ += 10_us;  // the pause that this cost
  }
  call(kHandOver + 1_us);
  EXPECT_FALSE(is_going());
}

TEST_F(PaceTest, QuickCallsEarnASlowOneButOnlyUpToALimit) {
  for (int i = 0; i < 100; ++i) call(kHandOver - 40_us);
  call(kHandOver + 4_ms);
  EXPECT_TRUE(is_going());
  call(kHandOver + 1_us);
  EXPECT_FALSE(is_going());

  now_ += 1_s;
  for (int i = 0; i < 10'000; ++i) call(0_us);
  call(kHandOver + kCreditMax);
  EXPECT_TRUE(is_going());
  call(kHandOver + 1_us);
  EXPECT_FALSE(is_going());
}

TEST_F(PaceTest, WhatStaysSlowTakesASmallPartOfTheTime) {
  Duration stalled;
  const Instant begin = now_;
  for (int i = 0; i < 1'000; ++i) {
    now_ += 1_ms;
    if (!is_going()) continue;
    call(3_ms);
    stalled += 3_ms;
  }
  EXPECT_LE(stalled * (kPatience - 1), now_ - begin);
  EXPECT_GT(stalled, Duration::zero());
}

TEST_F(PaceTest, APauseIsNotShortenedByAnotherThreadNorWithoutEnd) {
  const Instant begin = now_;
  pace_.pay(begin, begin + 100_ms);
  pace_.pay(begin, begin + 1_ms);  // was stalled meanwhile, and for less
  EXPECT_FALSE(pace_.is_going(begin + 900_ms));
  pace_.pay(begin, begin + 1_h);
  EXPECT_FALSE(pace_.is_going(begin + 1_h));
  EXPECT_TRUE(pace_.is_going(begin + 1_h + kPauseMax));
}

/// In a folder that is known to be local, where there is one.
class KnownFolderTest : public InFolder {
 protected:
  void SetUp() override {
    InFolder::SetUp();
    ASSERT_TRUE(blocking_write_file(path("there"), bytes("content")).has_value());
    if (!try_stat(path("there"))) GTEST_SKIP() << "the temporary folder is not local";
  }
  // A stall, of some other test's too, must not count: what is tried is tried until it is tried.
  // The pause behind a stall may be longer than what was seen of the folder is believed.
  template <class Try>
  auto tried(Try attempt, const std::string& name = "there") {
    for (;;) {
      if (auto answer = attempt()) return *answer;
      detail::look_at_folder(path(name));
      std::this_thread::yield();
    }
  }
};

TEST_F(KnownFolderTest, NamesThatNobodyLookedUpAreMadeOnTheSpot) {
  EXPECT_TRUE(tried([&] { return try_write_file(path("new"), bytes("on the spot")); }));
  EXPECT_EQ(text(blocking_read_file(path("new")).value()), "on the spot");
  const OpenOptions anew{.write = true, .create_new = true};
  EXPECT_TRUE(tried([&] { return File::try_open(path("newer"), anew); }).has_value());
  const auto again = tried([&] { return File::try_open(path("newer"), anew); });
  EXPECT_TRUE(again.error().is_os(EEXIST));
}

constexpr OpenOptions kAnew{.write = true, .truncate = true, .create = true};

TEST_F(KnownFolderTest, FilesAreReplacedOnTheSpot) {
  EXPECT_TRUE(tried([&] { return try_write_file(path("there"), bytes("new")); }));
  EXPECT_EQ(text(blocking_read_file(path("there")).value()), "new");
  const auto file = tried([&] { return File::try_open(path("there"), kAnew); });
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(::fcntl(file->fd(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(blocking_stat(path("there")).value().size(), 0U);
}

/// Whether the name is taken is guessed, by what became of the last one.
class GuessTest : public KnownFolderTest, public testing::WithParamInterface<bool> {
 protected:
  void expect(bool is_taken) {
    const std::string last = path(is_taken ? "there" : "new");
    const auto written = tried([&] { return try_write_file(last, bytes("last")); });
    ASSERT_TRUE(written.has_value());
    if (is_taken) return;
    ASSERT_TRUE(blocking_remove(last).has_value());
  }
  /// Creates, replaces or fails, with either guess.
  template <class Try>
  auto guessed(Try attempt) {
    expect(GetParam());
    return tried(attempt);
  }
  template <class Try>
  bool is_left_to_a_thread(Try attempt) {
    expect(GetParam());
    return !attempt().has_value();
  }
  [[nodiscard]] bool is_a_file(std::string_view name) const {
    return blocking_stat(path(name), false).value().is_file();
  }
};

TEST_P(GuessTest, NewAndOldFilesAreWrittenOnTheSpot) {
  EXPECT_TRUE(guessed([&] { return try_write_file(path("made"), bytes("new")); }));
  EXPECT_EQ(text(blocking_read_file(path("made")).value()), "new");
  EXPECT_TRUE(guessed([&] { return try_write_file(path("made"), bytes("it")); }));
  EXPECT_EQ(text(blocking_read_file(path("made")).value()), "it");
  const auto append = [&] { return try_write_file(path("made"), bytes("!"), WriteMode::append); };
  EXPECT_TRUE(guessed(append));
  EXPECT_EQ(text(blocking_read_file(path("made")).value()), "it!");
  EXPECT_TRUE(guessed([&] { return File::try_open(path("made"), kAnew); }));
  EXPECT_EQ(blocking_stat(path("made")).value().size(), 0U);
  EXPECT_TRUE(guessed([&] { return File::try_open(path("opened"), kAnew); }));
  EXPECT_TRUE(is_a_file("opened"));
}

TEST_P(GuessTest, WhatIsNoFileIsNotOpenedOnTheSpotForWriting) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  ASSERT_TRUE(blocking_symlink("there", path("link")).has_value());
  ASSERT_TRUE(blocking_symlink("fifo", path("fifo_link")).has_value());
  ASSERT_TRUE(blocking_symlink("/dev/null", path("device_link")).has_value());
  ASSERT_TRUE(blocking_symlink("missing", path("dangling")).has_value());
  ASSERT_TRUE(blocking_symlink("itself", path("itself")).has_value());
  for (const char* name : {"fifo", "link", "fifo_link", "device_link", "dangling", "itself"}) {
    EXPECT_TRUE(is_left_to_a_thread([&] { return try_write_file(path(name), bytes("x")); }));
    EXPECT_TRUE(is_left_to_a_thread([&] { return File::try_open(path(name), kAnew); }));
  }
  EXPECT_FALSE(blocking_exists(path("missing")).value());
  // As open(2) has it: the thread makes what the link names.
  EXPECT_TRUE(block_on(write_file(path("dangling"), bytes("through"))).has_value());
  EXPECT_EQ(text(blocking_read_file(path("missing")).value()), "through");
}

TEST_P(GuessTest, NobodyAtAFifoIsWokenByAnAttempt) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  ASSERT_TRUE(blocking_symlink("fifo", path("link")).has_value());
  const auto reader = OwnedFd::adopt(::open(path("fifo").c_str(), O_RDONLY | O_NONBLOCK));
  for (const char* name : {"fifo", "link"}) {
    EXPECT_TRUE(is_left_to_a_thread([&] { return try_write_file(path(name), bytes("x")); }));
  }
  pollfd seen{reader.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&seen, 1, 0), 0);  // a writer that came and went would be POLLHUP
}

TEST_P(GuessTest, TheErrorsAreThoseOfOpen) {
  const auto errno_of = [&](const std::string& name, const OpenOptions& options) {
    return guessed([&] { return File::try_open(path(name), options); }).error();
  };
  const OpenOptions exclusive{.write = true, .create_new = true};
  ASSERT_TRUE(blocking_mkdir(path("folder")).has_value());
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  ASSERT_TRUE(blocking_symlink("missing", path("dangling")).has_value());
  EXPECT_TRUE(errno_of("folder", kAnew).is_os(EISDIR));
  EXPECT_TRUE(errno_of(".", kAnew).is_os(EISDIR));
  EXPECT_TRUE(errno_of(std::string(300, 'n'), kAnew).is_os(ENAMETOOLONG));
  for (const char* taken : {"there", "folder", "fifo", "dangling"}) {
    EXPECT_TRUE(errno_of(taken, exclusive).is_os(EEXIST)) << taken;
  }
  EXPECT_FALSE(blocking_exists(path("missing")).value());
}

TEST_P(GuessTest, InAFolderThatMayNotBeWrittenTheErrorIsThatOfOpen) {
  expect(GetParam());
  ASSERT_TRUE(blocking_set_permissions(path("."), 0555).has_value());
  ASSERT_TRUE(blocking_set_permissions(path("there"), 0644).has_value());
  std::thread([&] {
    // Root may write anywhere; so this thread is somebody else, to file systems.
    if (::geteuid() == 0) ::setfsuid(65534);
    const auto made = tried([&] { return try_write_file(path("made"), bytes("x")); });
    EXPECT_TRUE(made.error().is_os(EACCES));
    if (::geteuid() != 0) return;
    const auto replaced = tried([&] { return try_write_file(path("there"), bytes("x")); });
    EXPECT_TRUE(replaced.error().is_os(EACCES));
  }).join();
  ASSERT_TRUE(blocking_set_permissions(path("."), 0700).has_value());
}

TEST_P(GuessTest, OnAReadOnlyFileSystemTheErrorIsThatOfOpen) {
  ASSERT_TRUE(blocking_mkdir(path("folder")).has_value());
  ASSERT_TRUE(blocking_write_file(path("folder/there"), bytes("x")).has_value());
  bool may_mount = false;
  expect(GetParam());
  std::thread([&] {
    const std::string folder = path("folder");
    constexpr unsigned long kReadOnly = MS_REMOUNT | MS_BIND | MS_RDONLY;
    may_mount = ::unshare(CLONE_NEWNS) == 0 &&
                ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                ::mount(folder.c_str(), folder.c_str(), nullptr, MS_BIND, nullptr) == 0 &&
                ::mount("none", folder.c_str(), nullptr, kReadOnly, nullptr) == 0;
    if (!may_mount) return;
    for (const char* name : {"folder/there", "folder/new"}) {
      const auto answer = tried([&] { return try_write_file(path(name), bytes("x")); }, name);
      EXPECT_TRUE(answer.error().is_os(EROFS)) << name;
    }
  }).join();
  if (!may_mount) GTEST_SKIP() << "it takes the right to mount";
}

INSTANTIATE_TEST_SUITE_P(Guess, GuessTest, testing::Bool(),
                         [](const auto& guess) { return guess.param ? "Taken" : "Free"; });

// Its file system may be any: what is known of the folder does not tell.
TEST_F(KnownFolderTest, AFileThatIsMountedThereIsLeftToThreads) {
  ASSERT_TRUE(blocking_write_file(path("other"), bytes("another")).has_value());
  bool may_mount = false;
  std::thread([&] {
    // In a mount namespace of this thread's own, with which the mount ends.
    may_mount =
        ::unshare(CLONE_NEWNS) == 0 &&
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
        ::mount(path("other").c_str(), path("there").c_str(), nullptr, MS_BIND, nullptr) == 0;
    if (!may_mount) return;
    EXPECT_EQ(text(blocking_read_file(path("there")).value()), "another");
    EXPECT_FALSE(File::try_open(path("there")).has_value());
    EXPECT_FALSE(try_read_file(path("there")).has_value());
    EXPECT_FALSE(try_write_file(path("there"), bytes("x")).has_value());
    EXPECT_FALSE(try_stat(path("there")).has_value());
  }).join();
  if (!may_mount) GTEST_SKIP() << "it takes the right to mount";
}

TEST_F(KnownFolderTest, FoldersAreChangedOnTheSpot) {
  EXPECT_TRUE(tried([&] { return try_mkdir(path("d"), 0700); }));
  EXPECT_TRUE(tried([&] { return try_mkdir(path("d"), 0700); }).error().is_os(EEXIST));
  EXPECT_EQ(blocking_stat(path("d")).value().mode() & 07777, 0700U);
  EXPECT_TRUE(tried([&] { return try_rename(path("there"), path("moved")); }));
  EXPECT_TRUE(tried([&] { return try_hard_link(path("moved"), path("other")); }));
  EXPECT_TRUE(tried([&] { return try_symlink("moved", path("link")); }));
  EXPECT_EQ(text(blocking_read_file(path("link")).value()), "content");
  for (const char* name : {"moved", "other", "link"}) {
    EXPECT_TRUE(tried([&] { return try_remove(path(name)); }));
    EXPECT_TRUE(tried([&] { return try_remove(path(name)); }).error().is_os(ENOENT));
  }
  EXPECT_TRUE(tried([&] { return try_remove_dir(path("d")); }));
  EXPECT_FALSE(blocking_exists(path("d")).value());
}

TEST_F(KnownFolderTest, NothingIsChangedOnTheSpotWhereItMayNotBe) {
  set_inline_writes(false);
  EXPECT_FALSE(try_mkdir(path("d")).has_value());
  EXPECT_FALSE(try_remove(path("there")).has_value());
  set_inline_writes(true);
  // The folder above is known, this one is not.
  ASSERT_TRUE(blocking_mkdir(path("unknown")).has_value());
  EXPECT_FALSE(try_mkdir(path("unknown/d")).has_value());
  EXPECT_FALSE(try_rename(path("there"), path("unknown/there")).has_value());
  EXPECT_FALSE(try_hard_link(path("there"), path("unknown/there")).has_value());
}

TEST_F(KnownFolderTest, LargeFilesAreFreedInAThread) {
  const op::Bytes large(detail::kInlineFreeBytesMax + 1);
  ASSERT_TRUE(blocking_write_file(path("large"), large).has_value());
  EXPECT_FALSE(try_remove(path("large")).has_value());
  EXPECT_FALSE(try_rename(path("there"), path("large")).has_value());
  EXPECT_FALSE(try_write_file(path("large"), bytes("small")).has_value());
  EXPECT_EQ(blocking_stat(path("large")).value().size(), large.size());
  ASSERT_TRUE(blocking_hard_link(path("large"), path("other")).has_value());
  EXPECT_TRUE(tried([&] { return try_remove(path("other")); }));  // only a name of it
  EXPECT_TRUE(block_on(remove(path("large"))).has_value());
  EXPECT_FALSE(blocking_exists(path("large")).value());
}

}  // namespace
}  // namespace blitzio::fs
