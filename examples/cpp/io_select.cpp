// Wait for whichever comes first: a packet from the network, a file, or the end of patience.
#include <blitzio/io/file_system.hpp>
#include <blitzio/io/io.hpp>
#include <blitzio/io/network.hpp>
#include <blitzio/io/threaded.hpp>
#include <blitzio/task/async.hpp>

#include <array>
#include <cstdio>
#include <exception>
#include <functional>
#include <utility>
#include <variant>

using namespace blitzio;

namespace {

Async<std::size_t> receive(io::UdpSocket& socket) {
  std::array<std::byte, 100> buffer{};
  const auto received = co_await socket.recv_from(buffer);
  co_return received ? received->count : 0;
}

Async<bool> wait_for_file(Io io, const char* path) {
  for (;;) {
    const auto found = co_await io.fs().exists(path);
    if (!found || *found) co_return found.has_value();
    co_await io.sleep(1_ms);
  }
}

Async<bool> program(Io io) {
  io::UdpSocket receiver = io.net().bind_udp(Address::loopback_v4(0)).value();
  io::UdpSocket sender = io.net().bind_udp(Address::loopback_v4(0)).value();
  const Address target = receiver.local_address().value();

  auto network = io.concurrent(receive, std::ref(receiver)).value();
  auto file = io.concurrent(wait_for_file, io, "/no/such/file").value();
  std::array<const char*, 3> names{"network", "file", "timer"};

  // Nothing has been sent: the timer is first. The two others are borrowed, and go on.
  const auto first = co_await io.select(network, file, io.sleep(10_ms));
  std::printf("first: %s\n", names.at(first.index()));

  static_cast<void>(co_await sender.send_to(io::bytes_of("hello"), target));
  auto second = co_await io.select(network, file, io.sleep(1_min));
  std::printf("then: %s\n", names.at(second.index()));
  const bool is_packet = second.index() == 0 && std::get<0>(std::move(second)).get() == 5;

  const bool was_cancelled = (co_await file.cancel()).is_cancelled();
  co_return first.index() == 2 && is_packet&& was_cancelled;
}

}  // namespace

int main() {
  try {
    io::Threaded threaded;
    return threaded.io().run(program, threaded.io()) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
