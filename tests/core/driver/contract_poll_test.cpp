// The driver contract: readiness and deadlines. See support.hpp.
#include "support.hpp"

#include <random>

namespace blitzio::driver::contract {
namespace {

BLITZIO_DRIVER_CONTRACT();

// ---- poll
// ----------------------------------------------------------------------------------------

TEST_P(DriverContract, PollReportsWhatIsReadyAndWasAskedFor) {
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    const Pair ends = tcp_pair();
    Attachment attachment(driver(), ends.a, attached);
    Recorder op(driver());
    op.poll(ends.a.get(), POLLIN | POLLOUT);
    EXPECT_EQ(complete(op), POLLOUT);
    op.poll(ends.a.get(), POLLIN);
    op.submit();
    fence(driver());
    EXPECT_FALSE(op.done());
    put(ends.b, "x");
    ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
    EXPECT_EQ(op.result(), POLLIN);
    op.poll(ends.a.get(), POLLIN);
    EXPECT_EQ(complete(op), POLLIN) << "still ready: nobody read";
    op.poll(ends.a.get(), POLLOUT);
    EXPECT_EQ(complete(op), POLLOUT) << "only what was asked for";
    EXPECT_EQ(take(ends.a), "x");
    op.poll(ends.a.get(), POLLIN);
    op.submit();
    fence(driver());
    EXPECT_FALSE(op.done()) << "no longer ready: read meanwhile, and not through the driver";
    op.cancel();
    ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
  }
}

TEST_P(DriverContract, PollWaitsForRoom) {
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    const Pair ends = unix_pair();
    Attachment attachment(driver(), ends.a, attached);
    fill(ends.a);
    Recorder op(driver());
    op.poll(ends.a.get(), POLLOUT);
    op.submit();
    fence(driver());
    EXPECT_FALSE(op.done());
    (void)take(ends.b);
    ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
    EXPECT_EQ(op.result(), POLLOUT);
  }
}

TEST_P(DriverContract, PollReportsHangUpAndErrorUnasked) {
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    Pair pipe = pipe_pair();
    Pair socket = tcp_pair();
    Attachment reads(driver(), pipe.a, attached);
    Attachment other(driver(), socket.a, attached);
    Recorder hang_up(driver());
    Recorder error(driver());
    hang_up.poll(pipe.a.get(), 0);
    error.poll(socket.a.get(), POLLPRI);
    hang_up.submit();
    error.submit();
    fence(driver());
    EXPECT_FALSE(hang_up.done());
    EXPECT_FALSE(error.done());
    pipe.b.reset();
    reset_on_close(socket.b);
    socket.b.reset();
    ASSERT_TRUE(run_until(driver(), [&] { return hang_up.done() && error.done(); }));
    EXPECT_EQ(hang_up.result(), POLLHUP);
    EXPECT_EQ(error.result() & (POLLERR | POLLHUP), POLLERR | POLLHUP);
  }
}

TEST_P(DriverContract, PollTellsHalfCloseAndUrgentDataApart) {
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    const Pair ends = tcp_pair();
    Attachment attachment(driver(), ends.a, attached);
    Recorder urgent(driver());
    Recorder half(driver());
    urgent.poll(ends.a.get(), POLLPRI);
    half.poll(ends.a.get(), POLLRDHUP);
    urgent.submit();
    half.submit();
    fence(driver());
    EXPECT_FALSE(urgent.done());
    put(ends.b, "ordinary");
    fence(driver());
    EXPECT_FALSE(urgent.done()) << "ordinary data is not urgent";
    EXPECT_EQ(::send(ends.b.get(), "!", 1, MSG_OOB), 1);
    ASSERT_TRUE(run_until(driver(), [&] { return urgent.done(); }));
    EXPECT_EQ(urgent.result(), POLLPRI);
    fence(driver());
    EXPECT_FALSE(half.done());
    ok(::shutdown(ends.b.get(), SHUT_WR));
    ASSERT_TRUE(run_until(driver(), [&] { return half.done(); }));
    EXPECT_EQ(half.result(), POLLRDHUP);
  }
}

TEST_P(DriverContract, PollErrorsArriveAsTheyAre) {
  Recorder op(driver());
  for (const int bad : {kBadFd, -1}) {
    op.poll(bad, POLLIN);
    EXPECT_EQ(complete(op), -EBADF);
    op.poll_multishot(bad, POLLIN);
    EXPECT_EQ(complete(op), -EBADF);
  }
}

TEST_P(DriverContract, ARegularFileIsAlwaysReady) {
  TempDir dir;
  const OwnedFd file = dir.file_with("content");
  Recorder op(driver());
  op.poll(file.get(), POLLIN | POLLOUT);
  EXPECT_EQ(complete(op), POLLIN | POLLOUT);
  op.poll(file.get(), POLLIN);
  EXPECT_EQ(complete(op), POLLIN);
}

