// `RingCall`: an operation in a ring ends once, however its completion meets the polls, the
// dropping and the detaching of its future elsewhere and the end of its driver; and its block, in
// which the kernel writes, lives until then and no longer.
#include <blitzio/fs/detail/ring_call.hpp>
#include <blitzio/task/block_on.hpp>

#include <model/ring_driver.hpp>
#include <model/support.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace blitzio::model {
namespace {

using fs::detail::RingCallBase;

// How operations ended. Plain memory: who counts must be the only one.
struct Ends {
  int taken = 0;
  int discarded = 0;
  int moved_on = 0;

  [[nodiscard]] int all() const noexcept { return taken + discarded + moved_on; }
};

// A read of one byte.
class Read final : public RingCallBase {
 public:
  struct LetGo {
    void operator()(Read* read) const noexcept { read->let_go(); }
  };
  using Handle = std::unique_ptr<Read, LetGo>;

  static Handle start(RingDriver& home, Ends& ends) {
    Handle read(new Read(ends));
    read->read(0, read->buffer_);
    read->submit(home);
    return read;
  }
  // The future's part. Of a dismissed one: -ECANCELED.
  std::int32_t take_result() noexcept {
    const std::int32_t result = take();
    ++ends_.taken;
    BLITZIO_CHECK(is_dismissed() == (result == -ECANCELED), result);
    check_buffer(result);
    return result;
  }

 private:
  explicit Read(Ends& ends) noexcept : ends_(ends) {}
  ~Read() override = default;

  void discard(std::int32_t result) noexcept override {
    ++ends_.discarded;
    check_buffer(result);
  }
  void move_on() noexcept override { ++ends_.moved_on; }
  void check_buffer(std::int32_t result) const noexcept {
    BLITZIO_CHECK(buffer_[0] == (result == 1 ? RingDriver::kByte : std::byte{0}), result);
  }

  Ends& ends_;
  std::array<std::byte, 1> buffer_{};
};

// The result, as FileCall waits for it.
class Wait {
 public:
  using Output = std::int32_t;
  explicit Wait(Read& read) noexcept : read_(read) {}
  Poll<Output> poll(Context& context) noexcept {
    if (!read_.poll(context)) return pending;
    return read_.take_result();
  }

 private:
  Read& read_;
};

// An operation at its home, which this thread is, and a kernel that does it some time.
struct Fixture {
  // Turns the home for as long as `elsewhere` is at work, and then ends it.
  template <class Elsewhere>
  void meet(Elsewhere elsewhere) {
    {
      Thread kernel([this] { home->driver().complete(); });
      Thread other([&] {
        elsewhere();
        home->stop();
      });
      home->run();
    }
    home.reset();
  }

