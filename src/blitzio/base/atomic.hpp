// `Atomic<T>`: the doorway to atomics. Lock-free code uses this name, never std::atomic, so that a
// model checker can stand behind it and enumerate interleavings: the build of tests/model finds
// another header of this name first (docs/internals/model-checking.md). backoff.hpp, futex.hpp,
// native_mutex.hpp and native_thread.hpp are the doorway's other leaves.
#pragma once

#include <atomic>

namespace blitzio {

template <class T>
using Atomic = std::atomic<T>;

}  // namespace blitzio
