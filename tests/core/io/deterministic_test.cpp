// What is particular to the simulation: seeds, time, faults of the network, deadlocks.
#include <blitzio/channel/channel.hpp>
#include <blitzio/io/deterministic.hpp>
#include <blitzio/io/file_system.hpp>
#include <blitzio/io/network.hpp>
#include <blitzio/io/sync.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/task/select.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace blitzio::io {
namespace {

constexpr Address kClient = Address::v4({10, 0, 0, 1}, 0);
constexpr Address kServer = Address::v4({10, 0, 0, 2}, 7000);

template <class T>
T get(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// Tasks that meet at a lock and at timers, and note in which order they got there.
std::pair<std::vector<int>, std::uint64_t> order_of(std::uint64_t seed) {
  Deterministic world({.seed = seed});
  std::vector<int> order;
  world.run([&](Io io) -> Async<void> {
    Mutex mutex;
    IoGroup group = io.group();
    for (int i = 0; i < 5; ++i) {
      group.async_([&, i]() -> Async<void> {
        for (int step = 0; step < 3; ++step) {
          co_await select(io.sleep(Duration::from_millis(step)),
                          io.sleep(Duration::from_millis(1)));
          const MutexGuard guard = co_await mutex.lock();
          order.push_back(i);
        }
      });
    }
    co_await group.wait();
  });
  return {order, world.fingerprint()};
}

TEST(Deterministic, TheSameSeedGivesTheSameRunAndOthersGiveOthers) {
  std::set<std::vector<int>> orders;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto first = order_of(seed);
    EXPECT_EQ(first, order_of(seed)) << "seed " << seed;
    orders.insert(first.first);
  }
  EXPECT_GT(orders.size(), 10U);
}

TEST(Deterministic, TheTraceSaysWhatHappened) {
  Deterministic world({.seed = 1, .keeps_trace = true});
  world.run([](Io io) -> Async<void> { co_await io.sleep(1500_ms); });
  ASSERT_EQ(world.trace().size(), 4U);
  EXPECT_EQ(to_string(world.trace()[0]), "+0.000000000 s run 0");
  // The sleep counts from when it was made, inside the first poll.
  EXPECT_EQ(to_string(world.trace()[1]), "+1.500001000 s time 0");
  EXPECT_EQ(to_string(world.trace()[2]), "+1.500001000 s run 0");
  EXPECT_EQ(to_string(world.trace()[3]), "+1.500002000 s finish 0");
}

TEST(Deterministic, HoursPassAtOnceAndInOrder) {
  const auto start = std::chrono::steady_clock::now();
  Deterministic world({.poll_takes = Duration::zero()});
  world.run([&](Io io) -> Async<void> {
    EXPECT_EQ(io.now(), Instant());
    std::vector<int> order;
    IoGroup group = io.group();
    for (const int hours : {5, 1, 1000}) {
      group.async_([&order, io, hours]() -> Async<void> {
        co_await io.sleep(Duration::from_hours(hours));
        order.push_back(hours);
      });
    }
    co_await group.wait();
    EXPECT_EQ(order, (std::vector<int>{1, 5, 1000}));
    EXPECT_EQ(io.now() - Instant(), Duration::from_hours(1000));
    // What asks for the time itself, and not the Io for it, is simulated, too.
    co_await time::sleep(Duration::from_hours(1));
    EXPECT_EQ(time::now() - Instant(), Duration::from_hours(1001));
  });
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::minutes(10));
}

TEST(Deterministic, PollingForTimeToPassGetsThere) {
  Deterministic world;
  world.run([](Io io) -> Async<void> {
    auto flag = std::make_shared<bool>(false);
    auto later = io.async_([io, flag]() -> Async<void> {
      co_await io.sleep(1_ms);
      *flag = true;
    });
    while (!*flag) co_await yield_now();
    (co_await later.await()).get();
  });
}

