// The driver contract: what goes through a socket. See support.hpp.
#include "support.hpp"

namespace blitzio::driver::contract {
namespace {

BLITZIO_DRIVER_CONTRACT();

// ---- recv and send
// -------------------------------------------------------------------------------

TEST_P(DriverContract, RecvWaitsForBytesAndReportsEndOfStream) {
  change_faults("short=0", "takes one piece for the whole");
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    Pair ends = tcp_pair();
    Attachment attachment(driver(), ends.a, attached);
    std::byte buffer[8];
    Recorder op(driver());
    const auto receive = [&] {
      op.recv(ends.a.get(), buffer);
      op.submit();
    };
    receive();
    fence(driver());
    EXPECT_FALSE(op.done());
    put(ends.b, "0123456789");
    ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
    EXPECT_EQ(op.result(), 8);
    receive();
    ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
    EXPECT_EQ(op.result(), 2) << "a short read";
    EXPECT_EQ(text(std::span(buffer).first(2)), "89");
    put(ends.b, "tail");
    ends.b.reset();
    receive();
    ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
    EXPECT_EQ(op.result(), 4) << "the end does not overtake the bytes";
    for (int i = 0; i < 2; ++i) {
      receive();
      ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
      EXPECT_EQ(op.result(), 0);
    }
  }
}

TEST_P(DriverContract, RecvHonoursItsFlags) {
  change_faults("short=0", "takes one piece for the whole");
  const Pair ends = tcp_pair();
  std::byte buffer[8];
  Recorder op(driver());
  put(ends.b, "peeked");
  for (int i = 0; i < 2; ++i) {
    op.recv(ends.a.get(), buffer, MSG_PEEK);
    EXPECT_EQ(complete(op), 6);
  }
  op.recv(ends.a.get(), buffer);
  EXPECT_EQ(complete(op), 6);
  EXPECT_EQ(text(std::span(buffer).first(6)), "peeked");
}

TEST_P(DriverContract, UrgentDataIsReadThoughAnOrdinaryReadWaitsAheadOfIt) {
  change_faults("short=0", "takes one piece for the whole");
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    const Pair ends = tcp_pair();
    Attachment attachment(driver(), ends.a, attached);
    std::byte ordinary_buffer[8];
    std::byte urgent_buffer[8];
    Recorder ordinary(driver());
    Recorder urgent(driver());
    ordinary.recv(ends.a.get(), ordinary_buffer);
    ordinary.submit();
    fence(driver());
    EXPECT_EQ(::send(ends.b.get(), "!", 1, MSG_OOB), 1);
    ASSERT_TRUE(wait_for(ends.a, POLLPRI));
    urgent.recv(ends.a.get(), urgent_buffer, MSG_OOB);
    urgent.submit();
    ASSERT_TRUE(run_until(driver(), [&] { return urgent.done(); }));
    EXPECT_EQ(urgent.result(), 1);
    EXPECT_EQ(text(std::span(urgent_buffer).first(1)), "!");
    EXPECT_FALSE(ordinary.done());
    put(ends.b, "plain");
    ASSERT_TRUE(run_until(driver(), [&] { return ordinary.done(); }));
    EXPECT_EQ(ordinary.result(), 5);
  }
}

TEST_P(DriverContract, BlockingDescriptorsBlockNobody) {
  const Pair sockets = unix_pair();
  const Pair pipe = pipe_pair();
  const Pair other_pipe = pipe_pair();
  fill(sockets.a);
  for (const int fd : {sockets.a.get(), sockets.b.get(), pipe.a.get(), pipe.b.get(),
                       other_pipe.a.get(), other_pipe.b.get()}) {
    ok(::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK));
  }
  std::byte buffer[4];
  Recorder recv(driver());
  Recorder send(driver());
  Recorder read(driver());
  Recorder reads(driver());
  send.send(sockets.a.get(), bytes("x"));
  recv.recv(sockets.a.get(), buffer);
  read.read(pipe.a.get(), buffer);
  reads.read_multishot(other_pipe.a.get());
  put(other_pipe.b, "one message");
  for (Recorder* op : {&send, &recv, &read, &reads}) op->submit();
  ASSERT_TRUE(run_until(driver(), [&] { return reads.data() == "one message"; }));
  fence(driver());
  for (Recorder* op : {&send, &recv, &read, &reads}) {
    EXPECT_FALSE(op->done());
    op->cancel();
    ASSERT_TRUE(run_until(driver(), [&] { return op->done(); }));
    EXPECT_EQ(op->result(), -ECANCELED);
  }
}

