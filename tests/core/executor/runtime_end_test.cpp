// The end of a Runtime under tasks that wait: for whatever it is, they are freed, and have left
// every queue and driver. A case for each kind of wait that the library has.
#include <core/executor/support.hpp>

#include <blitzio/channel/broadcast.hpp>
#include <blitzio/channel/channel.hpp>
#include <blitzio/channel/oneshot.hpp>
#include <blitzio/channel/watch.hpp>
#include <blitzio/executor/cancel_token.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/fs/file.hpp>
#include <blitzio/fs/watch.hpp>
#include <blitzio/net/tcp.hpp>
#include <blitzio/net/udp.hpp>
#include <blitzio/net/unix.hpp>
#include <blitzio/process/command.hpp>
#include <blitzio/signal/signal_set.hpp>
#include <blitzio/signal/stream.hpp>
#include <blitzio/stream/duplex.hpp>
#include <blitzio/sync/barrier.hpp>
#include <blitzio/sync/condition.hpp>
#include <blitzio/sync/event.hpp>
#include <blitzio/sync/mutex.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/sync/once_cell.hpp>
#include <blitzio/sync/rw_lock.hpp>
#include <blitzio/sync/semaphore.hpp>
#include <blitzio/task/async.hpp>
#include <blitzio/task/futures.hpp>
#include <blitzio/task/select.hpp>
#include <blitzio/time/interval.hpp>
#include <blitzio/time/sleep.hpp>
#include <blitzio/time/timeout.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace blitzio {
namespace {

constexpr Duration kLong = Duration::from_secs(3600);

// What tasks wait for that they share; in none of it does anything happen before the runtime's end.
struct Shared {
  sync::Mutex mutex;
  sync::RwLock read_lock;
  sync::RwLock write_lock;
  sync::Semaphore semaphore{0};
  sync::Notify notify;
  sync::Event event;
  sync::Barrier barrier{1000};
  sync::OnceCell<int> cell;
  sync::Mutex condition_mutex;
  sync::Condition condition;
  channel::Channel<int> empty{1};
  channel::Channel<int> full{1};
  channel::Broadcast<int> broadcast{2};
  channel::Watch<int> watch{0};
  CancelToken token;

