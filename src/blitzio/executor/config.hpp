// `Config`: how a Runtime is made. Every field has a default that suits a server.
#pragma once

#include <blitzio/base/duration.hpp>
#include <blitzio/base/result.hpp>
#include <blitzio/driver/driver.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>

namespace blitzio {

/// Which worker runs a task.
enum class Strategy : std::uint8_t {
  automatic,        ///< single_threaded with one worker, else work_stealing
  work_stealing,    ///< a ready task moves to an idle worker
  thread_per_core,  ///< a task stays with the worker it was spawned on
  single_threaded,  ///< one worker
};

/// Which processor runs a worker.
enum class Affinity : std::uint8_t {
  automatic,   ///< sequential with thread_per_core, else none
  none,        ///< wherever the kernel puts it
  sequential,  ///< worker i on the i-th processor that the process may use
};

/// Plain fields; problem_in() says whether they can be had together.
struct Config {
  /// As many as the map of idle workers has bits.
  static constexpr unsigned kWorkersMax = 64;

  /// Worker threads; 0: one for each processor that the process may use, at most kWorkersMax.
  unsigned workers = 0;
  Strategy strategy = Strategy::automatic;
  Affinity affinity = Affinity::automatic;
  /// The stack of a worker's thread in bytes, 32 KiB to 1 GiB; 0: the system's default.
  std::size_t stack_bytes = 0;
  /// The backend and its rings, for each worker.
  driver::Config driver;
  /// Threads for spawn_blocking(): 1 to 32,768.
  std::size_t blocking_threads_max = 512;
  /// Threads for compute() and parallel_for(): up to 1,024; 0: as many as the process may use
  /// processors.
  unsigned compute_threads = 0;
  /// How long a thread of either pool stays without work.
  Duration blocking_keep_alive = Duration::from_secs(10);
  /// The width of a slot of the workers' timer wheels, 1 us to 1 s, rounded up to a power of two of
  /// nanoseconds. Timers fire at their deadlines whatever it is: it decides how far the wheel
  /// reaches before entries need sorting (20 hours), and how many share a slot.
  Duration timer_tick = Duration::from_millis(1);
  /// Whether workers keep the memory of coroutines that have ended for those to come: less work for
  /// the allocator, and up to 1 MiB for each worker.
  bool task_pooling = true;
  /// Timers that may be armed on one worker at a time; 0: any number. Beyond, a sleep throws.
  std::size_t timers_max = 0;
};

/// The first field that is out of range (invalid_argument), or asks for what is not to be had here
/// (unsupported), in a sentence.
[[nodiscard]] std::optional<driver::Problem> problem_in(const Config& config);
/// Errors   as problem_in().
[[nodiscard]] Result<void> validate(const Config& config) noexcept;

/// `config` with every 0 and `automatic` replaced by what it stands for here. Must be valid.
[[nodiscard]] Config resolve(const Config& config) noexcept;

}  // namespace blitzio
