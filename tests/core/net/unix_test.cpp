// UnixStream and UnixListener.
#include "core/driver/support.hpp"
#include "core/net/support.hpp"

#include <blitzio/net/tcp.hpp>
#include <blitzio/net/udp.hpp>
#include <blitzio/net/unix.hpp>
#include <blitzio/stream/transfer.hpp>

#include <unistd.h>

#include <cerrno>

namespace blitzio::net {
namespace {

static_assert(stream::ReadStream<UnixStream> && stream::WriteStream<UnixStream>);

using UnixTest = Everywhere;

TEST_P(UnixTest, ConnectsToPathsAndAbstractNames) {
  run([](Everywhere* /*self*/) -> Async<> {
    driver::contract::TempDir folder;
    const std::string name = std::string(1, '\0') + "blitzio-test-" + folder.path();
    for (const std::string& path : {folder.file("socket"), name}) {
      const Address address = get(Address::local(path));
      UnixListener listener = get(UnixListener::bind(address));
      EXPECT_EQ(get(listener.local_address()), address);
      UnixStream client = get(co_await UnixStream::connect(address));
      Accepted<UnixStream> accepted = get(co_await listener.accept());
      EXPECT_EQ(accepted.peer, Address()) << "the client has no name";
      EXPECT_EQ(get(client.peer_address()), address);
      get(co_await client.write_all(bytes("hello")));
      std::string text(5, '.');
      get(co_await accepted.stream.read_exact(room(text)));
      EXPECT_EQ(text, "hello");
      const auto taken = UnixListener::bind(address);
      EXPECT_FALSE(taken);
      if (!taken) {
        EXPECT_TRUE(taken.error().is_os(EADDRINUSE));
      }
    }
  }(this));
}

TEST_P(UnixTest, PairsKnowTheirProcess) {
  run([](Everywhere* self) -> Async<> {
    auto [a, b] = get(UnixStream::pair());
    const PeerCredentials peer = get(a.peer_credentials());
    EXPECT_EQ(peer.process, ::getpid());
    EXPECT_EQ(peer.user, ::getuid());
    EXPECT_EQ(peer.group, ::getgid());
    auto writing = self->spawn([](UnixStream stream) -> Async<> {
      const std::string block(100'000, 'u');
      for (int i = 0; i < 10; ++i) get(co_await stream.write_all(bytes(block)));
    }(std::move(a)));
    std::vector<std::byte> out;
    EXPECT_EQ(get(co_await stream::read_to_end(b, out)), 1'000'000U);
    (co_await writing).get();
  }(this));
}

TEST_P(UnixTest, MissingPathsAreErrors) {
  run([](Everywhere* /*self*/) -> Async<> {
    const auto missing = co_await UnixStream::connect(get(Address::local("/nonexistent/socket")));
    EXPECT_FALSE(missing);
    if (!missing) {
      EXPECT_TRUE(missing.error().is_os(ENOENT));
    }
  }(this));
}

TEST_P(UnixTest, AddressesOfAnotherKindAreRefused) {
  run([](Everywhere* /*self*/) -> Async<> {
    const Error invalid = Error::runtime(RuntimeErrc::invalid_argument);
    TcpListener listener = get(TcpListener::bind(Address::loopback_v4(0)));
    const Address internet = get(listener.local_address());
    EXPECT_EQ((co_await UnixStream::connect(internet)).error(), invalid);
    EXPECT_EQ((co_await UnixStream::connect(Address())).error(), invalid);
    EXPECT_EQ(UnixListener::bind(internet).error(), invalid);
    EXPECT_EQ(UnixDatagram::bind(internet).error(), invalid);

    driver::contract::TempDir folder;
    const Address local = get(Address::local(folder.file("socket")));
    const UnixListener at_path = get(UnixListener::bind(local));
    EXPECT_EQ((co_await TcpStream::connect(local)).error(), invalid);
    EXPECT_EQ((co_await TcpStream::connect(Address())).error(), invalid);
    EXPECT_EQ(TcpListener::bind(local).error(), invalid);
    EXPECT_EQ(UdpSocket::bind(local).error(), invalid);
  }(this));
}

INSTANTIATE_TEST_SUITE_P(Each, UnixTest, testing::ValuesIn(everywhere()), where_name);

}  // namespace
}  // namespace blitzio::net
