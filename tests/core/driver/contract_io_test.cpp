// The driver contract: nop, files and pipes. See support.hpp.
#include "support.hpp"

#include <csignal>

namespace blitzio::driver::contract {
namespace {

BLITZIO_DRIVER_CONTRACT();

std::string filled(std::span<const std::byte> buffer, std::int32_t result) {
  return text(buffer.first(static_cast<std::size_t>(std::max(result, 0))));
}

// ---- nop and the shape of a turn
// -----------------------------------------------------------------

TEST_P(DriverContract, NopCompletesWithZero) {
  Recorder op(driver());
  op.nop();
  EXPECT_EQ(complete(op), 0);
  EXPECT_EQ(op.count(), 1U);
  EXPECT_TRUE(op.is_idle());
}

TEST_P(DriverContract, SubmitAndCollectRunNoCompletionFunction) {
  Recorder op(driver());
  op.nop();
  op.submit();
  EXPECT_EQ(op.count(), 0U);
  for (int i = 0; i < 8; ++i) driver().collect();
  driver().wait(Duration::zero());
  EXPECT_EQ(op.count(), 0U);
  ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
}

TEST_P(DriverContract, WhatACompletionStartsIsLeftForTheNextDispatch) {
  Recorder op(driver());
  op.nop();
  int left = 100;
  op.then = [&] {
    if (--left > 0) op.submit();
  };
  op.submit();
  while (left > 0) {
    const int before = left;
    ASSERT_TRUE(run_until(driver(), [&] { return left < before; }));
    EXPECT_EQ(left, before - 1);
  }
}

TEST_P(DriverContract, DispatchCountsTheFunctionsItRan) {
  change_faults("late=0", "counts turns");
  std::vector<std::unique_ptr<Recorder>> ops;
  for (int i = 0; i < 10; ++i) {
    ops.push_back(std::make_unique<Recorder>(driver()));
    ops.back()->nop();
    ops.back()->submit();
  }
  std::size_t ran = 0;
  for (int i = 0; i < 100 && ran < 10; ++i) ran += turn(driver(), kPatience);
  EXPECT_EQ(ran, 10U);
  EXPECT_FALSE(driver().has_completions());
  EXPECT_EQ(driver().dispatch(), 0U);
}

TEST_P(DriverContract, MetricsCountSubmissionsAndCompletions) {
  Recorder op(driver());
  for (int i = 0; i < 5; ++i) {
    op.nop();
    complete(op);
  }
  EXPECT_EQ(driver().metrics().submitted, 5U);
  EXPECT_EQ(driver().metrics().completed, 5U);
}

// ---- regular files
// -------------------------------------------------------------------------------

TEST_P(DriverContract, ReadTakesBytesAtTheOffsetAndReportsTheEndAsZero) {
  change_faults("short=0", "takes one piece for the whole");
  TempDir dir;
  const OwnedFd file = dir.file_with("0123456789");
  std::byte buffer[4];
  Recorder op(driver());
  op.read(file.get(), buffer, 3);
  EXPECT_EQ(complete(op), 4);
  EXPECT_EQ(text(buffer), "3456");
  op.read(file.get(), buffer, 8);
  EXPECT_EQ(complete(op), 2) << "a read that meets the end is short";
  EXPECT_EQ(filled(buffer, 2), "89");
  op.read(file.get(), buffer, 10);
  EXPECT_EQ(complete(op), 0);
  EXPECT_EQ(::lseek(file.get(), 0, SEEK_CUR), 0) << "an offset leaves the position alone";
}

TEST_P(DriverContract, ReadAndWriteWithoutOffsetMoveTheFilePosition) {
  change_faults("short=0", "takes one piece for the whole");
  TempDir dir;
  const OwnedFd file = dir.file_with("");
  Recorder op(driver());
  for (const char* word : {"one", "two", "three"}) {
    op.write(file.get(), bytes(word));
    EXPECT_EQ(complete(op), static_cast<std::int32_t>(std::strlen(word)));
  }
  ok(static_cast<int>(::lseek(file.get(), 0, SEEK_SET)));
  std::byte buffer[6];
  op.read(file.get(), buffer);
  EXPECT_EQ(complete(op), 6);
  EXPECT_EQ(text(buffer), "onetwo");
  op.read(file.get(), buffer);
  EXPECT_EQ(complete(op), 5);
  EXPECT_EQ(filled(buffer, 5), "three");
}

TEST_P(DriverContract, WriteAtAnOffsetLeavesAHole) {
  TempDir dir;
  const OwnedFd file = dir.file_with("ab");
  Recorder op(driver());
  op.write(file.get(), bytes("z"), 4);
  EXPECT_EQ(complete(op), 1);
  EXPECT_EQ(take(file), std::string("ab\0\0z", 5));
}

TEST_P(DriverContract, VectorsAreGatheredAndScatteredInOrder) {
  change_faults("short=0", "takes one piece for the whole");
  TempDir dir;
  const OwnedFd file = dir.file_with("");
  const iovec out[] = {vector_of(bytes("ab")), vector_of(bytes("")), vector_of(bytes("cdefg"))};
  Recorder op(driver());
  op.writev(file.get(), out, 0);
  EXPECT_EQ(complete(op), 7);
  std::byte first[3];
  std::byte second[8];
  const iovec in[] = {vector_of(first), vector_of(second)};
  op.readv(file.get(), in, 0);
  EXPECT_EQ(complete(op), 7);
  EXPECT_EQ(text(first), "abc");
  EXPECT_EQ(filled(second, 4), "defg");
  op.readv(file.get(), in, 7);
  EXPECT_EQ(complete(op), 0);
}

TEST_P(DriverContract, VectorsWithoutOffsetMoveTheFilePosition) {
  change_faults("short=0", "takes one piece for the whole");
  TempDir dir;
  const OwnedFd file = dir.file_with("");
  Recorder op(driver());
  const iovec out[] = {vector_of(bytes("one")), vector_of(bytes("two"))};
  for (int i = 0; i < 2; ++i) {
    op.writev(file.get(), out);
    EXPECT_EQ(complete(op), 6);
  }
  EXPECT_EQ(::lseek(file.get(), 0, SEEK_CUR), 12);
}

TEST_P(DriverContract, AnEmptyBufferTransfersNothing) {
  TempDir dir;
  const OwnedFd file = dir.file_with("content");
  Recorder op(driver());
  op.read(file.get(), {}, 0);
  EXPECT_EQ(complete(op), 0);
  op.write(file.get(), {}, 0);
  EXPECT_EQ(complete(op), 0);
}

TEST_P(DriverContract, FileErrorsArriveAsTheyAre) {
  TempDir dir;
  const std::string path = dir.file("plain");
  ok(::close(ok(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600))));
  const OwnedFd reader = OwnedFd::adopt(ok(::open(path.c_str(), O_RDONLY | O_CLOEXEC)));
  const OwnedFd writer = OwnedFd::adopt(ok(::open(path.c_str(), O_WRONLY | O_CLOEXEC)));
  const OwnedFd folder =
      OwnedFd::adopt(ok(::open(dir.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
  const OwnedFd full = OwnedFd::adopt(ok(::open("/dev/full", O_WRONLY | O_CLOEXEC)));
  std::byte buffer[8];
  const iovec vectors[] = {vector_of(buffer)};
  Recorder op(driver());
  for (const int bad : {kBadFd, -1}) {
    SCOPED_TRACE(bad);
    op.read(bad, buffer);
    EXPECT_EQ(complete(op), -EBADF);
    op.write(bad, buffer);
    EXPECT_EQ(complete(op), -EBADF);
    op.readv(bad, vectors);
    EXPECT_EQ(complete(op), -EBADF);
    op.writev(bad, vectors);
    EXPECT_EQ(complete(op), -EBADF);
    op.fsync(bad);
    EXPECT_EQ(complete(op), -EBADF);
  }
  op.read(writer.get(), buffer);
  EXPECT_EQ(complete(op), -EBADF);
  op.write(reader.get(), buffer);
  EXPECT_EQ(complete(op), -EBADF);
  op.read(folder.get(), buffer);
  EXPECT_EQ(complete(op), -EISDIR);
  op.write(full.get(), buffer);
  EXPECT_EQ(complete(op), -ENOSPC);
}

// ---- open, close, fsync
// --------------------------------------------------------------------------

TEST_P(DriverContract, OpenCreatesCloseOnExecAndRelativeToTheDirectory) {
  TempDir dir;
  const OwnedFd folder =
      OwnedFd::adopt(ok(::open(dir.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
  (void)dir.file("made");
  Recorder op(driver());
  op.open(folder.get(), "made", O_RDWR | O_CREAT | O_EXCL, 0600);
  ASSERT_GE(complete(op), 0);
  const OwnedFd made = OwnedFd::adopt(op.result());
  EXPECT_EQ(::fcntl(made.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  EXPECT_EQ(::access((dir.path() + "/made").c_str(), F_OK), 0);
  op.open(folder.get(), "made", O_RDWR | O_CREAT | O_EXCL, 0600);
  EXPECT_EQ(complete(op), -EEXIST);
}

TEST_P(DriverContract, OpenErrorsArriveAsTheyAre) {
  TempDir dir;
  const std::string path = dir.file("plain");
  ok(::close(ok(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600))));
  const std::string missing = dir.path() + "/missing";
  const std::string below = path + "/below";
  Recorder op(driver());
  op.open(AT_FDCWD, missing.c_str(), O_RDONLY);
  EXPECT_EQ(complete(op), -ENOENT);
  op.open(AT_FDCWD, dir.path().c_str(), O_WRONLY);
  EXPECT_EQ(complete(op), -EISDIR);
  op.open(AT_FDCWD, below.c_str(), O_RDONLY);
  EXPECT_EQ(complete(op), -ENOTDIR);
  op.open(kBadFd, "relative", O_RDONLY);
  EXPECT_EQ(complete(op), -EBADF);
}

TEST_P(DriverContract, CloseClosesOnce) {
  Pair ends = pipe_pair();
  Recorder op(driver());
  const int fd = ends.b.release();
  op.close(fd);
  EXPECT_EQ(complete(op), 0);
  EXPECT_FALSE(is_open(fd));
  EXPECT_EQ(take(ends.a), "");
  op.close(fd);
  EXPECT_EQ(complete(op), -EBADF);
}

TEST_P(DriverContract, FsyncSucceedsOnAFileAndNotOnAPipe) {
  TempDir dir;
  const OwnedFd file = dir.file_with("content");
  const Pair ends = pipe_pair();
  Recorder op(driver());
  for (const bool data_only : {false, true}) {
    op.fsync(file.get(), data_only);
    EXPECT_EQ(complete(op), 0);
  }
  op.fsync(ends.b.get());
  EXPECT_EQ(complete(op), -EINVAL);
}

// ---- pipes
// ---------------------------------------------------------------------------------------

TEST_P(DriverContract, PipeReadWaitsForBytes) {
  change_faults("short=0", "takes one piece for the whole");
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    const Pair ends = pipe_pair();
    Attachment attachment(driver(), ends.a, attached);
    std::byte buffer[16];
    const iovec vectors[] = {vector_of(buffer)};
    Recorder op(driver());
    for (int round = 0; round < 4; ++round) {
      // For files that are no regular files an offset is ignored.
      if (round % 2 == 0) {
        op.read(ends.a.get(), buffer, round == 2 ? 5 : -1);
      } else {
        op.readv(ends.a.get(), vectors, round == 3 ? 5 : -1);
      }
      op.submit();
      fence(driver());
      EXPECT_FALSE(op.done());
      put(ends.b, "round" + std::to_string(round));
      ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
      EXPECT_EQ(op.result(), 6);
      EXPECT_EQ(filled(buffer, op.result()), "round" + std::to_string(round));
    }
  }
}

TEST_P(DriverContract, PipeReadGivesWhatIsLeftAndThenTheEnd) {
  change_faults("short=0", "takes one piece for the whole");
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    Pair ends = pipe_pair();
    Attachment attachment(driver(), ends.a, attached);
    std::byte buffer[16];
    Recorder op(driver());
    put(ends.b, "rest");
    ends.b.reset();
    op.read(ends.a.get(), buffer);
    EXPECT_EQ(complete(op), 4);
    op.read(ends.a.get(), buffer);
    EXPECT_EQ(complete(op), 0);
  }
}

TEST_P(DriverContract, PipeReadEndsWhenTheLastWriterGoesWhileItWaits) {
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    Pair ends = pipe_pair();
    Attachment attachment(driver(), ends.a, attached);
    std::byte buffer[16];
    Recorder op(driver());
    op.read(ends.a.get(), buffer);
    op.submit();
    fence(driver());
    ends.b.reset();
    ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
    EXPECT_EQ(op.result(), 0);
  }
}

TEST_P(DriverContract, PipeWriteWaitsForRoomAndMayBeShort) {
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    const Pair ends = pipe_pair();
    Attachment attachment(driver(), ends.b, attached);
    const std::size_t full = fill(ends.b);
    const std::string data(200'000, 'd');
    const iovec vectors[] = {vector_of(bytes(data).first(100)),
                             vector_of(bytes(data).subspan(100))};
    Recorder op(driver());
    for (const bool gather : {false, true}) {
      if (gather) {
        op.writev(ends.b.get(), vectors);
      } else {
        op.write(ends.b.get(), bytes(data));
      }
      op.submit();
      fence(driver());
      EXPECT_FALSE(op.done());
      EXPECT_EQ(take(ends.a).size(), full);
      ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
      EXPECT_GT(op.result(), 0);
      EXPECT_LE(op.result(), static_cast<std::int32_t>(data.size()));
      EXPECT_EQ(take(ends.a).size(), static_cast<std::size_t>(op.result()));
      EXPECT_EQ(fill(ends.b), full);
    }
    (void)take(ends.a);
  }
}

TEST_P(DriverContract, PipeWriteWithoutReaderIsBroken) {
  // write(2) to a pipe raises the signal, whoever asks for it; embedders ignore it.
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    Pair ends = pipe_pair();
    Attachment attachment(driver(), ends.b, attached);
    fill(ends.b);
    Recorder waiting(driver());
    waiting.write(ends.b.get(), bytes("x"));
    waiting.submit();
    fence(driver());
    ends.a.reset();
    ASSERT_TRUE(run_until(driver(), [&] { return waiting.done(); }));
    EXPECT_EQ(waiting.result(), -EPIPE);
    Recorder after(driver());
    after.write(ends.b.get(), bytes("x"));
    EXPECT_EQ(complete(after), -EPIPE);
  }
  std::signal(SIGPIPE, before);
}

TEST_P(DriverContract, ReadAndWriteServeSocketsToo) {
  change_faults("short=0", "takes one piece for the whole");
  const Pair ends = tcp_pair();
  std::byte buffer[8];
  Recorder reader(driver());
  reader.read(ends.a.get(), buffer);
  reader.submit();
  fence(driver());
  Recorder writer(driver());
  writer.write(ends.b.get(), bytes("hello"));
  EXPECT_EQ(complete(writer), 5);
  ASSERT_TRUE(run_until(driver(), [&] { return reader.done(); }));
  EXPECT_EQ(filled(buffer, reader.result()), "hello");
}

}  // namespace
}  // namespace blitzio::driver::contract
