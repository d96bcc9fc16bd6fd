// `Deterministic`: an Io for tests: one thread, simulated time, network and files. A program that
// runs on it runs the same way every time, in an order that a seed chooses: a test tries many
// seeds, and the seed of a failure brings it back.
//
//     for (std::uint64_t seed = 0; seed < 100; ++seed) {
//       io::Deterministic world({.seed = seed});
//       world.run([&](Io io) { return test_failover(io, world); });
//     }
//
//   order    of the tasks that could run, the seed picks one; of ready branches of select(), too.
//   time     stands still while a task runs, but for `poll_takes` per poll. If no task can run, it
//            jumps to the next timer or arrival: hours pass in microseconds.
//   network  hosts that only this world knows, with latency, short reads, loss of datagrams,
//            partitions and resets; see Faults.
//   files    in memory, each host its own; all begin with an empty "/".
//   deadlock if no task can run and nothing is to come, run() throws Deadlock and says who waits.
//
// Everything must go through the Io: a task that waits for a real socket or another thread looks
// deadlocked. time::sleep() and its neighbours are simulated, too, inside of run().
//
// A plain function runs in one piece, so concurrent() ones do not overlap. With a smaller
// `async_limit` tasks of async_() run inside the call that starts them, while all others stand
// still: what counts on more deadlocks, in every order. 0 is the least that an Io may give.
//
// Threads: one, be it now this and then that; wakes that come from others are taken, but not in a
// reproducible order.
#pragma once

#include <blitzio/base/address.hpp>
#include <blitzio/base/duration.hpp>
#include <blitzio/base/instant.hpp>
#include <blitzio/io/io.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace blitzio::io {

namespace detail {
class SimWorld;
}

/// No task can run, and nothing is to come that could change that. what() names those that wait.
class Deadlock : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What happened in a simulation, in order.
struct TraceEntry {
  enum class Kind : std::uint8_t {
    run,      ///< a task was polled; `subject`: its number, in the order of starting
    finish,   ///< a task ended; `subject` as above
    time,     ///< time jumped
    deliver,  ///< bytes, a datagram or the end of a stream arrived; `subject`: how many bytes
    lose,     ///< a datagram was lost; `subject`: how many bytes
    reset,    ///< a connection was reset
  };
  Instant at;
  Kind kind;
  std::uint64_t subject;
  friend bool operator==(const TraceEntry&, const TraceEntry&) = default;
};
/// "+1.500000000 s run 3"
[[nodiscard]] std::string to_string(const TraceEntry& entry);

/// A simulated world; see above.
class Deterministic final {
 public:
  static constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

  struct Config {
    std::uint64_t seed = 0;
    /// What a poll takes on the simulated clock; so what polls until time has passed gets there.
    Duration poll_takes = Duration::from_micros(1);
    /// Tasks at once before async_() runs one in place.
    std::size_t async_limit = kUnlimited;
    /// Tasks at once before concurrent() fails.
    std::size_t concurrent_limit = kUnlimited;
    /// Whether trace() is kept; fingerprint() always is.
    bool keeps_trace = false;
  };
  /// What the network does, from now on and to all.
  struct Faults {
    /// What a message takes, at random between the two, neither below 0 nor the first above the
    /// second. A connection keeps its order, datagrams do not.
    Duration latency_min = Duration::from_micros(100);
    Duration latency_max = Duration::from_millis(2);
    /// Whether reads and writes take fewer bytes than they could, at random.
    bool short_transfers = true;
    /// The share of datagrams that get lost, 0 to 1.
    double datagram_loss = 0;
  };

  /// A new world at time 0, with one host: 127.0.0.1.
  Deterministic() : Deterministic(Config()) {}
  explicit Deterministic(const Config& config);
  Deterministic(const Deterministic&) = delete;
  Deterministic& operator=(const Deterministic&) = delete;
  /// Drops all tasks.
  ~Deterministic();

  /// Of the first host.
  [[nodiscard]] Io io();
  /// Of the host with the address, which is made if there is none. Its port means nothing.
  [[nodiscard]] Io host(const Address& address);
  /// io().run(function, io(), arguments…).
  /// Throws what the function throws; tasks that still run then go on with the next run(), as when
  /// it returns. Deadlock: all tasks have been dropped, the newest first.
  template <class F, class... Args>
  auto run(F&& function, Args&&... arguments) {
    return io().run(std::forward<F>(function), io(), std::forward<Args>(arguments)...);
  }

  /// Of the simulated clock.
  [[nodiscard]] Instant now() const noexcept;
  /// Tasks that have not ended.
  [[nodiscard]] std::size_t task_count() const noexcept;
  /// Empty unless Config::keeps_trace.
  [[nodiscard]] const std::vector<TraceEntry>& trace() const noexcept;
  /// A number made of all that happened: two runs that differ in anything have different ones.
  [[nodiscard]] std::uint64_t fingerprint() const noexcept;

  // ---- faults; from inside of run() or between runs ------------------------------------------

  /// From now on; what is on its way arrives as it was to.
  void set_faults(const Faults& faults) noexcept;
  /// From now on nothing passes between the two hosts: datagrams are lost, the bytes of connections
  /// wait, connecting retries and gives up with ETIMEDOUT after two minutes.
  void partition(const Address& a, const Address& b);
  /// Ends a partition; what waits arrives.
  void heal(const Address& a, const Address& b);
  /// Every connection between the two hosts, or of a host with itself, ends with ECONNRESET.
  void reset_connections(const Address& a, const Address& b);
  /// Makes resolve() give `addresses` for `name`, everywhere. Other names get EAI_NONAME.
  void add_name(const std::string& name, std::vector<Address> addresses);
  /// Sends a signal to the program on every host.
  void raise_signal(int number);

 private:
  std::unique_ptr<detail::SimWorld> world_;
};

}  // namespace blitzio::io
