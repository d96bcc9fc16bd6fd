// `Atomic<T>`: the doorway to atomics. Lock-free code uses this name, never std::atomic, so that a
// model checker can stand behind it and enumerate interleavings.
#pragma once

#include <atomic>

namespace blitzio {

template <class T>
using Atomic = std::atomic<T>;

}  // namespace blitzio
