// TcpStream and TcpListener.
#include "core/net/support.hpp"

#include <blitzio/net/tcp.hpp>
#include <blitzio/stream/buffered_reader.hpp>
#include <blitzio/stream/copy.hpp>

#include <array>
#include <cerrno>
#include <optional>
#include <thread>

namespace blitzio::net {
namespace {

static_assert(stream::ReadStream<TcpStream> && stream::WriteStream<TcpStream>);
static_assert(stream::ReadStream<ReadHalf> && stream::WriteStream<WriteHalf>);

TcpListener listen() {
  return get(TcpListener::bind(Address::loopback_v4(0)));
}

struct Ends {
  TcpStream client;
  TcpStream server;
};

Async<Ends> connected(TcpListener& listener) {
  TcpStream client = get(co_await TcpStream::connect(get(listener.local_address())));
  Accepted<TcpStream> accepted = get(co_await listener.accept());
  EXPECT_EQ(accepted.peer, get(client.local_address()));
  co_return Ends{std::move(client), std::move(accepted.stream)};
}

Async<Ends> connected() {
  TcpListener listener = listen();
  co_return co_await connected(listener);
}

Async<> echo(TcpStream stream) {
  std::string buffer(4096, '.');
  while (const std::size_t count = get(co_await stream.read(room(buffer)))) {
    get(co_await stream.write_all(bytes(std::string_view(buffer).substr(0, count))));
  }
}

using Tcp = Everywhere;

TEST_P(Tcp, EchoesManyMessages) {
  run([](Everywhere* self) -> Async<> {
    Ends ends = co_await connected();
    auto echoing = self->spawn(echo(std::move(ends.server)));
    for (int i = 0; i < 100; ++i) {
      const std::string message = "message " + std::to_string(i);
      get(co_await ends.client.write_all(bytes(message)));
      std::string answer(message.size(), '.');
      get(co_await ends.client.read_exact(room(answer)));
      EXPECT_EQ(answer, message);
    }
    get(co_await ends.client.finish());
    std::string rest(8, '.');
    EXPECT_EQ(get(co_await ends.client.read(room(rest))), 0U);
    (co_await echoing).get();
  }(this));
}

TEST_P(Tcp, MovesMoreThanTheSocketsHold) {
  run([](Everywhere* self) -> Async<> {
    constexpr std::size_t kBytes = 3'000'000;
    Ends ends = co_await connected();
    auto writing = self->spawn([](TcpStream stream) -> Async<> {
      std::string text(kBytes, '.');
      for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i % 23);
      get(co_await stream.write_all(bytes(text)));
    }(std::move(ends.client)));
    std::vector<std::byte> out;
    EXPECT_EQ(get(co_await stream::read_to_end(ends.server, out)), kBytes);
    bool is_right = true;
    for (std::size_t i = 0; i < out.size(); ++i) {
      is_right = is_right && static_cast<char>(out[i]) == static_cast<char>('a' + i % 23);
    }
    EXPECT_TRUE(is_right);
    (co_await writing).get();
  }(this));
}

TEST_P(Tcp, ADroppedReadLosesNothing) {
  run([](Everywhere* /*self*/) -> Async<> {
    Ends ends = co_await connected();
    std::string text(5, '.');
    {
      auto dropped = ends.server.read(room(text));
      EXPECT_TRUE(poll_once(dropped).is_pending());
    }
    get(co_await ends.client.write_all(bytes("hello")));
    {
      get(co_await ends.server.readable());
      auto dropped = ends.server.read(room(text));  // never polled
    }
    get(co_await ends.server.read_exact(room(text)));
    EXPECT_EQ(text, "hello");
  }(this));
}

TEST_P(Tcp, AnEmptyBufferIsFullAtOnce) {
  run([](Everywhere* /*self*/) -> Async<> {
    Ends ends = co_await connected();
    // Nothing has come, and nothing will.
    EXPECT_EQ(get(co_await ends.server.read({})), 0U);
    EXPECT_EQ(get(co_await ends.server.peek({})), 0U);
    EXPECT_EQ(get(co_await ends.server.read_vectored({})), 0U);
    iovec nowhere{nullptr, 0};
    EXPECT_EQ(get(co_await ends.server.read_vectored({&nowhere, 1})), 0U);
    EXPECT_EQ(get(ends.server.try_read({})), 0U);
    EXPECT_EQ(get(co_await ends.client.write({})), 0U);
    ends.server.close();
    EXPECT_EQ((co_await ends.server.read({})).error(), Error::runtime(RuntimeErrc::closed));
  }(this));
}

TEST_P(Tcp, PeekLeavesTheBytes) {
  run([](Everywhere* /*self*/) -> Async<> {
    Ends ends = co_await connected();
    get(co_await ends.client.write_all(bytes("abc")));
    std::string seen(2, '.');
    EXPECT_EQ(get(co_await ends.server.peek(room(seen))), 2U);
    EXPECT_EQ(seen, "ab");
    EXPECT_EQ(get(ends.server.try_peek(room(seen))), 2U);
    std::string text(3, '.');
    get(co_await ends.server.read_exact(room(text)));
    EXPECT_EQ(text, "abc");
  }(this));
}

TEST_P(Tcp, TriesWithoutWaiting) {
  run([](Everywhere* /*self*/) -> Async<> {
    Ends ends = co_await connected();
    std::string text(8, '.');
    EXPECT_FALSE(get(ends.server.try_read(room(text))).has_value());
    EXPECT_FALSE(get(ends.server.try_peek(room(text))).has_value());
    EXPECT_EQ(get(ends.client.try_write(bytes("now"))), 3U);
    get(co_await ends.server.readable());
    EXPECT_EQ(get(ends.server.try_read(room(text))), 3U);
    const std::string block(1 << 20, 'x');
    while (get(ends.client.try_write(bytes(block)))) {
    }
    auto blocked = ends.client.write(bytes(block));
    EXPECT_TRUE(poll_once(blocked).is_pending());
  }(this));
}

TEST_P(Tcp, GathersAndScatters) {
  run([](Everywhere* /*self*/) -> Async<> {
    Ends ends = co_await connected();
    std::string one = "head";
    std::string two = "body";
    const std::array<iovec, 2> out{iovec{one.data(), 4}, iovec{two.data(), 4}};
    EXPECT_EQ(get(co_await ends.client.write_vectored(out)), 8U);
    std::string first(6, '.');
    std::string rest(6, '.');
    const std::array<iovec, 2> in{iovec{first.data(), 6}, iovec{rest.data(), 6}};
    EXPECT_EQ(get(co_await ends.server.read_vectored(in)), 8U);
    EXPECT_EQ(first, "headbo");
    EXPECT_EQ(rest, "dy....");
  }(this));
}

TEST_P(Tcp, SplitsForTwoTasks) {
  run([](Everywhere* self) -> Async<> {
    Ends ends = co_await connected();
    auto [reading, writing] = std::move(ends.client).split();
    auto echoing = self->spawn(echo(std::move(ends.server)));
    auto writer = self->spawn([](WriteHalf half) -> Async<> {
      for (int i = 0; i < 50; ++i) get(co_await half.write_all(bytes("0123456789")));
      // Dropping it ends the stream.
    }(std::move(writing)));
    std::vector<std::byte> out;
    EXPECT_EQ(get(co_await stream::read_to_end(reading, out)), 500U);
    (co_await writer).get();
    (co_await echoing).get();
  }(this));
}

TEST_P(Tcp, ShutdownEndsOneWay) {
  run([](Everywhere* /*self*/) -> Async<> {
    Ends ends = co_await connected();
    get(ends.client.shutdown(Shutdown::write));
    std::string text(8, '.');
    EXPECT_EQ(get(co_await ends.server.read(room(text))), 0U);
    get(co_await ends.server.write_all(bytes("still")));
    EXPECT_EQ(get(co_await ends.client.read(room(text))), 5U);
    const auto refused = co_await ends.client.write(bytes("x"));
    EXPECT_FALSE(refused);
    if (!refused) {
      EXPECT_TRUE(refused.error().is_os(EPIPE));
    }
  }(this));
}

// The number of a descriptor that was closed may be a stranger's.
TEST_P(Tcp, FinishAfterCloseIsAnError) {
  run([](Everywhere* /*self*/) -> Async<> {
    Ends ends = co_await connected();
    auto finish = ends.client.finish();
    ends.client.close();
    const auto finished = co_await std::move(finish);
    EXPECT_FALSE(finished);
    if (!finished) {
      EXPECT_TRUE(finished.error().is_os(EBADF));
    }
  }(this));
}

TEST_P(Tcp, FinishesAStreamThatHasMovedSince) {
  run([](Everywhere* /*self*/) -> Async<> {
    Ends ends = co_await connected();
    auto finish = ends.client.finish();
    const TcpStream moved = std::move(ends.client);
    get(co_await std::move(finish));
    std::string text(1, '\0');
    EXPECT_EQ(get(co_await ends.server.read(room(text))), 0U);
  }(this));
}

TEST_P(Tcp, AResetIsAnError) {
  run([](Everywhere* /*self*/) -> Async<> {
    Ends ends = co_await connected();
    get(ends.client.set_linger(Duration::zero()));
    ends.client.close();
    std::string text(8, '.');
    const auto read = co_await ends.server.read(room(text));
    EXPECT_FALSE(read);
    if (!read) {
      EXPECT_TRUE(read.error().is_os(ECONNRESET));
    }
  }(this));
}

TEST_P(Tcp, ClosingEndsAWaitingRead) {
  run([](Everywhere* self) -> Async<> {
    Ends ends = co_await connected();
    std::string text(8, '.');
    auto reading = self->spawn(ends.server.read(room(text)));
    co_await yield_now();
    if (!self->is_runtime()) {
      ends.server.close();
    } else {
      ends.client.close();  // on another thread, closing under a read is its owner's to avoid
    }
    const auto read = (co_await reading).get();
    if (!self->is_runtime()) {
      EXPECT_FALSE(read);
    } else {
      EXPECT_EQ(get(read), 0U);
    }
  }(this));
}

TEST_P(Tcp, RefusedConnectionsSaySo) {
  run([](Everywhere* /*self*/) -> Async<> {
    Address free = Address::loopback_v4(1);
    {
      TcpListener listener = listen();
      free = get(listener.local_address());
    }
    const auto refused = co_await TcpStream::connect(free);
    EXPECT_FALSE(refused);
    if (!refused) {
      EXPECT_TRUE(refused.error().is_os(ECONNREFUSED));
    }
  }(this));
}

TEST_P(Tcp, ConnectsToANameOrAnyOfItsAddresses) {
  run([](Everywhere* /*self*/) -> Async<> {
    TcpListener listener = listen();
    const std::uint16_t port = get(listener.local_address()).port();
    // Perhaps ::1 comes first, where nobody listens; it is refused and the next one is tried.
    TcpStream stream = get(co_await TcpStream::connect("localhost", port));
    EXPECT_EQ(get(stream.peer_address()), Address::loopback_v4(port));
    TcpStream numeric = get(co_await TcpStream::connect("127.0.0.1", port));
    EXPECT_TRUE(numeric.is_open());
    listener.close();
    const auto refused = co_await TcpStream::connect("127.0.0.1", port);
    EXPECT_FALSE(refused);
  }(this));
}

TEST_P(Tcp, ConnectsFromAChosenAddress) {
  run([](Everywhere* /*self*/) -> Async<> {
    TcpListener listener = listen();
    const TcpStream stream = get(
        co_await TcpStream::connect(get(listener.local_address()), Address::v4({127, 0, 0, 2}, 0)));
    EXPECT_EQ(get(stream.local_address()).host(), "127.0.0.2");
  }(this));
}

TEST_P(Tcp, AcceptsForSeveralTasks) {
  run([](Everywhere* self) -> Async<> {
    TcpListener listener = listen();
    const Address address = get(listener.local_address());
    std::vector<JoinHandle<Result<Accepted<TcpStream>>>> accepting;
    for (int i = 0; i < 4; ++i) accepting.push_back(self->spawn(listener.accept()));
    std::vector<TcpStream> clients;
    for (int i = 0; i < 4; ++i) clients.push_back(get(co_await TcpStream::connect(address)));
    for (auto& one : accepting) {
      const auto accepted = (co_await one).get();
      EXPECT_TRUE(accepted);
    }
    EXPECT_FALSE(get(listener.try_accept()).has_value());
    clients.push_back(get(co_await TcpStream::connect(address)));
    get(co_await listener.readable());
    EXPECT_TRUE(get(listener.try_accept()).has_value());
  }(this));
}

TEST_P(Tcp, ClosingEndsAWaitingAcceptAsClosed) {
  // EINVAL once, when the kernel's end of listening overtook the news that it is closed.
  run([](Everywhere* self) -> Async<> {
    for (int i = 0; i < 100; ++i) {
      TcpListener listener = listen();
      auto waiting = self->spawn(listener.accept());
      co_await yield_now();
      std::thread([&] {
        while (!listener.async_fd().is_held_elsewhere()) std::this_thread::yield();
        listener.close();
      }).join();
      EXPECT_EQ((co_await waiting).get().error(), Error::runtime(RuntimeErrc::closed));
    }
  }(this));
}

TEST_P(Tcp, AClosedListenersPortIsFreeAtOnce) {
  run([](Everywhere* /*self*/) -> Async<> {
    TcpListener listener = listen();
    const Address address = get(listener.local_address());
    auto waiting = listener.accept();
    EXPECT_TRUE(poll_once(waiting).is_pending());
    listener.close();
    EXPECT_TRUE(TcpListener::bind(address));
    co_return;
  }(this));
}

TEST_P(Tcp, SetsAndTellsOptions) {
  run([](Everywhere* /*self*/) -> Async<> {
    Ends ends = co_await connected();
    TcpStream& stream = ends.client;
    EXPECT_EQ(stream.nodelay(), false);
    get(stream.set_nodelay(true));
    EXPECT_EQ(stream.nodelay(), true);
    EXPECT_FALSE(get(stream.keepalive()).has_value());
    get(stream.set_keepalive(KeepAlive{Duration::from_secs(60), Duration::from_millis(1'500), 3}));
    const auto keepalive = get(stream.keepalive());
    EXPECT_TRUE(keepalive && keepalive->idle == Duration::from_secs(60) &&
                keepalive->interval == Duration::from_secs(2) && keepalive->probes == 3);
    get(stream.set_keepalive(std::nullopt));
    EXPECT_FALSE(get(stream.keepalive()).has_value());
    EXPECT_FALSE(get(stream.linger()).has_value());
    get(stream.set_linger(Duration::from_secs(5)));
    EXPECT_EQ(get(stream.linger()), Duration::from_secs(5));
    EXPECT_FALSE(stream.set_linger(Duration::from_nanos(-1))) << "zero would reset the connection";
    EXPECT_EQ(get(stream.linger()), Duration::from_secs(5));
    get(stream.set_ttl(7));
    EXPECT_EQ(stream.ttl(), 7);
    EXPECT_FALSE(stream.set_ttl(1'000));
    get(stream.set_send_buffer_bytes(100'000));
    EXPECT_GE(get(stream.send_buffer_bytes()), 100'000U);
    get(stream.set_recv_buffer_bytes(100'000));
    EXPECT_GE(get(stream.recv_buffer_bytes()), 100'000U);
    get(stream.set_option(SOL_SOCKET, SO_OOBINLINE, 1));
    EXPECT_EQ(get(stream.option(SOL_SOCKET, SO_OOBINLINE)), 1);
    EXPECT_TRUE(stream.option(SOL_SOCKET, -1).error().is_os(ENOPROTOOPT));
    EXPECT_TRUE(stream.set_option(SOL_SOCKET, -1, 1).error().is_os(ENOPROTOOPT));
    EXPECT_EQ(get(stream.take_error()), std::nullopt);
    EXPECT_EQ(get(stream.peer_address()), get(ends.server.local_address()));
  }(this));
}

TEST_P(Tcp, ListensWithOptions) {
  const TcpListener one = get(TcpListener::bind(Address::loopback_v4(0), {.reuse_port = true}));
  const Address address = get(one.local_address());
  EXPECT_TRUE(TcpListener::bind(address, {.reuse_port = true}));
  const auto taken = TcpListener::bind(address);
  ASSERT_FALSE(taken);
  EXPECT_TRUE(taken.error().is_os(EADDRINUSE));
  EXPECT_TRUE(TcpListener::bind(Address::any_v6(0), {.v6_only = true}));
  EXPECT_FALSE(TcpListener::bind(get(Address::local("/tmp/x"))));
}

TEST_P(Tcp, GivesItsDescriptorAway) {
  run([](Everywhere* /*self*/) -> Async<> {
    Ends ends = co_await connected();
    TcpStream again = get(TcpStream::from_fd(std::move(ends.client).into_fd()));
    get(co_await again.write_all(bytes("x")));
    std::string text(1, '.');
    get(co_await ends.server.read_exact(room(text)));
    EXPECT_EQ(text, "x");
  }(this));
}

TEST_P(Tcp, ReadsLines) {
  run([](Everywhere* /*self*/) -> Async<> {
    Ends ends = co_await connected();
    get(co_await ends.client.write_all(bytes("GET / HTTP/1.1\r\nHost: x\r\n\r\n")));
    stream::BufferedReader reader(ends.server);
    auto lines = reader.lines();
    EXPECT_EQ(*get(co_await lines.next()), "GET / HTTP/1.1");
    EXPECT_EQ(*get(co_await lines.next()), "Host: x");
    EXPECT_EQ(*get(co_await lines.next()), "");
  }(this));
}

TEST_P(Tcp, RelaysBothWays) {
  run([](Everywhere* self) -> Async<> {
    Ends front = co_await connected();
    Ends back = co_await connected();
    auto relaying = self->spawn([](TcpStream a, TcpStream b) -> Async<stream::CopiedBoth> {
      co_return get(co_await stream::copy_bidirectional(a, b));
    }(std::move(front.server), std::move(back.client)));
    auto echoing = self->spawn(echo(std::move(back.server)));
    const std::string text(100'000, 'r');
    auto [reading, writing] = std::move(front.client).split();
    auto writer = self->spawn([](WriteHalf half, const std::string& all) -> Async<> {
      get(co_await half.write_all(bytes(all)));
    }(std::move(writing), text));
    std::vector<std::byte> out;
    EXPECT_EQ(get(co_await stream::read_to_end(reading, out)), text.size());
    (co_await writer).get();
    (co_await echoing).get();
    const auto copied = (co_await relaying).get();
    EXPECT_EQ(copied.a_to_b, text.size());
    EXPECT_EQ(copied.b_to_a, text.size());
  }(this));
}

INSTANTIATE_TEST_SUITE_P(Each, Tcp, testing::ValuesIn(everywhere()), where_name);

}  // namespace
}  // namespace blitzio::net
