#include <blitzio/executor/local_executor.hpp>
#include <blitzio/process/command.hpp>
#include <blitzio/process/pipe.hpp>
#include <blitzio/stream/stream.hpp>
#include <blitzio/task/async.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <span>
#include <string>
#include <string_view>

namespace blitzio::process {
namespace {

static_assert(stream::ReadStream<PipeReader>);
static_assert(stream::WriteStream<PipeWriter>);

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

Async<std::string> read_all(PipeReader& reader) {
  std::string all;
  std::array<std::byte, 64> buffer{};
  for (;;) {
    auto count = co_await reader.read(buffer);
    EXPECT_TRUE(count.has_value());
    if (!count || *count == 0) co_return all;
    all.append(reinterpret_cast<const char*>(buffer.data()), *count);
  }
}

TEST(Pipe, TalksToAChild) {
  auto executor = LocalExecutor::create().value();
  auto child =
      Command("cat").standard_input(Stdio::piped()).standard_output(Stdio::piped()).spawn().value();
  auto input = child.take_stdin().value();
  auto output = child.take_stdout().value();
  std::array<std::byte, 8> none{};
  EXPECT_EQ(output.try_read(none).value(), std::nullopt);
  auto work = [&]() -> Async<std::string> {
    EXPECT_EQ((co_await input.write(bytes_of("hello "))).value(), 6U);
    EXPECT_EQ(input.try_write(bytes_of("child")).value(), 5U);
    EXPECT_TRUE((co_await input.finish()).has_value());
    EXPECT_FALSE(input.is_open());
    co_return co_await read_all(output);
  };
  EXPECT_EQ(executor->block_on(work()), "hello child");
  EXPECT_TRUE(child.blocking_wait().is_success());
}

TEST(Pipe, EachOfAChildsIsTakenOnce) {
  auto executor = LocalExecutor::create().value();
  auto child = Command("sh")
                   .args({"-c", "echo out; echo errors >&2"})
                   .standard_output(Stdio::piped())
                   .standard_error(Stdio::piped())
                   .spawn()
                   .value();
  auto errors = child.take_stderr().value();
  EXPECT_EQ(executor->block_on(read_all(errors)), "errors\n");
  EXPECT_FALSE(child.take_stderr().has_value()) << "taken";
  auto output = child.take_stdout().value();
  EXPECT_EQ(executor->block_on(read_all(output)), "out\n");
  EXPECT_FALSE(child.take_stdin().has_value()) << "not piped";
  EXPECT_TRUE(child.blocking_wait().is_success());
}

TEST(Pipe, ADroppedReadTakesNothing) {
  auto executor = LocalExecutor::create().value();
  auto child =
      Command("cat").standard_input(Stdio::piped()).standard_output(Stdio::piped()).spawn().value();
  auto input = child.take_stdin().value();
  auto output = child.take_stdout().value();
  auto work = [&]() -> Async<std::string> {
    {
      std::array<std::byte, 8> buffer{};
      const Waker nobody;
      Context context(nobody);
      auto dropped = output.read(buffer);
      EXPECT_TRUE(dropped.poll(context).is_pending());
    }
    EXPECT_TRUE((co_await input.write(bytes_of("kept"))).has_value());
    input.close();
    co_return co_await read_all(output);
  };
  EXPECT_EQ(executor->block_on(work()), "kept");
}

TEST(Pipe, ErrorsAreTheKernels) {
  auto executor = LocalExecutor::create().value();
  EXPECT_TRUE(PipeReader::adopt(OwnedFd()).error().is_os(EBADF));
  auto before = std::signal(SIGPIPE, SIG_IGN);
  auto child = Command("true").standard_input(Stdio::piped()).spawn().value();
  auto input = child.take_stdin().value();
  EXPECT_TRUE(child.blocking_wait().is_success());
  EXPECT_TRUE(executor->block_on(input.write(bytes_of("x"))).error().is_os(EPIPE));
  input.close();
  EXPECT_TRUE(executor->block_on(input.write(bytes_of("x"))).error().is(RuntimeErrc::closed));
  std::signal(SIGPIPE, before);
}

}  // namespace
}  // namespace blitzio::process
