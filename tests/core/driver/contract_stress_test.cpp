// The driver contract under load and abuse: thousands of operations, overflowing queues, reused
// descriptors, and a seeded storm checked against a model. See support.hpp.
#include "support.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <random>

namespace blitzio::driver::contract {
namespace {

BLITZIO_DRIVER_CONTRACT();

using Recorders = std::vector<std::unique_ptr<Recorder>>;

Recorder& add(Recorders& all, Driver& driver) {
  return *all.emplace_back(std::make_unique<Recorder>(driver));
}

// ---- many at once
// --------------------------------------------------------------------------------

TEST_P(DriverContract, MoreOperationsThanTheRingHasEntries) {
  Config config;
  config.ring_entries = 8;
  configure(config);
  Recorders ops;
  for (int i = 0; i < 20'000; ++i) {
    Recorder& op = add(ops, driver());
    op.nop();
    op.submit();
  }
  ASSERT_TRUE(run_until(driver(), [&] { return !driver().has_in_flight(); }));
  for (const auto& op : ops) EXPECT_EQ(op->result(), 0);
}

TEST_P(DriverContract, CompletionsThatOverflowTheQueueAllArrive) {
  Config config;
  config.ring_entries = 8;
  configure(config);
  constexpr int kPairs = 1'500;
  std::vector<Pair> pairs;
  Recorders ops;
  std::vector<std::byte> buffers(kPairs);
  for (int i = 0; i < kPairs; ++i) {
    pairs.push_back(unix_pair());
    Recorder& op = add(ops, driver());
    if (i % 2 == 0) {
      op.recv(pairs.back().a.get(), std::span(buffers).subspan(static_cast<std::size_t>(i), 1));
    } else {
      op.poll(pairs.back().a.get(), POLLIN);
    }
    op.submit();
  }
  fence(driver());
  for (const Pair& pair : pairs) put(pair.b, "x");
  for (int i = 0; i < 10; ++i) driver().collect();
  ASSERT_TRUE(run_until(driver(), [&] { return !driver().has_in_flight(); }));
  for (const auto& op : ops) {
    EXPECT_EQ(op->count(), 1U);
    EXPECT_EQ(op->result(), op->kind() == OpKind::recv ? 1 : POLLIN);
  }
}

TEST_P(DriverContract, MultishotCompletionsThatOverflowTheQueueAllArriveInOrder) {
  Config config;
  config.ring_entries = 8;
  config.buffer_bytes = 256;
  config.buffer_count = 8;
  config.buffer_count_max = 16;
  configure(config);
  const OwnedFd listener = tcp_listener();
  Recorder accept(driver());
  accept.accept_multishot(listener.get());
  accept.submit();
  Recorders ops;
  std::vector<Pair> pairs;
  for (int i = 0; i < 40; ++i) {
    pairs.push_back(unix_pair());
    Recorder& op = add(ops, driver());
    op.recv_multishot(pairs.back().a.get());
    op.submit();
  }
  std::vector<OwnedFd> clients;
  std::string sent;
  for (int round = 0; round < 30; ++round) {
    for (int i = 0; i < 10; ++i) clients.push_back(tcp_client(listener));
    const std::string piece(static_cast<std::size_t>(1 + round * 19),
                            static_cast<char>('A' + round % 26));
    for (const Pair& pair : pairs) put(pair.b, piece);
    sent += piece;
    if (round % 5 == 0) driver().collect();
  }
  ASSERT_TRUE(run_until(driver(), [&] {
    return accept.count() == clients.size() && std::ranges::all_of(ops, [&](const auto& op) {
             return op->data_bytes() == sent.size();
           });
  }));
  for (const auto& op : ops) {
    EXPECT_TRUE(op->data() == sent);
    op->cancel();
  }
  accept.cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return !driver().has_in_flight(); }));
  for (const Recorder::Seen& seen : accept.seen()) {
    if (seen.result >= 0) ::close(seen.result);
  }
}

