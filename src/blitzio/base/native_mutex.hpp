// `NativeMutex`, `NativeCondVar`: what mutex.hpp is made of: the part of the doorway (atomic.hpp)
// that blocks threads. Nobody else includes it.
#pragma once

#include <condition_variable>
#include <mutex>

namespace blitzio {

using NativeMutex = std::mutex;
using NativeCondVar = std::condition_variable;

}  // namespace blitzio