TEST(Deterministic, SelectIsChosenByTheSeed) {
  const auto winners = [](std::uint64_t seed) {
    Deterministic world({.seed = seed});
    return world.run([](Io io) -> Async<std::string> {
      std::string all;
      for (int i = 0; i < 64; ++i) {
        const auto first = co_await io.select(ready(1), ready(2));
        all += static_cast<char>('0' + first.index());
      }
      co_return all;
    });
  };
  EXPECT_EQ(winners(1), winners(1));
  EXPECT_NE(winners(1), winners(2));
}

TEST(Deterministic, ADeadlockIsToldAndNotWaitedFor) {
  Deterministic world;
  try {
    world.run([](Io io) -> Async<void> {
      channel::Channel<int> empty(1);
      auto waits = io.async_([&]() -> Async<void> { static_cast<void>(co_await empty.recv()); });
      co_await io.sleep(2_s);
      (co_await waits.await()).get();
    });
    FAIL() << "no deadlock";
  } catch (const Deadlock& deadlock) {
    const std::string text = deadlock.what();
    EXPECT_NE(text.find("2 task(s) wait"), std::string::npos) << text;
    EXPECT_NE(text.find("task 0 (started at +0.0"), std::string::npos) << text;
    EXPECT_NE(text.find("task 1"), std::string::npos) << text;
  }
  // What referred to the frame that is gone is gone, too.
  EXPECT_EQ(world.task_count(), 0U);
  EXPECT_EQ(world.run([](Io) { return 1; }), 1);
}

// Lock order: some order of the two tasks deadlocks, and the seeds find it.
TEST(Deterministic, SeedsFindADeadlockThatOneOrderHas) {
  int deadlocks = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Deterministic world({.seed = seed});
    const auto both = [](Io io) -> Async<void> {
      Mutex a;
      Mutex b;
      IoGroup group = io.group();
      const auto take = [](Mutex& first, Mutex& second) -> Async<void> {
        const MutexGuard one = co_await first.lock();
        co_await yield_now();
        const MutexGuard two = co_await second.lock();
      };
      group.async_(take, std::ref(a), std::ref(b));
      group.async_(take, std::ref(b), std::ref(a));
      co_await group.wait();
    };
    try {
      world.run(both);
    } catch (const Deadlock&) {
      ++deadlocks;
    }
  }
  EXPECT_GT(deadlocks, 0);
  EXPECT_LT(deadlocks, 50);
}

TEST(Deterministic, ConcurrencyCanBeUnavailable) {
  Deterministic world({.concurrent_limit = 1});
  world.run([](Io io) -> Async<void> {
    sync::Notify stop;
    auto first = io.concurrent([&]() -> Async<void> { co_await stop.wait(); });
    EXPECT_TRUE(first.has_value());
    EXPECT_EQ(io.concurrent([] {}).error(), Error::runtime(RuntimeErrc::concurrency_unavailable));
    stop.notify_one();
    (co_await first->await()).get();
    EXPECT_TRUE(io.concurrent([] {}).has_value());
  });
}

TEST(Deterministic, WhatCountsOnMoreThanAsyncPromisesIsFound) {
  const auto ping_pong = [](Io io, bool asks_for_concurrency) -> Async<int> {
    channel::Channel<int> numbers(1);
    const auto produce = [&]() -> Async<void> {
      for (int i = 1; i <= 3; ++i) static_cast<void>(co_await numbers.send(i));
      numbers.close();
    };
    std::optional<IoFuture<void>> producer;
    if (asks_for_concurrency) {
      producer.emplace(std::move(*io.concurrent(produce)));
    } else {
      producer.emplace(io.async_(produce));  // wrong: it must not run before its consumer
    }
    int sum = 0;
    while (const auto number = co_await numbers.recv()) sum += *number;
    co_return sum;
  };
  EXPECT_EQ(Deterministic().run(ping_pong, false), 6);
  EXPECT_THROW(Deterministic({.async_limit = 0}).run(ping_pong, false), Deadlock);
  EXPECT_EQ(Deterministic({.async_limit = 0}).run(ping_pong, true), 6);
  // What only counts on what async_() promises runs in place.
  Deterministic strict({.async_limit = 0});
  EXPECT_EQ(strict.run([](Io io) -> Async<int> {
    auto later = io.async_([io]() -> Async<int> {
      co_await io.sleep(1_s);
      co_return 7;
    });
    EXPECT_TRUE(later.is_finished());
    co_return (co_await later.await()).get();
  }),
            7);
}

