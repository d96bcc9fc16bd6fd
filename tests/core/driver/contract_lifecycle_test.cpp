// The driver contract: binding, migration between threads, shutdown, and what completion functions
// may do. See support.hpp.
#include "support.hpp"

#include <sys/resource.h>
#include <sys/time.h>

#include <csignal>
#include <thread>

namespace blitzio::driver::contract {
namespace {

BLITZIO_DRIVER_CONTRACT();

/// Runs `body` on another thread while this one only waits: a driver may be handed over.
template <class Body>
void on_another_thread(Body&& body) {
  std::thread thread(std::forward<Body>(body));
  thread.join();
}

void bind_to_this_thread(Driver& driver) {
  const auto bound = driver.bind();
  ASSERT_TRUE(bound) << bound.error().message();
}

// ---- creation
// ------------------------------------------------------------------------------------

TEST_P(DriverContract, ADriverKnowsItsBackend) {
  EXPECT_EQ(driver().backend(), GetParam());
  EXPECT_EQ(parse_backend(name(GetParam())), GetParam());
}

TEST_P(DriverContract, AnUnboundDriverMayBeDestroyed) {
  const auto never_bound = make_driver(GetParam());
  driver().unbind();
  driver_.reset();
}

TEST_P(DriverContract, ConfigurationOutOfRangeIsRefused) {
  Config config;
  config.backend = GetParam();
  config.buffer_bytes = 1000;
  const auto odd = create(config);
  ASSERT_FALSE(odd);
  EXPECT_TRUE(odd.error().is(RuntimeErrc::invalid_argument));
  config = {};
  config.backend = GetParam();
  config.ring_entries = 1 << 20;
  const auto huge = create(config);
  ASSERT_FALSE(huge);
  EXPECT_TRUE(huge.error().is(RuntimeErrc::invalid_argument));
}

TEST_P(DriverContract, ManyDriversLiveSideBySide) {
  std::vector<std::unique_ptr<Driver>> drivers;
  for (int i = 0; i < 8; ++i) {
    drivers.push_back(make_driver(GetParam()));
    bind_to_this_thread(*drivers.back());
  }
  for (const auto& each : drivers) fence(*each);
}

// ---- unbound, and on another thread
// --------------------------------------------------------------

TEST_P(DriverContract, BindAndUnbindMayBeRepeated) {
  for (int i = 0; i < 10; ++i) {
    driver().unbind();
    bind_to_this_thread(driver());
    fence(driver());
  }
}

TEST_P(DriverContract, WhatIsSubmittedOrCancelledWhileUnboundTakesEffectAfterBind) {
  change_faults("short=0", "takes one piece for the whole");
  const Pair ends = unix_pair();
  std::byte buffer[8];
  std::byte other[8];
  Recorder before(driver());
  Recorder nop(driver());
  Recorder recv(driver());
  Recorder cancelled(driver());
  before.recv(ends.b.get(), other);
  before.submit();
  fence(driver());
  driver().unbind();
  before.cancel();
  nop.nop();
  nop.submit();
  recv.recv(ends.a.get(), buffer);
  recv.submit();
  cancelled.timeout(Instant::max());
  cancelled.submit();
  cancelled.cancel();
  EXPECT_EQ(nop.count() + recv.count() + cancelled.count() + before.count(), 0U);
  bind_to_this_thread(driver());
  ASSERT_TRUE(run_until(driver(), [&] { return nop.done() && cancelled.done() && before.done(); }));
  EXPECT_EQ(nop.result(), 0);
  EXPECT_EQ(cancelled.result(), -ECANCELED);
  EXPECT_EQ(before.result(), -ECANCELED);
  put(ends.b, "later");
  ASSERT_TRUE(run_until(driver(), [&] { return recv.done(); }));
  EXPECT_EQ(recv.result(), 5);
}

TEST_P(DriverContract, OperationsInFlightMigrateToAnotherThread) {
  change_faults("short=0", "takes one piece for the whole");
  const Pair stream = tcp_pair();
  const Pair bulk = tcp_pair();
  const Pair pipe = pipe_pair();
  const Pair lines = pipe_pair();
  const Pair watched = unix_pair();
  const OwnedFd listener = tcp_listener();
  Attachment attachment(driver(), stream.a, true);
  std::byte buffer[16];
  std::byte piped[16];
  Recorder recv(driver());
  Recorder multishot(driver());
  Recorder reads(driver());
  Recorder read(driver());
  Recorder poll(driver());
  Recorder polls(driver());
  Recorder accept(driver());
  Recorder timeout(driver());
  recv.recv(stream.a.get(), buffer);
  multishot.recv_multishot(bulk.a.get());
  reads.read_multishot(lines.a.get());
  read.read(pipe.a.get(), piped);
  poll.poll(watched.a.get(), POLLIN);
  polls.poll_multishot(watched.b.get(), POLLIN);
  accept.accept_multishot(listener.get());
  timeout.timeout(Instant::now() + Duration::from_millis(20));
  Recorder* const all[] = {&recv, &multishot, &reads, &read, &poll, &polls, &accept, &timeout};
  for (Recorder* op : all) op->submit();
  put(bulk.b, "one");
  ASSERT_TRUE(run_until(driver(), [&] { return multishot.data() == "one"; }));
  const std::size_t before = recv.count() + read.count() + poll.count() + polls.count();
  EXPECT_EQ(before, 0U);

  // Some arrives while the driver is bound but not looking, some while it is unbound, some later.
  put(bulk.b, "two");
  put(lines.b, "read ");
  driver().unbind();
  put(bulk.b, "three");
  put(lines.b, "unbound ");
  put(stream.b, "meanwhile");
  put(watched.b, "x");
  std::vector<OwnedFd> clients;
  clients.push_back(tcp_client(listener));
  on_another_thread([&] {
    bind_to_this_thread(driver());
    EXPECT_TRUE(run_until(driver(), [&] { return recv.done() && poll.done() && timeout.done(); }));
    put(pipe.b, "after");
    put(watched.a, "y");
    put(bulk.b, "four");
    put(lines.b, "later");
    clients.push_back(tcp_client(listener));
    EXPECT_TRUE(run_until(driver(), [&] {
      return read.done() && polls.count() > 0 && accept.count() >= 2 &&
             multishot.data_bytes() >= 15 && reads.data_bytes() >= 18;
    }));
    driver().unbind();
  });
  EXPECT_EQ(recv.result(), 9);
  EXPECT_EQ(poll.result(), POLLIN);
  EXPECT_EQ(timeout.result(), 0);
  EXPECT_EQ(read.result(), 5);
  EXPECT_EQ(multishot.data(), "onetwothreefour");
  EXPECT_EQ(reads.data(), "read unbound later");
  EXPECT_EQ(accept.count(), 2U);

  bind_to_this_thread(driver());
  for (Recorder* op : {&multishot, &reads, &polls, &accept}) op->cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return !driver().has_in_flight(); }));
  for (Recorder* op : {&multishot, &reads, &polls, &accept}) EXPECT_EQ(op->result(), -ECANCELED);
  for (const Recorder::Seen& seen : accept.seen()) ::close(seen.result);
}