TEST_P(DriverContract, ThousandsCancelledAtOnceEachEndOnce) {
  constexpr int kOps = 3'000;
  const Pair ends = unix_pair();
  std::vector<std::byte> buffers(kOps);
  Recorders ops;
  for (int i = 0; i < kOps; ++i) {
    Recorder& op = add(ops, driver());
    switch (i % 3) {
      case 0:
        op.recv(ends.a.get(), std::span(buffers).subspan(static_cast<std::size_t>(i), 1));
        break;
      case 1:
        op.timeout(Instant::now() + Duration::from_secs(1000 + i));
        break;
      default:
        op.poll(ends.b.get(), POLLIN);
    }
    op.submit();
    if (i == kOps / 2) fence(driver());
  }
  for (const auto& op : ops) op->cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return !driver().has_in_flight(); }));
  for (const auto& op : ops) {
    EXPECT_EQ(op->count(), 1U);
    EXPECT_EQ(op->result(), -ECANCELED);
  }
}

TEST_P(DriverContract, ThousandsInFlightAtDestruction) {
  std::vector<Pair> pairs;
  Recorders ops;
  for (int i = 0; i < 1'000; ++i) {
    pairs.push_back(unix_pair());
    Recorder& multishot = add(ops, driver());
    multishot.recv_multishot(pairs.back().a.get());
    Recorder& timeout = add(ops, driver());
    timeout.timeout(Instant::max());
    for (Recorder* op : {&multishot, &timeout}) op->submit();
  }
  fence(driver());
  driver_.reset();
  for (const auto& op : ops) EXPECT_EQ(op->result(), -ECANCELED);
}

// ---- descriptors that are reused
// -----------------------------------------------------------------

TEST_P(DriverContract, AReusedNumberNeverSeesItsPredecessor) {
  change_faults("short=0", "takes one piece for the whole");
  int number = -1;
  for (int round = 0; round < 200; ++round) {
    const bool attached = round % 3 == 0;
    SCOPED_TRACE(round);
    Pair ends = round % 2 == 0 ? unix_pair() : tcp_pair();
    if (number >= 0 && ends.a.get() != number) {
      ends.a = OwnedFd::adopt(ok(::dup3(ends.a.get(), number, O_CLOEXEC)));
    }
    number = ends.a.get();
    Attachment attachment(driver(), ends.a, attached);
    std::byte buffer[8];
    Recorder recv(driver());
    Recorder poll(driver());
    recv.recv(number, buffer);
    poll.poll(number, POLLIN);
    recv.submit();
    poll.submit();
    fence(driver());
    EXPECT_FALSE(recv.done());
    EXPECT_FALSE(poll.done());
    if (round % 4 == 0) {
      recv.cancel();
      poll.cancel();
    } else {
      put(ends.b, "hi");
    }
    ASSERT_TRUE(run_until(driver(), [&] { return recv.done() && poll.done(); }));
    EXPECT_EQ(recv.result(), round % 4 == 0 ? -ECANCELED : 2);
    if (round % 5 == 0) put(ends.b, "unread");  // Readiness that the successor must not inherit.
    if (round % 7 == 0) turn(driver());
  }
}

TEST_P(DriverContract, AClosedDescriptorsOperationsStillEndWhenCancelled) {
  for (int round = 0; round < 20; ++round) {
    SCOPED_TRACE(round);
    Pair ends = unix_pair();
    const int number = ends.a.get();
    std::byte buffer[8];
    Recorder recv(driver());
    Recorder poll(driver());
    Recorder polls(driver());
    recv.recv(number, buffer);
    poll.poll(number, POLLIN | POLLOUT);
    polls.poll_multishot(number, POLLIN);
    fill(ends.a);
    for (Recorder* op : {&recv, &poll, &polls}) op->submit();
    fence(driver());
    // Sometimes the file lives on in a copy, and with it whatever the kernel remembers.
    OwnedFd copy;
    if (round % 2 == 0) copy = OwnedFd::adopt(ok(::dup(number)));
    ends.a.reset();
    fence(driver());
    for (Recorder* op : {&recv, &poll, &polls}) op->cancel();
    ASSERT_TRUE(run_until(driver(), [&] { return !driver().has_in_flight(); }));

    Pair fresh = unix_pair();
    if (fresh.a.get() != number) {
      fresh.a = OwnedFd::adopt(ok(::dup3(fresh.a.get(), number, O_CLOEXEC)));
    }
    if (copy) put(ends.b, "old");
    polls.forget();
    recv.recv(number, buffer);
    polls.poll_multishot(number, POLLIN);
    recv.submit();
    polls.submit();
    fence(driver());
    EXPECT_FALSE(recv.done()) << "an event of the old file";
    EXPECT_EQ(polls.count(), 0U);
    put(fresh.b, "new");
    ASSERT_TRUE(run_until(driver(), [&] { return recv.done() && polls.count() > 0; }));
    EXPECT_EQ(text(std::span(buffer).first(3)), "new");
    polls.cancel();
    ASSERT_TRUE(run_until(driver(), [&] { return polls.done(); }));
  }
}

