// `start_detached_thread`: the part of the doorway (atomic.hpp) that makes threads nobody joins.
#pragma once

#include <pthread.h>

namespace blitzio {

/// Has a new thread call `main(data)`, which sees what the caller did before.
/// Returns  0, or what pthread_create() says (EAGAIN).
[[nodiscard]] inline int start_detached_thread(void* (*main)(void*), void* data) noexcept {
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread{};
  const int error = ::pthread_create(&thread, &attributes, main, data);
  ::pthread_attr_destroy(&attributes);
  return error;
}

}  // namespace blitzio