TEST_P(DriverContract, NoByteIsLostHoweverOftenTheDriverMoves) {
  const Pair ends = unix_pair();
  Receiving op(driver(), ends.a);
  std::string sent;
  driver().unbind();
  for (int round = 0; round < 30; ++round) {
    on_another_thread([&] {
      bind_to_this_thread(driver());
      for (int i = 0; i < 5; ++i) {
        const std::string piece(static_cast<std::size_t>(100 + round),
                                static_cast<char>('a' + (round + i) % 26));
        put(ends.b, piece);
        sent += piece;
        if (i % 2 == 0) turn(driver());
      }
      driver().unbind();
    });
  }
  bind_to_this_thread(driver());
  ASSERT_TRUE(run_until(driver(), [&] { return op.data_bytes() == sent.size(); }));
  EXPECT_TRUE(op.data() == sent);
}

TEST_P(DriverContract, ResultsCollectedBeforeUnbindAreKept) {
  change_faults("short=0", "takes one piece for the whole");
  const Pair ends = unix_pair();
  std::byte buffer[8];
  Recorder recv(driver());
  Recorder nop(driver());
  recv.recv(ends.a.get(), buffer);
  nop.nop();
  recv.submit();
  fence(driver());
  put(ends.b, "kept");
  nop.submit();
  for (int i = 0; i < 4; ++i) driver().collect();
  driver().unbind();
  on_another_thread([&] {
    bind_to_this_thread(driver());
    EXPECT_TRUE(run_until(driver(), [&] { return recv.done() && nop.done(); }));
    driver().unbind();
  });
  EXPECT_EQ(recv.result(), 4);
  EXPECT_EQ(nop.result(), 0);
}

