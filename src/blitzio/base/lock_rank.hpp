// The order in which locks are taken: a thread may only lock a mutex of a higher rank than every
// mutex it holds, so no two threads can wait for each other. One list for the whole core; debug and
// sanitizer builds check it at every lock.
#pragma once

#include <cstdint>

namespace blitzio {

enum class LockRank : std::uint8_t {
  fork_gate = 3,       ///< python/support/fork_gate.cpp: thread states; held while a thread forks
  job_registry = 5,    ///< python/loop/job.cpp: the pools of all loops
  blocking_pool = 10,  ///< executor/blocking_pool.cpp: queue and threads
  loop_gate = 20,      ///< python/loop/loop_gate.hpp: the way back to a loop; posting locks nothing
  group = 25,          ///< executor/group.cpp: a group's children; cancelling them queues them
  io_tasks = 28,       ///< io/threaded.cpp: its tasks; cancelling them locks nothing
  runtime_tasks = 30,  ///< executor/runtime.cpp: the list of all tasks; cancelling them queues them
  async_fd = 40,       ///< executor/async_fd.cpp: a descriptor's waits; posting locks nothing
  ring_call = 45,      ///< fs/detail/ring_call.cpp: an operation in a ring; posting locks nothing
  leaf = 255,          ///< nothing is locked, woken or called while it is held
};

}  // namespace blitzio
