// Fixtures of the driver contract: what driver.hpp and operation.hpp promise, asked of every
// backend that can run here. The suite is value-parametrised; the backend stands last in a test's
// name: Contract/DriverContract.RecvReportsEndOfStream/epoll.
//
// Nothing here sleeps to wait for an event and nothing can hang: run_until() turns the driver until
// a condition holds and fails the test when its patience ends. What must NOT happen is checked
// behind a fence(): operations submitted after it have completed, so it had every chance.
//
// Sockets and pipes made here are non-blocking, as the contract asks of its callers.
// Threads: each helper runs on the thread that calls it.
#pragma once

#include <blitzio/base/faults.hpp>
#include <blitzio/base/owned_fd.hpp>
#include <blitzio/driver/driver.hpp>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace blitzio::driver::contract {

/// How long a test waits for what must happen: only a failing test ever waits so long.
inline constexpr Duration kPatience = Duration::from_secs(30);

// ---- system calls of the test's own side -------------------------------------------------------

/// Fails the test if a system call did; returns its result.
inline int ok(int result, const char* what = "system call") {
  if (result < 0) ADD_FAILURE() << what << ": " << std::strerror(errno);
  return result;
}

[[nodiscard]] inline std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}
[[nodiscard]] inline std::string text(std::span<const std::byte> data) {
  return {reinterpret_cast<const char*>(data.data()), data.size()};
}
[[nodiscard]] inline iovec vector_of(std::span<const std::byte> data) {
  return {const_cast<std::byte*>(data.data()), data.size()};
}

/// Two ends. Of a pipe: `a` reads, `b` writes.
struct Pair {
  OwnedFd a;
  OwnedFd b;
};

[[nodiscard]] inline Pair unix_pair(int type = SOCK_STREAM) {
  int ends[2] = {-1, -1};
  ok(::socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), "socketpair");
  return {OwnedFd::adopt(ends[0]), OwnedFd::adopt(ends[1])};
}
/// `flags`: O_DIRECT for packet mode.
[[nodiscard]] inline Pair pipe_pair(int flags = 0) {
  int ends[2] = {-1, -1};
  ok(::pipe2(ends, flags | O_NONBLOCK | O_CLOEXEC), "pipe2");
  return {OwnedFd::adopt(ends[0]), OwnedFd::adopt(ends[1])};
}
[[nodiscard]] inline OwnedFd inet_socket(int type = SOCK_STREAM) {
  return OwnedFd::adopt(ok(::socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"));
}
[[nodiscard]] inline sockaddr_in loopback(std::uint16_t port = 0) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}
/// The same address as the calls of the socket interface want it.
template <class Address>
[[nodiscard]] const sockaddr* generic(const Address& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}
[[nodiscard]] inline sockaddr_in address_of(const OwnedFd& socket) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  ok(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length), "getsockname");
  return address;
}
[[nodiscard]] inline OwnedFd bound_socket(int type) {
  OwnedFd socket = inet_socket(type);
  const sockaddr_in any = loopback();
  ok(::bind(socket.get(), generic(any), sizeof any), "bind");
  return socket;
}
[[nodiscard]] inline OwnedFd tcp_listener(int backlog = 4096) {
  OwnedFd listener = bound_socket(SOCK_STREAM);
  ok(::listen(listener.get(), backlog), "listen");
  return listener;
}
/// Starts connecting to `listener`; with room in its backlog the handshake is done on return.
[[nodiscard]] inline OwnedFd tcp_client(const OwnedFd& listener) {
  OwnedFd client = inet_socket();
  const sockaddr_in to = address_of(listener);
  if (::connect(client.get(), generic(to), sizeof to) < 0 && errno != EINPROGRESS) {
    ADD_FAILURE() << "connect: " << std::strerror(errno);
  }
  return client;
}
/// Waits until poll(2) reports one of `events`; false when the patience ends.
inline bool wait_for(const OwnedFd& fd, short events) {
  pollfd entry{fd.get(), events, 0};
  return ::poll(&entry, 1, static_cast<int>(kPatience.as_millis())) == 1;
}
[[nodiscard]] inline Pair tcp_pair() {
  const OwnedFd listener = tcp_listener();
  OwnedFd client = tcp_client(listener);
  EXPECT_TRUE(wait_for(listener, POLLIN));
  const int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
  OwnedFd server =
      OwnedFd::adopt(ok(::accept4(listener.get(), nullptr, nullptr, flags), "accept4"));
  EXPECT_TRUE(wait_for(client, POLLOUT));
  const int one = 1;
  for (const int fd : {client.get(), server.get()}) {
    ok(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), "TCP_NODELAY");
  }
  return {std::move(client), std::move(server)};
}

