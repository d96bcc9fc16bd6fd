// `SimConnection`: two ends and the wires between them; see sim_network.hpp.
//
// Threads: the world's.
#pragma once

#include <blitzio/executor/operations.hpp>
#include <blitzio/io/detail/sim_network.hpp>
#include <blitzio/net/stream_socket.hpp>
#include <blitzio/task/waker.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>

namespace blitzio::io::detail {

class SimConnection final : public std::enable_shared_from_this<SimConnection> {
 public:
  struct End {
    SimHost* host;
    Address address;
  };
  /// From `client` to `server`, which outlive it.
  SimConnection(SimNetwork& network, const End& client, const End& server)
      : network_(network), ends_{client, server} {}
  SimConnection(const SimConnection&) = delete;
  SimConnection& operator=(const SimConnection&) = delete;

  static constexpr unsigned kClient = 0;
  static constexpr unsigned kServer = 1;
  [[nodiscard]] const End& end(unsigned side) const noexcept { return ends_.at(side); }

  [[nodiscard]] Poll<Result<std::size_t>> read(unsigned side, std::span<std::byte> buffer,
                                               Context& context);
  [[nodiscard]] Poll<Result<std::size_t>> write(unsigned side, std::span<const std::byte> data,
                                                Context& context);
  [[nodiscard]] Result<void> shutdown(unsigned side, net::Shutdown how);
  /// The program at `side` has let go of it.
  void close(unsigned side);
  /// Both ends learn it at once.
  void reset();
  /// Takes in what has arrived on the wire from `side`, as far as it may.
  void deliver(unsigned side);
  /// After a partition.
  void go_on();

 private:
  struct Packet {
    Instant arrives;
    op::Bytes bytes;
    bool is_end = false;
  };
  /// From one end to the other.
  struct Wire {
    std::deque<Packet> on_the_way;
    std::size_t bytes_on_the_way = 0;
    std::deque<std::byte> arrived;
    bool is_ended = false;  ///< the writer has said that no more comes
    bool has_end_arrived = false;
    bool is_reader_gone = false;
    bool is_read_shut = false;
    Waker reader;
    Waker writer;
  };

  void send(unsigned side, Packet packet);

  SimNetwork& network_;
  std::array<End, 2> ends_;
  std::array<Wire, 2> wires_;  // [side]: written by that side
  bool is_reset_ = false;
};

/// What the stream of one end stands on.
[[nodiscard]] std::unique_ptr<StreamSocket::Backend> make_end(
    std::shared_ptr<SimConnection> connection, unsigned side);

}  // namespace blitzio::io::detail