  Shared() {
    EXPECT_TRUE(mutex.try_lock());
    EXPECT_TRUE(read_lock.try_read());
    EXPECT_TRUE(write_lock.try_write());
    EXPECT_EQ(full.try_send(1), channel::SendStatus::sent);
  }
  // Nobody is in a queue: what is given back or sent stays for who comes next.
  void expect_nobody_waits() {
    mutex.unlock();
    EXPECT_TRUE(mutex.try_lock());
    mutex.unlock();
    read_lock.read_unlock();
    EXPECT_TRUE(read_lock.try_write());
    read_lock.write_unlock();
    write_lock.write_unlock();
    EXPECT_TRUE(write_lock.try_write());
    write_lock.write_unlock();
    semaphore.release(1);
    EXPECT_TRUE(semaphore.try_acquire(1));
    notify.notify_one();
    EXPECT_TRUE(notify.try_wait());
    EXPECT_TRUE(cell.set(1));
    EXPECT_TRUE(condition_mutex.try_lock());
    condition_mutex.unlock();
    EXPECT_EQ(empty.try_send(1), channel::SendStatus::sent);
    EXPECT_EQ(empty.try_recv(), 1);
    EXPECT_EQ(full.try_recv(), 1);
    EXPECT_TRUE(full.is_empty());
  }
};

// A listener whose queue is full, so that further connections stay on their way.
class FullListener {
 public:
  FullListener()
      : listener_(net::TcpListener::bind(Address::loopback_v4(0), {.backlog = 0}).value()) {
    for (OwnedFd& fd : fillers_) {
      fd = OwnedFd::adopt(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      const Address::Native to = address().to_native();
      static_cast<void>(::connect(fd.get(), to.get(), to.length));
    }
  }
  [[nodiscard]] Address address() const { return listener_.local_address().value(); }

 private:
  net::TcpListener listener_;
  std::array<OwnedFd, 4> fillers_;
};

using Wait = std::function<Async<void>(Shared&)>;
struct Case {
  const char* name;
  Wait wait;
};

template <class Make>
Case of(const char* name, Make make) {
  return {name,
          [make](Shared& shared) -> Async<void> { static_cast<void>(co_await make(shared)); }};
}

Async<void> wait_for_condition(Shared& shared) {
  sync::MutexGuard guard = co_await shared.condition_mutex.lock();
  guard = co_await shared.condition.wait(std::move(guard));
}
Async<void> wait_for_broadcast(Shared& shared) {
  auto receiver = shared.broadcast.subscribe();
  static_cast<void>(co_await receiver.recv());
}
Async<void> wait_for_watch(Shared& shared) {
  auto receiver = shared.watch.subscribe();
  static_cast<void>(co_await receiver.changed());
}
Async<void> wait_for_oneshot(Shared& /*shared*/) {
  channel::Oneshot<int> oneshot;
  static_cast<void>(co_await oneshot.recv());
}
Async<void> wait_for_tick(Shared& /*shared*/) {
  time::Interval ticks = time::interval(kLong);
  for (;;) co_await ticks.tick();
}
Async<void> wait_for_task(Shared& /*shared*/) {
  static_cast<void>(co_await spawn([] { return Pending<>(); }));
}
Async<void> wait_for_pipe(Shared& /*shared*/) {
  auto [own, other] = stream::duplex(16);
  std::array<std::byte, 16> buffer{};
  static_cast<void>(co_await own.read(buffer));
}
Async<void> wait_for_connection(Shared& /*shared*/) {
  auto listener = net::TcpListener::bind(Address::loopback_v4(0)).value();
  static_cast<void>(co_await listener.accept());
}
Async<void> wait_to_connect(Shared& /*shared*/) {
  const FullListener listener;
  static_cast<void>(co_await net::TcpStream::connect(listener.address()));
}
Async<void> wait_to_read(Shared& /*shared*/) {
  auto [own, other] = net::UnixStream::pair().value();
  std::array<std::byte, 16> buffer{};
  static_cast<void>(co_await own.read(buffer));
}
Async<void> wait_to_write(Shared& /*shared*/) {
  auto [own, other] = net::UnixStream::pair().value();
  const std::vector<std::byte> data(64 * 1024);
  for (;;) static_cast<void>(co_await own.write(data));
}
Async<void> wait_for_datagram(Shared& /*shared*/) {
  auto socket = net::UdpSocket::bind(Address::loopback_v4(0)).value();
  std::array<std::byte, 16> buffer{};
  static_cast<void>(co_await socket.recv_from(buffer));
}
Async<void> wait_for_file(Shared& /*shared*/) {
  auto watcher = fs::Watcher::blocking_watch({testing::TempDir()}).value();
  for (;;) static_cast<void>(co_await watcher.next());
}
Async<void> wait_for_stream(Shared& /*shared*/) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const auto writer = OwnedFd::adopt(ends[1]);
  auto reader = fs::File::adopt_fd(ends[0]).value();
  static_cast<void>(co_await reader.read(op::Bytes(16)));
}
Async<void> wait_for_output(Shared& /*shared*/) {
  process::Command command("sleep");
  static_cast<void>(co_await command.arg("3600").kill_on_drop().output());
}
Async<void> wait_for_child(Shared& /*shared*/) {
  process::Command command("sleep");
  const auto child = command.arg("3600").kill_on_drop().spawn().value();
  static_cast<void>(co_await child.wait());
}
Async<void> wait_for_signal(Shared& /*shared*/) {
  static_cast<void>(co_await signal::wait(SIGUSR2));
}
Async<void> wait_for_signals(Shared& /*shared*/) {
  const std::array numbers{SIGUSR1, SIGUSR2};
  const auto set = signal::SignalSet::listen(numbers).value();
  static_cast<void>(co_await set->next());
}

std::vector<Case> cases() {
  return {
      of("Mutex", [](Shared& s) { return s.mutex.lock(); }),
      of("RwLock::read", [](Shared& s) { return s.write_lock.read(); }),
      of("RwLock::write", [](Shared& s) { return s.read_lock.write(); }),
      of("Semaphore", [](Shared& s) { return s.semaphore.acquire(2); }),
      of("Notify", [](Shared& s) { return s.notify.wait(); }),
      of("Event", [](Shared& s) { return s.event.wait(); }),
      of("Barrier", [](Shared& s) { return s.barrier.wait(); }),
      of("OnceCell", [](Shared& s) { return s.cell.get_or_init([] { return Pending<int>(); }); }),
      of("Channel::recv", [](Shared& s) { return s.empty.recv(); }),
      of("Channel::send", [](Shared& s) { return s.full.send(2); }),
      of("CancelToken", [](Shared& s) { return s.token.cancelled(); }),
      of("sleep", [](Shared& /*s*/) { return time::sleep(kLong); }),
      of("timeout", [](Shared& s) { return time::timeout(kLong, s.notify.wait()); }),
      of("select",
         [](Shared& s) { return select(s.empty.recv(), s.semaphore.acquire(), s.mutex.lock()); }),
      {"Condition", wait_for_condition},
      {"Broadcast", wait_for_broadcast},
      {"Watch", wait_for_watch},
      {"Oneshot", wait_for_oneshot},
      {"interval", wait_for_tick},
      {"JoinHandle", wait_for_task},
      {"duplex", wait_for_pipe},
      {"accept", wait_for_connection},
      {"connect", wait_to_connect},
      {"read", wait_to_read},
      {"write", wait_to_write},
      {"recv_from", wait_for_datagram},
      {"fs::Watcher", wait_for_file},
      {"File::read", wait_for_stream},
      {"Command::output", wait_for_output},
      {"Child", wait_for_child},
      {"signal::wait", wait_for_signal},
      {"SignalSet", wait_for_signals},
  };
}

class RuntimeEnd : public testing::TestWithParam<driver::Backend> {};

TEST_P(RuntimeEnd, FreesTasksThatWaitForAnything) {
  const std::vector<Case> all = cases();
  for (const Strategy strategy : {Strategy::work_stealing, Strategy::thread_per_core}) {
    Shared shared;
    std::vector<std::unique_ptr<std::atomic<int>>> alive;
    Config config;
    config.workers = 3;
    config.strategy = strategy;
    config.driver.backend = GetParam();
    auto runtime = Runtime::create(config).value();
    std::atomic<int> begun{0};
    const auto body = [&](const Case& which, [[maybe_unused]] Counted counted) -> Async<void> {
      begun.fetch_add(1);
      co_await which.wait(shared);
    };
    // Two tasks each, so that one is behind the other in a queue.
    for (const Case& which : all) {
      auto& count = *alive.emplace_back(std::make_unique<std::atomic<int>>(0));
      for (int i = 0; i < 2; ++i) runtime->spawn(body(which, Counted(count))).detach();
    }
    const int expected = static_cast<int>(2 * all.size());
    while (begun.load() < expected || runtime->scheduler().sleeping < 3) std::this_thread::yield();
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(alive[i]->load(), 2) << all[i].name << " does not wait";
    }
    runtime.reset();
    for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(alive[i]->load(), 0) << all[i].name;
    shared.expect_nobody_waits();
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, RuntimeEnd, testing::ValuesIn(usable_backends()), backend_name);

}  // namespace
}  // namespace blitzio
