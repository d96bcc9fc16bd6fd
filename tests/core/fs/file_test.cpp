#include <blitzio/executor/local_executor.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/fs/file.hpp>
#include <blitzio/fs/paths.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <core/fs/support.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace blitzio::fs {
namespace {

using FilesTest = InFolder;
Config workers(unsigned count) {
  Config config;
  config.workers = count;
  return config;
}
constexpr OpenOptions kAnew{.read = true, .write = true, .truncate = true, .create = true};

File opened(const std::string& path, const OpenOptions& options) {
  auto file = block_on(File::open(path, options));
  EXPECT_TRUE(file.has_value()) << path;
  return std::move(*file);
}

TEST_F(FilesTest, ReadsWhatWasWritten) {
  auto work = [](std::string path) -> Async<std::string> {
    auto file = co_await File::open(path, kAnew);
    EXPECT_TRUE(file.has_value());
    EXPECT_TRUE((co_await file->write_all(bytes("hello, file"))).has_value());
    EXPECT_EQ(file->position(), 11U);
    EXPECT_EQ((co_await file->seek(-4, Whence::end)).value(), 7U);
    auto got = co_await file->read(op::Bytes(100));
    EXPECT_EQ(got.count.value(), 4U);
    EXPECT_EQ((co_await file->read(op::Bytes(100))).count.value(), 0U);
    EXPECT_TRUE((co_await file->close()).has_value());
    EXPECT_FALSE(file->is_open());
    co_return text(std::span(got.buffer).first(*got.count));
  };
  EXPECT_EQ(block_on(work(path("a"))), "file");
  auto executor = LocalExecutor::create().value();
  EXPECT_EQ(executor->block_on(work(path("b"))), "file");
  auto runtime = Runtime::create(workers(2)).value();
  EXPECT_EQ(runtime->block_on(work(path("c"))), "file");
  EXPECT_EQ(runtime->spawn(work(path("d"))).blocking_join().get(), "file");
}

TEST_F(FilesTest, OffsetsLeaveThePositionAlone) {
  File file = opened(path("a"), kAnew);
  EXPECT_EQ(block_on(file.write_at(bytes("..abc"), 10, 2)).count.value(), 3U);
  EXPECT_EQ(file.position(), 0U);
  auto got = block_on(file.read_at(op::Bytes(3), 11));
  EXPECT_EQ(got.count.value(), 2U);
  EXPECT_EQ(text(std::span(got.buffer).first(2)), "bc");
  EXPECT_EQ(block_on(file.metadata()).value().size(), 13U);
  EXPECT_EQ(file.position(), 0U);
}

TEST_F(FilesTest, AnOffsetThatIsNoneIsNotThePositionInstead) {
  File file = opened(path("a"), kAnew);
  EXPECT_TRUE(block_on(file.write_all(bytes("abc"))).has_value());
  for (const std::uint64_t offset : {UINT64_MAX, std::uint64_t{1} << 63}) {
    EXPECT_TRUE(block_on(file.read_at(op::Bytes(3), offset)).count.error().is_os(EINVAL));
    EXPECT_TRUE(block_on(file.write_at(bytes("x"), offset)).count.error().is_os(EINVAL));
  }
  EXPECT_EQ(text(blocking_read_file(path("a")).value()), "abc");
}

TEST_F(FilesTest, AppendingKeepsThePositionAtTheEnd) {
  ASSERT_TRUE(blocking_write_file(path("log"), bytes("one")).has_value());
  File file = opened(path("log"), {.append = true});
  EXPECT_TRUE(block_on(file.write_all(bytes("two"))).has_value());
  EXPECT_EQ(file.position(), 6U);
  EXPECT_EQ(text(blocking_read_file(path("log")).value()), "onetwo");
}

TEST_F(FilesTest, ErrorsKeepTheirErrno) {
  EXPECT_TRUE(block_on(File::open(path("none"))).error().is_os(ENOENT));
  EXPECT_TRUE(block_on(File::open(path("none"))).error().is_os(ENOENT));  // the folder is known now
  File read_only = [&] {
    EXPECT_TRUE(blocking_write_file(path("f"), {}).has_value());
    return opened(path("f"), {.read = true});
  }();
  EXPECT_TRUE(block_on(read_only.write(bytes("x"))).count.error().is_os(EBADF));
  const OpenOptions anew{.write = true, .create_new = true};
  EXPECT_TRUE(block_on(File::open(path("f"), anew)).error().is_os(EEXIST));
  EXPECT_TRUE(block_on(File::open(path("f/g"))).error().is_os(ENOTDIR));
  const auto invalid = Error::runtime(RuntimeErrc::invalid_argument);
  EXPECT_EQ(block_on(File::open(path("f"), {})).error(), invalid);
  EXPECT_EQ(block_on(File::open(path("f"), {.read = true, .truncate = true})).error(), invalid);
  EXPECT_EQ(block_on(File::open(path("f") + '\0')).error(), invalid);
}

TEST_F(FilesTest, AKnownFolderOpensOnTheSpotAndSoDoCachedBytes) {
  ASSERT_TRUE(blocking_write_file(path("a"), bytes("cached")).has_value());
  // The write above looked at the folder. Where it does not lie on a local file system, nothing is
  // done on the spot, and there is nothing to see.
  auto tried = File::try_open(path("a"));
  if (!tried) GTEST_SKIP() << "the temporary folder is not local";
  std::vector<std::byte> buffer(6);
  const auto count = (*tried)->try_read_at(buffer, 0);
  ASSERT_TRUE(count.has_value());
  EXPECT_EQ(count->value(), 6U);
  EXPECT_EQ(text(buffer), "cached");
  EXPECT_EQ((*tried)->blocking_read_at(buffer, 3).value(), 3U);
  EXPECT_EQ(::fcntl((*tried)->fd(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl((*tried)->fd(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(FilesTest, SymbolicLinksAreFollowedWhereverTheyLead) {
  ASSERT_TRUE(blocking_write_file(path("a"), bytes("there")).has_value());
  ASSERT_TRUE(blocking_symlink("a", path("link")).has_value());
  EXPECT_EQ(text(block_on(read_file(path("link"))).value()), "there");
  EXPECT_TRUE(block_on(write_file(path("link"), bytes("new"))).has_value());
  EXPECT_EQ(text(blocking_read_file(path("a")).value()), "new");
  const OpenOptions careful{.read = true, .flags = O_NOFOLLOW};
  EXPECT_TRUE(block_on(File::open(path("link"), careful)).error().is_os(ELOOP));
}

TEST_F(FilesTest, ReadsToTheEndFromWhereItIs) {
  std::string long_text(300'000, 'x');
  long_text += "the end";
  ASSERT_TRUE(blocking_write_file(path("big"), bytes(long_text)).has_value());
  File file = opened(path("big"), {.read = true});
  EXPECT_EQ(text(block_on(file.read_to_end()).value()), long_text);
  EXPECT_TRUE(block_on(file.read_to_end()).value().empty());
  EXPECT_EQ(block_on(file.seek(-7, Whence::current)).value(), 300'000U);
  EXPECT_EQ(text(block_on(file.read_to_end()).value()), "the end");
  // What has no length is read until it ends.
  File status = opened("/proc/self/status", {.read = true});
  EXPECT_NE(text(block_on(status.read_to_end()).value()).find("Pid:"), std::string::npos);
}

TEST_F(FilesTest, CutsLengthensAndSyncs) {
  File file = opened(path("a"), kAnew);
  EXPECT_TRUE(block_on(file.write_all(bytes("abcdef"))).has_value());
  EXPECT_TRUE(block_on(file.set_len(2)).has_value());
  EXPECT_TRUE(block_on(file.set_len(4)).has_value());
  EXPECT_TRUE(block_on(file.sync_data()).has_value());
  EXPECT_TRUE(block_on(file.sync_all()).has_value());
  EXPECT_EQ(text(blocking_read_file(path("a")).value()), std::string("ab\0\0", 4));
  EXPECT_EQ(block_on(file.seek(-1)).error(), Error::runtime(RuntimeErrc::invalid_argument));
}

TEST_F(FilesTest, ADroppedReadHasConsumedNothing) {
  std::string long_text(400'000, 'y');
  ASSERT_TRUE(blocking_write_file(path("big"), bytes(long_text)).has_value());
  File file = opened(path("big"), {.read = true});
  const Waker nobody;
  Context context(nobody);
  for (int round = 0; round < 20; ++round) {
    auto dropped = file.read(op::Bytes(400'000));  // more than is copied on the spot
    const bool was_fast = dropped.poll(context).is_ready();
    EXPECT_EQ(file.position(), was_fast ? 400'000U : 0U);
    EXPECT_TRUE(block_on(file.seek(0)).has_value());
  }
  EXPECT_EQ(block_on(file.read(op::Bytes(400'000))).count.value(), 400'000U);
}

TEST_F(FilesTest, AStreamIsReadWhenItHasSomethingAndLosesNothingWhenDropped) {
  int fds[2] = {-1, -1};
  ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  File reader = File::adopt_fd(fds[0]).value();
  File writer = File::adopt_fd(fds[1]).value();
  EXPECT_TRUE(reader.is_stream());
  EXPECT_TRUE(block_on(reader.seek(0)).error().is_os(ESPIPE));
  {
    const Waker nobody;
    Context context(nobody);
    auto dropped = reader.read(op::Bytes(10));
    EXPECT_TRUE(dropped.poll(context).is_pending());
  }
  std::thread other([&] {
    EXPECT_TRUE(block_on(writer.write_all(bytes("through the pipe"))).has_value());
    EXPECT_TRUE(block_on(writer.close()).has_value());
  });
  EXPECT_EQ(text(block_on(reader.read_to_end()).value()), "through the pipe");
  other.join();
}

TEST_F(FilesTest, AReadOfAStreamThatIsGivenUpLeavesNoThread) {
  int fds[2] = {-1, -1};
  ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  const auto writer = OwnedFd::adopt(fds[1]);
  File reader = File::adopt_fd(fds[0]).value();
  auto runtime = Runtime::create(workers(1)).value();
  runtime->block_on([&]() -> Async<> {
    const Waker nobody;
    Context context(nobody);
    auto dropped = reader.read(op::Bytes(10));
    EXPECT_TRUE(dropped.poll(context).is_pending());
    // The thread that waits is there by then, as jobs begin in their order.
    auto job = [] { return Result<void>(); };
    EXPECT_TRUE((co_await call_blocking(job)).has_value());
  }());
  // Waits for the threads of the pool, while nothing comes.
  runtime->shutdown();
}

// It was read blocking by whoever polls, although another reader may have been faster.
TEST_F(FilesTest, AStreamOfSeveralReadersBlocksNone) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  constexpr OpenOptions kBoth{.read = true, .write = true};
  std::vector<File> files;
  for (int i = 0; i < 4; ++i) files.push_back(opened(path("fifo"), kBoth));
  auto runtime = Runtime::create(workers(1)).value();
  std::vector<JoinHandle<op::Transferred>> reads;
  for (File& file : files) reads.push_back(runtime->spawn(file.read(op::Bytes(1))));
  const auto yield = [&] {
    runtime->spawn([]() -> Async<> { co_return; }()).blocking_join().get();
  };
  const auto is_done = [](const auto& read) { return read.is_finished(); };
  for (int round = 0; round < 200; ++round) {
    ASSERT_EQ(files[0].blocking_write_at(bytes("x"), 0).value(), 1U);
    while (std::ranges::none_of(reads, is_done)) yield();
    const auto done = std::ranges::find_if(reads, is_done);
    EXPECT_EQ(std::move(*done).blocking_join().get().count.value(), 1U);
    auto& file = files[static_cast<std::size_t>(done - reads.begin())];
    *done = runtime->spawn(file.read(op::Bytes(1)));
    // The others wait, and so the worker is free.
    for (int i = 0; i < 10; ++i) yield();
  }
}

TEST_F(FilesTest, ClosesWhileAReadThatWasDroppedEnds) {
  ASSERT_TRUE(blocking_write_file(path("big"), bytes(std::string(400'000, 'y'))).has_value());
  const Waker nobody;
  Context context(nobody);
  for (int round = 0; round < 200; ++round) {
    File file = opened(path("big"), {.read = true});
    {
      auto dropped = file.read(op::Bytes(400'000));  // more than is copied on the spot
      static_cast<void>(dropped.poll(context));
    }
    // Now sooner, now later than the thread that read.
    for (int i = 0; i < round % 32; ++i) std::this_thread::yield();
    EXPECT_TRUE(block_on(file.close()).has_value());
  }
}

TEST_F(FilesTest, AFifoIsOpenedWhenBothEndsAre) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  static_cast<void>(block_on(stat(path("fifo"))));  // the folder is known from here on
  std::thread writer([&] {
    File file = File::blocking_open(path("fifo"), {.write = true}).value();
    EXPECT_EQ(file.blocking_write_at(bytes("met"), 0).value(), 3U);
  });
  File file = opened(path("fifo"), {.read = true});
  EXPECT_EQ(text(block_on(file.read_to_end()).value()), "met");
  writer.join();
}

TEST_F(FilesTest, WithoutInlineWritesTheyGoToAThread) {
  set_inline_writes(false);
  EXPECT_FALSE(try_write_file(path("a"), bytes("x")).has_value());
  EXPECT_TRUE(block_on(write_file(path("a"), bytes("by a thread"))).has_value());
  File file = opened(path("a"), {.read = true, .write = true});
  EXPECT_FALSE(file.try_write_at(bytes("x"), 0).has_value());
  EXPECT_EQ(block_on(file.write(bytes("BY"))).count.value(), 2U);
  set_inline_writes(true);
  EXPECT_EQ(text(blocking_read_file(path("a")).value()), "BY a thread");
}

TEST_F(FilesTest, AfterARuntimesShutdownWhatNeedsAThreadSaysSo) {
  auto runtime = Runtime::create(workers(1)).value();
  runtime->shutdown();
  auto answer = runtime->block_on(mkdir(path("never")));
  EXPECT_TRUE(answer.error().is(RuntimeErrc::shut_down));
  EXPECT_FALSE(blocking_exists(path("never")).value());
}

}  // namespace
}  // namespace blitzio::fs