TEST(Deterministic, RunsDoNotNest) {
  Deterministic world;
  EXPECT_THROW(world.run([&](Io) -> Async<void> {
    world.run([](Io) {});
    co_return;
  }),
               std::logic_error);
}

TEST(Deterministic, AWakeFromAnotherThreadIsTaken) {
  Deterministic world;
  world.run([](Io io) -> Async<void> {
    sync::Notify outside;
    std::thread other([&] { outside.notify_one(); });
    // Something simulated is always to come meanwhile, so it is no deadlock.
    auto arrived = io.async_([&]() -> Async<void> { co_await outside.wait(); });
    while (!arrived.is_finished()) co_await io.sleep(1_ms);
    other.join();
  });
}

// ---- hosts and their network -----------------------------------------------------------------

// Answers each connection with its bytes, until it ends.
Async<void> serve_echo(Io io) {
  TcpListener listener = get(io.net().listen(kServer));
  IoGroup connections = io.group();
  for (;;) {
    Accepted accepted = get(co_await listener.accept());
    connections.async_(
        [](TcpStream stream) -> Async<void> {
          std::array<std::byte, 512> buffer{};
          for (;;) {
            const auto count = co_await stream.read(buffer);
            if (!count || *count == 0) co_return;
            if (!co_await stream.write_all(std::span(buffer).first(*count))) co_return;
          }
        },
        std::move(accepted.stream));
  }
}

TEST(Deterministic, HostsHaveFilesAndPortsOfTheirOwn) {
  Deterministic world;
  const Io client = world.host(kClient);
  const Io server = world.host(kServer);
  EXPECT_NE(client, server);
  EXPECT_EQ(client, world.host(kClient.with_port(99)));
  world.run([&](Io) -> Async<void> {
    get(co_await client.fs().write_file("/a", bytes_of("client's")));
    EXPECT_TRUE((co_await server.fs().read_file("/a")).error().is_os(ENOENT));
    const TcpListener one = get(client.net().listen(Address::any_v4(80)));
    const TcpListener two = get(server.net().listen(Address::any_v4(80)));
    EXPECT_TRUE(client.net().listen(kServer).error().is_os(EADDRNOTAVAIL));
    EXPECT_TRUE(
        (co_await client.net().connect(Address::v4({10, 9, 9, 9}, 1))).error().is_os(EHOSTUNREACH));
  });
}

TEST(Deterministic, ManySeedsEchoTheSameBytes) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    Deterministic world({.seed = seed});
    world.add_name("server", {kServer});
    world.run([&](Io) -> Async<void> {
      auto server = world.host(kServer).concurrent(serve_echo, world.host(kServer));
      co_await yield_now();
      const Io io = world.host(kClient);
      std::optional<TcpStream> stream;
      while (!stream) {  // the server may not listen yet
        auto connected = co_await io.net().connect("server", kServer.port());
        if (connected) stream.emplace(std::move(*connected));
      }
      EXPECT_EQ(get(stream->peer_address()), kServer);
      EXPECT_EQ(get(stream->local_address()).host(), kClient.host());
      op::Bytes sent(3000);
      for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::byte>(i * 7);
      get(co_await stream->write_all(sent));
      op::Bytes received(sent.size());
      get(co_await stream->read_exact(received));
      EXPECT_EQ(received, sent);
      EXPECT_TRUE((co_await server->cancel()).is_cancelled());
    });
  }
}