TEST_P(DriverContract, AnUnboundDriverWithOperationsInFlightMayBeDestroyed) {
  const Pair ends = unix_pair();
  std::byte buffer[8];
  Recorder op(driver());
  op.recv(ends.a.get(), buffer);
  op.submit();
  fence(driver());
  driver().unbind();
  on_another_thread([&] { driver_.reset(); });
  EXPECT_TRUE(op.done());
  EXPECT_EQ(op.result(), -ECANCELED);
}

// ---- shutdown
// ------------------------------------------------------------------------------------

TEST_P(DriverContract, ShutdownCompletesEverythingBeforeItReturns) {
  const Pair ends = unix_pair();
  const Pair full = unix_pair();
  const OwnedFd listener = tcp_listener();
  fill(full.a);
  std::byte buffer[8];
  std::vector<std::unique_ptr<Recorder>> ops;
  const auto add = [&]() -> Recorder& {
    ops.push_back(std::make_unique<Recorder>(driver()));
    return *ops.back();
  };
  for (int i = 0; i < 3; ++i) add().recv(ends.a.get(), buffer);
  add().recv_multishot(ends.b.get());
  add().send(full.a.get(), bytes("x"));
  add().accept_multishot(listener.get());
  add().timeout(Instant::max());
  add().poll_multishot(full.b.get(), POLLPRI);
  for (const auto& op : ops) op->submit();
  fence(driver());
  // And one that never reached the kernel.
  add().poll(full.b.get(), POLLPRI);
  ops.back()->submit();
  driver().shutdown();
  for (const auto& op : ops) {
    EXPECT_TRUE(op->done());
    EXPECT_EQ(op->count(), 1U);
    EXPECT_EQ(op->result(), -ECANCELED);
  }
  EXPECT_FALSE(driver().has_in_flight());
  driver().shutdown();
  driver_.reset();
}

TEST_P(DriverContract, ShutdownReportsWhatHadHappenedAlready) {
  const Pair ends = unix_pair();
  std::byte buffer[8];
  Recorder op(driver());
  op.recv(ends.a.get(), buffer);
  op.submit();
  fence(driver());
  put(ends.b, "!");
  const Instant end = Instant::now() + kPatience;
  while (!driver().has_completions() && Instant::now() < end) driver().wait(end - Instant::now());
  driver().shutdown();
  ASSERT_TRUE(op.done());
  EXPECT_TRUE(op.result() == 1 || op.result() == -ECANCELED);
  EXPECT_EQ(take(ends.a), op.result() == 1 ? "" : "!");
}

TEST_P(DriverContract, DestructionCompletesWhatIsInFlight) {
  const Pair ends = unix_pair();
  std::byte buffer[8];
  Recorder recv(driver());
  Recorder multishot(driver());
  recv.recv(ends.a.get(), buffer);
  multishot.recv_multishot(ends.b.get());
  recv.submit();
  multishot.submit();
  fence(driver());
  driver_.reset();
  EXPECT_EQ(recv.result(), -ECANCELED);
  EXPECT_EQ(multishot.result(), -ECANCELED);
}

TEST_P(DriverContract, WhatCompletionFunctionsSubmitDuringShutdownIsCancelledToo) {
  const Pair ends = unix_pair();
  std::byte buffer[8];
  Recorder op(driver());
  Recorder other(driver());
  int rounds = 3;
  op.then = [&] {
    if (--rounds > 0) op.submit();
  };
  op.recv(ends.a.get(), buffer);
  other.timeout(Instant::max());
  other.then = [&] {
    other.then = nullptr;
    other.nop();
    other.submit();
  };
  op.submit();
  other.submit();
  fence(driver());
  driver().shutdown();
  EXPECT_EQ(op.count(), 3U);
  EXPECT_EQ(other.count(), 2U);
  for (const Recorder* each : {&op, &other}) {
    EXPECT_TRUE(each->done());
    for (const Recorder::Seen& seen : each->seen()) EXPECT_EQ(seen.result, -ECANCELED);
  }
  EXPECT_FALSE(driver().has_in_flight());
}

