// `start_detached_thread` with the explorer behind it: one more of the scenario's threads.
#pragma once

#include <model/explorer/execution.hpp>

#include <cerrno>

namespace blitzio {

[[nodiscard]] inline int start_detached_thread(
    void* (*main)(void*), void* data, model::Where where = model::Where::current()) noexcept {
  model::Execution* execution = model::Execution::active();
  if (execution == nullptr) return EAGAIN;
  execution->spawn([main, data] { main(data); }, where);
  return 0;
}

}  // namespace blitzio
