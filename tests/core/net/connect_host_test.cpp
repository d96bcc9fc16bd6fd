// TcpStream::connect() to a name of several addresses.
//
// A program of its own, for it replaces the resolver: every name has two addresses of this machine.
#include "core/net/support.hpp"

#include <blitzio/net/tcp.hpp>
#include <blitzio/time/sleep.hpp>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string>
#include <system_error>

namespace {

sockaddr_in local(std::uint32_t last, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(0x7f000000 + last);
  return address;
}

}  // namespace

extern "C" int getaddrinfo(const char* /*node*/, const char* service, const addrinfo* /*hints*/,
                           addrinfo** found) {
  const auto port = static_cast<std::uint16_t>(std::stoi(service));
  static std::array<sockaddr_in, 2> addresses;
  addresses = {local(1, port), local(2, port)};
  static std::array<addrinfo, 2> infos;
  for (std::size_t i = 0; i < infos.size(); ++i) {
    infos[i] = {};
    infos[i].ai_family = AF_INET;
    infos[i].ai_socktype = SOCK_STREAM;
    infos[i].ai_addr = reinterpret_cast<sockaddr*>(&addresses[i]);
    infos[i].ai_addrlen = sizeof addresses[i];
    infos[i].ai_next = i + 1 < infos.size() ? &infos[i + 1] : nullptr;
  }
  *found = infos.data();
  return 0;
}
extern "C" void freeaddrinfo(addrinfo* /*found*/) {}

namespace blitzio::net {
namespace {

// A listener whose queue is full, so that connecting to its address waits.
class FullListener {
 public:
  explicit FullListener(std::uint32_t last) {
    sockaddr_in address = local(last, 0);
    auto* raw = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_.get(), raw, size), 0);
    EXPECT_EQ(::listen(listener_.get(), 0), 0);
    EXPECT_EQ(::getsockname(listener_.get(), raw, &size), 0);
    port_ = ntohs(address.sin_port);
    for (OwnedFd& waiting : waiting_) {
      waiting = make_socket(SOCK_NONBLOCK);
      static_cast<void>(::connect(waiting.get(), raw, size));
    }
  }
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

 private:
  static OwnedFd make_socket(int flags) {
    return OwnedFd::adopt(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  }
  OwnedFd listener_ = make_socket(0);
  std::array<OwnedFd, 3> waiting_;
  std::uint16_t port_ = 0;
};

using ConnectHost = Everywhere;

TEST_P(ConnectHost, WithoutATimerForTheNextAddressItThrows) {
  const FullListener full(1);
  Config config;
  config.workers = 1;
  config.driver.backend = GetParam().backend;
  config.timers_max = 1;
  auto runtime = get(Runtime::create(config));
  auto work = [](std::uint16_t port) -> Async<> {
    auto holds = time::sleep(Duration::from_secs(1000));
    EXPECT_TRUE(poll_once(holds).is_pending());
    EXPECT_FALSE(co_await TcpStream::connect("two.example", port));
  };
  EXPECT_THROW(runtime->spawn(work(full.port())).blocking_join().get(), std::system_error);
}

INSTANTIATE_TEST_SUITE_P(Each, ConnectHost, testing::ValuesIn(everywhere()), where_name);

}  // namespace
}  // namespace blitzio::net
