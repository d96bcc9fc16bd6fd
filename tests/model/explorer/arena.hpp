// Memory of scenarios: while one runs, operator new takes from an arena that is emptied before each
// execution. So every execution finds its objects at the same addresses, nothing freed is used
// again before the next execution, and what is left at the end is a leak.
#pragma once

#include <cstddef>

namespace blitzio::model::arena {

/// Whether operator new takes from the arena: while code of the scenario runs, not the explorer's.
extern bool is_open;

/// The explorer is at work: operator new is the usual one.
class Closed {
 public:
  Closed() noexcept : was_open_(is_open) { is_open = false; }
  Closed(const Closed&) = delete;
  Closed& operator=(const Closed&) = delete;
  ~Closed() { is_open = was_open_; }

 private:
  bool was_open_;
};

/// Forgets everything.
void reset() noexcept;

struct Block {
  std::size_t size = 0;
  std::size_t number = 0;  ///< of this block, in the order of allocation, from 0
};
struct Leaks {
  std::size_t count = 0;
  Block first;
};
[[nodiscard]] Leaks leaks() noexcept;

}  // namespace blitzio::model::arena