/// write(2) without its signal.
inline ssize_t write_some(const OwnedFd& fd, const char* data, std::size_t size) {
  const ssize_t sent = ::send(fd.get(), data, size, MSG_NOSIGNAL);
  return sent < 0 && errno == ENOTSOCK ? ::write(fd.get(), data, size) : sent;
}
/// Writes all of `data` at once; it must fit.
inline void put(const OwnedFd& fd, std::string_view data) {
  EXPECT_EQ(write_some(fd, data.data(), data.size()), static_cast<ssize_t>(data.size()))
      << std::strerror(errno);
}
/// Reads what is there now, up to `limit` bytes; empty at the end, too.
[[nodiscard]] inline std::string take(const OwnedFd& fd, std::size_t limit = 1 << 20) {
  std::string out;
  char buffer[65536];
  while (out.size() < limit) {
    const ssize_t n = ::read(fd.get(), buffer, std::min(sizeof buffer, limit - out.size()));
    if (n <= 0) break;
    out.append(buffer, static_cast<std::size_t>(n));
  }
  return out;
}
/// Writes until no byte more fits; returns how many did.
inline std::size_t fill(const OwnedFd& fd) {
  const std::string block(65536, 'f');
  std::size_t total = 0;
  for (std::size_t size = block.size(); size > 0; size /= 2) {
    ssize_t n = 0;
    while ((n = write_some(fd, block.data(), size)) > 0) total += static_cast<std::size_t>(n);
  }
  return total;
}
/// For sendmsg(2): some bytes and a descriptor.
class MessageWithFd {
 public:
  MessageWithFd(std::string_view data, const OwnedFd& fd) : vector_(vector_of(bytes(data))) {
    message_.msg_iov = &vector_;
    message_.msg_iovlen = 1;
    message_.msg_control = control_;
    message_.msg_controllen = sizeof control_;
    cmsghdr* header = CMSG_FIRSTHDR(&message_);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int number = fd.get();
    std::memcpy(CMSG_DATA(header), &number, sizeof number);
  }
  MessageWithFd(const MessageWithFd&) = delete;
  MessageWithFd& operator=(const MessageWithFd&) = delete;
  [[nodiscard]] const msghdr* get() const { return &message_; }

 private:
  iovec vector_;
  alignas(cmsghdr) char control_[CMSG_SPACE(sizeof(int))] = {};
  msghdr message_{};
};

/// The next close sends a reset instead of an end.
inline void reset_on_close(const OwnedFd& socket) {
  const linger now{1, 0};
  ok(::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now), "SO_LINGER");
}
[[nodiscard]] inline bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}
/// With no descriptor left, the undefined-behaviour sanitizer cannot make the pipe by which it
/// probes memory, and takes sound objects for broken ones.
inline constexpr bool kNeedsDescriptors = BLITZIO_ASAN != 0;
/// While it lives no descriptor can be opened.
class NoFreeDescriptor {
 public:
  NoFreeDescriptor() {
    ok(::getrlimit(RLIMIT_NOFILE, &before_), "getrlimit");
    const int next = ok(::dup(0), "dup");
    ::close(next);
    const rlimit full{static_cast<rlim_t>(next), before_.rlim_max};
    ok(::setrlimit(RLIMIT_NOFILE, &full), "setrlimit");
  }
  NoFreeDescriptor(const NoFreeDescriptor&) = delete;
  NoFreeDescriptor& operator=(const NoFreeDescriptor&) = delete;
  ~NoFreeDescriptor() { ok(::setrlimit(RLIMIT_NOFILE, &before_), "setrlimit"); }

 private:
  rlimit before_{};
};

/// A number that is no open descriptor.
inline constexpr int kBadFd = 19'999;