TEST_P(DriverContract, SocketErrorsArriveAsTheyAre) {
  const Pair pipe = pipe_pair();
  const OwnedFd idle = inet_socket();
  std::byte buffer[8];
  iovec vector = vector_of(buffer);
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  Recorder op(driver());
  for (const auto& [fd, error] :
       {std::pair{kBadFd, -EBADF}, std::pair{-1, -EBADF}, std::pair{pipe.a.get(), -ENOTSOCK}}) {
    SCOPED_TRACE(fd);
    op.recv(fd, buffer);
    EXPECT_EQ(complete(op), error);
    op.recv_multishot(fd);
    EXPECT_EQ(complete(op), error);
    op.send(fd, buffer);
    EXPECT_EQ(complete(op), error);
    op.sendmsg(fd, &message);
    EXPECT_EQ(complete(op), error);
    op.recvmsg(fd, &message);
    EXPECT_EQ(complete(op), error);
  }
  op.recv(idle.get(), buffer);
  EXPECT_EQ(complete(op), -ENOTCONN);
  op.recv_multishot(idle.get());
  EXPECT_EQ(complete(op), -ENOTCONN);
  op.send(idle.get(), buffer);
  EXPECT_EQ(complete(op), -EPIPE);
}

TEST_P(DriverContract, SendAndSendmsgToAPeerThatIsGoneAreBrokenAndRaiseNoSignal) {
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    Pair ends = unix_pair();
    Attachment attachment(driver(), ends.a, attached);
    ends.b.reset();
    Recorder op(driver());
    op.send(ends.a.get(), bytes("x"));
    EXPECT_EQ(complete(op), -EPIPE);
    iovec vector = vector_of(bytes("y"));
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    op.sendmsg(ends.a.get(), &message);
    EXPECT_EQ(complete(op), -EPIPE);
  }
}

TEST_P(DriverContract, SendWaitsForRoomAndMayBeShort) {
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    const Pair ends = unix_pair();
    Attachment attachment(driver(), ends.a, attached);
    std::size_t expected = fill(ends.a);
    const std::string data(1'000'000, 's');
    iovec vector = vector_of(bytes(data));
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    Recorder op(driver());
    for (const bool gather : {false, true}) {
      if (gather) {
        op.sendmsg(ends.a.get(), &message);
      } else {
        op.send(ends.a.get(), bytes(data));
      }
      op.submit();
      fence(driver());
      EXPECT_FALSE(op.done());
      std::size_t received = 0;
      ASSERT_TRUE(run_until(driver(), [&] {
        received += take(ends.b).size();
        return op.done();
      }));
      ASSERT_GT(op.result(), 0);
      expected += static_cast<std::size_t>(op.result());
      received += take(ends.b).size();
      EXPECT_EQ(received, expected);
      expected = fill(ends.a);
    }
  }
}

TEST_P(DriverContract, AResetPeerIsReported) {
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    for (const bool multishot : {false, true}) {
      SCOPED_TRACE(multishot);
      Pair ends = tcp_pair();
      Attachment attachment(driver(), ends.a, attached);
      std::byte buffer[8];
      Recorder op(driver());
      if (multishot) {
        op.recv_multishot(ends.a.get());
      } else {
        op.recv(ends.a.get(), buffer);
      }
      op.submit();
      fence(driver());
      reset_on_close(ends.b);
      ends.b.reset();
      ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
      EXPECT_EQ(op.result(), -ECONNRESET);
      Recorder send(driver());
      send.send(ends.a.get(), bytes("x"));
      EXPECT_EQ(complete(send), -EPIPE);
    }
  }
}

// ---- recv_multishot and read_multishot
// ---------------------------------------------------------------

struct Arriving {
  const char* name;
  Pair (*pair)();
  void (*prepare)(Operation& operation, const OwnedFd& reader);
};
const Arriving kArriving[] = {
    {"recv_multishot", [] { return tcp_pair(); },
     [](Operation& operation, const OwnedFd& reader) { operation.recv_multishot(reader.get()); }},
    {"read_multishot", [] { return pipe_pair(); },
     [](Operation& operation, const OwnedFd& reader) { operation.read_multishot(reader.get()); }},
};

