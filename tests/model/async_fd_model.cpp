// `AsyncFd`: an event wakes whoever waits, however it meets the try, the queueing, the arming, a
// wait that is dropped and the closing of the descriptor; and the kernel has let go of the
// descriptor when it is closed.
#include <blitzio/executor/async_fd.hpp>
#include <blitzio/task/block_on.hpp>

#include <model/poll_driver.hpp>
#include <model/support.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <utility>

namespace blitzio::model {
namespace {

using driver::Backend;
using PollHome = Home<PollDriver>;

// Reads a byte; false: the descriptor was closed.
class Read {
 public:
  using Output = bool;
  Read(const AsyncFd& fd, File& file) noexcept : wait_(fd, IoDirection::read), file_(file) {}

  Poll<bool> poll(Context& context) noexcept {
    auto answer = wait_.poll(context, [this](int fd) noexcept -> IoAttempt {
      BLITZIO_CHECK(fd >= 0);
      return {file_.read()};
    });
    if (answer.is_pending()) return pending;
    const auto& result = answer.value();
    BLITZIO_CHECK(result || result.error() == Error::runtime(RuntimeErrc::closed));
    return result.has_value();
  }

 private:
  IoWait wait_;
  File& file_;
};

struct Fixture {
  explicit Fixture(Backend backend = Backend::epoll)
      : home(file, backend), fd(AsyncFd::adopt(file.open()).value()) {}
  // On the home's thread, or on another one.
  void read_at_home() {
    Read read(fd, file);
    BLITZIO_CHECK(home.run(read));
  }
  void read_elsewhere() {
    const PollHome::Visit visit(home);
    BLITZIO_CHECK(block_on(Read(fd, file)));
  }