TEST_P(DriverContract, ConnectionsOpenedAndClosedByTheHundredLeaveNothingBehind) {
  const OwnedFd listener = tcp_listener();
  Recorder accept(driver());
  accept.accept_multishot(listener.get());
  accept.submit();
  const int before = ok(::dup(0));
  ::close(before);
  for (std::size_t round = 1; round <= 500; ++round) {
    OwnedFd client = tcp_client(listener);
    ASSERT_TRUE(run_until(driver(), [&] { return accept.count() == round; }));
    OwnedFd server = OwnedFd::adopt(accept.result());
    Attachment attachment(driver(), server, round % 2 == 0);
    Receiving recv(driver(), server);
    put(client, "request");
    if (round % 3 == 0) reset_on_close(client);
    if (round % 5 != 0) client.reset();
    if (round % 5 == 0) {
      ASSERT_TRUE(run_until(driver(), [&] { return recv.data() == "request"; }));
      recv.cancel();
    }
    ASSERT_TRUE(run_until(driver(), [&] { return recv.done(); }));
  }
  accept.cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return accept.done(); }));
  const int after = ok(::dup(0));
  ::close(after);
  EXPECT_EQ(after, before);
}

// ---- the storm
// -----------------------------------------------------------------------------------

constexpr std::size_t kPeriod = 1 << 20;
constexpr std::size_t kLongest = 1 << 17;

/// `count` bytes of stream `seed` from `position`. Streams are one block of random bytes, repeated
/// and begun at different places: any loss, repetition or swap shows.
std::span<const std::byte> stretch(std::uint32_t seed, std::uint64_t position, std::size_t count) {
  static const std::vector<std::byte> block = [] {
    std::mt19937 random(42);
    std::vector<std::byte> all(kPeriod + kLongest);
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i] = i < kPeriod ? static_cast<std::byte>(random()) : all[i - kPeriod];
    }
    return all;
  }();
  return std::span(block).subspan((seed * std::uint64_t{7919} + position) % kPeriod, count);
}

/// One direction of a connection: a sender, a receiver, and the model of what went through.
struct Flow {
  Flow(Driver& driver, int from, int to, std::uint32_t stream)
      : send(driver), recv(driver), from_fd(from), to_fd(to), seed(stream) {
    send.then = [this] { sent_some(); };
    recv.then = [this] { received_some(); };
  }

