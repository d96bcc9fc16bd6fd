// Watcher: each kind of event, renames in two halves, directories that come and go, waiting.
#include "core/fs/support.hpp"
#include "core/sync/support.hpp"

#include <blitzio/executor/local_executor.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/fs/watch.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <latch>
#include <memory>
#include <string>
#include <vector>

namespace blitzio::fs {
namespace {

using testing::Contains;
using testing::ElementsAre;

class WatchTest : public InFolder {
 protected:
  Watcher watch(const std::string& path, bool recursive = false) {
    return std::move(Watcher::blocking_watch({path}, {.recursive = recursive})).value();
  }
  // All that has happened, as "created file", relative to the folder.
  std::vector<std::string> seen(Watcher& watcher) {
    std::vector<std::string> all;
    while (auto item = watcher.try_next()) {
      EXPECT_TRUE(item->has_value()) << item->error().message();
      if (!*item || !**item) {
        all.emplace_back("end");
        break;
      }
      all.push_back(line(***item));
    }
    return all;
  }
  std::string line(const WatchEvent& event) {
    static constexpr std::array kNames{"created",  "modified",     "removed", "renamed",
                                       "metadata", "root_removed", "overflow"};
    std::string line = kNames[static_cast<std::size_t>(event.kind)];
    if (event.is_directory) line.append("/");
    if (!event.from.empty()) line.append(" ").append(short_name(event.from)).append(" to");
    if (!event.path.empty()) line.append(" ").append(short_name(event.path));
    return line;
  }
  void put(const std::string& name, std::string_view content) {
    ASSERT_TRUE(blocking_write_file(path(name), bytes(content)).has_value());
  }
  // How many events the kernel keeps.
  static std::size_t events_max() {
    const auto limit = blocking_read_file("/proc/sys/fs/inotify/max_queued_events");
    return limit ? std::stoul(text(*limit)) : 16'384;
  }
  // More events of the folder than that; alternating, for it joins equal ones.
  void overflow(const std::string& folder) {
    put(folder + "a", "");
    put(folder + "b", "");
    for (std::size_t i = 0; i <= events_max() / 2 + 2; ++i) {
      ASSERT_EQ(::chmod(path(folder + "a").c_str(), 0600), 0);
      ASSERT_EQ(::chmod(path(folder + "b").c_str(), 0600), 0);
    }
  }