TEST_P(DriverContract, RegularFilesCannotBeAttachedAndWorkUnattached) {
  change_faults("short=0", "takes one piece for the whole");
  TempDir dir;
  const OwnedFd file = dir.file_with("content");
  const auto attached = driver().attach(file.get());
  if (attached) {
    driver().detach(file.get());
  } else {
    EXPECT_EQ(attached.error(), Error::os(EPERM));
  }
  EXPECT_FALSE(driver().attach(-1).has_value() && driver().backend() != Backend::io_uring);
  std::byte buffer[7];
  Recorder op(driver());
  op.read(file.get(), buffer);
  EXPECT_EQ(complete(op), 7);
}

// ---- several operations on one descriptor
// --------------------------------------------------------

TEST_P(DriverContract, DirectionsOfOneDescriptorDoNotDisturbEachOther) {
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    const Pair ends = unix_pair();
    Attachment attachment(driver(), ends.a, attached);
    fill(ends.a);
    std::byte buffer[8];
    Recorder recv(driver());
    Recorder send(driver());
    Recorder readable(driver());
    Recorder writable(driver());
    recv.recv(ends.a.get(), buffer);
    send.send(ends.a.get(), bytes("x"));
    readable.poll(ends.a.get(), POLLIN);
    writable.poll(ends.a.get(), POLLOUT);
    for (Recorder* op : {&recv, &send, &readable, &writable}) op->submit();
    fence(driver());
    for (Recorder* op : {&recv, &send, &readable, &writable}) EXPECT_FALSE(op->done());
    put(ends.b, "in");
    ASSERT_TRUE(run_until(driver(), [&] { return recv.done() && readable.done(); }));
    EXPECT_EQ(recv.result(), 2);
    EXPECT_EQ(readable.result(), POLLIN);
    fence(driver());
    EXPECT_FALSE(send.done());
    EXPECT_FALSE(writable.done());
    (void)take(ends.b);
    ASSERT_TRUE(run_until(driver(), [&] { return send.done() && writable.done(); }));
    EXPECT_EQ(send.result(), 1);
    EXPECT_EQ(writable.result(), POLLOUT);
  }
}

TEST_P(DriverContract, CancellingOneOfTwoLeavesTheOtherWaiting) {
  change_faults("short=0", "takes one piece for the whole");
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    const Pair ends = unix_pair();
    Attachment attachment(driver(), ends.a, attached);
    std::byte buffer[8];
    Recorder first(driver());
    Recorder second(driver());
    Recorder poller(driver());
    first.recv(ends.a.get(), buffer);
    second.recv(ends.a.get(), buffer);
    poller.poll(ends.a.get(), POLLIN);
    for (Recorder* op : {&first, &second, &poller}) op->submit();
    fence(driver());
    first.cancel();
    poller.cancel();
    ASSERT_TRUE(run_until(driver(), [&] { return first.done() && poller.done(); }));
    EXPECT_EQ(first.result(), -ECANCELED);
    EXPECT_EQ(poller.result(), -ECANCELED);
    EXPECT_FALSE(second.done());
    put(ends.b, "mine");
    ASSERT_TRUE(run_until(driver(), [&] { return second.done(); }));
    EXPECT_EQ(second.result(), 4);
  }
}

// ---- poll_multishot
// ------------------------------------------------------------------------------

TEST_P(DriverContract, PollMultishotReportsEachEdge) {
  change_faults("late=0", "counts turns");
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    const Pair ends = unix_pair();
    Attachment attachment(driver(), ends.a, attached);
    Recorder op(driver());
    op.poll_multishot(ends.a.get(), POLLIN);
    put(ends.b, "before");
    op.submit();
    for (int round = 0; round < 20; ++round) {
      ASSERT_TRUE(run_until(driver(), [&] { return op.count() > 0; })) << round;
      for (const Recorder::Seen& one : op.seen()) {
        ASSERT_TRUE(one.more);
        EXPECT_EQ(one.result, POLLIN);
      }
      EXPECT_FALSE(take(ends.a).empty());
      fence(driver());
      // A level-triggered backend may have reported once more before the data was taken.
      op.forget();
      fence(driver());
      EXPECT_EQ(op.count(), 0U) << "drained";
      put(ends.b, "again");
    }
    op.cancel();
    ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
    EXPECT_EQ(op.result(), -ECANCELED);
  }
}

TEST_P(DriverContract, PollMultishotReportsEachDirection) {
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    Pair ends = unix_pair();
    Attachment attachment(driver(), ends.a, attached);
    fill(ends.a);
    Recorder op(driver());
    int readable = 0;
    int writable = 0;
    int ended = 0;
    op.poll_multishot(ends.a.get(), POLLIN | POLLOUT);
    op.then = [&] {
      const int mask = op.result();
      if (mask < 0) return;
      if ((mask & POLLIN) != 0) {
        ++readable;
        (void)take(ends.a);
      }
      if ((mask & POLLHUP) != 0) {
        ++ended;
      } else if ((mask & POLLOUT) != 0) {
        ++writable;
        fill(ends.a);
      }
    };
    op.submit();
    for (int round = 1; round <= 5; ++round) {
      put(ends.b, "x");
      ASSERT_TRUE(run_until(driver(), [&] { return readable >= round; }));
      (void)take(ends.b);
      ASSERT_TRUE(run_until(driver(), [&] { return writable >= round; }));
    }
    ends.b.reset();
    ASSERT_TRUE(run_until(driver(), [&] { return ended > 0; }));
    op.then = nullptr;
    op.cancel();
    ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
  }
}