/// A folder that goes with everything in it.
class TempDir {
 public:
  TempDir() {
    const char* base = std::getenv("TMPDIR");
    path_ = std::string(base != nullptr ? base : "/tmp") + "/blitzio-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "mkdtemp: " << std::strerror(errno);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    for (const std::string& file : files_) ::unlink(file.c_str());
    ::rmdir(path_.c_str());
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  /// The path of a file in it, removed at the end.
  [[nodiscard]] std::string file(std::string_view name) {
    return files_.emplace_back(path_ + "/" + std::string(name));
  }
  /// A file with this content, opened for reading and writing.
  [[nodiscard]] OwnedFd file_with(std::string_view content) {
    const std::string at = file("file" + std::to_string(files_.size()));
    OwnedFd fd = OwnedFd::adopt(ok(::open(at.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600), "open"));
    if (!content.empty()) put(fd, content);
    ok(static_cast<int>(::lseek(fd.get(), 0, SEEK_SET)), "lseek");
    return fd;
  }

 private:
  std::string path_;
  std::vector<std::string> files_;
};

// ---- turning a driver
// ----------------------------------------------------------------------------

/// One turn as driver.hpp describes it. Returns what dispatch() does.
inline std::size_t turn(Driver& driver, Duration timeout = Duration::zero()) {
  driver.collect();
  if (!driver.has_completions()) driver.wait(timeout);
  return driver.dispatch();
}

/// Turns `driver` until `done()`. Fails, and does not hang, when `patience` ends.
template <class Predicate>
[[nodiscard]] testing::AssertionResult run_until(Driver& driver, Predicate&& done,
                                                 Duration patience = kPatience) {
  const Instant end = Instant::now() + patience;
  while (!done()) {
    const Instant now = Instant::now();
    if (now >= end) {
      return testing::AssertionFailure()
             << "not reached in " << patience.as_secs() << " s on " << name(driver.backend());
    }
    turn(driver, end - now);
  }
  return testing::AssertionSuccess();
}

/// An operation that stores its completions.
class Recorder : public Operation {
 public:
  struct Seen {
    std::int32_t result;
    bool more;
    std::string data;
  };

  explicit Recorder(Driver& driver) : Operation(&Recorder::on_completion), driver_(&driver) {}
  /// A test that failed leaves operations in flight: they are ended here, so that the tests behind
  /// it still run.
  ~Recorder() {
    if (is_idle()) return;
    then = nullptr;
    cancel();
    EXPECT_TRUE(run_until(*driver_, [&] { return is_idle(); }));
  }

  Recorder& submit() {
    ++submits_;
    driver_->submit(*this);
    return *this;
  }
  void cancel() { driver_->cancel(*this); }

  /// Every submit has had its last completion.
  [[nodiscard]] bool done() const { return submits_ == lasts_; }
  [[nodiscard]] std::size_t count() const { return seen_.size(); }
  [[nodiscard]] const std::vector<Seen>& seen() const { return seen_; }
  [[nodiscard]] std::int32_t result() const {
    return seen_.empty() ? INT32_MIN : seen_.back().result;
  }
  /// Everything that recv_multishot or read_multishot brought, in order.
  [[nodiscard]] std::string data() const {
    std::string all;
    for (const Seen& one : seen_) all += one.data;
    return all;
  }
  [[nodiscard]] std::size_t data_bytes() const { return data_bytes_; }
  void forget() {
    seen_.clear();
    data_bytes_ = 0;
  }

  /// Runs after each completion is stored; may destroy other operations, not this one.
  std::function<void()> then;

 private:
  static void on_completion(Operation& operation, const Completion& completion) noexcept {
    auto& self = static_cast<Recorder&>(operation);
    EXPECT_EQ(completion.more, !self.is_idle());
    EXPECT_TRUE(!completion.more || (self.is_multishot() && completion.result >= 0));
    EXPECT_TRUE(completion.data.empty() || self.brings_data() ||
                self.kind() == OpKind::accept_multishot);
    if (self.brings_data()) {
      // Bytes come in completions with `more`; the last one says how the stream ended.
      EXPECT_EQ(completion.more, completion.result > 0) << completion.result;
      EXPECT_EQ(completion.data.size(), static_cast<std::size_t>(std::max(completion.result, 0)));
    }
    if (!completion.more) ++self.lasts_;
    self.data_bytes_ += completion.data.size();
    self.seen_.push_back({completion.result, completion.more, text(completion.data)});
    // A copy, so that the function may replace itself.
    if (const auto run = self.then) run();
  }

  Driver* driver_;
  std::vector<Seen> seen_;
  std::size_t data_bytes_ = 0;
  int submits_ = 0;
  int lasts_ = 0;
};

/// One that receives what comes to `fd`, until it is cancelled.
class Receiving : public Recorder {
 public:
  Receiving(Driver& driver, const OwnedFd& fd) : Recorder(driver) {
    recv_multishot(fd.get());
    submit();
  }
};

/// Everything submitted before has had its chance: two operations in a row complete behind it.
inline void fence(Driver& driver) {
  for (int i = 0; i < 2; ++i) {
    Recorder mark(driver);
    mark.nop();
    mark.submit();
    ASSERT_TRUE(run_until(driver, [&] { return mark.done(); }));
  }
}

/// Attaches `fd` if asked to, and detaches it before the owner closes it.
class Attachment {
 public:
  Attachment(Driver& driver, const OwnedFd& fd, bool wanted) : driver_(driver), fd_(fd.get()) {
    attached_ = wanted && driver.attach(fd_).has_value();
    EXPECT_EQ(attached_, wanted);
  }
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;
  ~Attachment() { detach(); }
  void detach() {
    if (std::exchange(attached_, false)) driver_.detach(fd_);
  }

