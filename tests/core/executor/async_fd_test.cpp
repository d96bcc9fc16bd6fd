// AsyncFd: waiting, dropping and closing, on each backend, on one thread and across threads.
#include "core/executor/support.hpp"

#include <blitzio/executor/async_fd.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <latch>
#include <string>
#include <string_view>
#include <thread>

namespace blitzio {
namespace {

struct Ends {
  AsyncFd a;
  OwnedFd b;
};

Ends make_ends() {
  int ends[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
  return {AsyncFd::adopt(OwnedFd::adopt(ends[0])).value(), OwnedFd::adopt(ends[1])};
}
void put(const OwnedFd& fd, std::string_view text) {
  EXPECT_EQ(::write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
}
/// Waits, without an executor, until the peer has closed.
/// What tells one file from another, whatever their numbers.
ino_t file_of(int fd) {
  struct stat status{};
  return ::fstat(fd, &status) == 0 ? status.st_ino : 0;
}
bool sees_end(const OwnedFd& fd) {
  pollfd item{fd.get(), POLLIN, 0};
  char byte = 0;
  return ::poll(&item, 1, 30'000) == 1 && ::read(fd.get(), &byte, 1) == 0;
}

// Reads once into a string.
class ReadSome {
 public:
  using Output = Result<std::string>;
  explicit ReadSome(const AsyncFd& fd) : wait_(fd, IoDirection::read) {}
  Poll<Output> poll(Context& context) {
    char buffer[64];
    auto count = wait_.poll(context, [&](int fd) noexcept -> IoAttempt {
      ++attempts;
      const ssize_t got = ::read(fd, buffer, sizeof buffer);
      return {got < 0 ? -errno : got};
    });
    if (count.is_pending()) return pending;
    if (!count.value()) return Output(fail(count.value().error()));
    return Output(std::string(buffer, *count.value()));
  }
  int attempts = 0;

 private:
  IoWait wait_;
};

using AsyncFdTest = OnEachBackend;

TEST_P(AsyncFdTest, ReadsAtOnceWhatIsThere) {
  Ends ends = make_ends();
  put(ends.b, "hello");
  ReadSome read(ends.a);
  EXPECT_EQ(executor_->block_on(read), "hello");
  EXPECT_EQ(read.attempts, 1);
  EXPECT_FALSE(executor_->driver().has_in_flight()) << "nobody has waited";
}

TEST_P(AsyncFdTest, WaitsForEachArrivalAnew) {
  Ends ends = make_ends();
  for (const char* text : {"one", "two", "three"}) {
    auto reader = executor_->spawn(ReadSome(ends.a));
    ASSERT_TRUE(executor_->bind());
    executor_->turn(Duration::zero());
    EXPECT_FALSE(reader.is_finished());
    executor_->unbind();
    put(ends.b, text);
    EXPECT_EQ(executor_->block_on(reader).get(), text);
  }
}

TEST_P(AsyncFdTest, ADroppedWaitLeavesItsBytesToTheNext) {
  Ends ends = make_ends();
  ASSERT_TRUE(executor_->bind());
  auto dropped = executor_->spawn(ReadSome(ends.a));
  executor_->turn(Duration::zero());
  dropped.cancel();
  put(ends.b, "kept");
  executor_->turn(Duration::from_secs(30));
  executor_->turn(Duration::zero());
  EXPECT_TRUE(dropped.is_finished());
  executor_->unbind();
  EXPECT_EQ(executor_->block_on(ReadSome(ends.a)), "kept");
}

TEST_P(AsyncFdTest, WakesEverybodyWhoWaits) {
  Ends ends = make_ends();
  auto one = executor_->spawn(ReadSome(ends.a));
  auto two = executor_->spawn(ReadSome(ends.a));
  ASSERT_TRUE(executor_->bind());
  executor_->turn(Duration::zero());
  executor_->unbind();
  put(ends.b, "x");
  while (!one.is_finished() && !two.is_finished()) executor_->block_on(yield_now());
  put(ends.b, "y");
  EXPECT_EQ(*executor_->block_on(one).get() + *executor_->block_on(two).get(), "xy");
}

TEST_P(AsyncFdTest, ReportsTheEndOfTheStreamAgainAndAgain) {
  Ends ends = make_ends();
  auto reader = executor_->spawn(ReadSome(ends.a));
  ASSERT_TRUE(executor_->bind());
  executor_->turn(Duration::zero());
  executor_->unbind();
  put(ends.b, "last");
  ends.b.reset();
  EXPECT_EQ(executor_->block_on(reader).get(), "last");
  EXPECT_EQ(executor_->block_on(ReadSome(ends.a)), "");
  EXPECT_EQ(executor_->block_on(ReadSome(ends.a)), "");
}

TEST_P(AsyncFdTest, WaitsForRoomToWrite) {
  Ends ends = make_ends();
  const std::string block(65'536, 'w');
  while (::send(ends.a.get(), block.data(), block.size(), MSG_NOSIGNAL) > 0) {
  }
  auto writable = executor_->spawn(ends.a.writable());
  ASSERT_TRUE(executor_->bind());
  executor_->turn(Duration::zero());
  EXPECT_FALSE(writable.is_finished());
  executor_->unbind();
  std::string sink(1 << 20, '.');
  while (::read(ends.b.get(), sink.data(), sink.size()) > 0) {
  }
  EXPECT_TRUE(executor_->block_on(writable).get());
  EXPECT_TRUE(executor_->block_on(ends.a.writable()));
}

TEST_P(AsyncFdTest, ReadableTellsOfBytesAndOfTheEnd) {
  Ends ends = make_ends();
  auto readable = executor_->spawn(ends.a.readable());
  ASSERT_TRUE(executor_->bind());
  executor_->turn(Duration::zero());
  EXPECT_FALSE(readable.is_finished());
  executor_->unbind();
  ends.b.reset();
  EXPECT_TRUE(executor_->block_on(readable).get());
}

TEST_P(AsyncFdTest, CloseEndsWaitsAndTellsThePeerAtOnce) {
  Ends ends = make_ends();
  auto reader = executor_->spawn(ReadSome(ends.a));
  ASSERT_TRUE(executor_->bind());
  executor_->turn(Duration::zero());
  ends.a.close();
  EXPECT_EQ(ends.a.get(), -1);
  EXPECT_TRUE(sees_end(ends.b)) << "without another turn";
  executor_->unbind();
  const auto read = executor_->block_on(reader).get();
  ASSERT_FALSE(read);
  EXPECT_TRUE(read.error().is(RuntimeErrc::closed));
  EXPECT_FALSE(executor_->block_on(ReadSome(ends.a))) << "later calls fail too";
}

// As a listener that ends: shutdown(2) makes a call of another thread fail that has just begun.
TEST_P(AsyncFdTest, ACallThatClosingMadeFailSaysThatItIsClosed) {
  Ends ends = make_ends();
  IoWait wait(ends.a, IoDirection::read);
  const auto answer = executor_->block_on(poll_fn([&](Context& context) {
    return wait.poll(context, [&](int) noexcept -> IoAttempt {
      ends.a.close();
      return {-EINVAL};
    });
  }));
  ASSERT_FALSE(answer);
  EXPECT_TRUE(answer.error().is(RuntimeErrc::closed)) << answer.error().message();
}

TEST_P(AsyncFdTest, TheLastHandleCloses) {
  Ends ends = make_ends();
  AsyncFd other = ends.a.clone();
  auto reader = executor_->spawn(ReadSome(other));
  ASSERT_TRUE(executor_->bind());
  executor_->turn(Duration::zero());
  executor_->unbind();
  ends.a = AsyncFd();
  put(ends.b, "alive");
  EXPECT_EQ(executor_->block_on(reader).get(), "alive");
  other = AsyncFd();
  executor_->block_on(yield_now());
  EXPECT_TRUE(sees_end(ends.b));
}

TEST_P(AsyncFdTest, ReleaseGivesTheDescriptorBack) {
  Ends ends = make_ends();
  auto reader = executor_->spawn(ReadSome(ends.a));
  ASSERT_TRUE(executor_->bind());
  executor_->turn(Duration::zero());
  OwnedFd fd = ends.a.release();
  executor_->unbind();
  EXPECT_FALSE(executor_->block_on(reader).get());
  put(ends.b, "z");
  char byte = 0;
  EXPECT_EQ(::read(fd.get(), &byte, 1), 1);
}

TEST_P(AsyncFdTest, ReleasedElsewhereItsNumberIsFreeWhenItsHomeHasLetGo) {
  Ends ends = make_ends();
  const int number = ends.a.get();
  const ino_t file = file_of(number);
  auto reader = executor_->spawn(ReadSome(ends.a));
  ASSERT_TRUE(executor_->bind());
  executor_->turn(Duration::zero());
  OwnedFd given;
  std::thread([&] { given = ends.a.release(); }).join();
  EXPECT_EQ(ends.a.get(), -1);
  EXPECT_EQ(file_of(given.get()), file);
  EXPECT_EQ(file_of(number), file) << "the home may still use it";
  executor_->turn(Duration::zero());
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
  executor_->unbind();
  EXPECT_FALSE(executor_->block_on(reader).get());
  put(ends.b, "z");
  char byte = 0;
  EXPECT_EQ(::read(given.get(), &byte, 1), 1);
}

// A number that is free is the next file's, and the call would reach that.
TEST_P(AsyncFdTest, ACallOfWhoWaitedElsewhereHasItsNumberUntilItEnds) {
  for (const bool is_released : {false, true}) {
    Ends ends = make_ends();
    const int number = ends.a.get();
    const ino_t file = file_of(number);
    std::latch begun(1);
    std::latch may_end(1);
    std::thread caller([&] {
      IoWait wait(ends.a, IoDirection::read);
      const Waker waker;
      Context context(waker);
      const auto refuse = [](int) noexcept -> IoAttempt {
        return {.result = -EAGAIN, .waits_elsewhere = true};
      };
      EXPECT_TRUE(wait.poll(context, refuse).is_pending());
      auto answer = wait.poll(context, [&](int fd) noexcept -> IoAttempt {
        begun.count_down();
        may_end.wait();
        EXPECT_EQ(file_of(fd), file);
        return {7};
      });
      EXPECT_EQ(answer.value(), 7U);
    });
    begun.wait();
    OwnedFd given;
    if (is_released) {
      given = ends.a.release();
      EXPECT_EQ(file_of(given.get()), file);
      given.reset();
    } else {
      ends.a.close();
    }
    const Ends next = make_ends();
    EXPECT_NE(next.a.get(), number);
    may_end.count_down();
    caller.join();
    EXPECT_EQ(::fcntl(number, F_GETFD), -1);
    EXPECT_TRUE(sees_end(ends.b));
  }
}

// As one that was passed to another process. Only epoll tells whether it would wake.
TEST_P(AsyncFdTest, ALoopHearsNothingOfADescriptorThatItGaveAway) {
  if (GetParam() != driver::Backend::epoll) return;
  for (const bool is_home : {true, false}) {
    Ends ends = make_ends();
    auto reader = executor_->spawn(ReadSome(ends.a));
    ASSERT_TRUE(executor_->bind());
    executor_->turn(Duration::zero());
    OwnedFd given;
    if (is_home) {
      given = ends.a.release();
    } else {
      std::thread([&] { given = ends.a.release(); }).join();
    }
    const OwnedFd passed = OwnedFd::adopt(::fcntl(given.get(), F_DUPFD_CLOEXEC, 0));
    given.reset();
    while (!reader.is_finished()) executor_->turn(Duration::zero());
    for (int i = 0; i < 40; ++i) executor_->turn(Duration::zero());  // Takes old events out.
    put(ends.b, "z");
    pollfd set{executor_->driver().nested_fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&set, 1, 0), 0) << "home " << is_home;
    executor_->unbind();
  }
}

TEST_P(AsyncFdTest, FindsANewHomeWhenItsDriverIsShutDown) {
  Ends ends = make_ends();
  {
    auto first = make_executor();
    auto reader = first->spawn(ReadSome(ends.a));
    ASSERT_TRUE(first->bind());
    first->turn(Duration::zero());
    first->unbind();
  }
  auto reader = executor_->spawn(ReadSome(ends.a));
  ASSERT_TRUE(executor_->bind());
  executor_->turn(Duration::zero());
  executor_->unbind();
  put(ends.b, "still");
  EXPECT_EQ(executor_->block_on(reader).get(), "still");
}

TEST_P(AsyncFdTest, OneThatIsAlwaysReadyLeavesRoomForOthers) {
  Ends ends = make_ends();
  ends.b.reset();  // at its end: every read is ready
  bool is_over = false;
  auto endless = executor_->spawn([](AsyncFd& fd, bool& over) -> Async<> {
    while (!over) co_await ReadSome(fd);
  }(ends.a, is_over));
  executor_->block_on([](bool& over) -> Async<> {
    co_await yield_now();
    over = true;
  }(is_over));
  static_cast<void>(executor_->block_on(endless));
}

INSTANTIATE_TEST_SUITE_P(Backends, AsyncFdTest, testing::ValuesIn(usable_backends()), backend_name);

class AsyncFdRuntimeTest : public testing::TestWithParam<driver::Backend> {
 protected:
  void SetUp() override {
    Config config;
    config.workers = 2;
    config.driver.backend = GetParam();
    runtime_ = Runtime::create(config).value();
  }
  std::unique_ptr<Runtime> runtime_;
};

TEST_P(AsyncFdRuntimeTest, APlainThreadWaitsThroughAWorkersDriver) {
  Ends ends = make_ends();
  std::thread writer([&] { put(ends.b, "from afar"); });
  EXPECT_EQ(runtime_->block_on(ReadSome(ends.a)), "from afar");
  writer.join();
}

TEST_P(AsyncFdRuntimeTest, AConnectionMovesBetweenThreadsWithoutLosingBytes) {
  Ends ends = make_ends();
  const std::string text = "0123456789";
  std::string got;
  // Each read in a task of its own, so on whichever worker is free; the first makes one its home.
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto reader = runtime_->spawn(ReadSome(ends.a));
    auto elsewhere = runtime_->spawn([] { return 1; });
    put(ends.b, text.substr(i, 1));
    got += *reader.blocking_join().get();
    EXPECT_EQ(elsewhere.blocking_join().get(), 1);
  }
  EXPECT_EQ(got, text);
}

TEST_P(AsyncFdRuntimeTest, DroppedOnAnotherThreadItIsClosedOnItsHome) {
  Ends ends = make_ends();
  AsyncFd& fd = ends.a;
  auto waiting = runtime_->spawn(ReadSome(fd));
  put(ends.b, "x");
  EXPECT_EQ(waiting.blocking_join().get(), "x");
  auto again = runtime_->spawn(ReadSome(fd));
  again.cancel();
  EXPECT_TRUE(again.blocking_join().is_cancelled());
  fd = AsyncFd();
  EXPECT_TRUE(sees_end(ends.b));
}

TEST_P(AsyncFdRuntimeTest, ClosingRacesWithArrivals) {
  for (int round = 0; round < 50; ++round) {
    Ends ends = make_ends();
    auto reader = runtime_->spawn(ReadSome(ends.a));
    std::thread writer([fd = std::move(ends.b)]() mutable {
      // The reader's end may be closed already.
      static_cast<void>(::send(fd.get(), "x", 1, MSG_NOSIGNAL));
      fd.reset();
    });
    runtime_->block_on(yield_now());
    reader.cancel();
    static_cast<void>(reader.blocking_join());
    ends.a = AsyncFd();
    writer.join();
  }
}

TEST_P(AsyncFdRuntimeTest, OutlivesItsRuntime) {
  Ends ends = make_ends();
  auto reader = runtime_->spawn(ReadSome(ends.a));
  put(ends.b, "x");
  EXPECT_EQ(reader.blocking_join().get(), "x");
  runtime_.reset();
  ends.a = AsyncFd();
  EXPECT_TRUE(sees_end(ends.b));
}

INSTANTIATE_TEST_SUITE_P(Backends, AsyncFdRuntimeTest, testing::ValuesIn(usable_backends()),
                         backend_name);

}  // namespace
}  // namespace blitzio
