// Looking for signals in the middle of a wait that they do not end.
#pragma once

#include <blitzio/base/instant.hpp>

#include <unistd.h>

#include <algorithm>

namespace blitzio::python {

/// How long to sleep before signals are looked for. Handlers run in the main thread, but the kernel
/// may give the signal to any, or in the moment between the last look and the sleep; neither would
/// end it.
inline Instant until_next_look(Instant deadline) noexcept {
  constexpr Duration kInterval = Duration::from_millis(200);
  if (::gettid() != ::getpid()) return deadline;
  return std::min(deadline, Instant::now() + kInterval);
}

}  // namespace blitzio::python