  Ends ends;
  std::optional<RingHome> home{std::in_place};
  Read::Handle read = Read::start(home->driver(), ends);
};

void wait_elsewhere() {
  Fixture fixture;
  fixture.meet([&] {
    Wait wait(*fixture.read);
    BLITZIO_CHECK(block_on(wait) == 1);
    fixture.read.reset();
  });
  BLITZIO_CHECK(fixture.ends.taken == 1 && fixture.ends.all() == 1);
}

TEST(RingCallModel, TheResultReachesAFutureElsewhere) {
  expect_sound(wait_elsewhere);
}

TEST(RingCallModel, TheResultReachesAFutureAtHome) {
  expect_sound([] {
    Fixture fixture;
    Thread kernel([&] { fixture.home->driver().complete(); });
    Wait wait(*fixture.read);
    BLITZIO_CHECK(fixture.home->run(wait) == 1);
    fixture.read.reset();
    kernel.join();
    fixture.home.reset();
    BLITZIO_CHECK(fixture.ends.taken == 1 && fixture.ends.all() == 1);
  });
}

// It has polled once, or not yet, and is dropped elsewhere while the completion comes.
void drop_elsewhere(bool polls) {
  Fixture fixture;
  fixture.meet([&] {
    Wait wait(*fixture.read);
    if (polls) static_cast<void>(poll_once(wait));
    fixture.read.reset();
  });
  BLITZIO_CHECK(fixture.ends.all() == 1 && fixture.ends.moved_on == 0);
}

TEST(RingCallModel, DroppedElsewhereItEndsOnce) {
  for (const bool polls : {false, true}) expect_sound([=] { drop_elsewhere(polls); });
}

TEST(RingCallModel, DroppedAtHomeItEndsOnce) {
  expect_sound([] {
    Fixture fixture;
    struct DropOnce {
      using Output = std::int32_t;
      Fixture& fixture;
      Poll<std::int32_t> poll(Context& /*context*/) noexcept {
        fixture.read.reset();
        return 0;
      }
    };
    Thread kernel([&] { fixture.home->driver().complete(); });
    DropOnce drop{fixture};
    static_cast<void>(fixture.home->run(drop));
    kernel.join();
    fixture.home.reset();
    BLITZIO_CHECK(fixture.ends.discarded == 1 && fixture.ends.all() == 1);
  });
}

// Nobody cancels it: it is done by the kernel, or its driver's end leaves it to others.
void detach_elsewhere() {
  Fixture fixture;
  fixture.meet([&] { fixture.read.release()->detach(); });
  BLITZIO_CHECK(fixture.ends.taken == 0 && fixture.ends.all() == 1);
}

TEST(RingCallModel, DetachedItIsDoneOrMovesOn) {
  expect_sound(detach_elsewhere);
}

// The driver ends without waiting for the future, which is told.
TEST(RingCallModel, ADriverThatEndsDismissesIt) {
  expect_sound([] {
    Fixture fixture;
    Thread kernel([&] { fixture.home->driver().complete(); });
    Thread other([&] {
      Wait wait(*fixture.read);
      const std::int32_t result = block_on(wait);
      BLITZIO_CHECK(result == 1 || result == -ECANCELED, result);
      fixture.read.reset();
    });
    fixture.home->shutdown();
    other.join();
    kernel.join();
    fixture.home.reset();
    BLITZIO_CHECK(fixture.ends.taken == 1 && fixture.ends.all() == 1);
  });
}

TEST(RingCallModel, FindsAReferenceThatIsDroppedWithoutAcquireOrRelease) {
  for (const auto to : {std::memory_order_acquire, std::memory_order_release}) {
    expect_finds("", [] { drop_elsewhere(false); },
                 {.weakenings = {{.file = "fs/detail/ring_call.cpp",
                                  .function = "release_ref",
                                  .access = Access::exchange,
                                  .from = std::memory_order_acq_rel,
                                  .to = to}}});
  }
}

// A copy of the steps of abandon() and on_completion() for an operation that is dropped elsewhere,
// for what no weaker order stands for: a message that is posted without the lock, or that the
// completion does not wait for. That the explorer finds these bugs here proves nothing of the real
// code; put there by hand, DroppedElsewhereItEndsOnce has failed with either.
enum class DropBug : std::uint8_t { none, posts_unlocked, forgets_message };

struct Block : InboxNode {
  Mutex mutex{LockRank::ring_call};
  bool is_abandoned = false;
  bool is_posted = false;
  Atomic<int> refs{2};

  void release() noexcept {
    if (refs.fetch_sub(1) == 1) delete this;
  }
};

void drop_in_steps(DropBug bug) {
  Inbox<Block> inbox;
  auto* const block = new Block;
  Thread elsewhere([&] {
    bool posts = false;
    {
      const MutexLock lock(block->mutex);
      posts = !std::exchange(block->is_abandoned, true);
      if (posts && bug != DropBug::posts_unlocked) {
        block->is_posted = true;
        inbox.push(*block);
      }
    }
    if (posts && bug == DropBug::posts_unlocked) inbox.push(*block);
    block->release();
  });
  // The home: the completion, then what was posted until it ends.
  bool is_last = false;
  {
    const MutexLock lock(block->mutex);
    is_last = bug == DropBug::forgets_message || !block->is_posted;
    block->is_abandoned = true;
  }
  if (is_last) block->release();
  inbox.take_all([](Block& posted) {
    posted.mutex.lock();
    posted.is_posted = false;
    posted.mutex.unlock();
    posted.release();
  });
  elsewhere.join();
}

TEST(RingCallSteps, FindsAMessageThatTheBlockDoesNotWaitFor) {
  expect_sound([] { drop_in_steps(DropBug::none); });
  expect_finds("", [] { drop_in_steps(DropBug::posts_unlocked); });
  expect_finds("", [] { drop_in_steps(DropBug::forgets_message); });
}

}  // namespace
}  // namespace blitzio::model