  File file;
  PollHome home;
  AsyncFd fd;
};

TEST(AsyncFdModel, AByteReachesAReaderAtHome) {
  for (const Backend backend : {Backend::epoll, Backend::poll}) {
    expect_sound([=] {
      Fixture fixture(backend);
      Thread reader([&] { fixture.read_at_home(); });
      fixture.file.write();
    });
  }
}

void read_elsewhere(Backend backend, int bytes) {
  Fixture fixture(backend);
  Thread home([&] { fixture.home.run(); });
  Thread writer([&] {
    for (int i = 0; i < bytes; ++i) fixture.file.write();
  });
  for (int i = 0; i < bytes; ++i) fixture.read_elsewhere();
  fixture.home.stop();
}

TEST(AsyncFdModel, BytesReachAReaderElsewhere) {
  for (const Backend backend : {Backend::epoll, Backend::poll}) {
    for (const int bytes : {1, 2}) expect_sound([=] { read_elsewhere(backend, bytes); });
  }
}

TEST(AsyncFdModel, ASecondByteThatMeetsTheFirstRead) {
  for (const Backend backend : {Backend::epoll, Backend::poll}) {
    expect_sound([=] {
      Fixture fixture(backend);
      Thread writer([&] {
        fixture.file.write();
        fixture.file.write();
      });
      fixture.read_at_home();
      fixture.read_at_home();
    });
  }
}

TEST(AsyncFdModel, TwoReadersGetAByteEach) {
  expect_sound([] {
    Fixture fixture;
    Thread elsewhere([&] { fixture.read_elsewhere(); });
    fixture.file.write();
    fixture.file.write();
    fixture.read_at_home();
    // The home turns for as long as the other one waits.
    Thread home([&] { fixture.home.run(); });
    elsewhere.join();
    fixture.home.stop();
  });
}

// One of two readers leaves while the event comes: the other one has it.
void drop_a_wait() {
  Fixture fixture;
  {
    const PollHome::Visit visit(fixture.home);
    std::optional<Read> leaving(std::in_place, fixture.fd, fixture.file);
    BLITZIO_CHECK(poll_once(*leaving).is_pending());
    Thread home([&] { fixture.read_at_home(); });
    fixture.file.write();
    leaving.reset();
  }
}

TEST(AsyncFdModel, AWaitThatIsDroppedTakesNothingWithIt) {
  expect_sound(drop_a_wait);
}

// The wait is posted, armed or has its event when the descriptor is closed elsewhere.
TEST(AsyncFdModel, ClosingElsewhereEndsTheWait) {
  expect_sound([] {
    Fixture fixture;
    const PollHome::Visit visit(fixture.home);
    Read read(fixture.fd, fixture.file);
    BLITZIO_CHECK(poll_once(read).is_pending());
    {
      Thread home([&] { fixture.home.run(); });
      Thread writer([&] { fixture.file.write(); });
      fixture.fd.close();
      writer.join();
      fixture.home.stop();
    }
    BLITZIO_CHECK(!block_on(read));
  });
}

TEST(AsyncFdModel, ClosingWakesWhoWaits) {
  expect_sound([] {
    Fixture fixture;
    const PollHome::Visit visit(fixture.home);
    Read read(fixture.fd, fixture.file);
    Thread home([&] { fixture.home.run(); });
    BLITZIO_CHECK(poll_once(read).is_pending());
    Thread closer([&] {
      fixture.fd.close();
      fixture.home.stop();
    });
    closer.join();
    BLITZIO_CHECK(!block_on(read));
    home.join();
    fixture.home.shutdown();
    BLITZIO_CHECK(!fixture.file.is_open() && !fixture.file.is_polled());
  });
}

// The home lets go of the descriptor while it is being given away.
TEST(AsyncFdModel, WhatIsGivenElsewhereIsOpen) {
  expect_sound([] {
    Fixture fixture;
    const PollHome::Visit visit(fixture.home);
    Read read(fixture.fd, fixture.file);
    Thread home([&] { fixture.home.run(); });
    BLITZIO_CHECK(poll_once(read).is_pending());
    Thread giver([&] {
      const OwnedFd given = fixture.fd.release();
      BLITZIO_CHECK(::fcntl(given.get(), F_GETFD) >= 0, given.get());
      fixture.home.stop();
    });
    giver.join();
    BLITZIO_CHECK(!block_on(read));
  });
}

TEST(AsyncFdModel, ClosingAtHomeLetsGoAtOnce) {
  for (const Backend backend : {Backend::epoll, Backend::poll}) {
    expect_sound([=] {
      Fixture fixture(backend);
      struct CloseOnce {
        using Output = bool;
        Fixture& fixture;
        Read read{fixture.fd, fixture.file};
        Poll<bool> poll(Context& context) noexcept {
          auto answer = read.poll(context);
          if (answer.is_ready()) return answer;
          fixture.fd.close();
          BLITZIO_CHECK(!fixture.file.is_open() && !fixture.file.is_polled());
          return pending;
        }
      };
      Thread writer([&] { fixture.file.write(); });
      CloseOnce closing{fixture};
      static_cast<void>(fixture.home.run(closing));
    });
  }
}

void drop_handles() {
  Fixture fixture;
  {
    const PollHome::Visit visit(fixture.home);
    Read read(fixture.fd, fixture.file);
    BLITZIO_CHECK(poll_once(read).is_pending());
  }
  AsyncFd second = fixture.fd.clone();
  Thread home([&] { fixture.home.run(); });
  Thread other([&] { second = AsyncFd(); });
  fixture.fd = AsyncFd();
  other.join();
  fixture.home.stop();
}

TEST(AsyncFdModel, TheLastHandleClosesOnWhateverThread) {
  expect_sound(drop_handles);
}

TEST(AsyncFdModel, FindsAnEventThatDoesNotPublish) {
  expect_finds("deadlock", [] { read_elsewhere(Backend::epoll, 2); },
               {.weakenings = {{.file = "executor/async_fd.cpp",
                                .function = "note_event",
                                .access = Access::exchange,
                                .from = std::memory_order_release}}});
}

TEST(AsyncFdModel, FindsANodeThatIsGivenBackTooEarly) {
  expect_finds("destroys", drop_a_wait,
               {.weakenings = {{.file = "executor/async_fd.cpp",
                                .function = "wake_waiters",
                                .access = Access::store,
                                .from = std::memory_order_release}}});
}

TEST(AsyncFdModel, FindsAReferenceThatIsDroppedWithoutAcquireOrRelease) {
  for (const auto to : {std::memory_order_acquire, std::memory_order_release}) {
    expect_finds("", drop_handles,
                 {.weakenings = {{.file = "executor/async_fd.cpp",
                                  .function = "release_ref",
                                  .access = Access::exchange,
                                  .from = std::memory_order_acq_rel,
                                  .to = to}}});
  }
}

// A try and an event that meet, with known bugs: readiness without a count, so that a try which
// found nothing takes out an event that came since it began; and a waiter that queues up without a
// second look.
enum class TryBug : std::uint8_t { none, counts_no_events, looks_once };

void try_in_steps(TryBug bug) {
  constexpr unsigned kReady = 1;
  constexpr unsigned kTick = 2;
  Atomic<unsigned> readiness{kReady};
  Atomic<bool> has_waiter{false};
  Event woken;
  Atomic<int> bytes{0};
  Thread home([&] {
    bytes.fetch_add(1);
    unsigned word = readiness.load();
    const unsigned tick = bug == TryBug::counts_no_events ? 0 : kTick;
    while (!readiness.compare_exchange_strong(word, (word + tick) | kReady)) {
    }
    if (has_waiter.exchange(false)) woken.signal();
  });
  for (;;) {
    unsigned seen = readiness.load();
    if ((seen & kReady) != 0) {
      if (bytes.load() != 0) break;
      readiness.compare_exchange_strong(seen, seen & ~kReady);
    }
    has_waiter.store(true);
    if (bug == TryBug::looks_once || (readiness.load() & kReady) == 0) woken.wait();
  }
}

TEST(AsyncFdModel, FindsAnEventThatIsTakenOutUnseen) {
  expect_sound([] { try_in_steps(TryBug::none); });
  expect_finds("deadlock", [] { try_in_steps(TryBug::counts_no_events); });
  expect_finds("deadlock", [] { try_in_steps(TryBug::looks_once); });
}

}  // namespace
}  // namespace blitzio::model
