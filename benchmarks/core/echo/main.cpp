// bench_echo PORT [WORKERS] [--backend epoll|io_uring|poll]: an echo server on the public API.
//
// Each worker has a listener of its own and keeps the connections that it accepts. A connection
// that rests has no buffer: a thread has one, which is used between a read and the write of the
// same bytes. Only what a socket does not take at once is copied, until it has been written.
#include "../common/listen.hpp"

#include <blitzio/executor/async_fd.hpp>
#include <blitzio/executor/runtime.hpp>
#include <blitzio/net/tcp.hpp>
#include <blitzio/task/async.hpp>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

namespace blitzio::bench {
namespace {

constexpr std::size_t kBufferBytes = 64 * 1024;

std::span<std::byte> thread_buffer() noexcept {
  static thread_local std::array<std::byte, kBufferBytes> buffer;
  return buffer;
}

// Reads into the buffer of the thread that polls it. The bytes are good until the task waits again.
class ReadShared {
 public:
  using Output = Result<std::span<const std::byte>>;  ///< no bytes at the end of the stream
  explicit ReadShared(const net::TcpStream& stream) noexcept
      : wait_(stream.async_fd(), IoDirection::read) {}

  Poll<Output> poll(Context& context) noexcept {
    auto count = wait_.poll(context, [](int fd) noexcept -> IoAttempt {
      const ssize_t bytes = ::recv(fd, thread_buffer().data(), kBufferBytes, MSG_DONTWAIT);
      if (bytes < 0) return {-errno};
      return {bytes, bytes > 0 && static_cast<std::size_t>(bytes) < kBufferBytes};
    });
    if (count.is_pending()) return pending;
    if (!count.value()) return Output(fail(count.value().error()));
    return Output(std::span<const std::byte>(thread_buffer()).first(*count.value()));
  }

 private:
  IoWait wait_;
};

// What a socket did not take at once. A coroutine of its own, for its frame is as large as
// serve()'s and lives only while there is something to write. False: the connection is broken.
Async<bool> write_rest(net::TcpStream& stream, std::span<const std::byte> data) {
  const std::vector<std::byte> rest(data.begin(), data.end());
  const auto written = co_await stream.write_all(rest);
  co_return written.has_value();
}

// Until the peer closes the connection or breaks it.
Async<> serve(net::TcpStream stream) {
  static_cast<void>(stream.set_nodelay(true));
  for (;;) {
    const auto data = co_await ReadShared(stream);
    if (!data || data->empty()) co_return;
    const auto sent = stream.try_write(*data);
    if (!sent) co_return;
    const std::size_t done = sent->value_or(0);
    if (done < data->size() && !co_await write_rest(stream, data->subspan(done))) co_return;
  }
}

Async<> accept_all(net::TcpListener listener) {
  for (;;) {
    auto accepted = co_await listener.accept();
    require(accepted.has_value(), "accept");
    spawn(serve(std::move(accepted->stream))).detach();
  }
}

int run(const ServerArguments& arguments, driver::Backend backend) {
  allow_many_files();
  Config config;
  config.workers = arguments.workers == 0 ? 1 : arguments.workers;
  config.strategy = Strategy::thread_per_core;
  config.affinity = Affinity::none;  // whoever measures decides
  config.driver.backend = backend;
  auto runtime = Runtime::create(config);
  require(runtime.has_value(), "Runtime::create");
  std::vector<JoinHandle<void>> accepting;
  std::uint16_t port = arguments.port;
  for (unsigned i = 0; i < config.workers; ++i) {
    auto listener = net::TcpListener::bind(net::Address::loopback_v4(port),
                                           {.backlog = 4'096, .reuse_port = true});
    require(listener.has_value(), "bind");
    const auto address = listener->local_address();
    require(address.has_value(), "local_address");
    port = address->port();
    accepting.push_back((*runtime)->spawn(accept_all(std::move(*listener))));
  }
  say_port(port);
  accepting.front().blocking_join().get();
  return 0;
}

}  // namespace
}  // namespace blitzio::bench

int main(int count, char** words) {
  using namespace blitzio;  // NOLINT(google-build-using-namespace): the program's own names
  auto backend = driver::Backend::automatic;
  if (count > 3 && std::strcmp(words[count - 2], "--backend") == 0) {
    const auto parsed = driver::parse_backend(words[count - 1]);
    if (!parsed) bench::exit_with_usage(words[0]);
    backend = *parsed;
    count -= 2;
  }
  return bench::run(bench::parse_server_arguments(count, words), backend);
}