 private:
  Driver& driver_;
  int fd_;
  bool attached_;
};

[[nodiscard]] inline std::unique_ptr<Driver> make_driver(Backend backend, Config config = {}) {
  config.backend = backend;
  auto made = create(config);
  if (!made) {
    ADD_FAILURE() << "create(" << name(backend) << "): " << made.error().message();
    std::abort();  // Nothing that follows can run.
  }
  return std::move(*made);
}

/// What a test runs under: the environment's BLITZIO_FAULTS in a build that has them, with a seed
/// of its own, so that one that fails meets the same faults when it is run alone.
[[nodiscard]] inline std::string faults_of_this_test() {
  const char* variable = std::getenv("BLITZIO_FAULTS");
  if (!faults::kBuiltIn || variable == nullptr || *variable == '\0') return {};
  const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
  const std::size_t name = std::hash<std::string_view>()(test.name());
  // Of two seeds the later one holds.
  const std::string text(variable);
  const std::size_t seed = text.find("seed=");
  const auto number = seed == std::string::npos ? 0 : std::strtoull(&text[seed + 5], nullptr, 10);
  return std::string(text).append(",seed=").append(std::to_string(name ^ number));
}

/// A test with a driver of the backend in its name, bound to the thread that runs the test.
class DriverContract : public testing::TestWithParam<Backend> {
 protected:
  /// Thousands of sockets at once: many systems start programs with room for 1,024.
  static void SetUpTestSuite() {
    rlimit files{};
    ok(::getrlimit(RLIMIT_NOFILE, &files), "getrlimit");
    files.rlim_cur = std::min<rlim_t>(files.rlim_max, 16'384);
    ok(::setrlimit(RLIMIT_NOFILE, &files), "setrlimit");
  }
  void SetUp() override {
    driver_ = make_driver(GetParam());
    ASSERT_TRUE(driver_->bind());
    ASSERT_TRUE(faults::configure(faults_));
  }
  void TearDown() override {
    if (driver_ != nullptr) {
      EXPECT_FALSE(driver_->has_in_flight());
    }
    ASSERT_TRUE(faults::configure(""));
  }
  /// Changes what this test runs under, for a reason that it states: "short=0,late=0" where it
  /// takes a piece for the whole or counts turns, "busy=0.5" where that is what it is about. Every
  /// other fault must leave the promise as it is. In a build without faults, nothing.
  void change_faults(std::string_view changes, std::string_view /*reason*/) {
    if (!faults::kBuiltIn) return;
    if (!faults_.empty()) faults_.append(1, ',');
    faults_.append(changes);
    ASSERT_TRUE(faults::configure(faults_));
  }
  /// Exchanges the driver for one with this configuration.
  void configure(const Config& config) {
    driver_ = make_driver(GetParam(), config);
    ASSERT_TRUE(driver_->bind());
  }

  [[nodiscard]] Driver& driver() { return *driver_; }
  /// Submits, waits for the last completion, returns its result.
  std::int32_t complete(Recorder& operation) {
    operation.submit();
    EXPECT_TRUE(run_until(*driver_, [&] { return operation.done(); }));
    return operation.result();
  }

  std::unique_ptr<Driver> driver_;

 private:
  std::string faults_ = faults_of_this_test();
};

[[nodiscard]] inline std::vector<Backend> usable_backends() {
  std::vector<Backend> usable;
  for (const Availability& found : detect()) {
    if (found.usable) usable.push_back(found.backend);
  }
  return usable;
}
[[nodiscard]] inline std::string backend_name(const testing::TestParamInfo<Backend>& info) {
  return std::string(name(info.param));
}

}  // namespace blitzio::driver::contract

/// Once per file, in namespace blitzio::driver::contract.
#define BLITZIO_DRIVER_CONTRACT()                                                          \
  INSTANTIATE_TEST_SUITE_P(Contract, DriverContract, testing::ValuesIn(usable_backends()), \
                           backend_name)
