// The order in which locks are taken: a thread may only lock a mutex of a higher rank than every
// mutex it holds, so no two threads can wait for each other. One list for the whole core; debug and
// sanitizer builds check it at every lock.
#pragma once

#include <cstdint>

namespace blitzio {

enum class LockRank : std::uint8_t {
  blocking_pool = 10,  ///< executor/blocking_pool.cpp: queue and threads
  leaf = 255,          ///< nothing is locked, woken or called while it is held
};

}  // namespace blitzio
