// The driver contract: waiting for a child. There is no operation of its own for that: a pidfd is
// readable from the moment when its process has ended, so `poll` is all it takes, and waitid(2)
// then takes the status without blocking. See docs/design/children.md.
#include "support.hpp"

#include <sys/syscall.h>
#include <sys/wait.h>

namespace blitzio::driver::contract {
namespace {

BLITZIO_DRIVER_CONTRACT();

/// A process that ends with `status` when its gate is opened, and its pidfd.
class Child {
 public:
  explicit Child(int status = 0) {
    Pair gate = pipe_pair();
    // The child reads until the end, so it must block there, and must not hold the end that writes.
    ok(::fcntl(gate.a.get(), F_SETFL, 0), "fcntl");
    pid_ = ok(::fork(), "fork");
    if (pid_ == 0) {
      char byte;
      ::close(gate.b.get());
      while (::read(gate.a.get(), &byte, 1) > 0) {
      }
      ::_exit(status);
    }
    gate_ = std::move(gate.b);
    pidfd_ = OwnedFd::adopt(ok(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)), "pidfd_open"));
  }
  Child(Child&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)),
        gate_(std::move(other.gate_)),
        pidfd_(std::move(other.pidfd_)) {}
  ~Child() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ok(::waitpid(pid_, nullptr, 0), "waitpid");
  }

  /// Lets it end.
  void open_gate() { gate_.reset(); }
  void kill(int number) { ok(::kill(pid_, number), "kill"); }
  /// Takes its status without waiting; si_pid is 0 while it runs.
  siginfo_t reap() {
    siginfo_t info{};
    // P_PIDFD is 3; glibc names it from 2.36 on.
    ok(::waitid(static_cast<idtype_t>(3), static_cast<id_t>(pidfd_.get()), &info,
                WEXITED | WNOHANG),
       "waitid");
    if (info.si_pid != 0) pid_ = -1;
    return info;
  }
  [[nodiscard]] const OwnedFd& pidfd() const { return pidfd_; }

 private:
  pid_t pid_;
  OwnedFd gate_;
  OwnedFd pidfd_;
};

TEST_P(DriverContract, PollOfAPidfdWaitsForTheEndOfItsProcess) {
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    Child child(42);
    Attachment attachment(driver(), child.pidfd(), attached);
    Recorder op(driver());
    op.poll(child.pidfd().get(), POLLIN);
    op.submit();
    fence(driver());
    EXPECT_FALSE(op.done());
    EXPECT_EQ(child.reap().si_pid, 0);
    child.open_gate();
    ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
    EXPECT_EQ(op.result(), POLLIN);
    const siginfo_t info = child.reap();
    EXPECT_EQ(info.si_code, CLD_EXITED);
    EXPECT_EQ(info.si_status, 42);
  }
}

TEST_P(DriverContract, PollOfAPidfdReportsASignalsVictim) {
  Child child;
  Recorder op(driver());
  op.poll(child.pidfd().get(), POLLIN);
  op.submit();
  fence(driver());
  child.kill(SIGKILL);
  ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
  EXPECT_EQ(op.result(), POLLIN);
  const siginfo_t info = child.reap();
  EXPECT_EQ(info.si_code, CLD_KILLED);
  EXPECT_EQ(info.si_status, SIGKILL);
}

TEST_P(DriverContract, PollOfAPidfdIsReadyWhileTheProcessIsAZombie) {
  Child child(1);
  child.open_gate();
  ASSERT_TRUE(wait_for(child.pidfd(), POLLIN));
  Recorder op(driver());
  op.poll(child.pidfd().get(), POLLIN);
  EXPECT_EQ(complete(op), POLLIN);
  EXPECT_EQ(complete(op), POLLIN) << "level-triggered: nobody has reaped it";
  EXPECT_EQ(child.reap().si_status, 1);
}

TEST_P(DriverContract, PollOfAPidfdIsReadyAfterSomebodyElseReaped) {
  Child child;
  child.open_gate();
  ASSERT_TRUE(wait_for(child.pidfd(), POLLIN));
  static_cast<void>(child.reap());
  Recorder op(driver());
  op.poll(child.pidfd().get(), POLLIN);
  // Newer kernels tell the two apart by POLLHUP.
  EXPECT_EQ(complete(op) & POLLIN, POLLIN);
}

TEST_P(DriverContract, PollOfAPidfdDoesNotHearOfStopping) {
  Child child;
  Recorder op(driver());
  op.poll(child.pidfd().get(), POLLIN);
  op.submit();
  child.kill(SIGSTOP);
  fence(driver());
  child.kill(SIGCONT);
  fence(driver());
  EXPECT_FALSE(op.done());
  child.open_gate();
  ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
  EXPECT_EQ(op.result(), POLLIN);
}

TEST_P(DriverContract, PollOfAPidfdCanBeCancelledBeforeDuringAndAfter) {
  Child child;
  Recorder op(driver());
  op.poll(child.pidfd().get(), POLLIN);
  op.submit();
  op.cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
  EXPECT_EQ(op.result(), -ECANCELED);

  op.poll(child.pidfd().get(), POLLIN);
  op.submit();
  fence(driver());
  op.cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
  EXPECT_EQ(op.result(), -ECANCELED);

  op.poll(child.pidfd().get(), POLLIN);
  op.submit();
  fence(driver());
  child.open_gate();
  ASSERT_TRUE(wait_for(child.pidfd(), POLLIN));
  op.cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
  EXPECT_TRUE(op.result() == POLLIN || op.result() == -ECANCELED) << op.result();
  EXPECT_EQ(child.reap().si_code, CLD_EXITED) << "cancelling loses no status";
}

TEST_P(DriverContract, PollOfManyPidfdsTellsEachEnd) {
  constexpr int kChildren = 64;
  std::vector<Child> children;
  std::vector<std::unique_ptr<Recorder>> ops;
  for (int i = 0; i < kChildren; ++i) {
    children.emplace_back(i);
    ops.push_back(std::make_unique<Recorder>(driver()));
    ops.back()->poll(children.back().pidfd().get(), POLLIN);
    ops.back()->submit();
  }
  // Each child holds copies of the earlier ones' gates, so they open from the last to the first.
  for (int i = kChildren; i-- > 0;) {
    children[static_cast<std::size_t>(i)].open_gate();
  }
  for (int i = 0; i < kChildren; ++i) {
    const auto index = static_cast<std::size_t>(i);
    ASSERT_TRUE(run_until(driver(), [&] { return ops[index]->done(); }));
    EXPECT_EQ(ops[index]->result(), POLLIN);
    EXPECT_EQ(children[index].reap().si_status, i);
  }
}

}  // namespace
}  // namespace blitzio::driver::contract