// The two ends of a connection between the client and the server.
Async<std::pair<TcpStream, TcpStream>> connect(Deterministic& world) {
  TcpListener listener = get(world.host(kServer).net().listen(kServer));
  TcpStream client = get(co_await world.host(kClient).net().connect(kServer));
  TcpStream server = get(co_await listener.accept()).stream;
  co_return std::pair{std::move(client), std::move(server)};
}

TEST(Deterministic, APartitionHoldsBytesBackUntilItIsHealed) {
  Deterministic world;
  world.run([&](Io io) -> Async<void> {
    auto [client, server] = co_await connect(world);
    world.partition(kClient, kServer);
    get(co_await client.write_all(bytes_of("hello")));
    std::array<std::byte, 5> buffer{};
    EXPECT_TRUE((co_await io.timeout(Duration::from_hours(1), server.read(buffer)))
                    .error()
                    .is(RuntimeErrc::timed_out));
    world.heal(kServer, kClient);
    get(co_await server.read_exact(buffer));
    EXPECT_EQ(text_of(buffer), "hello");
  });
}

TEST(Deterministic, ConnectingThroughAPartitionWaitsAndGivesUp) {
  Deterministic world;
  world.run([&](Io io) -> Async<void> {
    TcpListener listener = get(world.host(kServer).net().listen(kServer));
    const Io client = world.host(kClient);
    world.partition(kClient, kServer);
    const Instant start = io.now();
    EXPECT_TRUE((co_await client.net().connect(kServer)).error().is_os(ETIMEDOUT));
    EXPECT_GE(io.now() - start, 2_min);
    auto connecting = io.async_([client]() -> Async<bool> {
      co_return (co_await client.net().connect(kServer)).has_value();
    });
    co_await io.sleep(5_s);
    world.heal(kClient, kServer);
    EXPECT_TRUE((co_await connecting.await()).get());
  });
}

TEST(Deterministic, AResetEndsBothEnds) {
  Deterministic world;
  world.run([&](Io io) -> Async<void> {
    auto [client, server] = co_await connect(world);
    auto reading = io.async_([&server]() -> Async<Error> {
      std::array<std::byte, 5> buffer{};
      co_return (co_await server.read(buffer)).error();
    });
    co_await io.sleep(1_s);
    world.reset_connections(kClient, kServer);
    EXPECT_TRUE((co_await reading.await()).get().is_os(ECONNRESET));
    EXPECT_TRUE((co_await client.write(bytes_of("x"))).error().is_os(ECONNRESET));
  });
}

TEST(Deterministic, AnEndThatGoesWithBytesUnreadResets) {
  Deterministic world;
  world.run([&](Io io) -> Async<void> {
    auto ends = std::make_unique<std::pair<TcpStream, TcpStream>>(co_await connect(world));
    TcpStream client = std::move(ends->first);
    get(co_await client.write_all(bytes_of("nobody reads this")));
    co_await io.sleep(1_s);
    ends.reset();
    std::array<std::byte, 5> buffer{};
    EXPECT_TRUE((co_await client.read(buffer)).error().is_os(ECONNRESET));
  });
}

