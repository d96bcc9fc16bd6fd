// UdpSocket and UnixDatagram.
#include "core/driver/support.hpp"
#include "core/net/support.hpp"

#include <blitzio/net/udp.hpp>
#include <blitzio/net/unix.hpp>

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <utility>

namespace blitzio::net {
namespace {

UdpSocket udp() {
  return get(UdpSocket::bind(Address::loopback_v4(0)));
}

using Udp = Everywhere;

TEST_P(Udp, SendsAndReceivesWithAddresses) {
  run([](Everywhere* self) -> Async<> {
    UdpSocket one = udp();
    UdpSocket two = udp();
    std::string text(16, '.');
    auto receiving = self->spawn(two.recv_from(room(text)));
    co_await yield_now();
    EXPECT_EQ(get(co_await one.send_to(bytes("hello"), get(two.local_address()))), 5U);
    const Received received = get((co_await receiving).get());
    EXPECT_EQ(received.count, 5U);
    EXPECT_EQ(received.from, get(one.local_address()));
    EXPECT_EQ(text.substr(0, 5), "hello");
  }(this));
}

TEST_P(Udp, KeepsDatagramsApart) {
  run([](Everywhere* /*self*/) -> Async<> {
    UdpSocket one = udp();
    UdpSocket two = udp();
    get(one.connect(get(two.local_address())));
    get(two.connect(get(one.local_address())));
    get(co_await one.send(bytes("a long one")));
    get(co_await one.send(bytes("")));
    get(co_await one.send(bytes("b")));
    std::string text(4, '.');
    EXPECT_EQ(get(co_await two.peek(room(text))), 4U);
    EXPECT_EQ(get(co_await two.recv(room(text))), 4U) << "its end is lost";
    EXPECT_EQ(get(co_await two.recv(room(text))), 0U);
    EXPECT_EQ(get(co_await two.peek_from(room(text))).count, 1U);
    EXPECT_EQ(get(co_await two.recv(room(text))), 1U);
  }(this));
}

TEST_P(Udp, TriesWithoutWaiting) {
  run([](Everywhere* /*self*/) -> Async<> {
    UdpSocket one = udp();
    UdpSocket two = udp();
    std::string text(4, '.');
    EXPECT_FALSE(get(two.try_recv_from(room(text))).has_value());
    EXPECT_EQ(get(one.try_send_to(bytes("x"), get(two.local_address()))), 1U);
    get(co_await two.readable());
    EXPECT_EQ(get(two.try_peek_from(room(text)))->from, get(one.local_address()));
    EXPECT_EQ(get(two.try_peek(room(text))), 1U);
    EXPECT_EQ(get(two.try_recv_from(room(text)))->count, 1U);
    EXPECT_FALSE(get(two.try_peek_from(room(text))).has_value());
    EXPECT_FALSE(get(two.try_peek(room(text))).has_value());
    get(one.connect(get(two.local_address())));
    EXPECT_EQ(get(one.try_send(bytes("y"))), 1U);
    get(co_await two.readable());
    EXPECT_EQ(get(two.try_recv(room(text))), 1U);
  }(this));
}

TEST_P(Udp, AConnectedSocketHearsOfRefusals) {
  run([](Everywhere* /*self*/) -> Async<> {
    UdpSocket one = udp();
    Address nobody = Address::loopback_v4(1);
    {
      const UdpSocket gone = udp();
      nobody = get(gone.local_address());
    }
    get(one.connect(nobody));
    get(co_await one.send(bytes("x")));
    std::string text(4, '.');
    const auto refused = co_await one.recv(room(text));
    EXPECT_FALSE(refused);
    if (!refused) {
      EXPECT_TRUE(refused.error().is_os(ECONNREFUSED));
    }
  }(this));
}

TEST_P(Udp, SetsAndTellsOptions) {
  const UdpSocket socket = udp();
  EXPECT_EQ(socket.broadcast(), false);
  get(socket.set_broadcast(true));
  EXPECT_EQ(socket.broadcast(), true);
  get(socket.set_ttl(9));
  EXPECT_EQ(socket.ttl(), 9);
  get(socket.set_multicast_ttl(3));
  EXPECT_EQ(socket.multicast_ttl(), 3);
  for (const int ttl : {-1, 256}) {
    EXPECT_EQ(socket.set_ttl(ttl).error(), Error::os(EINVAL));
    EXPECT_EQ(socket.set_multicast_ttl(ttl).error(), Error::os(EINVAL));
  }
  get(socket.set_multicast_loop(false));
  EXPECT_EQ(socket.multicast_loop(), false);
  EXPECT_FALSE(UdpSocket::bind(get(Address::local("/tmp/x"))));
}

TEST_P(Udp, JoinsAndLeavesMulticastGroups) {
  const UdpSocket socket = get(UdpSocket::bind(Address::any_v4(0), {.reuse_address = true}));
  const Address group = Address::v4({239, 255, 1, 2}, 0);
  const auto not_one = socket.join_multicast(Address::loopback_v4(0));
  ASSERT_FALSE(not_one);
  EXPECT_TRUE(not_one.error().is(RuntimeErrc::invalid_argument));
  const auto joined = socket.join_multicast(group, 1);
  if (!joined && joined.error().is_os(ENODEV)) GTEST_SKIP() << "no interface for multicast";
  get(joined);
  const auto again = socket.join_multicast(group, 1);
  ASSERT_FALSE(again);
  EXPECT_TRUE(again.error().is_os(EADDRINUSE));
  get(socket.leave_multicast(group, 1));
  EXPECT_FALSE(socket.leave_multicast(group, 1));
}

INSTANTIATE_TEST_SUITE_P(Each, Udp, testing::ValuesIn(everywhere()), where_name);

using UnixDatagrams = Everywhere;

TEST_P(UnixDatagrams, SendToPathsAndPairs) {
  run([](Everywhere* /*self*/) -> Async<> {
    driver::contract::TempDir folder;
    const Address address = get(Address::local(folder.file("datagrams")));
    UnixDatagram bound = get(UnixDatagram::bind(address));
    UnixDatagram sender = get(UnixDatagram::unbound());
    get(co_await sender.send_to(bytes("hi"), address));
    std::string text(8, '.');
    const Received received = get(co_await bound.recv_from(room(text)));
    EXPECT_EQ(received.count, 2U);
    EXPECT_EQ(received.from, Address()) << "the sender has no address";
    auto [a, b] = get(UnixDatagram::pair());
    get(co_await a.send(bytes("pair")));
    EXPECT_EQ(get(co_await b.recv(room(text))), 4U);
    EXPECT_FALSE(UnixDatagram::bind(Address::loopback_v4(0)));
  }(this));
}

/// A datagram that has no room yet, and how often its future was polled.
template <class F>
class Counted {
 public:
  using Output = OutputOf<F>;
  Counted(F future, std::atomic<int>& polls) : future_(std::move(future)), polls_(&polls) {}
  Poll<Output> poll(Context& context) {
    ++*polls_;
    return future_.poll(context);
  }

