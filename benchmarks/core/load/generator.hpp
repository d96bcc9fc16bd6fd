// `Generator`: one thread that keeps `depth` messages in flight on each of its connections.
//
// A message is sent when an earlier one has come back; its latency is from the call that hands it
// to the socket until its last byte is back. What comes back at once is answered with one send.
#pragma once

#include "histogram.hpp"

#include <blitzio/base/owned_fd.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace blitzio::bench {

struct Load {
  std::size_t connections = 1;
  std::size_t depth = 1;
  std::size_t payload_bytes = 64;
  bool is_verifying = false;  ///< compare every byte that comes back
};

/// What the main thread tells its generators.
enum class Phase : int { warm_up, measure, stop };

class Generator {
 public:
  /// Connects.
  Generator(std::uint16_t port, const Load& load);
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;
  ~Generator();

  /// Until `phase` says stop.
  void run(const std::atomic<Phase>& phase);
  /// Sends a message on each connection and returns when all are back.
  void run_once();
  /// Messages back while it was measuring.
  [[nodiscard]] const Histogram& latencies() const noexcept { return latencies_; }
  /// All messages back.
  [[nodiscard]] std::uint64_t total() const noexcept { return total_; }

 private:
  struct Connection;

  void turn(bool is_measuring);
  void send_messages(Connection& connection, std::size_t count);
  void flush(Connection& connection);
  void receive(Connection& connection, bool is_measuring);
  void verify(Connection& connection, std::size_t count) const;
  void set_blocked(Connection& connection, bool is_blocked);

  const Load load_;
  const OwnedFd epoll_;
  std::vector<Connection*> connections_;
  bool is_closed_loop_ = true;  ///< a message that is back is followed by the next
  std::vector<char> outgoing_;  ///< `depth` messages, one after the other
  std::vector<char> incoming_;
  Histogram latencies_;
  std::uint64_t total_ = 0;
};

}  // namespace blitzio::bench