/// A message that posts, or submits, once more when it is delivered.
struct Chained : Message {
  explicit Chained(std::function<void()> on_delivery)
      : Message([](Message& self) noexcept { static_cast<Chained&>(self).then(); }),
        then(std::move(on_delivery)) {}
  std::function<void()> then;
};

TEST_P(DriverContract, ShutdownDeliversMessagesAndWhatTheyStart) {
  Recorder late(driver());
  late.nop();
  bool second_arrived = false;
  Chained second([&] { second_arrived = true; });
  Chained first([&] {
    driver().post(second);
    late.submit();
  });
  driver().post(first);
  driver().shutdown();
  EXPECT_TRUE(second_arrived);
  EXPECT_TRUE(late.done());
  EXPECT_EQ(late.result(), -ECANCELED);
  driver_.reset();
}

// ---- what completion functions may do
// ------------------------------------------------------------

TEST_P(DriverContract, ACompletionMayDestroyItsOwnOperation) {
  struct Once : Operation {
    explicit Once(int& gone)
        : Operation(
              [](Operation& op, const Completion&) noexcept { delete static_cast<Once*>(&op); }),
          count(gone) {}
    ~Once() { ++count; }
    int& count;
  };
  int gone = 0;
  const Pair ends = unix_pair();
  auto* waiting = new Once(gone);
  waiting->poll(ends.a.get(), POLLIN);
  driver().submit(*waiting);
  for (int i = 0; i < 100; ++i) {
    auto* op = new Once(gone);
    op->nop();
    driver().submit(*op);
  }
  fence(driver());
  put(ends.b, "x");
  ASSERT_TRUE(run_until(driver(), [&] { return gone == 101; }));
}

TEST_P(DriverContract, ACompletionMayDestroyIdleNeighbours) {
  auto victim = std::make_unique<Recorder>(driver());
  Recorder op(driver());
  victim->nop();
  complete(*victim);
  op.nop();
  op.then = [&] { victim.reset(); };
  complete(op);
  EXPECT_EQ(victim, nullptr);
}

TEST_P(DriverContract, ACompletionMayCloseItsDescriptorAndReuseTheNumber) {
  // What a server does thousands of times a second.
  for (int round = 0; round < 50; ++round) {
    const bool attached = round % 2 == 0;
    Pair ends = tcp_pair();
    const int number = ends.a.get();
    if (attached) {
      ASSERT_TRUE(driver().attach(number));
    }
    Recorder op(driver());
    Pair next;
    op.recv_multishot(number);
    op.then = [&] {
      if (!op.is_idle()) return;
      if (attached) driver().detach(number);
      ends.a.reset();
      next = unix_pair();
      op.recv_multishot(next.a.get());
      op.then = nullptr;
      op.submit();
    };
    op.submit();
    put(ends.b, "bye");
    ends.b.reset();
    ASSERT_TRUE(run_until(driver(), [&] { return next.b.get() >= 0; }));
    fence(driver());
    put(next.b, "hello");
    ASSERT_TRUE(run_until(driver(), [&] { return op.data() == "byehello"; }));
    op.cancel();
    ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
  }
}

// ---- waiting
// -------------------------------------------------------------------------------------

/// How often this thread has gone to sleep.
long sleeps() {
  rusage usage{};
  ok(::getrusage(RUSAGE_THREAD, &usage));
  return usage.ru_nvcsw;
}

TEST_P(DriverContract, AWaitThatIsNearlyForEverSleeps) {
  change_faults("busy=0,wake=0", "counts waits");
  // A signal ends the wait; again and again, should it come before the wait has begun.
  struct sigaction ignore{}, before{};
  ignore.sa_handler = [](int) {};
  ok(::sigaction(SIGALRM, &ignore, &before));
  const itimerval soon{{0, 20'000}, {0, 20'000}};
  ok(::setitimer(ITIMER_REAL, &soon, nullptr));
  bool slept = false;
  for (int attempt = 0; attempt < 8 && !slept; ++attempt) {
    const long sleeps_before = sleeps();
    driver().wait(Duration::max() - Duration::from_nanos(1));
    driver().dispatch();
    slept = sleeps() > sleeps_before;
  }
  const itimerval never{};
  ok(::setitimer(ITIMER_REAL, &never, nullptr));
  ok(::sigaction(SIGALRM, &before, nullptr));
  EXPECT_TRUE(slept);
}

}  // namespace
}  // namespace blitzio::driver::contract