 private:
  std::string short_name(const std::string& whole) {
    const std::string root = path("");
    return whole.starts_with(root) ? whole.substr(root.size()) : whole;
  }
};

TEST_F(WatchTest, TellsWhatHappensInADirectory) {
  put("there", "1");
  auto watcher = watch(path("."));
  auto plain = watch(path("there"));
  put("new", "");
  put("there", "2");
  ASSERT_EQ(::chmod(path("new").c_str(), 0600), 0);
  ASSERT_TRUE(blocking_rename(path("new"), path("other")).has_value());
  ASSERT_TRUE(blocking_mkdir(path("folder")).has_value());
  ASSERT_TRUE(blocking_remove(path("other")).has_value());
  ASSERT_TRUE(blocking_remove_dir(path("folder")).has_value());
  EXPECT_THAT(seen(watcher), ElementsAre("created ./new", "modified ./there", "metadata ./new",
                                         "renamed ./new to ./other", "created/ ./folder",
                                         "removed ./other", "removed/ ./folder"));
  EXPECT_THAT(seen(plain), Contains("modified there"));
}

TEST_F(WatchTest, HalfARenameIsAComingOrALeaving) {
  ASSERT_TRUE(blocking_mkdir(path("in")).has_value());
  ASSERT_TRUE(blocking_mkdir(path("out")).has_value());
  put("out/a", "");
  auto watcher = watch(path("in"));
  ASSERT_TRUE(blocking_rename(path("out/a"), path("in/a")).has_value());
  ASSERT_TRUE(blocking_rename(path("in/a"), path("in/b")).has_value());
  ASSERT_TRUE(blocking_rename(path("in/b"), path("out/b")).has_value());
  EXPECT_THAT(seen(watcher), ElementsAre("created in/a", "renamed in/a to in/b", "removed in/b"));
}

TEST_F(WatchTest, FollowsATreeAsItGrowsAndMoves) {
  ASSERT_TRUE(blocking_mkdir_all(path("root/a")).has_value());
  auto watcher = watch(path("root"), true);
  put("root/a/file", "");
  EXPECT_THAT(seen(watcher), ElementsAre("created root/a/file"));
  // What is in a new directory before it is watched is not missed.
  ASSERT_TRUE(blocking_mkdir_all(path("root/b/c")).has_value());
  put("root/b/c/early", "");
  EXPECT_THAT(seen(watcher),
              ElementsAre("created/ root/b", "created/ root/b/c", "created root/b/c/early"));
  ASSERT_TRUE(blocking_rename(path("root/b"), path("root/d")).has_value());
  EXPECT_THAT(seen(watcher), ElementsAre("renamed/ root/b to root/d"));
  put("root/d/c/late", "");
  EXPECT_THAT(seen(watcher), ElementsAre("created root/d/c/late"));
  // What has left is left alone.
  ASSERT_TRUE(blocking_rename(path("root/d"), path("gone")).has_value());
  EXPECT_THAT(seen(watcher), ElementsAre("removed/ root/d"));
  put("gone/c/more", "");
  EXPECT_THAT(seen(watcher), ElementsAre());
  ASSERT_TRUE(blocking_remove_dir_all(path("root/a")).has_value());
  EXPECT_THAT(seen(watcher), ElementsAre("removed root/a/file", "removed/ root/a"));
}

TEST_F(WatchTest, TellsNothingOfADirectoryThatHasLeftBeforeItWasSeen) {
  ASSERT_TRUE(blocking_mkdir_all(path("root/a")).has_value());
  ASSERT_TRUE(blocking_mkdir_all(path("root/b")).has_value());
  auto watcher = watch(path("root"), true);
  ASSERT_TRUE(blocking_rename(path("root/a"), path("a")).has_value());
  put("a/new", "");
  ASSERT_TRUE(blocking_rename(path("root/b"), path("b")).has_value());
  // What it tells of itself is looked up, too.
  ASSERT_EQ(::chmod(path("b").c_str(), 0700), 0);
  EXPECT_THAT(seen(watcher), ElementsAre("removed/ root/a", "removed/ root/b"));
}

TEST_F(WatchTest, FollowsADirectoryThatWasRenamedBeforeItWasSeen) {
  ASSERT_TRUE(blocking_mkdir(path("root")).has_value());
  auto watcher = watch(path("root"), true);
  ASSERT_TRUE(blocking_mkdir(path("root/new")).has_value());
  put("root/new/file", "");
  ASSERT_TRUE(blocking_rename(path("root/new"), path("root/name")).has_value());
  EXPECT_THAT(seen(watcher), ElementsAre("created/ root/new", "renamed/ root/new to root/name",
                                         "created root/name/file"));
  put("root/name/later", "");
  EXPECT_THAT(seen(watcher), ElementsAre("created root/name/later"));
}

// Makes `folder` with 110 directories below it and a file, and tells what a watcher reports when
// it appears, in order of the alphabet.
class LargeTree : public WatchTest {
 protected:
  std::vector<std::string> make(const std::string& folder) {
    std::vector<std::string> all{"created/ root/tree"};
    for (int i = 0; i < 10; ++i) {
      const std::string outer = std::to_string(i);
      all.push_back("created/ root/tree/" + outer);
      for (int k = 0; k < 10; ++k) {
        const std::string inner = outer + "/" + std::to_string(k);
        EXPECT_TRUE(blocking_mkdir_all(path(folder + "/" + inner)).has_value());
        all.push_back("created/ root/tree/" + inner);
      }
    }
    put(folder + "/9/9/file", "");
    all.emplace_back("created root/tree/9/9/file");
    std::ranges::sort(all);
    return all;
  }
  // A watcher of `root`, into which such a tree has been moved since.
  Watcher watch_a_tree_come() {
    EXPECT_TRUE(blocking_mkdir(path("root")).has_value());
    make("tree");
    auto watcher = watch(path("root"), true);
    EXPECT_TRUE(blocking_rename(path("tree"), path("root/tree")).has_value());
    return watcher;
  }
  // Its only thread that looks is busy until then.
  static std::unique_ptr<Runtime> busy_until(std::latch& may_look) {
    Config config;
    config.workers = 1;
    config.blocking_threads_max = 1;
    auto runtime = Runtime::create(config).value();
    runtime->spawn_blocking([&may_look] { may_look.wait(); }).detach();
    return runtime;
  }
  // What is told, as far as that `root/end` is made; a thread of `runtime` looks.
  std::vector<std::string> seen_to_the_end(Runtime& runtime, Watcher& watcher) {
    auto work = [&]() -> Async<std::vector<std::string>> {
      std::vector<std::string> all;
      do {
        auto item = co_await watcher.next();
        all.push_back(line(**item));
      } while (all.back() != "created root/end");
      co_return all;
    };
    return runtime.block_on(work());
  }
};

TEST_F(LargeTree, IsLookedAtByAThread) {
  ASSERT_TRUE(blocking_mkdir(path("root")).has_value());
  const auto expected = make("tree");
  Config config;
  config.workers = 1;
  auto runtime = Runtime::create(config).value();
  auto watcher = watch(path("root"), true);
  ASSERT_TRUE(blocking_rename(path("tree"), path("root/tree")).has_value());
  // Behind it: where they are is known only then.
  put("root/tree/0/0/late", "");
  ASSERT_TRUE(blocking_rename(path("root/tree/1"), path("root/moved")).has_value());
  put("root/end", "");
  const auto all = seen_to_the_end(*runtime, watcher);
  EXPECT_EQ(runtime->metrics().blocking.threads, 1U);
  EXPECT_THAT(all, Contains("created/ root/moved"));
  EXPECT_GE(all.size(), expected.size());
  put("root/tree/9/9/later", "");
  put("root/moved/9/later", "");
  EXPECT_THAT(seen(watcher),
              ElementsAre("created root/tree/9/9/later", "created root/moved/9/later"));
}

TEST_F(LargeTree, AskingForItLeavesTheWaitOfAnother) {
  std::latch may_look(1);
  auto runtime = busy_until(may_look);
  auto watcher = watch_a_tree_come();
  auto work = [&]() -> Async<> {
    seen(watcher);
    test::WakeCounter waiter;
    auto next = watcher.next();
    EXPECT_TRUE(waiter.poll(next).is_pending());
    EXPECT_FALSE(watcher.try_next().has_value());
    may_look.count_down();
    static_cast<void>(co_await runtime->spawn_blocking([] {}));  // after the look
    EXPECT_GT(waiter.count(), 0);
    EXPECT_TRUE(waiter.poll(next).is_ready());
  };
  runtime->block_on(work());
}

TEST_F(LargeTree, ClosingEndsTheWaitForIt) {
  std::latch may_look(1);
  auto runtime = busy_until(may_look);
  auto watcher = watch_a_tree_come();
  auto work = [&]() -> Async<> {
    seen(watcher);
    test::WakeCounter waiter;
    auto next = watcher.next();
    EXPECT_TRUE(waiter.poll(next).is_pending());
    watcher.close();
    EXPECT_GT(waiter.count(), 0);
    auto item = waiter.poll(next);
    const auto closed = Error::runtime(RuntimeErrc::closed);
    EXPECT_TRUE(item.is_ready() && item.value().error() == closed);
    const auto later = watcher.try_next();
    EXPECT_TRUE(later.has_value() && later->error() == closed);
    co_return;
  };
  runtime->block_on(work());
  may_look.count_down();
}

TEST_F(LargeTree, IsToldOfThoughEachWaitIsDropped) {
  ASSERT_TRUE(blocking_mkdir(path("root")).has_value());
  const auto expected = make("tree");
  auto watcher = watch(path("root"), true);
  ASSERT_TRUE(blocking_rename(path("tree"), path("root/tree")).has_value());
  std::vector<std::string> all;
  auto executor = LocalExecutor::create().value();
  auto work = [&]() -> Async<> {
    while (all.size() < expected.size()) {
      const Waker nobody;
      Context context(nobody);
      auto dropped = watcher.next();
      if (auto item = dropped.poll(context); item.is_ready()) all.push_back(line(**item.value()));
      if (const auto more = seen(watcher); true) all.insert(all.end(), more.begin(), more.end());
      co_await yield_now();
    }
  };
  executor->block_on(work());
  std::ranges::sort(all);
  EXPECT_EQ(all, expected);
  put("root/tree/9/9/later", "");
  EXPECT_THAT(seen(watcher), ElementsAre("created root/tree/9/9/later"));
}

TEST_F(WatchTest, EndsWhenWhatItWatchesIsGone) {
  ASSERT_TRUE(blocking_mkdir(path("root")).has_value());
  auto watcher = watch(path("root"));
  ASSERT_TRUE(blocking_remove_dir(path("root")).has_value());
  EXPECT_THAT(seen(watcher), ElementsAre("root_removed/ root", "end"));
  ASSERT_TRUE(blocking_mkdir(path("root")).has_value());
  auto moved = watch(path("root"), true);
  ASSERT_TRUE(blocking_rename(path("root"), path("elsewhere")).has_value());
  EXPECT_THAT(seen(moved), ElementsAre("root_removed/ root", "end"));
}

TEST_F(WatchTest, SaysThatEventsWereLost) {
  auto watcher = watch(path("."));
  if (events_max() > 100'000) GTEST_SKIP() << "the kernel keeps " << events_max() << " events";
  overflow("");
  EXPECT_THAT(seen(watcher), Contains("overflow"));
  put("c", "");
  EXPECT_THAT(seen(watcher), ElementsAre("created ./c"));
}

TEST_F(WatchTest, WatchesWhatCameAndWentWhileEventsWereLost) {
  if (events_max() > 100'000) GTEST_SKIP() << "the kernel keeps " << events_max() << " events";
  ASSERT_TRUE(blocking_mkdir_all(path("root/moves/below")).has_value());
  ASSERT_TRUE(blocking_mkdir_all(path("root/leaves/below")).has_value());
  auto watcher = watch(path("root"), true);
  overflow("root/");
  ASSERT_TRUE(blocking_mkdir_all(path("root/new/below")).has_value());
  ASSERT_TRUE(blocking_rename(path("root/moves"), path("root/moved")).has_value());
  ASSERT_TRUE(blocking_rename(path("root/leaves"), path("gone")).has_value());
  EXPECT_THAT(seen(watcher), Contains("overflow"));
  put("root/new/below/file", "");
  put("root/moved/below/file", "");
  put("gone/below/file", "");
  EXPECT_THAT(seen(watcher),
              ElementsAre("created root/new/below/file", "created root/moved/below/file"));
}

TEST_F(WatchTest, MissesNoRootsEndAmongTheEventsThatWereLost) {
  if (events_max() > 100'000) GTEST_SKIP() << "the kernel keeps " << events_max() << " events";
  for (const bool is_recursive : {false, true}) {
    for (const char* name : {"busy", "removed", "moved", "replaced"}) {
      ASSERT_TRUE(blocking_mkdir_all(path(name)).has_value());
    }
    auto made =
        Watcher::blocking_watch({path("busy"), path("removed"), path("moved"), path("replaced")},
                                {.recursive = is_recursive});
    ASSERT_TRUE(made.has_value());
    overflow("busy/");
    ASSERT_TRUE(blocking_remove_dir(path("removed")).has_value());
    ASSERT_TRUE(blocking_rename(path("moved"), path("elsewhere")).has_value());
    ASSERT_TRUE(blocking_remove_dir(path("replaced")).has_value());
    ASSERT_TRUE(blocking_mkdir(path("replaced")).has_value());
    const auto told = seen(*made);
    for (const char* name : {"removed", "moved", "replaced"}) {
      EXPECT_EQ(std::ranges::count(told, std::string("root_removed/ ") + name), 1) << name;
    }
    put("busy/c", "");
    put("replaced/c", "");
    EXPECT_THAT(seen(*made), ElementsAre("created busy/c"));
    ASSERT_TRUE(blocking_remove_dir_all(path("busy")).has_value());
    ASSERT_TRUE(blocking_remove_dir_all(path("replaced")).has_value());
    ASSERT_TRUE(blocking_remove_dir(path("elsewhere")).has_value());
  }
}

// A watcher of `root`, in a program that is in the folder then, and goes elsewhere.
class RelativeRoot : public LargeTree {
 protected:
  void SetUp() override {
    LargeTree::SetUp();
    before_ = std::filesystem::current_path();
    ASSERT_TRUE(blocking_mkdir_all(path("root/there")).has_value());
    std::filesystem::current_path(path(""));
  }
  void TearDown() override { std::filesystem::current_path(before_); }
  Watcher watch_and_leave(bool recursive) {
    auto watcher = watch("root", recursive);
    std::filesystem::current_path("/");
    return watcher;
  }

 private:
  std::filesystem::path before_;
};

TEST_F(RelativeRoot, IsTheSameAfterEventsWereLost) {
  if (events_max() > 100'000) GTEST_SKIP() << "the kernel keeps " << events_max() << " events";
  auto plain = watch_and_leave(false);
  std::filesystem::current_path(path(""));
  auto recursive = watch_and_leave(true);
  overflow("root/");
  ASSERT_TRUE(blocking_mkdir(path("root/new")).has_value());
  for (Watcher* watcher : {&plain, &recursive}) {
    EXPECT_EQ(seen(*watcher).back(), "overflow");
  }
  put("root/c", "");
  put("root/there/c", "");
  put("root/new/c", "");
  EXPECT_THAT(seen(plain), ElementsAre("created root/c"));
  EXPECT_THAT(seen(recursive),
              ElementsAre("created root/c", "created root/there/c", "created root/new/c"));
}

TEST_F(RelativeRoot, IsFollowedAsItGrows) {
  auto watcher = watch_and_leave(true);
  ASSERT_TRUE(blocking_mkdir_all(path("root/a/b")).has_value());
  put("root/a/b/early", "");
  EXPECT_THAT(seen(watcher),
              ElementsAre("created/ root/a", "created/ root/a/b", "created root/a/b/early"));
  put("root/a/b/late", "");
  EXPECT_THAT(seen(watcher), ElementsAre("created root/a/b/late"));
}

TEST_F(RelativeRoot, IsLookedAtByAThread) {
  auto expected = make("tree");
  Config config;
  config.workers = 1;
  auto runtime = Runtime::create(config).value();
  auto watcher = watch_and_leave(true);
  ASSERT_TRUE(blocking_rename(path("tree"), path("root/tree")).has_value());
  put("root/end", "");
  expected.insert(expected.begin(), "created root/end");
  auto all = seen_to_the_end(*runtime, watcher);
  std::ranges::sort(all);
  EXPECT_EQ(all, expected);
  put("root/tree/9/9/later", "");
  EXPECT_THAT(seen(watcher), ElementsAre("created root/tree/9/9/later"));
}

TEST_F(RelativeRoot, MayBeInADirectoryWithoutAName) {
  ASSERT_TRUE(blocking_mkdir(path("gone")).has_value());
  std::filesystem::current_path(path("gone"));
  ASSERT_TRUE(blocking_remove_dir(path("gone")).has_value());
  const auto watcher = Watcher::blocking_watch({"."});
  EXPECT_TRUE(watcher.has_value());
}

TEST_F(WatchTest, TellsNothingMoreOnceClosed) {
  auto watcher = watch(path("."));
  put("a", "");
  put("b", "");
  ASSERT_TRUE(watcher.try_next().has_value());
  watcher.close();
  const auto item = watcher.try_next();
  ASSERT_TRUE(item.has_value());
  EXPECT_TRUE(!item->has_value() && item->error().is(RuntimeErrc::closed));
}

TEST_F(WatchTest, WaitsAndADroppedWaitTakesNothing) {
  auto executor = LocalExecutor::create().value();
  auto watcher = watch(path("."));
  auto work = [&]() -> Async<std::string> {
    {
      const Waker nobody;
      Context context(nobody);
      auto dropped = watcher.next();
      EXPECT_TRUE(dropped.poll(context).is_pending());
    }
    put("file", "");
    auto event = co_await watcher.next();
    co_return (*event)->path;
  };
  EXPECT_EQ(executor->block_on(work()), path("./file"));
}

TEST_F(WatchTest, ClosingEndsIt) {
  auto watcher = watch(path("."));
  watcher.close();
  const auto item = watcher.try_next();
  ASSERT_TRUE(item.has_value());
  EXPECT_EQ(item->error(), Error::runtime(RuntimeErrc::closed));
}

TEST_F(WatchTest, WhatIsNotThereCannotBeWatched) {
  EXPECT_EQ(Watcher::blocking_watch({path("missing")}).error(), Error::os(ENOENT));
  EXPECT_EQ(Watcher::blocking_watch({""}).error(), Error::os(ENOENT));
  EXPECT_EQ(Watcher::blocking_watch({std::string("a\0b", 3)}).error(),
            Error::runtime(RuntimeErrc::invalid_argument));
}

}  // namespace
}  // namespace blitzio::fs
