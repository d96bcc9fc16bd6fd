// `HeldCompletions`: completions that come late (fault builds only; see base/faults.hpp).
//
// Every completion of a driver passes Driver::finish(). Here it may be kept for a few dispatches,
// with a copy of the bytes it carries, while those of other operations overtake it; and an arrival
// of bytes may be cut in two, of which the second part is kept. From the owner's view the operation
// is still in flight. From the backend's it is not, which is why the driver does not ask
// the backend to cancel an operation whose last completion is here.
//
// Invariant: the completions of one operation keep their order. Owner thread of the driver.
#pragma once

#include <blitzio/driver/operation.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

namespace blitzio::driver {

class HeldCompletions {
 public:
  /// Takes over a completion, or the end of its data. Returns false if `completion`, which may have
  /// been shortened, is to be delivered now.
  [[nodiscard]] bool keep(Operation& operation, Completion& completion);

  struct Held {
    Operation* operation;
    std::int32_t result;
    bool more;
    std::uint32_t turns;  ///< dispatches to let pass
    std::vector<std::byte> data;

    [[nodiscard]] Completion completion() const noexcept { return {result, more, data}; }
  };

  /// Makes due what has waited long enough, in an order that keeps each operation's own. Once per
  /// dispatch.
  void advance();
  /// Makes everything due; from now on nothing is kept.
  void close();
  /// Removes and returns the first that is due, if any is. One by one: its completion function may
  /// cancel another operation whose last completion is due as well.
  [[nodiscard]] std::optional<Held> next_due();

  [[nodiscard]] bool is_empty() const noexcept { return held_.empty() && due_.empty(); }
  [[nodiscard]] bool has_last(const Operation& operation) const noexcept;

 private:
  void hold(Operation& operation, const Completion& completion, std::uint32_t turns);

  std::vector<Held> held_;
  std::deque<Held> due_;
  /// How many completions of each operation are held.
  std::unordered_map<const Operation*, std::size_t> counts_;
  bool is_closed_ = false;
};

/// Lets an operation that is about to be submitted ask for less than its owner did, where the
/// kernel might have done less.
void perhaps_shorten(Operation& operation) noexcept;

}  // namespace blitzio::driver
