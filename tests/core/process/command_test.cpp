#include <blitzio/executor/local_executor.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/process/command.hpp>
#include <blitzio/task/block_on.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace blitzio::process {
namespace {

std::string text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
Command shell(std::string script) {
  Command command("sh");
  command.args({"-c", std::move(script)});
  return command;
}
std::string output_of(const Command& command) {
  auto done = block_on(command.output());
  EXPECT_TRUE(done.has_value()) << done.error().message();
  return done ? text(done->standard_output) : "";
}
bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

TEST(Command, GivesOutputErrorsAndStatus) {
  auto done = block_on(shell("echo out; echo err >&2; exit 3").output()).value();
  EXPECT_EQ(text(done.standard_output), "out\n");
  EXPECT_EQ(text(done.standard_error), "err\n");
  EXPECT_EQ(done.status, ExitStatus::exited(3));
  EXPECT_FALSE(done.status.is_success());
  auto executor = LocalExecutor::create().value();
  EXPECT_EQ(executor->block_on(shell("kill -9 $$").status()).value(), ExitStatus::killed(9));
  EXPECT_EQ(ExitStatus::killed(9).return_code(), -9);
  EXPECT_TRUE(executor->block_on(shell("true").status()).value().is_success());
}

TEST(Command, FunctionsRunAProgramWithArguments) {
  const auto done = block_on(output("printf", {"%s-%s", "a b", "c"})).value();
  EXPECT_EQ(text(done.standard_output), "a b-c");
  EXPECT_TRUE(done.status.is_success());
  EXPECT_EQ(block_on(status("sh", {"-c", "exit 4"})).value(), ExitStatus::exited(4));
  EXPECT_EQ(spawn("true").value().blocking_wait(), ExitStatus::exited(0));
  EXPECT_EQ(spawn("blitzio-no-such-program").error(), Error::os(ENOENT));
  EXPECT_EQ(block_on(output("blitzio-no-such-program")).error(), Error::os(ENOENT));
}

TEST(Command, MoreOutputThanAPipeHoldsComesFromBothEnds) {
  auto done = block_on(shell("head -c 300000 /dev/zero >&2; head -c 200000 /dev/zero").output());
  EXPECT_EQ(done.value().standard_output.size(), 200'000U);
  EXPECT_EQ(done.value().standard_error.size(), 300'000U);
}

TEST(Command, ArgumentsAndEnvironmentArriveAsGiven) {
  EXPECT_EQ(output_of(shell("printf '%s|' \"$@\"").args({"name", "a b", "", "*"})), "a b||*|");
  ::setenv("BLITZIO_TEST_KEPT", "kept", 1);
  Command command = shell("echo $A-$BLITZIO_TEST_KEPT-$B");
  command.env("A", "1").env("B", "2").env_remove("B");
  EXPECT_EQ(output_of(command), "1-kept-\n");
  Command clear("/usr/bin/env");
  clear.env_clear().env("ONLY", "this");
  EXPECT_EQ(output_of(clear), "ONLY=this\n");
  ::unsetenv("BLITZIO_TEST_KEPT");
  EXPECT_EQ(output_of(Command("sh").arg0("other").args({"-c", "echo $0"})), "other\n");
}

TEST(Command, RunsWhereAndAsItIsTold) {
  EXPECT_EQ(output_of(shell("pwd").current_dir("/")), "/\n");
  EXPECT_EQ(output_of(shell("umask").umask(027)), "0027\n");
  const auto group = [](const Command& command) { return output_of(command); };
  EXPECT_EQ(group(shell("test $(ps -o pgid= -p $$) -eq $$ && echo own").process_group(0)), "own\n");
  EXPECT_EQ(group(shell("test $(ps -o sid= -p $$) -eq $$ && echo own").new_session()), "own\n");
  if (::geteuid() == 0) {
    EXPECT_EQ(output_of(shell("id -u; id -g; id -G").uid(65534).gid(65533).groups({65532})),
              "65534\n65533\n65533 65532\n");
  } else {
    EXPECT_TRUE(shell("true").uid(0).spawn().error().is_os(EPERM));
  }
}

TEST(Command, WhatCannotStartSaysWhy) {
  EXPECT_TRUE(Command("blitzio-no-such-program").spawn().error().is_os(ENOENT));
  EXPECT_TRUE(Command("/etc/passwd").spawn().error().is_os(EACCES));
  EXPECT_TRUE(Command("/").spawn().error().is_os(EACCES));
  const auto failure = shell("true").current_dir("/nowhere").spawn_or_tell();
  ASSERT_FALSE(failure.has_value());
  EXPECT_TRUE(failure.error().is_directory);
  EXPECT_TRUE(failure.error().error.is_os(ENOENT));
  const auto invalid = Error::runtime(RuntimeErrc::invalid_argument);
  EXPECT_EQ(Command("").spawn().error(), invalid);
  EXPECT_EQ(shell(std::string("a\0b", 3)).spawn().error(), invalid);
  EXPECT_EQ(shell("true").env("A=B", "c").spawn().error(), invalid);
  EXPECT_TRUE(block_on(Command("/nowhere").output()).error().is_os(ENOENT));
  EXPECT_FALSE(has_children());
}

TEST(Command, OnlyWhatIsAskedForIsInherited) {
  int fds[2] = {-1, -1};
  ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  const auto reader = OwnedFd::adopt(fds[0]);
  auto writer = OwnedFd::adopt(fds[1]);
  const std::string number = std::to_string(writer.get());
  EXPECT_EQ(output_of(shell("(echo x >&" + number + ") 2>/dev/null || echo closed")), "closed\n");
  Command gives = shell("echo given >&" + number);
  EXPECT_TRUE(block_on(gives.inherit_fd(writer.get()).status()).value().is_success());
  Command becomes = shell("echo out; echo err >&2");
  becomes.standard_output(Stdio::from(std::move(writer))).standard_error(Stdio::standard_output());
  EXPECT_TRUE(block_on(becomes.status()).value().is_success());
  char buffer[64];
  const ssize_t count = ::read(reader.get(), buffer, sizeof buffer);
  ASSERT_GT(count, 0);
  EXPECT_EQ(std::string(buffer, static_cast<std::size_t>(count)), "given\nout\nerr\n");
}

TEST(Command, WhatIsNotOpenIsNotInherited) {
  // A number of a pipe of spawn()'s own among them.
  for (int fd = 3; fd < 64; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    Command command = shell("sleep 1");
    command.standard_input(Stdio::piped()).inherit_fd(fd);
    EXPECT_EQ(command.spawn().error(), Error::os(EBADF)) << fd;
  }
  EXPECT_FALSE(has_children());
}

TEST(Command, RunsOnceWhereTheKernelReaps) {
  struct sigaction ignore{};
  ignore.sa_handler = SIG_IGN;
  struct sigaction former{};
  ASSERT_EQ(::sigaction(SIGCHLD, &ignore, &former), 0);
  for (int round = 0; round < 200; ++round) {
    const auto child = spawn("true");
    ASSERT_TRUE(child.has_value()) << child.error().message();
    EXPECT_EQ(child->blocking_wait(), ExitStatus::exited(255));
  }
  ASSERT_EQ(::sigaction(SIGCHLD, &former, nullptr), 0);
}

TEST(Command, OutputThatIsGivenUpLeavesNoThread) {
  Config config;
  config.workers = 1;
  auto runtime = Runtime::create(config).value();
  Command command("cat");
  int fds[2] = {-1, -1};
  ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  const auto writer = OwnedFd::adopt(fds[1]);
  command.standard_input(Stdio::from(OwnedFd::adopt(fds[0])));
  auto output = std::make_unique<Async<Result<Output>>>(command.output());
  runtime->block_on([&]() -> Async<> {
    const Waker nobody;
    Context context(nobody);
    EXPECT_TRUE(output->poll(context).is_pending());
    // The thread that reads is there by then, as jobs begin in their order.
    auto job = [] { return Result<void>(); };
    EXPECT_TRUE((co_await call_blocking(job)).has_value());
    output.reset();
  }());
  // Waits for the threads of the pool, while the child lives.
  runtime->shutdown();
}

TEST(Command, SignalsAreAsAProgramExpectsThem) {
  struct sigaction ignore{};
  ignore.sa_handler = SIG_IGN;
  struct sigaction former{};
  ASSERT_EQ(::sigaction(SIGPIPE, &ignore, &former), 0);
  EXPECT_EQ(block_on(shell("kill -PIPE $$").status()).value(), ExitStatus::killed(SIGPIPE));
  EXPECT_TRUE(
      block_on(shell("kill -PIPE $$").restore_signals(false).status()).value().is_success());
  ASSERT_EQ(::sigaction(SIGPIPE, &former, nullptr), 0);
}

TEST(Child, TalksThroughItsPipes) {
  auto child =
      Command("cat").standard_input(Stdio::piped()).standard_output(Stdio::piped()).spawn();
  ASSERT_TRUE(child.has_value());
  auto to = child->take_pipe(0);
  const auto from = child->take_pipe(1);
  EXPECT_FALSE(child->take_pipe(1));
  EXPECT_FALSE(child->take_pipe(2));
  ASSERT_EQ(::write(to.get(), "ping", 4), 4);
  EXPECT_FALSE(child->try_wait().has_value());
  to.reset();
  EXPECT_TRUE(child->blocking_wait().is_success());
  char buffer[8];
  EXPECT_EQ(::read(from.get(), buffer, sizeof buffer), 4);
}

TEST(Child, IsSignalledWhileItRunsAndNotAfterwards) {
  auto child = Command("sleep").arg("1000").spawn().value();
  EXPECT_GT(child.id(), 0);
  EXPECT_TRUE(child.send_signal(9999).error().is_os(EINVAL));
  EXPECT_TRUE(child.send_signal(SIGTERM).has_value());
  EXPECT_EQ(child.blocking_wait(), ExitStatus::killed(SIGTERM));
  EXPECT_EQ(child.try_wait(), ExitStatus::killed(SIGTERM));
  EXPECT_TRUE(child.kill().error().is_os(ESRCH));
}

TEST(Child, AnyNumberMayWaitAndADroppedWaitIsForgotten) {
  auto child = Command("sleep").arg("1000").spawn().value();
  {
    const Waker nobody;
    Context context(nobody);
    auto dropped = child.wait();
    EXPECT_TRUE(dropped.poll(context).is_pending());
  }
  std::thread first([&] { EXPECT_EQ(child.blocking_wait(), ExitStatus::killed(SIGKILL)); });
  std::thread second([&] { EXPECT_EQ(child.blocking_wait(), ExitStatus::killed(SIGKILL)); });
  EXPECT_TRUE(child.kill().has_value());
  first.join();
  second.join();
}

// A waker's clone and drop may wait for a lock that another thread holds while it polls the same
// child: the interpreter's.
TEST(Child, HoldsNoLockWhileItClonesOrDropsAWaker) {
  static int calls;
  static constexpr WakerVTable kLooksAtTheChild{
      .clone =
          [](void* child) noexcept {
            ++calls;
            EXPECT_FALSE(static_cast<Child*>(child)->try_wait().has_value());
            return child;
          },
      .wake = [](void*) noexcept {},
      .wake_by_ref = [](void*) noexcept {},
      .drop =
          [](void* child) noexcept {
            ++calls;
            EXPECT_FALSE(static_cast<Child*>(child)->try_wait().has_value());
          },
  };
  calls = 0;
  Child child = shell("exec sleep 1000").spawn().value();
  {
    const Waker waker(&child, &kLooksAtTheChild);
    Context context(waker);
    auto wait = child.wait();
    EXPECT_TRUE(wait.poll(context).is_pending());
    EXPECT_TRUE(wait.poll(context).is_pending());
  }
  EXPECT_GE(calls, 3);
  ASSERT_TRUE(child.kill().has_value());
  EXPECT_EQ(child.blocking_wait(), ExitStatus::killed(SIGKILL));
}

TEST(Child, IsReapedThoughNobodyWaits) {
  {
    auto dropped = shell("true").spawn().value();
  }
  {
    auto killed = Command("sleep").arg("1000").kill_on_drop().spawn().value();
  }
  while (has_children()) std::this_thread::yield();
}

TEST(Child, WhoseStatusSomebodyTookIsUnknown) {
  auto child = shell("read line").standard_input(Stdio::piped()).spawn().value();
  std::thread thief([pid = child.id()] { static_cast<void>(::waitpid(pid, nullptr, 0)); });
  child.take_pipe(0).reset();
  thief.join();
  // Whoever was faster has it.
  const ExitStatus status = child.blocking_wait();
  EXPECT_TRUE(status == ExitStatus::exited(255) || status == ExitStatus::exited(1));
}

TEST(Child, ManyAtOnceAreAllReaped) {
  std::vector<Child> children;
  for (int i = 0; i < 50; ++i)
    children.push_back(shell("exit " + std::to_string(i)).spawn().value());
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(children[static_cast<std::size_t>(i)].blocking_wait(), ExitStatus::exited(i));
  }
  EXPECT_FALSE(has_children());
}

TEST(Child, MoreThanMayBeOpenByNowAreReaped) {
  std::vector<Child> children;
  for (int i = 0; i < 20; ++i) children.push_back(Command("sleep").arg("1000").spawn().value());
  rlimit former{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &former), 0);
  rlimit few = former;
  few.rlim_cur = 16;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  for (Child& child : children) {
    EXPECT_TRUE(child.kill().has_value());
    EXPECT_EQ(child.blocking_wait(), ExitStatus::killed(SIGKILL));
  }
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &former), 0);
}

}  // namespace
}  // namespace blitzio::process