TEST_P(DriverContract, OneShotAndMultishotPollsShareADescriptor) {
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    const Pair ends = unix_pair();
    Attachment attachment(driver(), ends.a, attached);
    fill(ends.a);
    Recorder reads(driver());
    Recorder writes(driver());
    reads.poll_multishot(ends.a.get(), POLLIN);
    writes.poll(ends.a.get(), POLLOUT);
    reads.submit();
    writes.submit();
    fence(driver());
    EXPECT_EQ(reads.count() + writes.count(), 0U);
    put(ends.b, "x");
    ASSERT_TRUE(run_until(driver(), [&] { return reads.count() > 0; }));
    EXPECT_FALSE(writes.done());
    EXPECT_EQ(take(ends.a), "x");
    (void)take(ends.b);
    ASSERT_TRUE(run_until(driver(), [&] { return writes.done(); }));
    EXPECT_EQ(writes.result(), POLLOUT);
    fence(driver());
    reads.forget();
    put(ends.b, "y");
    ASSERT_TRUE(run_until(driver(), [&] { return reads.count() > 0; }));
    EXPECT_EQ(reads.result(), POLLIN);
    reads.cancel();
    ASSERT_TRUE(run_until(driver(), [&] { return reads.done(); }));
  }
}

// ---- timeout
// -------------------------------------------------------------------------------------

TEST_P(DriverContract, TimeoutCompletesWithZeroAndNeverEarly) {
  for (const std::int64_t nanos : {-1'000'000LL, 0LL, 1LL, 1'000'000LL, 20'123'456LL}) {
    SCOPED_TRACE(nanos);
    const Instant deadline = Instant::now() + Duration::from_nanos(nanos);
    Recorder op(driver());
    op.timeout(deadline);
    EXPECT_EQ(complete(op), 0);
    EXPECT_GE(Instant::now(), deadline);
  }
  Recorder op(driver());
  op.timeout(Instant::from_nanos(-5));
  EXPECT_EQ(complete(op), 0) << "a deadline before the clock began";
}

TEST_P(DriverContract, ManyTimeoutsFireOnceEachAndNoneEarly) {
  std::mt19937 random(1);
  std::vector<std::unique_ptr<Recorder>> ops;
  const Instant start = Instant::now();
  for (int i = 0; i < 300; ++i) {
    const Instant deadline = start + Duration::from_micros(static_cast<int>(random() % 40'000));
    ops.push_back(std::make_unique<Recorder>(driver()));
    Recorder& op = *ops.back();
    op.timeout(deadline);
    op.then = [&op, deadline] {
      if (op.result() == 0) {
        EXPECT_GE(Instant::now(), deadline);
      }
    };
    op.submit();
  }
  for (std::size_t i = 0; i < ops.size(); i += 3) ops[i]->cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return !driver().has_in_flight(); }));
  for (std::size_t i = 0; i < ops.size(); ++i) {
    EXPECT_EQ(ops[i]->count(), 1U);
    EXPECT_TRUE(ops[i]->result() == 0 || (i % 3 == 0 && ops[i]->result() == -ECANCELED));
  }
}

TEST_P(DriverContract, ATimeoutForEverWaitsUntilCancelled) {
  Recorder op(driver());
  Recorder far(driver());
  op.timeout(Instant::max());
  far.timeout(Instant::now() + Duration::from_secs(1'000'000));
  op.submit();
  far.submit();
  fence(driver());
  driver().wait(Duration::from_millis(1));
  EXPECT_EQ(driver().dispatch(), 0U);
  op.cancel();
  far.cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return op.done() && far.done(); }));
  EXPECT_EQ(op.result(), -ECANCELED);
  EXPECT_EQ(far.result(), -ECANCELED);
}

TEST_P(DriverContract, WaitReturnsWhenATimeoutIsDue) {
  Recorder op(driver());
  op.timeout(Instant::now() + Duration::from_millis(5));
  op.submit();
  const Instant start = Instant::now();
  while (!op.done() && Instant::now() - start < kPatience) {
    driver().collect();
    if (!driver().has_completions()) driver().wait(Duration::max());
    driver().dispatch();
  }
  EXPECT_EQ(op.result(), 0);
}

TEST_P(DriverContract, WaitKeepsItsOwnTimeoutWithNothingInFlight) {
  // Returning at all is the test; it may be early.
  for (const std::int64_t nanos : {-1LL, 0LL, 1LL, 100'000LL, 3'000'000LL}) {
    driver().wait(Duration::from_nanos(nanos));
    EXPECT_EQ(driver().dispatch(), 0U);
  }
}

}  // namespace
}  // namespace blitzio::driver::contract