TEST(Deterministic, AWriterWaitsForAReaderThatIsSlow) {
  Deterministic world;
  world.run([&](Io io) -> Async<void> {
    auto [client, server] = co_await connect(world);
    auto writing = io.async_([&client]() -> Async<void> {
      get(co_await client.write_all(op::Bytes(300'000)));
      get(co_await client.finish());
    });
    co_await io.sleep(1_min);
    EXPECT_FALSE(writing.is_finished());
    std::vector<std::byte> received;
    EXPECT_EQ(get(co_await stream::read_to_end(server, received)), 300'000U);
    (co_await writing.await()).get();
    EXPECT_TRUE((co_await client.write(bytes_of("x"))).error().is_os(EPIPE));
  });
}

TEST(Deterministic, LatencyTakesTime) {
  Deterministic world;
  world.set_faults({.latency_min = 1_s, .latency_max = 1_s});
  world.run([&](Io io) -> Async<void> {
    auto [client, server] = co_await connect(world);
    EXPECT_EQ((io.now() - Instant()).as_secs(), 2) << "there and back";
    const Instant sent = io.now();
    get(co_await client.write_all(bytes_of("x")));
    std::array<std::byte, 1> one{};
    EXPECT_EQ(get(co_await server.read(one)), 1U);
    EXPECT_EQ((io.now() - sent).as_secs(), 1);
  });
}

TEST(DeterministicDeath, FaultsThatMakeNoSense) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Deterministic world;
  EXPECT_DEATH(world.set_faults({.latency_min = 3_s}), "latency_min");
  EXPECT_DEATH(world.set_faults({.latency_min = Duration::from_secs(-1)}), "latency_min");
  EXPECT_DEATH(world.set_faults({.datagram_loss = 1.5}), "datagram_loss");
}

TEST(Deterministic, TransfersAreShortUnlessTheyMayNotBe) {
  const auto is_short_with = [](std::uint64_t seed, bool short_transfers) {
    Deterministic world({.seed = seed});
    world.set_faults({.short_transfers = short_transfers});
    return world.run([&](Io io) -> Async<bool> {
      auto [client, server] = co_await connect(world);
      std::array<std::byte, 100> bytes{};
      const std::size_t written = get(co_await client.write(bytes));
      co_await io.sleep(1_s);  // all of it has arrived
      co_return written < bytes.size() || get(co_await server.read(bytes)) < written;
    });
  };
  int short_runs = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    if (is_short_with(seed, true)) ++short_runs;
    EXPECT_FALSE(is_short_with(seed, false)) << seed;
  }
  EXPECT_GT(short_runs, 0);
}

TEST(Deterministic, DatagramsGetLost) {
  Deterministic world({.seed = 3});
  world.set_faults({.datagram_loss = 0.5});
  world.run([&](Io io) -> Async<void> {
    UdpSocket a = get(world.host(kClient).net().bind_udp(kClient));
    UdpSocket b = get(world.host(kServer).net().bind_udp(kServer));
    for (int i = 0; i < 100; ++i) get(co_await a.send_to(bytes_of("x"), kServer));
    int arrived = 0;
    std::array<std::byte, 5> buffer{};
    while (co_await io.timeout(1_s, b.recv_from(buffer))) ++arrived;
    EXPECT_GT(arrived, 20);
    EXPECT_LT(arrived, 80);
    world.partition(kClient, kServer);
    world.set_faults({});
    get(co_await a.send_to(bytes_of("x"), kServer));
    EXPECT_FALSE((co_await io.timeout(1_s, b.recv_from(buffer))).has_value());
  });
}

TEST(Deterministic, FoldersMoveAndKeepTheirRules) {
  Deterministic world;
  world.run([](Io io) -> Async<void> {
    FileSystem& fs = io.fs();
    get(co_await fs.mkdir_all("/a/b/c"));
    get(co_await fs.write_file("/a/b/c/f", bytes_of("x")));
    EXPECT_TRUE((co_await fs.rename("/a", "/a/b/d")).error().is_os(EINVAL));
    get(co_await fs.rename("/a/b", "/e"));
    EXPECT_TRUE(get(co_await fs.exists("/e/c/../c/./f")));
    EXPECT_FALSE(get(co_await fs.exists("/a/b")));
    EXPECT_TRUE((co_await fs.remove_dir("/")).error().is_os(EBUSY));
    EXPECT_TRUE((co_await fs.remove("/e")).error().is_os(EISDIR));
    EXPECT_TRUE((co_await fs.mkdir_all("/e/c/f/g")).error().is_os(ENOTDIR));
    // An open file outlives its name.
    File file = get(co_await fs.open("/e/c/f", {.read = true}));
    get(co_await fs.remove_dir_all("/e"));
    std::array<std::byte, 1> one{};
    EXPECT_EQ(get(co_await file.read(one)), 1U);
    EXPECT_TRUE((co_await file.write(one)).error().is_os(EBADF));
  });
}

}  // namespace
}  // namespace blitzio::io
