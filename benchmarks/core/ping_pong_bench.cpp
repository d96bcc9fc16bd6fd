// How far is the driver from the limit? A 1 KiB echo over TCP loopback and over a socketpair, both
// ends on one thread, so that nothing but the work itself is measured; 1 and 100 connections, each
// always with one message on its way. ns per round trip, which is two sends and two receives.
//
//   raw_epoll, raw_io_uring      the kernel interface used directly, as a C programmer would
//                                (ping_pong_raw.hpp): the limit, in the same run
//   <backend>                    our driver: recv_multishot, and send() tried at once
//   <backend>_queued, raw_…      our driver: recv_multishot, and the send operation
//
// See support.hpp for how to run and read it. A backend is compared with the raw arm of its own
// kernel interface (poll with raw_epoll), direct with direct and queued with queued.
#include "ping_pong.hpp"
#include "ping_pong_raw.hpp"

#include <cstring>

namespace blitzio::bench {
namespace {

using driver::Completion;
using driver::Operation;

/// One end of a connection: what a transport of the loop would be.
class End {
 public:
  End(driver::Driver& driver, Player player, bool queued, std::size_t& trips) noexcept
      : recv_(*this),
        send_(*this),
        driver_(driver),
        player_(player),
        queued_(queued),
        trips_(trips) {
    require(driver.attach(player.fd).has_value(), "attach");
    recv_.recv_multishot(player.fd);
    driver.submit(recv_);
    if (player.is_client) send(kMessage);
  }
  End(const End&) = delete;
  End& operator=(const End&) = delete;
  ~End() = default;

 private:
  struct Part : Operation {
    Part(End& end, Complete complete) noexcept : Operation(complete), owner(end) {}
    End& owner;
  };
  struct Recv : Part {
    explicit Recv(End& end) noexcept
        : Part(end, [](Operation& self, const Completion& completion) noexcept {
            static_cast<Recv&>(self).owner.on_recv(completion);
          }) {}
  };
  struct Send : Part {
    explicit Send(End& end) noexcept
        : Part(end, [](Operation& self, const Completion& completion) noexcept {
            static_cast<Send&>(self).owner.on_sent(completion);
          }) {}
  };

  void on_recv(const Completion& completion) noexcept {
    if (completion.result <= 0) return;  // The end of the benchmark.
    const auto out = player_.on_piece(completion.data, trips_);
    if (!out.empty()) send(out);
  }

  void send(std::span<const std::byte> out) noexcept {
    if (!queued_) {
      send_now(player_.fd, out.data(), out.size());
      return;
    }
    // The driver's buffer is ours during the call only. Pieces of one message follow each other.
    std::memcpy(copy_.data() + filled_, out.data(), out.size());
    filled_ += out.size();
    if (send_.is_idle()) submit_send();
  }
  void submit_send() noexcept {
    sending_ = filled_;
    send_.send(player_.fd, std::span(copy_).first(sending_));
    driver_.submit(send_);
  }
  void on_sent(const Completion& completion) noexcept {
    if (completion.result < 0) return;  // The end of the benchmark.
    require(completion.result == static_cast<std::int32_t>(sending_), "send");
    filled_ -= sending_;
    if (filled_ == 0) return;
    std::memmove(copy_.data(), copy_.data() + sending_, filled_);
    submit_send();
  }

  Recv recv_;
  Send send_;
  driver::Driver& driver_;
  Player player_;
  bool queued_;
  std::size_t& trips_;
  std::size_t filled_ = 0;
  std::size_t sending_ = 0;
  std::array<std::byte, 2 * kMessageBytes> copy_;
};

void play_driver(benchmark::State& state, driver::Backend backend, Transport transport,
                 std::size_t count, bool queued) {
  const auto connections = connect_pairs(transport, count);
  const auto driver = make_driver(backend);
  std::size_t trips = 0;
  std::vector<std::unique_ptr<End>> ends;
  for (const Player& player : players_of(connections)) {
    ends.push_back(std::make_unique<End>(*driver, player, queued, trips));
  }
  const std::uint64_t before = driver->metrics().syscalls;
  const std::size_t trips_before = trips;
  play(state, count, trips, [&] { turn(*driver); });
  state.counters["driver_syscalls"] = static_cast<double>(driver->metrics().syscalls - before) /
                                      static_cast<double>(trips - trips_before);
  driver->shutdown();
}

void register_transport(Transport transport, const std::string& prefix) {
  for (const std::size_t count : {std::size_t{1}, std::size_t{100}}) {
    const std::string base = prefix + "/" + std::to_string(count) + "/";
    arm(base + "raw_epoll",
        [=](benchmark::State& state) { play_raw_epoll(state, transport, count); });
    for_each_backend([&](driver::Backend backend, const std::string& name) {
#if BLITZIO_HAS_IO_URING
      if (backend == driver::Backend::io_uring) {
        arm(base + "raw_io_uring",
            [=](benchmark::State& state) { play_raw_uring(state, transport, count, false); });
        arm(base + "raw_io_uring_queued",
            [=](benchmark::State& state) { play_raw_uring(state, transport, count, true); });
      }
#endif
      arm(base + name,
          [=](benchmark::State& state) { play_driver(state, backend, transport, count, false); });
      arm(base + name + "_queued",
          [=](benchmark::State& state) { play_driver(state, backend, transport, count, true); });
    });
  }
}

[[maybe_unused]] const bool registered = [] {
  register_transport(Transport::tcp, "tcp");
  register_transport(Transport::unix_socket, "unix");
  return true;
}();

}  // namespace
}  // namespace blitzio::bench
