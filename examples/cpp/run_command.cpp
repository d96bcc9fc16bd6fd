// Runs programs: takes the output of one, and ends another that takes too long.
#include <blitzio/executor/local_executor.hpp>
#include <blitzio/process/command.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/time/sleep.hpp>

#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>

using namespace blitzio;

namespace {

Async<Result<bool>> run() {
  process::Command greet("sh");
  greet.args({"-c", "echo hello from $WHO"}).env("WHO", "a child");
  auto done = co_await greet.output();
  if (!done) co_return fail(done.error());
  const std::string text(reinterpret_cast<const char*>(done->standard_output.data()),
                         done->standard_output.size());
  std::printf("%s", text.c_str());

  auto slow = process::Command("sleep").arg("3600").spawn();
  if (!slow) co_return fail(slow.error());
  co_await time::sleep(Duration::from_millis(10));
  if (auto sent = slow->send_signal(SIGTERM); !sent) co_return fail(sent.error());
  const process::ExitStatus status = co_await slow->wait();
  std::printf("the slow one ended by signal %d\n", status.signal().value_or(0));
  co_return text == "hello from a child\n" && status == process::ExitStatus::killed(SIGTERM);
}

}  // namespace

int main() {
  try {
    auto executor = LocalExecutor::create();
    if (!executor) {
      std::fprintf(stderr, "no executor: %s\n", executor.error().message().c_str());
      return 1;
    }
    const auto done = (*executor)->block_on(run());
    if (!done) std::fprintf(stderr, "%s\n", done.error().message().c_str());
    return done && *done ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