TEST_P(DriverContract, MultishotReceivesBringEveryByteInOrderAndThenTheEnd) {
  for (const Arriving& kind : kArriving) {
    SCOPED_TRACE(kind.name);
    for (const bool attached : {false, true}) {
      SCOPED_TRACE(attached);
      Pair ends = kind.pair();
      Attachment attachment(driver(), ends.a, attached);
      Recorder op(driver());
      std::string sent = "already there";
      put(ends.b, sent);
      kind.prepare(op, ends.a);
      op.submit();
      for (int i = 0; i < 200; ++i) {
        const std::string piece(static_cast<std::size_t>(1 + i * 37 % 5000),
                                static_cast<char>('a' + i % 26));
        put(ends.b, piece);
        sent += piece;
        if (i % 3 == 0) {
          ASSERT_TRUE(run_until(driver(), [&] { return op.data_bytes() == sent.size(); }));
        }
        if (i % 10 == 0) fence(driver());
      }
      put(ends.b, "the end");
      sent += "the end";
      ends.b.reset();
      ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
      EXPECT_EQ(op.result(), 0);
      EXPECT_TRUE(op.data() == sent);
      // It is at its end for the next one, too.
      op.forget();
      kind.prepare(op, ends.a);
      EXPECT_EQ(complete(op), 0);
      EXPECT_EQ(op.data(), "");
    }
  }
}

TEST_P(DriverContract, MultishotReceivesSurviveExhaustedBuffers) {
  Config config;
  config.buffer_bytes = 256;
  config.buffer_count = 1;
  config.buffer_count_max = 2;
  configure(config);
  EXPECT_FALSE(driver().has_kernel_reads()) << "a packet may have more than 256 bytes";
  for (const Arriving& kind : kArriving) {
    SCOPED_TRACE(kind.name);
    const Pair first = kind.pair();
    const Pair second = kind.pair();
    Recorder a(driver());
    Recorder b(driver());
    kind.prepare(a, first.a);
    kind.prepare(b, second.a);
    const std::string data(60'000, 'x');
    put(first.b, data + "1");
    put(second.b, data + "2");
    a.submit();
    b.submit();
    ASSERT_TRUE(run_until(
        driver(), [&] { return a.data_bytes() > data.size() && b.data_bytes() > data.size(); }));
    EXPECT_TRUE(a.data() == data + "1");
    EXPECT_TRUE(b.data() == data + "2");
  }
}

TEST_P(DriverContract, AMultishotReceiveMayBeCancelledByItsOwnCompletion) {
  for (const Arriving& kind : kArriving) {
    SCOPED_TRACE(kind.name);
    const Pair ends = kind.pair();
    Recorder op(driver());
    kind.prepare(op, ends.a);
    op.then = [&] { op.cancel(); };
    put(ends.b, "first");
    op.submit();
    ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
    EXPECT_EQ(op.data(), "first");
    EXPECT_EQ(op.result(), -ECANCELED);
    put(ends.b, "second");
    ASSERT_TRUE(wait_for(ends.a, POLLIN));
    fence(driver());
    EXPECT_EQ(take(ends.a), "second") << "what came after the end is left";
  }
}

TEST_P(DriverContract, ReadMultishotLeavesNoPacketAndKeepsThemApart) {
  change_faults("short=0", "takes one piece for the whole");
  const Pair ends = pipe_pair(O_DIRECT);
  Recorder op(driver());
  std::vector<std::size_t> sizes;
  const auto write = [&](std::size_t bytes) {
    put(ends.b, std::string(bytes, static_cast<char>('a' + sizes.size() % 26)));
    sizes.push_back(bytes);
  };
  for (const std::size_t bytes : {1, 20, PIPE_BUF, 3}) write(bytes);
  op.read_multishot(ends.a.get());
  op.submit();
  ASSERT_TRUE(run_until(driver(), [&] { return op.count() == 4; }));
  for (const std::size_t bytes : {PIPE_BUF - 1, 7, PIPE_BUF}) write(bytes);
  ASSERT_TRUE(run_until(driver(), [&] { return op.count() == 7; }));
  op.cancel();
  ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    EXPECT_EQ(op.seen()[i].data, std::string(sizes[i], static_cast<char>('a' + i % 26)));
  }
}

TEST_P(DriverContract, ReadMultishotOfNoDescriptorAndOfAWritingEndFails) {
  const Pair ends = pipe_pair();
  Recorder op(driver());
  for (const int fd : {kBadFd, -1, ends.b.get()}) {
    SCOPED_TRACE(fd);
    op.read_multishot(fd);
    EXPECT_EQ(complete(op), -EBADF);
  }
}

