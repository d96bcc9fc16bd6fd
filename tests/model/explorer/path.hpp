// `Path`: the decisions of one execution, and which come next: a depth-first search.
//
// There are two kinds. A schedule decision says which thread makes the next step; its alternatives
// are tried only as far as add_backtrack() asks for them (dynamic partial-order reduction: those
// steps that do not commute), and as far as they preempt no more than the bound allows. A value
// decision (which store a load reads) has all its alternatives tried.
//
// An execution replays the decisions of the path and goes on from its end; advance() then changes
// the last decision that has something left to try, and drops what follows it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace blitzio::model {

class Path {
 public:
  /// Without `is_reduced` every thread is tried everywhere.
  explicit Path(unsigned preemptions_max, bool is_reduced = true) noexcept
      : preemptions_max_(preemptions_max), is_reduced_(is_reduced) {}

  /// Begins the next execution.
  void rewind() noexcept { at_ = 0; }

  /// Decides who makes the next step: a bit of `enabled`. `preempted` is the thread that could go
  /// on and would be interrupted by another, or -1. `preferred` is tried first.
  /// Returns  the thread; nothing if this is not what was decided upon here before.
  [[nodiscard]] std::optional<unsigned> schedule(unsigned enabled, int preempted,
                                                 unsigned preferred);
  /// Decides among `count` values; 0 is tried first.
  [[nodiscard]] std::optional<unsigned> choose(unsigned count);

  /// Index of the schedule decision just made.
  [[nodiscard]] std::size_t last_schedule() const noexcept { return last_schedule_; }
  /// The step decided at `index` does not commute with a later one of `thread`: `thread` shall be
  /// tried there, and where the run of steps began that this one belongs to (a switch inside of it
  /// might be one preemption too many).
  void add_backtrack(std::size_t index, unsigned thread) noexcept;

  /// Changes to the next path. False if all were taken.
  [[nodiscard]] bool advance() noexcept;
  /// Whether something was left out for the sake of the bound.
  [[nodiscard]] bool was_bounded() const noexcept { return was_bounded_; }

  /// A digit per schedule decision, a letter per value decision.
  [[nodiscard]] std::string text() const;
  /// Takes the decisions of a text(); they are all there is to try.
  void replay(std::string_view text);

 private:
  struct Branch {
    bool is_schedule = false;
    bool is_given = false;  ///< by replay(): `enabled` and `count` are not known yet
    std::uint8_t chosen = 0;
    std::uint8_t count = 0;    ///< of values
    std::uint8_t enabled = 0;  ///< masks of threads, from here
    std::uint8_t todo = 0;
    std::uint8_t done = 0;
    std::int8_t preempted = -1;
    std::uint16_t preemptions = 0;  ///< before this decision
    std::size_t block = 0;          ///< where the run of steps of one thread began
    std::size_t before = kNone;     ///< the schedule decision before
  };
  static constexpr std::size_t kNone = SIZE_MAX;

  [[nodiscard]] static unsigned cost(const Branch& branch, unsigned thread) noexcept {
    return branch.preempted >= 0 && static_cast<unsigned>(branch.preempted) != thread ? 1 : 0;
  }
  void place(std::size_t index) noexcept;
  void add_alternative(Branch& branch, unsigned thread) noexcept;

  unsigned preemptions_max_;
  bool is_reduced_;
  std::vector<Branch> branches_;
  std::size_t at_ = 0;
  std::size_t last_schedule_ = kNone;
  bool was_bounded_ = false;
};

}  // namespace blitzio::model
