// `explore()`: runs a scenario again and again, once for each way in which its threads can
// interleave and each value that the memory model lets them read, until one goes wrong or all are
// done. What that covers and what not: docs/internals/model-checking.md.
#pragma once

#include <model/explorer/orders.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace blitzio::model {

struct Options {
  /// How often a thread may be interrupted that could have gone on.
  unsigned preemptions_max = 2;
  /// How many loads may read another store than the latest.
  unsigned stale_reads_max = 2;
  /// How many weak compare-exchanges may fail without a reason.
  unsigned spurious_failures_max = 0;
  /// Steps of one execution: beyond that threads are taken to run in circles.
  unsigned steps_max = 1'000;
  /// Executions: beyond that the exploration is given up, and says so.
  std::uint64_t executions_max = 1'000'000;
  /// Without it the order of steps is changed that could be exchanged, too: for tests of the
  /// explorer.
  bool is_reduced = true;
  /// Orders to weaken, to see that the scenario needs them.
  std::vector<Weakening> weakenings;
};

struct Report {
  bool is_complete = false;  ///< everything within the bounds was tried
  bool was_bounded = false;  ///< the bound on preemptions left something out
  bool has_failed = false;
  std::uint64_t executions = 0;
  std::string message;   ///< what went wrong
  std::string trace;     ///< the steps of the execution that did, one a line
  std::string schedule;  ///< its decisions, for replay()

  /// All of it, for people.
  [[nodiscard]] std::string text() const;
};

[[nodiscard]] Report explore(const std::function<void()>& scenario, const Options& options = {});

/// Runs the one execution that `schedule` stands for.
[[nodiscard]] Report replay(const std::function<void()>& scenario, const std::string& schedule,
                            const Options& options = {});

/// An order that was weakened, and what came of it.
struct Mutation {
  Weakening weakening;
  bool is_found = false;  ///< the exploration failed
  std::string message;
};

/// Weakens each order that the scenario meets below `src/`, one at a time by one step.
[[nodiscard]] std::vector<Mutation> mutate(const std::function<void()>& scenario,
                                           const Options& options = {});

}  // namespace blitzio::model