// ---- recvmsg and sendmsg
// -------------------------------------------------------------------------

TEST_P(DriverContract, DatagramsKeepTheirBoundsAndTheirSender) {
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    const OwnedFd receiver = bound_socket(SOCK_DGRAM);
    const OwnedFd sender = bound_socket(SOCK_DGRAM);
    Attachment attachment(driver(), receiver, attached);
    sockaddr_in to = address_of(receiver);
    sockaddr_in from{};
    std::byte buffer[4];
    iovec in = vector_of(buffer);
    msghdr incoming{};
    incoming.msg_iov = &in;
    incoming.msg_iovlen = 1;
    iovec out[] = {vector_of(bytes("abc")), vector_of(bytes("def"))};
    msghdr outgoing{};
    outgoing.msg_name = &to;
    outgoing.msg_namelen = sizeof to;
    outgoing.msg_iov = out;
    Recorder recv(driver());
    Recorder send(driver());
    for (const std::size_t parts : {std::size_t{1}, std::size_t{2}, std::size_t{0}}) {
      incoming.msg_name = &from;
      incoming.msg_namelen = sizeof from;
      recv.recvmsg(receiver.get(), &incoming);
      recv.submit();
      fence(driver());
      EXPECT_FALSE(recv.done());
      outgoing.msg_iovlen = parts;
      send.sendmsg(sender.get(), &outgoing);
      EXPECT_EQ(complete(send), static_cast<std::int32_t>(3 * parts));
      ASSERT_TRUE(run_until(driver(), [&] { return recv.done(); }));
      EXPECT_EQ(recv.result(), parts == 2 ? 4 : static_cast<std::int32_t>(3 * parts));
      EXPECT_EQ((incoming.msg_flags & MSG_TRUNC) != 0, parts == 2);
      EXPECT_EQ(incoming.msg_namelen, sizeof from);
      EXPECT_EQ(from.sin_port, address_of(sender).sin_port);
    }
  }
}

TEST_P(DriverContract, ADatagramNobodyTookIsRefused) {
  const OwnedFd gone = bound_socket(SOCK_DGRAM);
  const sockaddr_in to = address_of(gone);
  const OwnedFd sender = inet_socket(SOCK_DGRAM);
  Recorder op(driver());
  op.connect(sender.get(), generic(to), sizeof to);
  EXPECT_EQ(complete(op), 0);
  const_cast<OwnedFd&>(gone).reset();
  std::byte buffer[4];
  op.recv(sender.get(), buffer);
  op.submit();
  fence(driver());
  Recorder send(driver());
  send.send(sender.get(), bytes("x"));
  EXPECT_EQ(complete(send), 1);
  ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
  EXPECT_EQ(op.result(), -ECONNREFUSED);
}

TEST_P(DriverContract, DescriptorsTravelWithAMessage) {
  const Pair ends = unix_pair();
  const Pair pipe = pipe_pair();
  const MessageWithFd message("fd", pipe.b);

  std::byte buffer[8];
  iovec in = vector_of(buffer);
  alignas(cmsghdr) char received[CMSG_SPACE(sizeof(int))] = {};
  msghdr incoming{};
  incoming.msg_iov = &in;
  incoming.msg_iovlen = 1;
  incoming.msg_control = received;
  incoming.msg_controllen = sizeof received;
  Recorder recv(driver());
  recv.recvmsg(ends.b.get(), &incoming, MSG_CMSG_CLOEXEC);
  recv.submit();
  fence(driver());
  Recorder send(driver());
  send.sendmsg(ends.a.get(), message.get());
  EXPECT_EQ(complete(send), 2);
  ASSERT_TRUE(run_until(driver(), [&] { return recv.done(); }));
  EXPECT_EQ(recv.result(), 2);
  const cmsghdr* got = CMSG_FIRSTHDR(&incoming);
  ASSERT_NE(got, nullptr);
  int copy = -1;
  std::memcpy(&copy, CMSG_DATA(got), sizeof copy);
  const OwnedFd owned = OwnedFd::adopt(copy);
  EXPECT_EQ(::fcntl(copy, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  put(owned, "through");
  EXPECT_EQ(take(pipe.a), "through");
}

}  // namespace
}  // namespace blitzio::driver::contract