 private:
  F future_;
  std::atomic<int>* polls_;  // Another worker may look at it.
};

/// Fills the queue of `receiver` with somebody else's datagrams.
void fill(const Address& receiver) {
  UnixDatagram other = get(UnixDatagram::unbound());
  while (get(other.try_send_to(bytes("other"), receiver))) {
  }
}

TEST_P(UnixDatagrams, AFullReceiverIsWaitedForWithoutSpinning) {
  run([](Everywhere* self) -> Async<> {
    driver::contract::TempDir folder;
    const Address address = get(Address::local(folder.file("receiver")));
    UnixDatagram receiver = get(UnixDatagram::bind(address));
    fill(address);
    std::atomic<int> polls{0};
    auto sending = self->spawn([](const Address& to, std::atomic<int>& count) -> Async<> {
      UnixDatagram sender = get(UnixDatagram::unbound());
      Counted future(sender.send_to(bytes("mine"), to), count);
      EXPECT_EQ(get(co_await std::move(future)), 4U);
    }(address, polls));
    for (int i = 0; i < 200; ++i) co_await yield_now();
    std::string text(8, '.');
    for (;;) {
      const std::size_t count = get(co_await receiver.recv(room(text)));
      if (text.substr(0, count) == "mine") break;
    }
    (co_await sending).get();
    // Once, again for each time that somebody else took the room, and at the end.
    EXPECT_LE(polls.load(), 12);
  }(this));
}

TEST_P(UnixDatagrams, ASuccessorWithoutRoomIsWaitedForToo) {
  run([](Everywhere* self) -> Async<> {
    driver::contract::TempDir folder;
    const std::string path = folder.file("receiver");
    const Address address = get(Address::local(path));
    UnixDatagram first = get(UnixDatagram::bind(address));
    fill(address);
    std::atomic<int> polls{0};
    auto sending = self->spawn([](const Address& to, std::atomic<int>& count) -> Async<> {
      UnixDatagram sender = get(UnixDatagram::unbound());
      Counted future(sender.send_to(bytes("mine"), to), count);
      EXPECT_EQ(get(co_await std::move(future)), 4U);
    }(address, polls));
    while (polls == 0) co_await yield_now();
    EXPECT_EQ(::unlink(path.c_str()), 0);
    UnixDatagram second = get(UnixDatagram::bind(address));
    fill(address);
    first.close();
    for (int i = 0; i < 200; ++i) co_await yield_now();
    std::string text(8, '.');
    for (;;) {
      const std::size_t count = get(co_await second.recv(room(text)));
      if (text.substr(0, count) == "mine") break;
    }
    (co_await sending).get();
    // As above, and once as the first receiver went.
    EXPECT_LE(polls.load(), 13);
  }(this));
}

TEST_P(UnixDatagrams, OneThatNeverReadsHidesNoRoomOfAnother) {
  run([](Everywhere* self) -> Async<> {
    driver::contract::TempDir folder;
    const Address silent_address = get(Address::local(folder.file("silent")));
    const UnixDatagram silent = get(UnixDatagram::bind(silent_address));
    const Address address = get(Address::local(folder.file("receiver")));
    UnixDatagram receiver = get(UnixDatagram::bind(address));
    fill(address);
    UnixDatagram sender = get(UnixDatagram::unbound());
    // More than a quarter of the sender's buffer: poll(2) does not call it writable any more.
    const std::string big(16'000, '.');
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(get(sender.try_send_to(bytes(big), silent_address)));
    std::atomic<int> polls{0};
    auto sending =
        self->spawn([](UnixDatagram& from, const Address& to, std::atomic<int>& count) -> Async<> {
          Counted future(from.send_to(bytes("mine"), to), count);
          EXPECT_EQ(get(co_await std::move(future)), 4U);
        }(sender, address, polls));
    while (polls == 0) co_await yield_now();
    std::string text(8, '.');
    for (;;) {
      const std::size_t count = get(co_await receiver.recv(room(text)));
      if (text.substr(0, count) == "mine") break;
    }
    (co_await sending).get();
  }(this));
}

TEST_P(UnixDatagrams, WithoutADescriptorToWaitForAFullReceiverIsAnError) {
  if (driver::contract::kNeedsDescriptors) {
    GTEST_SKIP() << "the sanitizer needs descriptors of its own";
  }
  run([](Everywhere* /*self*/) -> Async<> {
    driver::contract::TempDir folder;
    const Address address = get(Address::local(folder.file("receiver")));
    UnixDatagram receiver = get(UnixDatagram::bind(address));
    fill(address);
    UnixDatagram sender = get(UnixDatagram::unbound());
    {
      const driver::contract::NoFreeDescriptor none;
      auto sending = sender.send_to(bytes("mine"), address);
      auto answer = poll_once(sending);
      BLITZIO_CHECK(answer.is_ready());
      EXPECT_EQ(answer.value().error(), Error::os(EMFILE));
    }
    std::string text(8, '.');
    while (get(receiver.try_recv(room(text)))) {
    }
    EXPECT_EQ(get(co_await sender.send_to(bytes("mine"), address)), 4U);
  }(this));
}

TEST_P(UnixDatagrams, ClosingEndsTheWaitForAFullReceiver) {
  run([](Everywhere* /*self*/) -> Async<> {
    driver::contract::TempDir folder;
    const Address address = get(Address::local(folder.file("receiver")));
    UnixDatagram receiver = get(UnixDatagram::bind(address));
    fill(address);
    UnixDatagram sender = get(UnixDatagram::unbound());
    auto sending = sender.send_to(bytes("mine"), address);
    bool is_closed = false;
    auto waiting = poll_fn([&](Context& context) -> Poll<Result<std::size_t>> {
      auto answer = sending.poll(context);
      if (answer.is_pending() && !std::exchange(is_closed, true)) sender.close();
      return answer;
    });
    EXPECT_EQ((co_await std::move(waiting)).error(), Error::runtime(RuntimeErrc::closed));
    EXPECT_TRUE(is_closed);
  }(this));
}

TEST_P(UnixDatagrams, ADroppedWaitForAFullReceiverSendsNothing) {
  run([](Everywhere* /*self*/) -> Async<> {
    driver::contract::TempDir folder;
    const Address address = get(Address::local(folder.file("receiver")));
    UnixDatagram receiver = get(UnixDatagram::bind(address));
    fill(address);
    UnixDatagram sender = get(UnixDatagram::unbound());
    {
      auto dropped = sender.send_to(bytes("mine"), address);
      EXPECT_TRUE(poll_once(dropped).is_pending());
    }
    std::string text(8, '.');
    while (const auto count = get(receiver.try_recv(room(text)))) {
      EXPECT_EQ(text.substr(0, *count), "other");
    }
    co_return;
  }(this));
}

INSTANTIATE_TEST_SUITE_P(Each, UnixDatagrams, testing::ValuesIn(everywhere()), where_name);

}  // namespace
}  // namespace blitzio::net
