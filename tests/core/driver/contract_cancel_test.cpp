// The driver contract: cancelling. One table of operations that wait, each cancelled at every point
// of its life: exactly one last completion arrives, and what had happened already is not lost.
// See support.hpp.
#include "support.hpp"

#include <optional>
#include <utility>

namespace blitzio::driver::contract {
namespace {

BLITZIO_DRIVER_CONTRACT();

/// Something that waits, and what would end the wait.
struct Waiting {
  Pair ends;
  OwnedFd extra;
  std::byte buffer[16];
  iovec vector;
  msghdr message;
  sockaddr_in address;
};

struct Case {
  const char* name;
  bool attachable;
  /// Prepares `op` on ends.a so that it has to wait.
  void (*prepare)(Waiting& on, Operation& op);
  /// Lets the operation succeed.
  void (*satisfy)(Waiting& on);
};

void message_over(Waiting& on, std::size_t bytes_in_vector) {
  on.vector = {on.buffer, bytes_in_vector};
  on.message = {};
  on.message.msg_iov = &on.vector;
  on.message.msg_iovlen = 1;
}
void send_byte(Waiting& on) {
  put(on.ends.b, "!");
}
void make_room(Waiting& on) {
  (void)take(on.ends.b);
}
void connect_client(Waiting& on) {
  on.extra = tcp_client(on.ends.a);
  EXPECT_TRUE(wait_for(on.ends.a, POLLIN));
}
void full_socket(Waiting& on) {
  on.ends = unix_pair();
  fill(on.ends.a);
}
void full_pipe(Waiting& on) {
  on.ends = pipe_pair();
  std::swap(on.ends.a, on.ends.b);
  fill(on.ends.a);
}

const Case kCases[] = {
    {"recv", true,
     [](Waiting& on, Operation& op) {
       on.ends = tcp_pair();
       op.recv(on.ends.a.get(), on.buffer);
     },
     send_byte},
    {"recv_multishot", true,
     [](Waiting& on, Operation& op) {
       on.ends = tcp_pair();
       op.recv_multishot(on.ends.a.get());
     },
     send_byte},
    {"recvmsg", true,
     [](Waiting& on, Operation& op) {
       on.ends = unix_pair();
       message_over(on, sizeof on.buffer);
       op.recvmsg(on.ends.a.get(), &on.message);
     },
     send_byte},
    {"read", true,
     [](Waiting& on, Operation& op) {
       on.ends = pipe_pair();
       op.read(on.ends.a.get(), on.buffer);
     },
     send_byte},
    {"read_multishot", true,
     [](Waiting& on, Operation& op) {
       on.ends = pipe_pair();
       op.read_multishot(on.ends.a.get());
     },
     send_byte},
    {"readv", true,
     [](Waiting& on, Operation& op) {
       on.ends = pipe_pair();
       message_over(on, sizeof on.buffer);
       op.readv(on.ends.a.get(), {&on.vector, 1});
     },
     send_byte},
    {"send", true,
     [](Waiting& on, Operation& op) {
       full_socket(on);
       op.send(on.ends.a.get(), std::span(on.buffer).first(1));
     },
     make_room},
    {"sendmsg", true,
     [](Waiting& on, Operation& op) {
       full_socket(on);
       message_over(on, 1);
       op.sendmsg(on.ends.a.get(), &on.message);
     },
     make_room},
    {"write", true,
     [](Waiting& on, Operation& op) {
       full_pipe(on);
       op.write(on.ends.a.get(), std::span(on.buffer).first(1));
     },
     make_room},
    {"writev", true,
     [](Waiting& on, Operation& op) {
       full_pipe(on);
       message_over(on, 1);
       op.writev(on.ends.a.get(), {&on.vector, 1});
     },
     make_room},
    {"accept", true,
     [](Waiting& on, Operation& op) {
       on.ends.a = tcp_listener();
       op.accept(on.ends.a.get());
     },
     connect_client},
    {"accept_multishot", true,
     [](Waiting& on, Operation& op) {
       on.ends.a = tcp_listener();
       op.accept_multishot(on.ends.a.get());
     },
     connect_client},
    {"connect", true,
     [](Waiting& on, Operation& op) {
       // A listener whose backlog is full drops the handshake: the connect stays on its way.
       on.ends.b = tcp_listener(0);
       on.extra = tcp_client(on.ends.b);
       EXPECT_TRUE(wait_for(on.extra, POLLOUT));
       on.ends.a = inet_socket();
       on.address = address_of(on.ends.b);
       op.connect(on.ends.a.get(), generic(on.address), sizeof on.address);
     },
     nullptr},
    {"poll", true,
     [](Waiting& on, Operation& op) {
       on.ends = unix_pair();
       op.poll(on.ends.a.get(), POLLIN);
     },
     send_byte},
    {"poll_multishot", true,
     [](Waiting& on, Operation& op) {
       on.ends = unix_pair();
       op.poll_multishot(on.ends.a.get(), POLLIN);
     },
     send_byte},
    {"timeout", false,
     [](Waiting&, Operation& op) { op.timeout(Instant::now() + Duration::from_secs(3600)); },
     nullptr},
};

/// Calls `check(case, attached)` for each case, on attached and unattached descriptors.
template <class Check>
void for_each_case(Check&& check) {
  for (const Case& one : kCases) {
    for (const bool attached : {false, true}) {
      if (attached && !one.attachable) continue;
      SCOPED_TRACE(std::string(one.name) + (attached ? " attached" : " unattached"));
      check(one, attached);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

/// The descriptors of a case, attached before the operation first waits.
struct Stage {
  Stage(Driver& driver, const Case& one, bool attached) : op(driver) {
    one.prepare(on, op);
    attachment.emplace(driver, on.ends.a, attached);
  }
  ~Stage() {
    for (const Recorder::Seen& seen : op.seen()) {
      const bool accepts = op.kind() == OpKind::accept || op.kind() == OpKind::accept_multishot;
      if (accepts && seen.result >= 0) ::close(seen.result);
    }
  }
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  Waiting on{};
  std::optional<Attachment> attachment;
  Recorder op;
};

TEST_P(DriverContract, CancelBeforeTheKernelHeardOfIt) {
  for_each_case([&](const Case& one, bool attached) {
    Stage stage(driver(), one, attached);
    stage.op.submit();
    stage.op.cancel();
    EXPECT_EQ(stage.op.count(), 0U) << "no completion from inside cancel()";
    ASSERT_TRUE(run_until(driver(), [&] { return stage.op.done(); }));
    EXPECT_EQ(stage.op.result(), -ECANCELED);
    EXPECT_EQ(stage.op.count(), 1U);
  });
}

TEST_P(DriverContract, CancelWhileItWaits) {
  for_each_case([&](const Case& one, bool attached) {
    Stage stage(driver(), one, attached);
    stage.op.submit();
    fence(driver());
    ASSERT_EQ(stage.op.count(), 0U);
    stage.op.cancel();
    EXPECT_EQ(stage.op.count(), 0U) << "no completion from inside cancel()";
    ASSERT_TRUE(run_until(driver(), [&] { return stage.op.done(); }));
    EXPECT_EQ(stage.op.result(), -ECANCELED);
    EXPECT_EQ(stage.op.count(), 1U);
  });
}

TEST_P(DriverContract, CancelTwiceOrIdleDoesNothingMore) {
  for_each_case([&](const Case& one, bool attached) {
    Stage stage(driver(), one, attached);
    stage.op.cancel();
    EXPECT_TRUE(stage.op.is_idle());
    stage.op.submit();
    fence(driver());
    stage.op.cancel();
    stage.op.cancel();
    driver().collect();
    stage.op.cancel();
    ASSERT_TRUE(run_until(driver(), [&] { return stage.op.done(); }));
    stage.op.cancel();
    fence(driver());
    EXPECT_EQ(stage.op.count(), 1U);
    EXPECT_EQ(stage.op.result(), -ECANCELED);
  });
}

TEST_P(DriverContract, ACancelledOperationMayBeSubmittedAgainAtOnce) {
  for_each_case([&](const Case& one, bool attached) {
    Stage stage(driver(), one, attached);
    Recorder& op = stage.op;
    const bool is_connect = op.kind() == OpKind::connect;  // EALREADY, not our question.
    for (int round = 0; round < (is_connect ? 1 : 5); ++round) {
      op.submit();
      if (round % 2 == 1) fence(driver());
      op.cancel();
      ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
      EXPECT_EQ(op.result(), -ECANCELED);
    }
    if (one.satisfy == nullptr) return;
    op.forget();
    op.submit();
    fence(driver());
    EXPECT_EQ(op.count(), 0U) << "an old cancel must not hit the new operation";
    one.satisfy(stage.on);
    ASSERT_TRUE(run_until(driver(), [&] { return op.count() > 0; }));
    EXPECT_GE(op.seen().front().result, 0);
    op.cancel();
    ASSERT_TRUE(run_until(driver(), [&] { return op.is_idle(); }));
  });
}

TEST_P(DriverContract, CancelAfterItHappenedButBeforeDispatchLosesNothing) {
  for_each_case([&](const Case& one, bool attached) {
    if (one.satisfy == nullptr) return;
    Stage stage(driver(), one, attached);
    Recorder& op = stage.op;
    op.submit();
    fence(driver());
    one.satisfy(stage.on);
    const Instant end = Instant::now() + kPatience;
    while (!driver().has_completions() && Instant::now() < end) driver().wait(end - Instant::now());
    ASSERT_TRUE(driver().has_completions());
    op.cancel();
    EXPECT_EQ(op.count(), 0U);
    ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));

    // Either it happened and is reported, or it did not and everything is still there.
    const bool happened = op.seen().front().result >= 0;
    EXPECT_TRUE(happened || op.result() == -ECANCELED) << op.result();
    if (op.is_multishot()) {
      EXPECT_EQ(op.result(), -ECANCELED);
    }
    switch (op.kind()) {
      case OpKind::recv:
      case OpKind::recv_multishot:
      case OpKind::recvmsg:
      case OpKind::read:
      case OpKind::read_multishot:
      case OpKind::readv:
        EXPECT_EQ(take(stage.on.ends.a), happened ? "" : "!");
        break;
      case OpKind::accept:
      case OpKind::accept_multishot: {
        const int left = ::accept4(stage.on.ends.a.get(), nullptr, nullptr, SOCK_CLOEXEC);
        EXPECT_EQ(left < 0, happened);
        if (left >= 0) ::close(left);
        break;
      }
      case OpKind::send:
      case OpKind::sendmsg:
      case OpKind::write:
      case OpKind::writev:
        EXPECT_EQ(take(stage.on.ends.b).size(), happened ? 1U : 0U);
        break;
      default:
        break;
    }
  });
}

TEST_P(DriverContract, CancelOfWhatIsReadyAtOnceLosesNothing) {
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    const Pair ends = tcp_pair();
    Attachment attachment(driver(), ends.a, attached);
    for (const bool multishot : {false, true}) {
      SCOPED_TRACE(multishot);
      std::byte buffer[8];
      Recorder op(driver());
      std::string sent;
      std::string received;
      for (int round = 0; round < 50; ++round) {
        put(ends.b, std::string(1, static_cast<char>('a' + round % 26)));
        sent.push_back(static_cast<char>('a' + round % 26));
        op.forget();
        if (multishot) {
          op.recv_multishot(ends.a.get());
        } else {
          op.recv(ends.a.get(), buffer);
        }
        op.submit();
        if (round % 3 == 1) driver().collect();
        op.cancel();
        ASSERT_TRUE(run_until(driver(), [&] { return op.done(); }));
        if (multishot) {
          received += op.data();
        } else if (op.result() > 0) {
          received += text(std::span(buffer).first(static_cast<std::size_t>(op.result())));
        }
        received += take(ends.a);
      }
      EXPECT_EQ(received, sent);
    }
  }
}

TEST_P(DriverContract, CancelOfWhatNeedsNoWaitIsHonest) {
  change_faults("short=0", "takes one piece for the whole");
  TempDir dir;
  const OwnedFd file = dir.file_with("content");
  const std::string path = dir.file("new");
  std::byte buffer[7];
  Recorder op(driver());
  const auto cancelled = [&](int round) {
    op.submit();
    if (round == 1) driver().collect();
    op.cancel();
    EXPECT_TRUE(run_until(driver(), [&] { return op.done(); }));
    EXPECT_EQ(op.count(), 1U);
    op.forget();
  };
  for (int round = 0; round < 2; ++round) {
    op.then = [&] { EXPECT_TRUE(op.result() == 0 || op.result() == -ECANCELED); };
    op.nop();
    cancelled(round);
    op.fsync(file.get());
    cancelled(round);

    op.then = [&] { EXPECT_TRUE(op.result() == 7 || op.result() == -ECANCELED); };
    op.read(file.get(), buffer, 0);
    cancelled(round);

    op.then = [&] {
      EXPECT_TRUE(op.result() >= 0 || op.result() == -ECANCELED);
      if (op.result() >= 0) ::close(op.result());
    };
    op.open(AT_FDCWD, path.c_str(), O_RDWR | O_CREAT, 0600);
    cancelled(round);

    Pair ends = pipe_pair();
    op.then = [&] {
      EXPECT_TRUE(op.result() == 0 || op.result() == -ECANCELED);
      EXPECT_EQ(is_open(ends.a.get()), op.result() != 0);
      if (op.result() == 0) (void)ends.a.release();
    };
    op.close(ends.a.get());
    cancelled(round);
  }
}

TEST_P(DriverContract, ACompletionMayCancelItsNeighbourOfTheSameBatch) {
  const Pair first = unix_pair();
  const Pair second = unix_pair();
  std::byte one[4];
  std::byte two[4];
  Recorder a(driver());
  Recorder b(driver());
  a.recv(first.a.get(), one);
  b.recv(second.a.get(), two);
  a.then = [&] { b.cancel(); };
  b.then = [&] { a.cancel(); };
  a.submit();
  b.submit();
  fence(driver());
  put(first.b, "a");
  put(second.b, "b");
  ASSERT_TRUE(run_until(driver(), [&] { return a.done() && b.done(); }));
  EXPECT_EQ(a.count(), 1U);
  EXPECT_EQ(b.count(), 1U);
  for (const auto& [op, ends] : {std::pair{&a, &first}, std::pair{&b, &second}}) {
    EXPECT_TRUE(op->result() == 1 || op->result() == -ECANCELED);
    EXPECT_EQ(take(ends->a).size(), op->result() == 1 ? 0U : 1U);
  }
}

}  // namespace
}  // namespace blitzio::driver::contract
