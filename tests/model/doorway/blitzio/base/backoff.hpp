// `Backoff` with the explorer behind it: the thread goes on when something that it has read since
// it last waited has changed.
#pragma once

#include <model/explorer/execution.hpp>

namespace blitzio {

inline void yield_thread(model::Where where = model::Where::current()) noexcept {
  if (model::Execution* execution = model::Execution::active()) execution->yield(where);
}

class Backoff {
 public:
  // NOLINTNEXTLINE(readability-convert-member-functions-to-static): as the real one.
  void wait(model::Where where = model::Where::current()) noexcept { yield_thread(where); }
};

}  // namespace blitzio