  void start_send(std::mt19937& random, std::uint64_t limit) {
    if (!send.is_idle() || sent >= limit) return;
    const std::size_t most = std::min<std::size_t>(limit - sent, 1 + random() % 70'000);
    const auto out = stretch(seed, sent, most);
    vectors[0] = vector_of(out.first(most / 2));
    vectors[1] = vector_of(out.subspan(most / 2));
    message = {};
    message.msg_iov = vectors;
    message.msg_iovlen = 2;
    switch (random() % 3) {
      case 0:
        send.send(from_fd, out);
        break;
      case 1:
        send.sendmsg(from_fd, &message);
        break;
      default:
        send.writev(from_fd, vectors);
    }
    send.submit();
  }

  void start_recv(std::mt19937& random) {
    if (!recv.is_idle() || ended) return;
    in.resize(1 + random() % 70'000);
    switch (random() % 4) {
      case 0:
        recv.recv(to_fd, in);
        break;
      case 1:
        recv.read(to_fd, in);
        break;
      case 2:
        recv.read_multishot(to_fd);
        break;
      default:
        recv.recv_multishot(to_fd);
    }
    recv.submit();
  }

  void sent_some() {
    const std::int32_t result = send.result();
    EXPECT_TRUE(result > 0 || result == -ECANCELED) << result;
    if (result > 0) sent += static_cast<std::uint64_t>(result);
    send.forget();
  }

  void received_some() {
    const Recorder::Seen& seen = recv.seen().back();
    EXPECT_TRUE(seen.result >= 0 || seen.result == -ECANCELED) << seen.result;
    if (seen.result > 0) {
      const auto count = static_cast<std::size_t>(seen.result);
      check(recv.brings_data() ? bytes(seen.data) : std::span<const std::byte>(in).first(count));
    } else if (seen.result == 0) {
      ended = true;
    }
    recv.forget();
  }

  void check(std::span<const std::byte> data) {
    for (; !data.empty(); data = data.subspan(std::min(data.size(), kLongest))) {
      const std::size_t count = std::min(data.size(), kLongest);
      const auto expected = stretch(seed, received, count);
      if (std::memcmp(expected.data(), data.data(), count) != 0) ++wrong;
      received += count;
    }
  }

  Recorder send;
  Recorder recv;
  int from_fd;
  int to_fd;
  std::uint32_t seed;
  std::vector<std::byte> in;
  iovec vectors[2]{};
  msghdr message{};
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t wrong = 0;  ///< pieces that were not what was sent
  bool ended = false;
};

struct Connection {
  Connection(Driver& driver, Pair made, bool attached, std::uint32_t seed)
      : ends(std::move(made)),
        attachment(driver, ends.a, attached),
        there(driver, ends.a.get(), ends.b.get(), seed),
        back(driver, ends.b.get(), ends.a.get(), seed + 1) {}
  Pair ends;
  Attachment attachment;
  Flow there;
  Flow back;
};

void storm(Driver& driver, std::uint32_t seed, int steps) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::vector<std::unique_ptr<Connection>> connections;
  std::vector<Flow*> flows;
  for (std::uint32_t i = 0; i < 12; ++i) {
    connections.push_back(std::make_unique<Connection>(
        driver, random() % 2 == 0 ? unix_pair() : tcp_pair(), random() % 2 == 0, seed + 2 * i));
    flows.push_back(&connections.back()->there);
    flows.push_back(&connections.back()->back);
  }
  constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};
  for (int step = 0; step < steps; ++step) {
    Flow& flow = *flows[random() % flows.size()];
    switch (random() % 10) {
      case 0:
      case 1:
      case 2:
        flow.start_send(random, kNoLimit);
        break;
      case 3:
      case 4:
      case 5:
        flow.start_recv(random);
        break;
      case 6:
        flow.send.cancel();
        break;
      case 7:
        flow.recv.cancel();
        break;
      case 8:
        driver.collect();
        break;
      default:
        turn(driver);
    }
  }
  // Then everything that was sent comes to its end.
  bool closing = false;
  const auto settled = [&] {
    bool all_sent = true;
    bool all_ended = true;
    for (Flow* flow : flows) {
      flow->start_recv(random);
      all_sent = all_sent && flow->send.is_idle();
      all_ended = all_ended && flow->ended;
    }
    if (all_sent && !closing) {
      closing = true;
      for (const Flow* flow : flows) ok(::shutdown(flow->from_fd, SHUT_WR));
    }
    return all_ended;
  };
  ASSERT_TRUE(run_until(driver, settled));
  for (const Flow* flow : flows) {
    EXPECT_EQ(flow->sent, flow->received);
    EXPECT_EQ(flow->wrong, 0U);
  }
}

TEST_P(DriverContract, EveryByteArrivesOnceAndInOrderThroughAStormOfCancels) {
  // Known seeds, and a new one each time: a failure names it.
  const auto fresh = std::chrono::steady_clock::now().time_since_epoch().count();
  for (const std::uint32_t seed : {1U, 2U, 3U, static_cast<std::uint32_t>(fresh)}) {
    storm(driver(), seed, 4'000);
    if (HasFailure()) return;
  }
}

TEST_P(DriverContract, TheStormHoldsOnSmallQueuesToo) {
  Config config;
  config.ring_entries = 2;
  config.buffer_bytes = 512;
  config.buffer_count = 2;
  config.buffer_count_max = 4;
  configure(config);
  const auto fresh = std::chrono::steady_clock::now().time_since_epoch().count();
  for (const std::uint32_t seed : {4U, static_cast<std::uint32_t>(fresh)}) {
    storm(driver(), seed, 3'000);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace blitzio::driver::contract
